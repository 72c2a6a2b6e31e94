"""Calls are told apart by line, modes and autograd, and what they moved is seen."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.observed import Calls
from pipetrace.records import Capture, Contrast, Notice, Op
from pipetrace.session import Session


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.drop(torch.relu(self.norm(self.hidden(x)))))


X, Y = torch.randn(24, 4), torch.randint(0, 2, (24,))


def observed(program, model: nn.Module | None = None):
    """Run a program under observation, and return what was stated."""
    model = Net() if model is None else model
    session = Session("test", "python", checking=True, lean=True)
    session.begin()
    try:
        program(model)
    finally:
        session.end()
    return session.close()


def epoch(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for start in range(0, 24, 8):
        optimizer.zero_grad()
        F.cross_entropy(model(X[start : start + 8]), Y[start : start + 8]).backward()
        optimizer.step()


def trained(model: nn.Module, *, evaluating: bool = True) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        model.train()
        epoch(model, optimizer)
        if evaluating:
            model.eval()
            with torch.no_grad():
                model(X)


def test_a_loop_has_one_kind_for_training_and_one_for_evaluation():
    told = observed(trained).all(Calls)
    assert [(c.training, c.graph, c.count, c.trained) for c in told] == [
        (True, True, 6, 6),
        (False, False, 2, 0),
    ]
    assert [c.steps for c in told] == [(0, 1, 2, 3, 4, 5), (3, 6)]
    assert [c.turns for c in told] == [(0, 1, 2, 4, 5, 6), (3, 7)]
    assert [c.rows for c in told] == [(8,) * 6, (24, 24)]
    assert told[0].place is not None
    assert "F.cross_entropy(model(" in told[0].place.text


def test_draws_and_buffers_that_move_are_seen():
    first, second = observed(trained).all(Calls)
    assert (first.drew, second.drew) == (6, 0)
    assert set(first.moved) == {
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    }
    assert second.moved == ()


def test_modules_in_another_mode_than_the_root_are_named():
    def program(model: nn.Module) -> None:
        model.eval()
        model.drop.train()
        model(X)

    (calls,) = observed(program).all(Calls)
    assert (calls.training, calls.odd, calls.odd_count) == (False, ("drop",), 1)
    assert (calls.drew, calls.trained, calls.graph) == (1, 0, True)


@pytest.mark.parametrize("seeding", [True, False])
def test_a_stream_that_begins_again_is_seen(seeding: bool):
    def program(model: nn.Module) -> None:
        for _ in range(5):
            if seeding:
                torch.manual_seed(3)
            model(X)

    (calls,) = observed(program).all(Calls)
    assert calls.drew == 5
    assert calls.seeded == (4 if seeding else 0)


def test_the_same_input_again_is_seen():
    def program(model: nn.Module) -> None:
        for x in (X, X.clone(), X + 1, X):
            model(x)

    (calls,) = observed(program).all(Calls)
    assert calls.repeated == 1


def test_one_forward_of_each_kind_is_captured_and_compared_with_the_other_mode():
    recording = observed(trained)
    first, second = recording.all(Calls)
    captures = {capture.id: capture for capture in recording.all(Capture)}
    assert [captures[c.capture].purpose for c in (first, second)] == ["training", "evaluation"]
    assert all(capture.model == 0 and capture.receipt.equal for capture in captures.values())
    contrasts = {contrast.capture: contrast for contrast in recording.all(Contrast)}
    ops = [op for op in recording.all(Op) if op.capture == first.capture]
    changed = {ops[source.op].function for source in contrasts[first.capture].sources}
    assert changed == {"batch_norm", "dropout"}


def test_a_backward_that_comes_later_counts():
    def program(model: nn.Module) -> None:
        losses = [F.cross_entropy(model(X), Y) for _ in range(3)]
        (losses[0] + losses[2]).backward()

    (calls,) = observed(program).all(Calls)
    assert (calls.count, calls.trained) == (3, 2)


def test_an_error_of_ours_ends_the_observing_and_not_the_program(monkeypatch: pytest.MonkeyPatch):
    from pipetrace.observing.calls import Calling

    def broken(self: Calling, made: object, output: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(Calling, "called", broken)
    outputs = []
    recording = observed(lambda model: outputs.extend(model(X) for _ in range(2)))
    assert len(outputs) == 2
    (notice,) = [each for each in recording.all(Notice) if each.id == "observer"]
    assert "ZeroDivisionError: ours" in notice.text


def test_what_is_observed_computes_the_same():
    def run(watched: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = Net()
        if watched:
            observed(trained, model)
        else:
            trained(model)
        return [*(tensor.clone() for tensor in model.state_dict().values()), torch.rand(3)]

    for one, other in zip(run(False), run(True), strict=True):
        assert torch.equal(one, other)
