"""What fails while a lesson is made is said where it should stand, and the rest is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipetrace.blocks import Crash, Page
from pipetrace.errors import ArgumentsError, PipetraceError
from pipetrace.learned import Answer, Review
from pipetrace.learner.log import Log
from pipetrace.lessons import folder
from pipetrace.lessons.drafts import LessonError
from pipetrace.serving.channel import LessonSource
from pipetrace.tutoring.hosting import Answers
from pipetrace.tutoring.notes import now
from pipetrace.tutoring.tutor import Tutor, run_example

ABOUT = """\
id = "mine"
title = "Mine"
words = "A lesson."
example = "example.py"
checks = ["PTR101"]

[study]
script = "study.py"

[[study.comparisons]]
id = "few"
title = "Few rows"
with = { p = 0.9 }
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
STUDY = """\
def train(*, seed, p):
    if p == 0.9:
        raise ValueError("p is too large")
    return {"training loss": [1.0, 0.5], "held-out loss": [1.0, 0.3 + p]}
"""
EXAMPLE = """\
import torch
from torch import nn

model = nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(3):
    optimizer.zero_grad()
    model(torch.ones(8, 4)).mean().backward()
    optimizer.step()
"""


def tutor_of(place: Path, **files: str) -> Tutor:
    given = {"lesson.toml": ABOUT, "study.py": STUDY, "example.py": EXAMPLE}
    given["content.md"] = "## why\n!study few\n\n## checks\n!checks\n\n## experiment\n!experiment\n"
    for name, text in {**given, **files}.items():
        (place / name).write_text(text)
    lesson = folder.named(str(place))
    recording = run_example(lesson, place / "runs")
    return Tutor(lesson, recording, log=Log(place / "answers.jsonl"))


def crashes(page: Page) -> dict[str, str]:
    return {
        section.mode: block.text
        for section in page.sections
        for block in section.blocks
        if isinstance(block, Crash)
    }


def test_a_study_that_raises_leaves_the_rest_as_it_is(tmp_path: Path):
    tutor = tutor_of(tmp_path)
    tutor.first()
    for _ in tutor.rest():
        pass
    assert tutor.taught.pending == ()
    assert [bug.rule for bug in tutor.taught.bugs] == ["PTR101"]
    assert [each.choices for each in tutor.taught.tried] == [(1,), (0,)]
    told = crashes(tutor.page())
    assert set(told) == {"why", "experiment"}
    for text in told.values():
        assert "study.py: train(seed=0, p=0.9) raised ValueError: p is too large" in text
    with pytest.raises(PipetraceError, match="p is too large"):
        tutor.experiment((2,))


def test_a_script_that_is_no_python_is_an_error_of_the_lesson(tmp_path: Path):
    with pytest.raises(LessonError, match=r"study\.py: cannot be run: SyntaxError"):
        tutor_of(tmp_path, **{"study.py": "def train(:\n"})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("return 1 / 0", "mine_fact}} could not be told: ZeroDivisionError"),
        ("return 7", "mine_fact}} must be text or None, and is 7"),
    ],
)
def test_a_fact_that_raises_is_an_error_of_the_lesson(tmp_path: Path, code: str, said: str):
    from pipetrace.lessons import facts

    modules = {
        "__init__.py": "from . import facts\n",
        "facts.py": "from pipetrace.lessons.facts import fact\n\n\n@fact('mine_fact')\n"
        f"def told(recording):\n    '''Tell.'''\n    {code}\n",
    }
    import sys

    try:
        # An id of its own: modules of another lesson of this name may be loaded already.
        about = ABOUT.replace('id = "mine"', 'id = "raising"')
        tutor = tutor_of(tmp_path, **{"lesson.toml": about}, **modules)
        with pytest.raises(LessonError) as caught:
            tutor.first()
        assert said.replace("}}", "}") in str(caught.value)
        # The page of a lesson that cannot be told says so, and the server lives.
        source = LessonSource(tutor.page, Answers(tutor))
        assert source.make()
        assert "The page could not be made" in source.message(0)
    finally:
        facts._facts.pop("mine_fact", None)
        for name in [name for name in sys.modules if name.startswith("pipetrace_lessons.raising")]:
            del sys.modules[name]


def test_only_what_was_done_here_is_kept_and_only_once(tmp_path: Path):
    tutor = tutor_of(tmp_path)
    answer = Answer(lesson="mine", at=now(), question="A1", form=0, option=1, right=False)
    for _ in range(3):
        tutor.learned(answer)
    assert tutor.events == Log(tmp_path / "answers.jsonl").events() == [answer]
    for wrong in (
        Review(lesson="other", at=now(), card="a", rating=3),
        Review(lesson="mine", at=now() + 10 * 86_400_000, card="a", rating=3),
    ):
        with pytest.raises(ArgumentsError):
            tutor.learned(wrong)
    with pytest.raises(ArgumentsError, match="cannot be read"):
        tutor.actions["experiment"]({"choices": [0], "seed": 2**64})
    assert tutor.events == [answer]


def test_a_section_that_this_run_lacks_takes_its_words_with_it(tmp_path: Path):
    tutor = tutor_of(
        tmp_path,
        **{"content.md": "## trace\nFirst words.\n!section ranks\n\n### More\nMore words.\n"
           "!section lab\n\n### Flow\nThe flow.\n!section flow\n"},
    )  # fmt: skip
    tutor.first()
    titles = [section.title for section in tutor.page().sections]
    assert "More" not in titles
    assert "Flow" in titles
    assert "This run has nothing of it to show." in str(tutor.page().sections[0])
    assert [mode.id for mode in tutor.page().modes] == ["trace", "practice"]
