"""`pipetrace progress` prints, exports and forgets what a learner did."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipetrace.cli import main
from pipetrace.learned import Answer, Event, Reached, Review, Sitting
from pipetrace.learner.account import accounts
from pipetrace.learner.log import Log
from pipetrace.learner.schedule import DAY
from pipetrace.story.progress import page
from pipetrace.views import terminal

NOW = int(time.time() * 1000)


def answer(question: str, form: int, right: bool, misconception: str = "") -> Answer:
    return Answer(
        lesson="dropout", at=NOW - 10_000 + form, question=question, form=form, option=0,
        right=right, misconception=misconception,
    )  # fmt: skip


EVENTS: list[Event] = [
    Review(lesson="dropout", at=NOW - 9 * DAY, card="old", rating=4),
    Review(lesson="dropout", at=NOW - 2 * DAY, card="later", rating=4),
    answer("D101", 0, False, "no-rescale"),
    answer("D101", 0, True),
    answer("D102", 1, False, "no-rescale"),
    answer("D103", 2, True),
    answer("D105", 3, False),
    answer("X1", 4, False, "of another version"),
    Sitting(lesson="dropout", at=NOW - 900, sitting="a", form=0),
    Sitting(lesson="dropout", at=NOW - 800, sitting="a", form=0, right=8, total=10, hard=2,
            verdict="strong"),
    Sitting(lesson="dropout", at=NOW - 700, sitting="b", form=1),
    Review(lesson="dropout", at=NOW - 600, card="fresh", rating=3),
    Reached(lesson="dropout", at=NOW - 500, experiment="p", choices=(1, 2)),
    Reached(lesson="dropout", at=NOW - 400, experiment="p", choices=(0, 2)),
    Review(lesson="batchnorm", at=NOW - 20_000, card="old", rating=1),
]  # fmt: skip


@pytest.fixture
def filled(log: Log) -> Log:
    for event in EVENTS:
        log.append(event)
    return log


def test_all_is_counted_by_lesson(filled: Log):
    dropout, batchnorm = accounts(filled.events(), NOW)
    assert (dropout.lesson, batchnorm.lesson) == ("dropout", "batchnorm")
    assert dropout.answers == 6
    assert (dropout.first.right, dropout.first.total) == (1, 5)
    assert 0.03 < dropout.first.low < 0.2 < dropout.first.high < 0.63
    (test,) = dropout.tests
    assert (test.sitting, test.share.right, test.hard, test.verdict) == ("a", 8, 2, "strong")
    assert (dropout.begun, dropout.targets) == (1, 1)
    assert (dropout.cards, dropout.due, dropout.tomorrow) == (3, 1, 1)
    assert [step.id for step in dropout.practise] == ["of another version", "D105", "no-rescale"]
    assert (batchnorm.answers, batchnorm.first.low, batchnorm.first.high) == (0, 0.0, 1.0)
    assert accounts([], NOW) == []


def test_the_page_says_it_in_words(filled: Log):
    out = io.StringIO()
    terminal.show(page(accounts(filled.events(), NOW)), file=out, width=100)
    text = " ".join(out.getvalue().split())
    for words in (
        "right at once 1 of 5 20 %, 4 % to 62 %",
        "8 of 10 80 %, 49 % to 94 % 2 strong",
        "“dropout only sets elements to zero and leaves the others as they are.” 1 D102",
        "What number survivors are multiplied with 1 D105",
        "of another version 1 X1",
        "tests not ended 1",
        "targets reached 1",
        "cards due now 1 of 3 1 more within the next 24 hours",
    ):
        assert words in text


def test_a_test_without_questions_breaks_no_page(log: Log):
    log.append(Sitting(lesson="dropout", at=1, sitting="a", form=0, verdict="not yet"))
    out = io.StringIO()
    terminal.show(page(accounts(log.events(), NOW)), file=out, width=100)
    assert "no answers" in out.getvalue()


def test_the_command_prints_all_or_one_lesson(filled: Log, capfd: pytest.CaptureFixture[str]):
    assert main(["progress"]) == 0
    printed = capfd.readouterr().out
    assert "━━ dropout" in printed
    assert "━━ batchnorm" in printed
    assert main(["progress", "batchnorm"]) == 0
    assert "━━ dropout" not in capfd.readouterr().out
    assert main(["progress", "dropout", "--json"]) == 0
    (account,) = json.loads(capfd.readouterr().out)
    assert account["first"]["total"] == 5
    assert account["practise"][0]["id"] == "of another version"
    assert main(["progress", "attention"]) == 2
    assert "There are answers for: dropout, batchnorm." in capfd.readouterr().err


def test_without_answers_it_says_so_and_makes_no_file(
    log: Log, capfd: pytest.CaptureFixture[str]
):  # fmt: skip
    assert main(["progress"]) == 0
    assert "Nothing yet" in capfd.readouterr().out
    assert main(["progress", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == []
    assert main(["progress", "--delete", "--yes"]) == 0
    assert "nothing to delete" in capfd.readouterr().out
    assert main(["progress", "--where"]) == 0
    assert capfd.readouterr().out == f"{log.path}\n"
    assert not log.path.parent.exists()


def test_all_is_exported(filled: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "mine.json"
    assert main(["progress", "--export", str(path)]) == 0
    assert capfd.readouterr().out == f"{path}: {len(EVENTS)} events\n"
    assert len(json.loads(path.read_text())["events"]) == len(EVENTS)
    assert main(["progress", "--export", str(path)]) == 2


def test_a_lesson_is_reset_and_then_all_is_deleted(
    filled: Log, capfd: pytest.CaptureFixture[str]
):  # fmt: skip
    assert main(["progress", "--reset", "dropout", "--yes"]) == 0
    copy = Path(capfd.readouterr().out.removeprefix("copy").strip())
    assert Log(copy).events() == sorted(EVENTS, key=lambda event: event.at)
    assert {event.lesson for event in filled.events()} == {"batchnorm"}
    assert main(["progress", "--delete", "--yes"]) == 0
    assert capfd.readouterr().out.count("deleted") == 2
    assert filled.events() == []
    assert not copy.exists()


@pytest.mark.parametrize("flag", ["--reset", "--delete"])
def test_without_a_terminal_nothing_goes(filled: Log, flag: str):
    command = [sys.executable, "-m", "pipetrace", "progress", flag]
    finished = subprocess.run(command, input="y\n", capture_output=True, text=True)
    assert finished.returncode == 2
    assert f"{flag} --yes" in finished.stderr
    assert len(filled.events()) == len(EVENTS)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
@pytest.mark.parametrize(("said", "code", "left"), [("n", 1, True), ("", 1, True), ("y", 0, False)])
def test_at_a_terminal_it_asks(filled: Log, said: str, code: int, left: bool):
    import pty

    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "pipetrace", "progress", "--delete"]
        with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True) as process:
            os.write(ours, f"{said}\n".encode())
            out = process.communicate()[0]
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == code
    assert "Delete all that you did, of all lessons? This cannot be undone. [y/N]" in out
    assert bool(filled.events()) is left


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--json", "--where"], "--json and --where are different things"),
        (["--reset", "--delete", "--yes"], "--reset and --delete are different things"),
        (["--yes"], "--yes answers what --reset and --delete ask"),
        (["dropout", "--delete", "--yes"], "--delete is about the file of all lessons"),
        (["dropout", "--where"], "--where is about the file of all lessons"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    filled: Log, words: list[str], reason: str, capfd: pytest.CaptureFixture[str]
):  # fmt: skip
    assert main(["progress", *words]) == 2
    assert reason in capfd.readouterr().err
    assert len(filled.events()) == len(EVENTS)


def test_it_needs_no_torch():
    program = (
        "import sys; from pipetrace.cli import main; main(['progress']); "
        "print(sorted({'torch', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        env={**os.environ, "PIPETRACE_DATA": "/nowhere"},
    )  # fmt: skip
    assert finished.stderr.strip() == "[]"
