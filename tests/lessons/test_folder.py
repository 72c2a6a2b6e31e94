"""A lesson's folder: read whole, or refused with what is wrong and where."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from scipy import stats

from pipetrace.lessons import folder
from pipetrace.lessons.drafts import LessonError
from pipetrace.lessons.folder import Comparison
from pipetrace.lessons.registry import templates
from pipetrace.lessons.taught import Measured

ABOUT = """\
id = "mine"
title = "Mine"
words = "A lesson."
example = "example.py"

[study]
script = "study.py"

[[study.comparisons]]
id = "few"
title = "Few rows"
with = { p = 0.5 }
without = { p = 0.0 }
seeds = 3

[[study.knobs]]
id = "p"
label = "p"
values = [0.0, 0.5, 0.9]
chosen = 1

[study.target]
text = "At most {bound}."
measure = "held-out loss"
at_most = 0.4
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a folder with a lesson that is right."""
    (tmp_path / "lesson.toml").write_text(ABOUT)
    (tmp_path / "content.md").write_text("## why\nIt has {run.parameters}.\n\n!study few\n")
    (tmp_path / "cards.md").write_text("## one\nWhat?\n---\n{run.rows}\n")
    (tmp_path / "example.py").write_text("")
    (tmp_path / "study.py").write_text("def train(*, seed, p): ...\n")
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_folder_is_read(own: Path):
    lesson = folder.named(str(own))
    assert (lesson.id, lesson.example) == ("mine", (own / "example.py").resolve())
    study = lesson.about.study
    assert study is not None
    assert list(study.choices()) == [(1,), (0,), (2,)]
    assert study.settings((2,)) == {"p": 0.9}
    assert study.target is not None
    assert [study.target.reached(value) for value in (0.4, 0.41, float("nan"))] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("content.md", "{run.parameters}", "{run.share}", "content.md, line 2: {run.share} is "
         "unknown. Known are: run.accuracy"),
        ("content.md", "!study few", "!study many", "line 4: there is no study 'many'"),
        ("content.md", "It has", "{demo.x} has", "line 2: {demo.x} is unknown. Known are: none"),
        ("content.md", "It has", "[if study.few.best] It has", "line 2: {study.few.best} is "),
        ("cards.md", "{run.rows}", "{run.row}", "cards.md, card one: {run.row} is unknown"),
        ("lesson.toml", 'id = "mine"', 'ids = "mine"', "lesson.toml"),
        ("lesson.toml", "seeds = 3", "seeds = 2", "needs three seeds"),
        ("lesson.toml", "chosen = 1", "chosen = 3", "knob 'p' has no value 3"),
        ("lesson.toml", "study.py", "studies.py", "there is no script studies.py"),
        ("lesson.toml", "example.py", "examples.py", "there is no example examples.py"),
        ("lesson.toml", "[study]", "[study", "lesson.toml"),
        ("lesson.toml", "at_most = 0.4", "", "a target needs one of at_most and at_least"),
        ("lesson.toml", "at_most = 0.4", "at_most = 0.4\nat_least = 0.1", "a target needs one"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(own: Path, file: str, old: str, new: str, said: str):
    change(own / file, old, new)
    with pytest.raises(LessonError) as caught:
        folder.named(str(own))
    assert said in str(caught.value)


def test_a_lesson_that_is_not_there():
    with pytest.raises(LessonError, match=r"no lesson 'dropuot'\. Lessons are: "):
        folder.named("dropuot")


def test_a_folder_may_have_facts_and_templates_of_its_own(own: Path):
    change(own / "content.md", "{run.parameters}", "{run.mine_rows}")
    (own / "__init__.py").write_text("from . import facts, shapes\n")
    (own / "facts.py").write_text(
        "from pipetrace.lessons.facts import fact\n\n\n@fact('mine_rows')\n"
        "def rows(recording):\n    '''Say seven.'''\n    return '7'\n"
    )
    (own / "shapes.py").write_text(
        "from pipetrace.lessons.registry import question\n\n\n"
        "@question(id='M101', group='practice', level='easy', needs='nothing')\n"
        "def shape(recording, random):\n    '''Which shape.'''\n"
    )
    try:
        assert folder.named(str(own)).id == "mine"
        assert [each.id for each in templates() if each.lesson == "mine"] == ["M101"]
        assert folder.named(str(own)).id == "mine"  # and once more: modules are imported once
    finally:
        from pipetrace.lessons import facts, registry

        registry._templates.pop("M101")
        facts._facts.pop("mine_rows")


def test_the_interval_is_that_of_a_paired_t_test():
    ones, others = [0.41, 0.39, 0.44, 0.40, 0.38], [0.45, 0.44, 0.43, 0.47, 0.46]
    measured = compared(ones, others)
    known = stats.ttest_rel(ones, others).confidence_interval(0.95)
    assert measured.interval == pytest.approx((known.low, known.high), abs=1e-4)
    assert measured.verdict == "better"
    told = measured.facts()
    assert told["study.few.verdict"] == "better"
    assert told["study.few.better"] == "4"
    assert float(told["study.few.difference"]) == pytest.approx(
        statistics.fmean(ones) - statistics.fmean(others), abs=1e-4
    )
    for count in (3, 10, 31, 40):
        ones = [0.3 + 0.01 * (at % 7) for at in range(count)]
        others = [0.3 + 0.01 * (at % 5) for at in range(count)]
        known = stats.ttest_rel(ones, others).confidence_interval(0.95)
        reach = (known.high - known.low) / 2
        low, high = compared(ones, others).interval
        assert (high - low) / 2 == pytest.approx(reach, rel=2e-4)


@pytest.mark.parametrize(
    ("measure", "ones", "said"),
    [
        ("held-out loss", [0.1, 0.12, 0.11], "better"),
        ("held-out loss", [0.9, 0.92, 0.91], "worse"),
        ("held-out loss", [0.5, 0.7, 0.3], "no clear difference"),
        ("held-out loss", [float("nan"), 0.7, 0.3], "not measured"),
        ("held-out loss", [float("inf"), 0.7, 0.3], "not measured"),
        ("held-out loss", [1e200, 0.7, 0.3], "no clear difference"),
        ("held-out accuracy", [0.9, 0.92, 0.91], "better"),
        ("held-out accuracy", [0.1, 0.12, 0.11], "worse"),
    ],
)
def test_the_verdict_looks_at_what_was_measured(measure: str, ones: list[float], said: str):
    assert compared(ones, [0.5, 0.5, 0.5], measure).verdict == said


def compared(ones: list[float], others: list[float], measure: str = "held-out loss") -> Measured:
    comparison = Comparison(
        id="few", title="", with_={}, without={}, seeds=len(ones), measure=measure
    )
    return Measured(
        comparison=comparison,
        with_=tuple({measure: [1.0, value]} for value in ones),
        without=tuple({measure: [1.0, value]} for value in others),
    )
