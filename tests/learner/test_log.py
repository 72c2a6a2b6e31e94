"""The learner's file: what was told to be kept is there, whole, whatever ends the process."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from pipetrace.errors import PipetraceError
from pipetrace.learned import Answer, Event, Reached, Review, Sitting
from pipetrace.learner.log import Log

WRITER = """
import sys
from pathlib import Path
from pipetrace.learned import Answer
from pipetrace.learner.log import Log

log, name, last = Log(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
for number in range(last):
    question = "Q" * 200
    log.append(
        Answer(lesson=name, at=number, question=question, form=number, option=0, right=True)
    )
    print(number, flush=True)
"""
"""Says each answer once it is kept."""


def answer(at: int, lesson: str = "dropout", **given: object) -> Answer:
    plain = {"question": "D101", "form": at, "option": 1, "right": False}
    return Answer(lesson=lesson, at=at, **(plain | given))


def write(path: Path, name: str, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_every_kind_of_event_comes_back(log: Log):
    events: list[Event] = [
        answer(1, misconception="no-rescale", level="hard", sitting="s"),
        Review(lesson="dropout", at=2, card="scale", rating=3),
        Sitting(lesson="dropout", at=3, sitting="s", form=1, right=8, total=10, hard=2,
                verdict="strong"),
        Reached(lesson="batchnorm", at=4, experiment="p", choices=(1, 0, 2)),
    ]  # fmt: skip
    for event in events:
        log.append(event)
    assert log.events() == events
    assert log.events("batchnorm") == events[3:]
    assert log.events("attention") == []
    assert Log(log.path).events() == events


def test_the_oldest_comes_first_and_equals_stay_in_order(log: Log):
    for at, option in ((5, 0), (3, 1), (5, 2), (4, 3)):
        log.append(answer(at, option=option))
    assert [(event.at, event.option) for event in log.events()] == [(3, 1), (4, 3), (5, 0), (5, 2)]


def test_a_line_is_one_event_for_any_reader(log: Log):
    log.append(answer(7, question="two\nlines \u2028 and ü"))
    lines = log.path.read_bytes().splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["question"] == "two\nlines \u2028 and ü"
    assert json.loads(lines[0])["event"] == "answer"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_the_file_is_the_owners_alone(log: Log):
    log.append(answer(1))
    log.reset("nothing")
    for path in log.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.path.parent.stat().st_mode) == 0o700


def test_reading_makes_no_file(log: Log):
    assert log.events() == []
    assert log.reset("dropout") is None
    assert log.delete() == []
    assert not log.path.exists()


@pytest.mark.parametrize("torn", [b'{"event":"answer","les', b"\0" * 300, b"\xff\xfe", b"{}", b"7"])
def test_after_a_torn_line_nothing_else_is_lost(log: Log, torn: bytes):
    log.append(answer(1))
    with log.path.open("ab") as file:
        file.write(torn)
    assert log.events() == [answer(1)]
    log.append(answer(2))
    log.append(answer(3))
    assert log.events() == [answer(1), answer(2), answer(3)]
    assert torn + b"\n" in log.path.read_bytes()


def test_what_a_newer_version_wrote_is_skipped_and_kept(log: Log):
    log.append(answer(1))
    newer = b'{"event":"dreamed","lesson":"dropout","at":2,"of":"sheep"}\n'
    other = b'{"event":"dreamed","lesson":"batchnorm","at":2}\n'
    wider = b'{"event":"review","lesson":"dropout","at":3,"card":"c","rating":2,"felt":"easy"}\n'
    with log.path.open("ab") as file:
        file.write(newer + other + wider)
    assert log.events() == [answer(1), Review(lesson="dropout", at=3, card="c", rating=2)]
    log.append(answer(4, lesson="attention"))
    assert newer in log.path.read_bytes()
    log.reset("dropout")
    assert newer not in log.path.read_bytes()
    assert other in log.path.read_bytes()


@pytest.mark.parametrize(
    "event",
    [
        answer(-1),
        answer(10**18),
        Review(lesson="dropout", at=1, card="c", rating=5),
        Review(lesson="dropout", at=1, card="c", rating=0),
        Sitting(lesson="dropout", at=1, sitting="s", form=0, right=3, total=2),
    ],
)
def test_what_cannot_have_happened_is_refused_and_not_read(log: Log, event: Event):
    with pytest.raises(PipetraceError, match="cannot have happened"):
        log.append(event)
    log.append(answer(1))
    with log.path.open("ab") as file:
        file.write(msgspec.json.encode(event) + b"\n")
    assert log.events() == [answer(1)]


def test_a_lesson_is_taken_out_and_a_copy_stays(log: Log):
    kept = [answer(1, "batchnorm"), answer(4, "batchnorm")]
    for event in (kept[0], answer(2), answer(3), kept[1]):
        log.append(event)
    before = log.path.read_bytes()
    copy = log.reset("dropout")
    assert log.events() == kept
    assert copy is not None
    assert copy.parent == log.path.parent
    assert copy.read_bytes() == before
    assert log.reset("dropout") is None
    log.append(answer(5))
    assert log.events() == [*kept, answer(5)]


def test_all_can_be_taken_out_twice_in_a_second(log: Log):
    log.append(answer(1))
    first = log.reset()
    assert log.events() == []
    log.append(answer(2))
    second = log.reset()
    assert first != second
    assert [Log(path).events() for path in (first, second) if path] == [[answer(1)], [answer(2)]]
    assert log.reset() is None


def test_deleted_is_deleted_with_its_copies(log: Log):
    log.append(answer(1))
    copy = log.reset()
    log.append(answer(2))
    half = log.path.with_name(".answers-2026-01-31-120000.jsonl.k7x")
    half.write_text("D101")
    other = log.path.with_name("notes.txt")
    other.write_text("mine")
    assert log.delete() == [log.path, copy, half]
    assert log.events() == []
    assert other.read_text() == "mine"
    assert b"D101" not in b"".join(path.read_bytes() for path in log.path.parent.iterdir())
    log.append(answer(3))
    assert log.events() == [answer(3)]


def test_the_export_has_all_and_is_readable(log: Log, tmp_path: Path):
    log.append(answer(1_700_000_000_123, misconception="no-rescale"))
    with log.path.open("ab") as file:
        file.write(b'{"event":"dreamed","lesson":"dropout","at":2000}\n{"torn')
    assert log.export(tmp_path / "all.json") == 2
    document = json.loads((tmp_path / "all.json").read_text())
    assert [event["event"] for event in document["events"]] == ["answer", "dreamed"]
    assert document["events"][0]["time"] == "2023-11-14T22:13:20.123Z"
    assert document["events"][0]["misconception"] == "no-rescale"
    assert document["events"][1]["time"] == "1970-01-01T00:00:02.000Z"
    with pytest.raises(PipetraceError, match="exists already"):
        log.export(log.path)
    assert log.events() == [answer(1_700_000_000_123, misconception="no-rescale")]


def test_a_hundred_thousand_events_are_read_in_a_second(log: Log):
    log.append(answer(0))
    with log.path.open("ab") as file:
        for at in range(1, 100_001):
            line = msgspec.json.encode(answer(at, misconception="no-rescale", level="medium"))
            file.write(line + b"\n")
    # The processor's time: others may work on the machine meanwhile.
    start = time.process_time()
    assert len(log.events()) == 100_001
    assert time.process_time() - start < 1


def test_what_is_said_twice_happened_once(log: Log):
    for event in (answer(1), answer(2), answer(1)):
        log.append(event)
    assert log.events() == [answer(1), answer(2)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_writer_loses_nothing_that_it_was_told(tmp_path: Path):
    path, draws = tmp_path / "answers.jsonl", random.Random(0)
    told: set[tuple[str, int]] = set()
    for turn in range(20):
        with write(path, str(turn), 1_000_000) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            time.sleep(draws.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            said = (first + writer.stdout.read()).split("\n")
        # What comes after the last end of a line was not said to its end.
        told |= {(str(turn), int(number)) for number in said[:-1]}
    found = Log(path).events()
    kept = {(event.lesson, event.at) for event in found}
    assert len(told) >= 20
    assert told <= kept
    # In each turn one more may have been kept than was told.
    assert len(found) == len(kept) <= len(told) + 20
    assert {event.question for event in found} == {"Q" * 200}


def test_four_writers_at_once_never_mix_their_lines(tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    writers = [write(path, name, 100) for name in "abcd"]
    for writer in writers:
        assert writer.communicate()[0].split() == [str(number) for number in range(100)]
        assert writer.returncode == 0
    lines = path.read_bytes().splitlines()
    assert len(lines) == 400
    for name in "abcd":
        assert [event.at for event in Log(path).events(name)] == list(range(100))


def test_windows_of_one_process_never_mix_their_lines(log: Log):
    def work(name: str) -> None:
        for at in range(50):
            Log().append(answer(at, name))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((event.lesson, event.at) for event in log.events()) == [
        (name, at) for name in "abcd" for at in range(50)
    ]


def test_a_lesson_can_be_taken_out_while_others_write(tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    writers = [write(path, name, 150) for name in ("kept", "gone")]
    copies = []
    while any(writer.poll() is None for writer in writers):
        copies.append(Log(path).reset("gone"))
        time.sleep(0.01)
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert [event.at for event in Log(path).events("kept")] == list(range(150))
    # What is no longer in the file is in a copy.
    gone = {event.at for each in [*copies, path] if each for event in Log(each).events("gone")}
    assert gone == set(range(150))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_kill_while_a_lesson_is_taken_out_leaves_all_or_none_of_it(tmp_path: Path):
    path, draws = tmp_path / "answers.jsonl", random.Random(1)
    lessons = [f"gone{place}" for place in range(40)]
    log = Log(path)
    log.append(answer(0, "kept", question="Q" * 100_000))
    for lesson in lessons:
        log.append(answer(1, lesson))
        log.append(answer(2, lesson))
    program = (
        "import sys; from pathlib import Path; from pipetrace.learner.log import Log; "
        "[print(Log(Path(sys.argv[1])).reset(name), flush=True) for name in sys.argv[2:]]"
    )
    for turn in range(5):
        mine = lessons[turn * 8 : turn * 8 + 8]
        command = [sys.executable, "-c", program, str(path), *mine]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draws.uniform(0, 0.02))
            process.kill()
    found = [event.lesson for event in log.events()]
    assert found.count("kept") == 1
    assert {found.count(lesson) for lesson in lessons} == {0, 2}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits")
def test_a_full_disk_is_said_and_leaves_nothing_half(tmp_path: Path):
    program = f"""
import resource
from pathlib import Path
from pipetrace.errors import PipetraceError
from pipetrace.learned import Answer
from pipetrace.learner.log import Log

log = Log(Path({str(tmp_path / "answers.jsonl")!r}))
def add(at):
    log.append(Answer(lesson="l", at=at, question="Q" * 100, form=0, option=0, right=True))
add(0)
# The file may grow by half an answer.
resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size * 3 // 2,) * 2)
before = log.path.read_bytes()
try:
    add(1)
except PipetraceError as error:
    print(error)
assert log.path.read_bytes() == before
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "your answers cannot be kept there (File too large)" in finished.stdout
    log = Log(tmp_path / "answers.jsonl")
    log.append(answer(2))
    assert [event.at for event in log.events()] == [0, 2]


def test_a_folder_that_cannot_be_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PIPETRACE_DATA", str(tmp_path / "file"))
    with pytest.raises(PipetraceError, match=r"cannot be kept there .* PIPETRACE_DATA"):
        Log().append(answer(1))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_may_not_be_written_is_said(log: Log):
    log.append(answer(1))
    log.path.parent.chmod(0o500)
    log.path.chmod(0o400)
    try:
        with pytest.raises(PipetraceError, match="Permission denied"):
            log.append(answer(2))
        with pytest.raises(PipetraceError, match="Permission denied"):
            log.reset()
        assert log.events() == [answer(1)]
    finally:
        log.path.parent.chmod(0o700)


def test_without_a_named_folder_it_is_the_systems_for_data():
    program = "from pipetrace.learner.log import Log; print(Log().path)"
    environment = {**os.environ, "PIPETRACE_DATA": "", "XDG_DATA_HOME": "/somewhere"}
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    path = Path(finished.stdout.strip())
    assert path.name == "answers.jsonl"
    assert "pipetrace" in path.parts
    if sys.platform == "linux":
        assert path == Path("/somewhere/pipetrace/answers.jsonl")


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PIPETRACE_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    with pytest.raises(PipetraceError, match=r'platformdirs.*pip install "pipetrace\[learn\]"'):
        Log()
