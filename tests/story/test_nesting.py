"""What repeats is told once, with its count and what one and all of it cost."""

from __future__ import annotations

import io

import torch
from rich.console import Console
from torch import nn

from pipetrace.blocks import Stage
from pipetrace.records import Op
from pipetrace.story.figures import size, whole
from pipetrace.story.flow import flow
from pipetrace.story.page import page
from pipetrace.tracefile import Recording
from pipetrace.views import terminal


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 4 * width)
        self.back = nn.Linear(4 * width, width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return x + self.drop(self.back(torch.relu(self.wide(self.norm(x)))))


class Stack(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(8) for _ in range(depth))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = Block(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        for _ in range(5):
            x = self.cell(x)
        return self.head(x)


class Loop(nn.Module):
    """A recurrence whose body lies in no module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.given, self.state = nn.Linear(4, 8), nn.Linear(8, 8)

    def forward(self, x):
        state = torch.zeros(x.shape[0], 8)
        for part in x.unbind(1):
            state = torch.tanh(self.given(part) + self.state(state))
        return state


def told(stage: Stage) -> dict[str, str]:
    return {fact.label: fact.value for fact in stage.facts}


def staged(recording: Recording) -> tuple[Stage, ...]:
    made = flow(recording)
    assert made is not None
    return made.blocks[0].stages


def summed(ops: list[Op], name: str) -> int:
    return sum(getattr(op, name) or 0 for op in ops)


def test_equal_layers_are_told_once_with_what_one_and_all_cost(traced):
    recording = traced(Stack(12), torch.randn(4, 8))
    stages = staged(recording)
    assert [stage.name for stage in stages] == [
        "Input", "12 × Block (layers.0 … layers.11)", "Output",
    ]  # fmt: skip
    rolled = stages[1]
    ops = [op for op in recording.all(Op) if op.module.startswith("layers.")]
    one = [op for op in ops if op.module.startswith("layers.0")]
    weights = sum(parameter.numel() for parameter in Block(8).parameters())
    facts = told(rolled)
    assert facts["parameters"] == f"{weights} each, {12 * weights} in all"
    assert summed(one, "flops") == 2 * (2 * 4 * 8 * 32)
    assert facts["FLOPs"] == f"{summed(one, 'flops')} each, {whole(summed(ops, 'flops'))} in all"
    assert facts["bytes of output"] == (
        f"{size(summed(one, 'memory'))} each, {size(summed(ops, 'memory'))} in all"
    )
    assert facts["kept for backward"].endswith(f" each, {size(summed(ops, 'saved'))} in all")
    assert [stage.alike for stage in rolled.stages] == [False] + [True] * 11
    assert all(len(stage.stages) == 6 for stage in rolled.stages)


def test_a_shared_module_is_told_as_calls_whose_weights_count_once(traced):
    model = Shared()
    stages = staged(traced(model, torch.randn(4, 8)))
    assert stages[1].name == "5 × Block (cell, called 5 times)"
    assert "called 5 times with the same weights: the same 6 operations each, 30" in stages[1].words
    held = sum(parameter.numel() for parameter in model.cell.parameters())
    assert told(stages[1])["parameters"] == str(held)
    assert told(stages[1].stages[4].stages[0])["module"] == "`cell.norm` (LayerNorm), call 5 of 5"


def test_the_body_of_a_loop_is_told_once(traced):
    stages = staged(traced(Loop(), torch.randn(3, 15, 4)))
    (rolled,) = (stage for stage in stages if stage.stages)
    assert rolled.name == "15 × (Linear, Linear, add, tanh)"
    assert len(rolled.stages) == 15
    assert [stage.name for stage in rolled.stages[0].stages] == ["Linear", "Linear", "add", "tanh"]


def test_layers_of_other_sizes_are_not_alike(traced):
    wide = nn.Sequential(*(nn.Sequential(nn.Linear(n, n + 1), nn.ReLU()) for n in range(3, 9)))
    names = [stage.name for stage in staged(traced(wide, torch.randn(2, 3)))]
    assert not any("×" in name for name in names)


def test_a_layer_that_stands_worse_than_the_one_before_is_told_in_full(traced):
    model = Stack(6)
    with torch.no_grad():
        model.layers[3].back.weight.fill_(3e38)
    rolled = staged(traced(model, torch.randn(4, 8)))[1]
    tones = [stage.tone for stage in rolled.stages]
    assert tones == ["plain"] * 3 + ["bad", "warning", "warning"]
    assert [stage.alike for stage in rolled.stages] == [False, True, True, False, False, True]
    assert rolled.tone == "bad"


def test_a_page_of_hundreds_of_operations_stays_readable_in_the_terminal(traced):
    recording = traced(Stack(60), torch.randn(4, 8))
    assert len(recording.all(Op)) > 300
    file = io.StringIO()
    Console(file=file, width=100).print(terminal.render(page(recording)))
    lines = file.getvalue().splitlines()
    assert len(lines) < 150
    assert any("2.2 to 2.40 the same again, their numbers are in the HTML page" in x for x in lines)
