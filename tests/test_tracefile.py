"""A run file keeps every fact, is read while it is written, and whatever harms it is named."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from pipetrace import tracefile
from pipetrace.errors import RunFileError
from pipetrace.naming import at_free_path, free_path, newest
from pipetrace.records import (
    Ended,
    Epoch,
    Fact,
    InputImage,
    Notice,
    Op,
    Place,
    Score,
    Seed,
    Tensor,
)  # fmt: skip
from pipetrace.tracefile import Recording, Writer, load

NUMBERS = (0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan)


def facts(count: int) -> list[Fact]:
    return [Notice(id=f"n{i}", text=f"number {i} " + "x" * (i * 37 % 400)) for i in range(count)]


def written(path: Path, stated: list[Fact]) -> Path:
    writer = Writer(path)
    for fact in stated:
        writer.append(fact)
    writer.close()
    return path


def same(one: float, other: float) -> bool:
    return array("d", [one]).tobytes() == array("d", [other]).tobytes()


def test_a_run_comes_back_as_it_was_stated_in_one_file(tmp_path: Path):
    stated: list[Fact] = [
        Seed(value=2**64 - 1),
        Seed(value=None),
        Epoch(training=0, index=1, rule="loader", steps=3, score=Score(rows=9, loss=math.nan)),
        Op(
            capture=0, index=0, function="linear", called=Place(file="é.py", line=2, text="α\0\n"),
            outputs=(Tensor(shape=(2, 0), dtype="float32", row=NUMBERS),),
        ),
        *facts(50),
    ]  # fmt: skip
    writer = Writer(tmp_path / "new" / "a.pipetrace")
    for fact in stated:
        writer.append(fact)
    for start in range(0, 5000, 1000):
        writer.scalars("loss", [float(start), *NUMBERS])
        writer.scalars("rate", [0.1])
        writer.flush()
    writer.close()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.pipetrace"]
    found = load(tmp_path / "new" / "a.pipetrace")
    assert list(map(repr, found.facts)) == list(map(repr, stated))
    op = found.last(Op)
    assert op is not None
    assert all(map(same, op.outputs[0].row, NUMBERS))
    assert len(found.series["loss"]) == 5 * 8
    assert all(map(same, found.series["loss"][8:16], (1000.0, *NUMBERS)))
    assert list(found.series["rate"]) == [0.1] * 5
    assert found.first(Seed) == stated[0]
    assert found.all(Seed) == stated[:2]
    assert found.first(Ended) is None
    memory = writer.recording()
    assert (repr(memory.facts), repr(memory.series)) == (repr(stated), repr(found.series))


@given(some.text(), some.floats(), some.integers(-(2**63), 2**64 - 1))
def test_any_text_and_number_survives(text: str, number: float, whole: int):
    """Lone surrogates, which are no text, become question marks."""
    fact = Ended(status=text, code=whole, costs={text: number})
    (back,) = (tracefile._decode(tracefile._pack(fact)),)
    assert isinstance(back, Ended)
    clean = text.encode(errors="replace").decode()
    assert (back.status, back.code, list(back.costs)) == (clean, whole, [clean])
    assert same(back.costs[clean], number) or (number != number and math.isnan(back.costs[clean]))


def test_a_name_that_is_no_text_does_not_end_the_recording(tmp_path: Path):
    path = written(tmp_path / "a.pipetrace", [Notice(id="\udcff", text="b\udc80c"), *facts(1)])
    assert load(path).facts == [Notice(id="?", text="b?c"), *facts(1)]
    image = InputImage(capture=0, input="\udcff", height=1, width=1, channels=1, pixels=b"\xff",
                       low=0.0, high=1.0)  # fmt: skip
    path = written(tmp_path / "b.pipetrace", [image])
    assert load(path).facts == [msgspec.structs.replace(image, input="?")]


def test_a_file_without_a_path_is_memory(tmp_path: Path):
    writer = Writer(None)
    writer.append(Seed(value=1))
    writer.scalars("loss", [1.0])
    writer.close()
    assert writer.recording().facts == [Seed(value=1)]
    assert writer.recording().path is None


def test_a_run_is_never_written_over(tmp_path: Path):
    path = written(tmp_path / "a.pipetrace", facts(2))
    before = path.read_bytes()
    with pytest.raises(RunFileError, match="exists already"):
        Writer(path)
    (tmp_path / "link.pipetrace").symlink_to("nowhere")
    with pytest.raises(RunFileError, match="exists already"):
        Writer(tmp_path / "link.pipetrace")
    assert path.read_bytes() == before
    with pytest.raises(RunFileError, match="a part of its path is a file"):
        Writer(path / "b" / "c.pipetrace")


def killed(path: Path) -> Path:
    """Leave a file as a writer leaves it that is killed: with a log beside it."""
    writer = Writer(path)
    for fact in facts(30):
        writer.append(fact)
    writer.flush()
    writer.abandon()
    return path


def test_a_log_that_is_missing_is_named(tmp_path: Path):
    path = killed(tmp_path / "a.pipetrace")
    shutil.copyfile(path, tmp_path / "copy.pipetrace")
    assert load(path).facts == facts(30)
    with pytest.raises(RunFileError, match=r"copy\.pipetrace-wal .* is missing\. Copy both\."):
        load(tmp_path / "copy.pipetrace")


READER = """
import os, sys
from pathlib import Path
from pipetrace.tracefile import load
if not os.geteuid():  # to whom every folder is open
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(*(len(load(Path(name)).facts) for name in sys.argv[1:]))
"""


def test_the_log_of_a_killed_run_is_read_where_nothing_can_be_written():
    """By somebody who may not write in the folder, with and without the log's index."""
    with tempfile.TemporaryDirectory() as name:
        inside = Path(name)
        path = killed(inside / "a.pipetrace")
        shutil.copyfile(path, inside / "b.pipetrace")
        shutil.copyfile(f"{path}-wal", inside / "b.pipetrace-wal")
        before = {entry.name: entry.read_bytes() for entry in inside.iterdir()}
        inside.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READER, str(path), str(inside / "b.pipetrace")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        inside.chmod(0o755)
        assert done.stderr == ""
        assert done.stdout == "30 30\n"
        assert {entry.name: entry.read_bytes() for entry in inside.iterdir()} == before


