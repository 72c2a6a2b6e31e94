"""Gradients, traces, failures and lines of installed packages on the page."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch
from torch import nn

import pipetrace as pt
from pipetrace.blocks import Stage
from pipetrace.records import Gradient, Op, SourceText
from pipetrace.story.figures import number, percent
from pipetrace.story.flow import flow
from pipetrace.story.notices import notices
from pipetrace.story.page import page


def told(stage: Stage, label: str) -> str:
    return next((fact.value for fact in stage.facts if fact.label == label), "")


def test_each_stage_has_the_gradient_of_its_output(traced):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    recording = traced(model, torch.randn(16, 6), gradients=True)
    found = {item.op: item.gradient for item in recording.all(Gradient)}
    stages = flow(recording).blocks[0].stages[1:]
    assert len(found) == len(stages) == 3
    for index, stage in enumerate(stages):
        kept = found[index]
        text = told(stage, "gradient")
        assert text.startswith(
            f"mean {number(kept.mean)}; standard deviation {number(kept.std)}; from "
            f"{number(kept.minimum)} to {number(kept.maximum)}"
        )
        assert (f"{percent(kept.zeros)} zeros" in text) == bool(kept.zeros)
    assert told(stages[2], "gradient").startswith("mean 1.000; standard deviation 0;")


def test_a_gradient_of_nan_says_so(traced):
    class Root(nn.Module):
        def forward(self, x):
            return torch.sqrt(x * x) * 0.0

    recording = traced(Root(), torch.zeros(3, 4, requires_grad=True), gradients=True)
    stages = flow(recording).blocks[0].stages
    assert any("NaN" in told(stage, "gradient, not numbers") for stage in stages)


def test_a_trace_has_no_training_section_and_misses_none(traced, words_of):
    recording = traced(nn.Linear(4, 2), torch.randn(8, 4))
    assert "training" not in {section.id for section in page(recording).sections}
    assert "No training was seen" not in words_of(page(recording))


class Wrong(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(5, 2)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


def test_a_failed_trace_shows_what_ran_and_what_failed(words_of):
    with pytest.raises(RuntimeError) as raised:
        pt.trace(Wrong(), torch.randn(8, 4))
    recording = raised.value.pipetrace.recording
    made = page(recording)
    (section,) = (item for item in made.sections if item.id == "flow")
    stages = section.blocks[0].stages
    assert [stage.name for stage in stages] == ["Input", "Linear", "relu", "Linear"]
    failed = stages[-1]
    assert failed.tone == "bad"
    assert told(failed, "was given") == "input 8 × 4, weight 2 × 5, bias 2"
    assert failed.spots[0].text == "return self.second(torch.relu(self.first(x)))"
    assert "Up to there: 32 parameters; 2 operations; 256 FLOPs" in section.intro
    assert "No training was seen" not in words_of(notices(recording).blocks)


PACKAGE = '''
import torch
from torch import nn


class Net(nn.Module):
    """A model as installed packages bring it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return torch.relu(self.layer(x))
'''


def test_lines_of_installed_packages_are_named_from_the_package_and_not_kept(tmp_path, monkeypatch):
    folder = tmp_path / "lib" / "site-packages"
    (folder / "netlib" / "models").mkdir(parents=True)
    (folder / "netlib" / "models" / "net.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(folder))
    try:
        model = importlib.import_module("netlib.models.net").Net()
        recording = pt.trace(model, torch.randn(8, 4)).recording
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "netlib"]:
            del sys.modules[name]
    stages = flow(recording).blocks[0].stages
    spots = [spot for stage in stages for spot in stage.spots]
    assert {(spot.file, spot.line) for spot in spots} == {("netlib/models/net.py", 14)}
    assert all(op.called.file.endswith("netlib/models/net.py") for op in recording.all(Op))
    assert not any(text.path.endswith("net.py") for text in recording.all(SourceText))
