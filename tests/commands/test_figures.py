"""Figures are written beside their run, one a section, and over nothing that nobody named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import pipetrace as pt
from pipetrace import cli


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a run in the working folder."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(64, 3)
    y = (x[:, 0] > 0).long()
    with pt.record("née.pipetrace"):
        for _ in pt.epochs(range(3)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model.train()(x[:48]), y[:48]).backward()
            optimizer.step()
            with torch.no_grad():
                nn.functional.cross_entropy(model.eval()(x[48:]), y[48:])
    return "née.pipetrace"


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["export", *words]) == 2
    return capsys.readouterr().err


def test_each_section_gets_a_file(run: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["export", run, "--to", "svg"]) == 0
    paths = capsys.readouterr().out.splitlines()
    assert "née-training.svg" in paths
    assert sorted(paths) == sorted(path.name for path in Path().glob("*.svg"))
    assert all(Path(path).read_bytes().startswith(b"<?xml") for path in paths)
    mine = Path("née-training.svg")
    mine.write_text("mine")
    reason = refused(capsys, run, "--to", "svg", "--section", "training")
    assert "née-training.svg: the file exists already. To write over it, name it: " in reason
    assert "--section training --output 'née-training.svg'" in reason
    assert mine.read_text() == "mine"
    assert cli.main(["export", run, "--to", "svg", "--section", "training", "-o", str(mine)]) == 0
    assert mine.read_bytes().startswith(b"<?xml")


def test_one_section_goes_where_it_was_named(run: str, capfdbinary: pytest.CaptureFixture[bytes]):
    words = ["export", run, "--to", "png", "--section", "training", "--output"]
    assert cli.main([*words, "slide.png"]) == 0
    assert capfdbinary.readouterr().out == b"slide.png\n"
    assert cli.main([*words, "-"]) == 0
    assert capfdbinary.readouterr().out == Path("slide.png").read_bytes()
    assert Path("slide.png").read_bytes()[:4] == b"\x89PNG"


def test_what_cannot_be_written_is_said(run: str, capsys: pytest.CaptureFixture[str]):
    assert "--section chooses a figure: write --to png" in refused(
        capsys, run, "--section", "training"
    )
    reason = refused(capsys, run, "--to", "png", "--section", "nowhere")
    assert "It has figures in: lab, network, training" in reason
    assert refused(capsys, run, "--to", "png", "-o", "all.png").startswith(
        "pipetrace: --output names one file, and there are figures of"
    )
    over = refused(capsys, run, "--to", "png", "--section", "training", "-o", run)
    assert "runs are never written over" in over
    with pt.record("empty.pipetrace"):
        pass
    assert "This page has no figure" in refused(capsys, "empty.pipetrace", "--to", "png")
    assert sorted(path.name for path in Path().iterdir()) == ["empty.pipetrace", run]