WRITER = """
import sys
from pathlib import Path
from pipetrace.records import Notice
from pipetrace.tracefile import Writer
writer = Writer(Path(sys.argv[1]))
for number in range(1500):
    writer.append(Notice(id=str(number), text="x" * 300))
    writer.scalars("loss", [float(number)])
    if number % 5 == 0:
        writer.flush()
    if number % 100 == 0:
        input()
writer.close()
"""


def test_a_run_is_read_while_another_process_writes_it(tmp_path: Path):
    """What is read is one moment of it: facts and scalars of the same flush."""
    path = tmp_path / "a.pipetrace"
    lengths = []
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        while process.poll() is None:
            with contextlib.suppress(RunFileError):
                found = load(path)
                lengths.append(len(found.facts))
                assert [fact.id for fact in found.all(Notice)] == list(map(str, range(lengths[-1])))
                assert len(found.series.get("loss", ())) == lengths[-1]
            # More than it asked for would let the writer run ahead of its reader.
            if lengths and (lengths[-1] % 100 == 1 or random.random() < 0.1):
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(b"\n")
    assert process.returncode == 0
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 3
    assert len(load(path).facts) == 1500
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.pipetrace"]


def test_a_reader_at_the_end_does_not_keep_the_log_from_being_folded_in(tmp_path: Path):
    writer = Writer(tmp_path / "a.pipetrace")
    writer.append(Seed(value=1))
    writer.flush()
    with tracefile._opened(tmp_path / "a.pipetrace") as reading:
        reading.execute("SELECT * FROM facts").fetchone()
        reading.commit()
    writer.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.pipetrace"]
    assert load(tmp_path / "a.pipetrace").facts == [Seed(value=1)]


