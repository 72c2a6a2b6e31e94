"""Ranks compute under pipetrace what they compute alone, and their files become one page."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from pipetrace import api, cli
from pipetrace.blocks import Section, Table, Text
from pipetrace.errors import RunFileError
from pipetrace.following import load_together, under_way
from pipetrace.naming import together
from pipetrace.records import (
    Capture,
    Checksum,
    Ended,
    Epoch,
    Evaluation,
    Notice,
    Op,
    Prediction,
    Probe,
    Provenance,
)
from pipetrace.story.ranks import ranks
from pipetrace.tracefile import Recording, load

HERE = Path(__file__).parent / "scripts"
FREE = 0.25
"""Seconds that the probes of the first epochs may take: `_FREE` of `training/strands.py`."""
pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not torch.distributed.is_gloo_available(), reason="needs gloo"
)


def started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start two ranks of a script, or of pipetrace, as a person would."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DIGESTS": "digest"}
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         *words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ran(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    with process:
        try:
            out, err = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.terminate()
            raise
    return process.returncode, out.decode(), err.decode()


def recorded(folder: Path, script: str) -> list[Recording]:
    """Run a script's ranks under pipetrace, and return what each recorded."""
    run = started(folder, "-m", "pipetrace", "run", "--quiet", str(HERE / script))
    code, out, err = ran(run)
    assert code == 0, err
    assert out == ""
    name = Path(script).stem
    files = together(folder / "pipetrace-runs" / f"{name}.rank0.pipetrace")
    assert [file.name for file in files] == [f"{name}.rank{rank}.pipetrace" for rank in (0, 1)]
    return [load(file) for file in files]


