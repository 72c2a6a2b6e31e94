"""Costs are exact, or said to be unknown, never zero in its place."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipetrace.blocks import Stage
from pipetrace.records import Op
from pipetrace.story.figures import size, whole
from pipetrace.story.flow import flow


def told(stages: tuple[Stage, ...], label: str) -> list[str]:
    return [
        next((fact.value for fact in stage.facts if fact.label == label), "") for stage in stages
    ]


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3))


def test_each_stage_says_what_it_costs(traced):
    content = flow(traced(net(), torch.randn(32, 20)))
    stages = content.blocks[0].stages
    assert told(stages, "cost") == [
        "",
        "12,800 FLOPs; 1280 bytes of output; 2560 bytes kept for backward",
        "1280 bytes of output; 1280 bytes kept for backward",
        "1920 FLOPs; 384 bytes of output",
    ]


def test_one_sentence_adds_it_all_up(traced):
    recording = traced(net(), torch.randn(32, 20))
    saved = sum(op.saved for op in recording.all(Op))
    assert flow(recording).intro.endswith(
        "In all: 243 parameters; 3 operations; 14,720 FLOPs in products of matrices, exact by "
        f"formula; {size(saved)} of activations kept for backward."
    )


def test_without_a_graph_what_would_be_kept_was_not_measured(traced):
    with torch.no_grad():
        intro = flow(traced(net(), torch.randn(32, 20))).intro
    assert intro.endswith("bytes kept for backward not measured.")


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return torch.linalg.svdvals(self.layer(x))


def test_flops_that_no_formula_knows_are_not_known_and_not_zero(traced):
    recording = traced(Odd(), torch.randn(8, 4))
    assert recording.all(Op)[-1].flops is None
    content = flow(recording)
    assert told(content.blocks[0].stages, "cost")[-1].startswith("FLOPs not known; ")
    assert "256 FLOPs and those of 1 operation, which are not known;" in content.intro
    assert "exact by formula" not in content.intro


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(4, 4)
        self.inside = torch.jit.trace(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.ones(2, 4))
        self.shift = torch.ones(4)

    def forward(self, x):
        outside = torch.from_numpy(x.detach().numpy() * 2)
        return self.inside(self.before(x) * self.shift) + outside


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_what_is_opaque_is_named_with_its_reason(traced):
    recording = traced(Scripted(), torch.randn(8, 4))
    content = flow(recording)
    (stage,) = (item for item in content.blocks[0].stages if item.words.startswith("Opaque"))
    assert stage.words == (
        "Opaque: TorchScript. What went on inside was not traced; what it returned is measured "
        "below."
    )
    (cost,) = told((stage,), "cost")
    assert cost.startswith("FLOPs not known; 128 bytes of output")
    known = sum(op.flops or 0 for op in recording.all(Op))
    total = len(recording.all(Op))
    assert f"{total} operations (1 opaque); {whole(known)} FLOPs and those of" in content.intro


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_constants_are_named_and_what_was_made_outside_is_said(traced):
    stages = flow(traced(Scripted(), torch.randn(8, 4))).blocks[0].stages
    taken = list(filter(None, told(stages, "also takes")))
    assert taken == ["the constant `shift`", "a tensor made outside of what was traced"]