def test_a_forked_child_writes_nothing_and_harms_nothing(tmp_path: Path):
    path = tmp_path / "a.pipetrace"
    writer = Writer(path)
    writer.append(Seed(value=1))
    writer.flush()
    before = [Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")]
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            writer.append(Seed(value=2))
            writer.flush()
            writer.close()
            del writer
            gc.collect()
            code = 0
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")] == before
    writer.append(Seed(value=3))
    writer.close()
    assert load(path).facts == [Seed(value=1), Seed(value=3)]


def test_a_million_scalars_open_about_as_fast_as_their_bytes_are_read(tmp_path: Path):
    """A row for each would take ten times as long as a column for each thousand does."""
    packed, rows = tmp_path / "packed.pipetrace", tmp_path / "rows.pipetrace"
    writer = Writer(packed)
    for start in range(0, 1_000_000, 1000):
        writer.scalars("loss", [float(i) for i in range(start, start + 1000)])
        writer.flush()
    writer.close()
    writer = Writer(rows)
    for start in range(50_000):
        writer.append(Seed(value=start))
    writer.close()

    def seconds(call: object, path: Path) -> float:
        assert callable(call)
        took = []
        for _ in range(5):
            started = time.perf_counter()
            call(path)
            took.append(time.perf_counter() - started)
        return statistics.median(took)

    assert len(load(packed).series["loss"]) == 1_000_000
    packed_time, byte_time = seconds(load, packed), seconds(Path.read_bytes, packed)
    row_time = seconds(load, rows)
    assert packed_time < row_time, "1e6 packed scalars open slower than 5e4 rows"
    assert packed_time < 60 * byte_time


def test_the_newest_run_is_the_one_made_last(tmp_path: Path):
    with pytest.raises(RunFileError, match="there is no run yet"):
        newest(tmp_path / "absent")
    with pytest.raises(RunFileError, match="there is no run yet"):
        newest(tmp_path)
    for number, name in enumerate(("b", "c", "a")):
        path = written(tmp_path / f"{name}.pipetrace", facts(1))
        os.utime(path, ns=(number, number))
    (tmp_path / "folder.pipetrace").mkdir()
    (tmp_path / "gone.pipetrace").symlink_to("nowhere")
    (tmp_path / "z.html").touch()
    assert newest(tmp_path) == tmp_path / "a.pipetrace"


def test_a_free_path_has_neither_a_run_nor_a_page(tmp_path: Path):
    assert free_path(tmp_path, "a") == tmp_path / "a.pipetrace"
    (tmp_path / "a.pipetrace").touch()
    (tmp_path / "a-2.html").touch()
    (tmp_path / "a-3.pipetrace").symlink_to("nowhere")
    assert free_path(tmp_path, "a") == tmp_path / "a-4.pipetrace"
    assert free_path(tmp_path, "a 1.2") == tmp_path / "a 1.2.pipetrace"


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "/a", "a\\b", "a\nb", "a\0", "\udcff"])
def test_a_name_that_is_no_files_name_is_refused(tmp_path: Path, name: str):
    with pytest.raises(RunFileError, match=r"cannot be the name of a run: .* --name first-try"):
        free_path(tmp_path, name)


def test_a_path_that_another_process_takes_first_is_not_taken(tmp_path: Path):
    taken = iter([True, True, False])

    def make(path: Path) -> Recording:
        if next(taken):
            written(path, facts(3))
        Writer(path).close()
        return load(path)

    found = at_free_path(tmp_path, "a", make)
    assert found.path == tmp_path / "a-3.pipetrace"
    assert found.facts == []
    assert load(tmp_path / "a.pipetrace").facts == facts(3)


def test_every_kind_of_record_is_a_fact_that_decodes():
    from pipetrace.records import KINDS

    assert {kind.__name__.lower() for kind in KINDS.values()} == set(KINDS)
    with pytest.raises(msgspec.ValidationError):
        tracefile._decode(msgspec.msgpack.encode({"kind": "unknown"}))