def alone(folder: Path, script: str) -> None:
    """Run a script's ranks without pipetrace, and without a launcher: they need none."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DIGESTS": "alone", **variables}
    command = [sys.executable, str(HERE / script)]
    ranks = [
        subprocess.Popen(command, cwd=folder, env={**environment, "RANK": rank})
        for rank in ("0", "1")
    ]
    assert [rank.wait(300) for rank in ranks] == [0, 0]


def told(files: list[Path]) -> Section:
    sections = api.load(*files).page().sections
    return next(section for section in sections if section.id == "ranks")


def words(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def check_what_is_alike_and_what_drifts(first: Recording, other: Recording) -> None:
    """Give the second rank the masks of the first, and let its weights drift after an epoch."""
    checksums = first.all(Checksum)
    moved = msgspec.structs.replace(checksums[1], norm=checksums[1].norm + 0.25)
    origin = other.first(Provenance)
    assert origin is not None
    alike = [origin, *(fact for fact in first.facts if isinstance(fact, Capture | Op))]
    second = Recording([*alike, checksums[0], moved], {}, None)
    content = ranks(Recording(first.facts, {}, None, ranks=(first, second)))
    assert content is not None
    said = " ".join(block.text for block in content.blocks if isinstance(block, Text))
    assert "All ranks drew the same masks" in said
    assert "parameters are not the same at the end of epoch 2" in said
    assert f"{moved.norm!r} on rank 1" in said


def same_digests(folder: Path) -> None:
    for rank in (0, 1):
        assert (folder / f"digest.{rank}").read_bytes() == (folder / f"alone.{rank}").read_bytes()


def test_replicas_are_watched_replayed_and_compared(tmp_path: Path):
    alone(tmp_path, "replicas.py")
    found = recorded(tmp_path, "replicas.py")
    same_digests(tmp_path)
    for rank, recording in enumerate(found):
        origin = recording.first(Provenance)
        assert origin is not None
        assert (origin.rank, origin.world) == (rank, 2)
        assert [epoch.steps for epoch in recording.all(Epoch)] == [6, 6, 6]
        assert len(recording.series["loss/0"]) == 18
        assert {capture.purpose for capture in recording.all(Capture)} == {
            "training", "evaluation", "prediction",
        }  # fmt: skip
        others = {p.capture for p in recording.all(Prediction) if p.role != "chosen"}
        receipts = [item.receipt for item in recording.all(Capture) if item.id not in others]
        assert all(receipt is not None and receipt.equal for receipt in receipts)
        assert recording.first(Prediction)
        ended = recording.last(Ended)
        assert ended is not None
        # All of the first epochs are looked at, but where a busy machine made that take too long.
        if ended.costs["probes"] < FREE / 2:
            assert len(recording.all(Probe)) == len(recording.all(Checksum)) == 3
        assert 1 <= len(recording.all(Checksum)) <= len(recording.all(Probe)) <= 3
        assert ended.status == "finished"
    first, other = (recording.all(Epoch)[0].score.loss for recording in found)
    assert first != other
    sums = [{each.epoch: repr(each) for each in recording.all(Checksum)} for recording in found]
    both = set(sums[0]) & set(sums[1])
    assert 1 in both
    assert [sums[0][epoch] for epoch in both] == [sums[1][epoch] for epoch in both]
    files = [recording.path for recording in found if recording.path is not None]
    section = told(files[::-1])
    assert section.title == "Ranks, 2 of 2"
    assert "masks of their own" in words(section)
    assert "parameters were the same on all ranks at the end of each of the 3" in words(section)
    check_what_is_alike_and_what_drifts(*found)
    assert (tmp_path / "pipetrace-runs" / "replicas.rank0.html").exists()
    assert not (tmp_path / "pipetrace-runs" / "replicas.rank1.html").exists()
    lonely = told(files[1:])
    assert lonely.title == "Ranks, 1 of 2"
    assert "Rank 0 of 2 is not on this page" in words(lonely)
    with pytest.raises(RunFileError, match="of several files"):
        api.load(*files).save(tmp_path / "one.pipetrace")


def test_a_model_that_needs_all_ranks_is_watched_and_not_played_again(tmp_path: Path):
    """One is sharded; in the forward of the other the ranks exchange a tensor."""
    alone(tmp_path, "sharded.py")
    found = recorded(tmp_path, "sharded.py")
    same_digests(tmp_path)
    for recording in found:
        assert not recording.all(Capture)
        assert {checksum.training for checksum in recording.all(Checksum)} == {1}
        said = {notice.id: notice.text for notice in recording.all(Notice)}
        assert "parameters are sharded over the processes" in said["opaque-0"]
        assert "with the other processes (allreduce)" in said["capture-training-1"]
        epochs = recording.all(Epoch)
        assert [(epoch.training, epoch.steps) for epoch in epochs] == [(0, 6)] * 3 + [(1, 6)] * 2
        assert all(epoch.score.loss and epoch.score.accuracy for epoch in epochs)
        assert len(recording.all(Evaluation)) == 3


LOOP = """
import os
import sys
import time
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(int(sys.argv[1])):
    model(torch.randn(4, 3)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    if step > 20:
        if os.environ["RANK"] == "1" and step == 100:
            os.kill(os.getpid(), 9)
        time.sleep(0.03)
"""


def test_launches_at_once_and_in_a_row_write_over_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Ranks of one launch agree on a name, whoever comes first; a killed one leaves its file."""
    (tmp_path / "loop.py").write_text(LOOP)
    command = ("-m", "pipetrace", "run", "--quiet", "loop.py")
    launches = [started(tmp_path, *command, steps) for steps in ("3", "2000")]
    codes = [ran(launch)[0] for launch in launches]
    assert codes[0] == 0 != codes[1]
    variables = {**os.environ, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    bare = [subprocess.Popen([sys.executable, *command, "3"], cwd=tmp_path,
                             env={**variables, "RANK": rank}) for rank in ("1", "0")]  # fmt: skip
    assert [process.wait(300) for process in bare] == [0, 0]
    runs = tmp_path / "pipetrace-runs"
    assert sorted(file.name for file in runs.glob("*.pipetrace")) == [
        f"loop{number}.rank{rank}.pipetrace" for number in ("-2", "-3", "") for rank in (0, 1)
    ]
    launched = [load_together(together(runs / f"loop{number}.rank0.pipetrace"))
                for number in ("", "-2", "-3")]  # fmt: skip
    for launch in launched:
        origins = [recording.first(Provenance) for recording in launch.ranks]
        assert [origin.rank for origin in origins if origin] == [0, 1]
        assert len({origin.command for origin in origins if origin}) == 1
    with pytest.raises(RunFileError, match="not the ranks of one launch"):
        load_together(sorted(runs.glob("*.rank0.pipetrace")))
    cut = next(launch for launch in launched if launch.ranks[1].last(Ended) is None)
    killed = cut.ranks[1]
    assert under_way(killed) is False
    count = len(killed.series["loss/0"])
    assert count >= 60
    section = told([recording.path for recording in cut.ranks if recording.path is not None])
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert table.rows[1][-1] == f"cut off after {count} optimizer steps"
    pattern = str(runs / "loop.rank*.pipetrace")
    assert cli.main(["show", pattern]) == 0
    assert "Ranks, 2 of 2" in capsys.readouterr().out
    assert cli.main(["export", pattern, "--to", "md", "--output", str(tmp_path / "a.md")]) == 0
    assert "Ranks, 2 of 2" in (tmp_path / "a.md").read_text()


def test_a_check_ends_with_the_code_of_the_first_rank(tmp_path: Path):
    """Another one's would have the launcher end the first before it has reported."""
    script = str(HERE / "replicas.py")
    code, _, err = ran(started(tmp_path, "-m", "pipetrace", "check", "--exit-zero", script))
    assert code == 0, err
    assert "rules asked of" in err
