"""A run is followed while another process writes it: every fact once, in order."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from pipetrace import alive
from pipetrace.errors import RunFileError
from pipetrace.following import Follower, load_together, under_way
from pipetrace.naming import matching, of_rank, together
from pipetrace.records import Ended, Notice, Provenance
from pipetrace.story.page import page
from pipetrace.tracefile import Writer, load

WRITER = """
import sys, time
from pathlib import Path
from pipetrace import alive
from pipetrace.records import Ended, Notice, Provenance
from pipetrace.tracefile import Writer

writer = Writer(Path(sys.argv[1]))
writer.append(Provenance(name="w", origin="script", process=alive.own()))
for number in range(400):
    writer.append(Notice(id=str(number), text="x" * (number % 7 * 100)))
    writer.scalars("loss/0", [float(number), number / 2])
    if number % 3 == 0:
        writer.flush()
        time.sleep(0.002)
print("written", flush=True)
if sys.argv[2] == "wait":
    writer.flush()
    time.sleep(600)
writer.append(Ended(status="finished"))
writer.close()
"""


def started(path: Path, mode: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(path), mode]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_every_fact_is_seen_once_and_in_order_past_the_close(tmp_path: Path):
    path = tmp_path / "a.pipetrace"
    follower, facts, losses, looks = Follower(path), [], [], 0
    with started(path, "end") as process:
        while not facts or not isinstance(facts[-1], Ended):
            try:
                news = follower.look()
            except RunFileError:  # not there yet
                assert process.poll() is None
                continue
            looks += bool(news.facts)
            facts += news.facts
            losses += news.series.get("loss/0", [])
            if len(facts) == len(losses) // 2 == 100:
                follower = Follower(path, follower.position)
            time.sleep(0.001)
    assert process.returncode == 0
    assert looks > 3
    assert [fact.id for fact in facts if isinstance(fact, Notice)] == list(map(str, range(400)))
    assert losses == [value for number in range(400) for value in (number, number / 2)]
    assert follower.look().facts == []
    assert [file.name for file in tmp_path.iterdir()] == ["a.pipetrace"]
    assert load(path).facts == facts


def test_a_run_says_whether_it_is_still_written(tmp_path: Path):
    """Also right after its process was killed, while its parent has not heard of it yet."""
    path = tmp_path / "a.pipetrace"
    with started(path, "wait") as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        running = load(path)
        assert under_way(running) is True
        assert "still running, 800 optimizer steps so far, last written" in repr(page(running))
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        killed = load(path)
        assert under_way(killed) is False
        assert "no end: cut off after 800 optimizer steps." in repr(page(killed))
    assert under_way(load(path)) is False
    elsewhere = load(path)
    origin = elsewhere.first(Provenance)
    assert origin is not None
    elsewhere.facts[0] = msgspec.structs.replace(origin, process="another/1/2")
    assert under_way(elsewhere) is None
    assert "no end: still running or cut off, 800 optimizer steps so far" in repr(page(elsewhere))


def test_a_process_number_that_was_given_again_is_another_process():
    machine, pid, born = alive.own().split("/")
    assert alive.lives(f"{machine}/{pid}/{born}") is True
    if born:
        assert alive.lives(f"{machine}/{pid}/{int(born) - 1}") is False
    assert alive.lives(f"{machine}/{2**22 + 1}/{born}") is False


def rank_file(folder: Path, rank: int, name: str = "a", world: int = 3) -> Path:
    path = of_rank(folder / f"{name}.pipetrace", rank)
    writer = Writer(path)
    writer.append(Provenance(name=name, origin="script", rank=rank, world=world))
    writer.close()
    return path


def test_files_of_ranks_are_found_together_and_read_as_one(tmp_path: Path):
    paths = [rank_file(tmp_path, rank) for rank in (10, 2, 0)]
    other = rank_file(tmp_path, 0, "a.b")
    assert together(paths[0]) == paths[::-1]
    assert together(other) == [other]
    assert together(tmp_path / "a.pipetrace") == [tmp_path / "a.pipetrace"]
    assert matching([tmp_path / "a.rank*.pipetrace"]) == sorted(paths)
    assert matching([paths[1], tmp_path / "a.rank?.pipetrace"]) == [paths[1], paths[2]]
    found = load_together(paths)
    assert found.path == paths[2]
    assert [recording.path for recording in found.ranks] == paths[::-1]
    assert load_together(paths[:1]).ranks == ()
    for wrong in ([paths[0], other], [paths[0], paths[0]]):
        with pytest.raises(RunFileError, match="not the ranks of one launch"):
            load_together(wrong)
    with pytest.raises(RunFileError, match="there is no such run file"):
        matching([tmp_path / "none*.pipetrace"])


def test_not_a_number_holds_the_place_of_a_step(tmp_path: Path):
    writer = Writer(tmp_path / "a.pipetrace")
    writer.scalars("loss/0", [1.0, math.nan, 2.0])
    writer.scalars("empty", [])
    writer.close()
    series = load(tmp_path / "a.pipetrace").series
    assert repr(list(series["loss/0"])) == "[1.0, nan, 2.0]"
    assert "empty" not in series
