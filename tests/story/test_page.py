"""The page of whole runs: every section, in order, whatever the run."""

from __future__ import annotations

import re
import subprocess
import sys

import msgspec
import pytest

from pipetrace.blocks import Crash, Page, Question, Remarks
from pipetrace.records import Capture, Op, Provenance, Tensor
from pipetrace.story import registry
from pipetrace.story.page import head, page
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording
from pipetrace.views.data import plain

RUNS = (
    "dropout_run", "regression_run", "big_run", "failed_run", "table_run", "folds_run", "empty_run",
)  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_every_run_has_a_page_without_a_crash(name, request, words_of):
    made = page(request.getfixturevalue(name))
    ids = [section.id for section in made.sections]
    assert len(set(ids)) == len(ids)
    assert ids[0] == "provenance"
    assert not any(isinstance(block, Crash) for part in made.sections for block in part.blocks)
    assert made.title.endswith(" - pipeline trace")
    assert made.generator == "pipetrace 0.1.0"
    told = tuple(part for part in made.sections if part.id != "source")
    assert not re.search(r"\bNone\b|\bnan\b|\[\]|\(\)", words_of(told))
    assert msgspec.json.decode(msgspec.json.encode(plain(made)))


def test_sections_of_the_seed_stand_in_order(dropout_run):
    ids = [section.id for section in page(dropout_run).sections]
    order = ["provenance", "insight", "flow", "network", "training", "prediction"]
    order += ["notices", "source"]
    assert [part for part in ids if part not in ("quiz", "practice")] == order


def test_title_names_the_script_and_contents_what_the_file_holds(dropout_run, failed_run):
    made = page(dropout_run)
    assert made.title == "dropout.py - pipeline trace"
    assert made.contents == (
        "This file holds: rows of real values from 2 forwards; the source text of 1 file."
    )
    assert "Sequential, 243 parameters · 5 epochs · cpu" in made.subtitle
    assert page(failed_run).contents == "This file holds: rows of real values from 1 forward."


def test_the_head_is_short_and_of_a_failure_there_is_none(
    dropout_run, folds_run, failed_run, section_of
):
    short = head(dropout_run)
    assert short is not None
    ids = [part.id for part in short.sections]
    assert ids == ["provenance", "insight", "training", "notices"]
    whole, training = (section_of(made, "training") for made in (page(dropout_run), short))
    assert training.blocks == whole.blocks[: len(training.blocks)]
    assert isinstance(training.blocks[-1], Remarks)
    folds = head(folds_run)
    assert folds is not None
    assert len(section_of(folds, "training").blocks) == 1
    assert "metrics" not in {part.id for part in folds.sections}
    assert head(failed_run) is None


def test_contents_say_what_was_left_out(dropout_run):
    facts = [fact for fact in dropout_run.facts if not isinstance(fact, Provenance | Capture)]
    facts.insert(0, Provenance(name="a.py", origin="script", values=False, source=False))
    contents = page(Recording(facts, {}, None)).contents
    assert contents.endswith("Left out, as asked: rows of real values; source text.")


def test_a_section_that_raises_becomes_a_crash_block_and_the_rest_stands(dropout_run, monkeypatch):
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))

    @section(id="broken", title="Broken", order=31)
    def broken(recording: Recording) -> Content | None:
        raise KeyError("no such thing")

    made = page(dropout_run)
    found = next(part for part in made.sections if part.id == "broken")
    assert isinstance(found.blocks[0], Crash)
    assert "KeyError: 'no such thing' (test_page.py, line" in found.blocks[0].text
    assert [part.id for part in made.sections].index("training") > 0


def test_two_sections_cannot_share_an_id():
    with pytest.raises(ValueError, match="'flow' is taken by flow"):

        @section(id="flow", title="Another", order=1)
        def another(recording: Recording) -> Content | None:
            return None


def test_an_empty_recording_has_a_page_that_says_what_was_seen(words_of):
    made = page(Recording([], {}, None))
    assert made.title == "A run - pipeline trace"
    assert "No forward of an nn.Module was seen; nothing else was recorded either." in words_of(
        made
    )


def test_the_notice_of_a_run_without_a_model_is_not_said_twice(empty_run, words_of):
    text = words_of(page(empty_run))
    assert text.count("No forward of an nn.Module was seen") == 1
    assert "3 lines were printed" in text


def test_recorded_questions_are_asked(dropout_run):
    from pipetrace.records import Choice
    from pipetrace.records import Question as Asked

    asked = Asked(
        id="q1", group="quiz", level="easy", text="What is 1 + 1?",
        choices=(Choice("2", True, "Yes."), Choice("3", False, "No.")),
    )  # fmt: skip
    made = page(Recording([*dropout_run.facts, asked], {}, None))
    (quiz,) = (part for part in made.sections if part.id == "quiz")
    assert isinstance(quiz.blocks[0], Question)


def test_work_grows_with_the_number_of_operations(monkeypatch):
    """Ten times the operations cost about ten times the calls, not a hundred times."""
    few, many = _calls(1_000), _calls(10_000)
    assert many < 14 * few


def _calls(count: int) -> int:
    facts: list[Op | Capture] = [
        Op(
            capture=0,
            index=index,
            function="relu",
            module=f"layers.{index // 10}.{index % 10}",
            module_type="ReLU",
            input_shapes=((4, 8),),
            outputs=(Tensor(shape=(4, 8), dtype="float32"),),
        )
        for index in range(count)
    ]
    facts.append(Capture(id=0, model=0, purpose="trace", training=True, rows=4))
    seen = 0

    def watch(frame, event, argument):
        nonlocal seen
        seen += 1

    recording = Recording(list(facts), {}, None)
    sys.setprofile(watch)
    try:
        made: Page = page(recording)
    finally:
        sys.setprofile(None)
    assert any(part.id == "flow" for part in made.sections)
    return seen


def test_the_story_needs_neither_torch_nor_numpy():
    code = "import sys, pipetrace.story.page; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
