"""What is no plain tensor neither ends the observing nor the recording."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from pipetrace.observed import Calls
from pipetrace.records import Notice
from pipetrace.session import Session
from pipetrace.tracefile import Recording

pytestmark = pytest.mark.filterwarnings("ignore")


class Net(nn.Module):
    """Takes whatever it is given."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def forward(self, x):
        if x.is_nested:
            return torch.nested.as_nested_tensor([self.inner(each) for each in x.unbind()])
        if x.is_sparse:
            return torch.sparse.mm(x, self.inner.weight.t())
        if x.is_complex():
            return torch.complex(self.inner(x.real), self.inner(x.imag))
        return self.inner(x.dequantize() if x.is_quantized else x)


def nested() -> torch.Tensor:
    return torch.nested.nested_tensor([torch.randn(2, 4), torch.randn(3, 4)])


INPUTS = {
    "nested": nested,
    "sparse": lambda: torch.randn(5, 4).to_sparse(),
    "complex": lambda: torch.randn(5, 4, dtype=torch.complex64),
    "conjugate": lambda: torch.randn(5, 4, dtype=torch.complex64).conj(),
    "quantised": lambda: torch.quantize_per_tensor(torch.randn(5, 4), 0.1, 0, torch.qint8),
    "empty": lambda: torch.randn(0, 4),
    "unbatched": lambda: torch.randn(4),
}


def observed(program) -> Recording:
    session = Session("program", "python", checking=True, lean=True)
    session.begin()
    try:
        program()
    finally:
        session.end()
    return session.close()


def own_failures(recording: Recording) -> list[str]:
    return [each.text for each in recording.all(Notice) if each.id in ("observer", "recorder")]


@pytest.mark.parametrize("name", INPUTS)
def test_a_loop_over_odd_tensors_is_observed(name: str):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def program():
        for x in (INPUTS[name](), torch.randn(5, 4), INPUTS[name]()):
            made = model(x)
            flat = torch.cat(list(made.unbind())) if made.is_nested else made
            flat = torch.view_as_real(flat.resolve_conj()) if flat.is_complex() else flat
            optimizer.zero_grad()
            F.mse_loss(flat, torch.zeros(flat.shape)).backward()
            optimizer.step()

    recording = observed(program)
    assert own_failures(recording) == []
    assert sum(calls.count for calls in recording.all(Calls)) == (1 if name == "nested" else 3)


def test_a_transform_of_functions_is_left_alone_and_what_follows_observed():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(6, 4), torch.randn(6, 1)

    def loss(weights, row, wanted):
        return F.mse_loss(functional_call(model, weights, (row[None],)), wanted[None])

    def program():
        weights = {name: each.detach() for name, each in model.named_parameters()}
        found = vmap(grad(loss), (None, 0, 0), randomness="different")(weights, x, y)
        for name, parameter in model.named_parameters():
            parameter.grad = found[name].mean(0)
        optimizer.step()
        F.mse_loss(model(x), y).backward()

    recording = observed(program)
    assert own_failures(recording) == []
    assert [calls.trained for calls in recording.all(Calls)] == [1]


def test_functions_that_clip_are_heard_by_keyword_and_can_be_pickled():
    model = nn.Linear(4, 1)

    def program():
        model(torch.ones(2, 4)).sum().backward()
        torch.nn.utils.clip_grad_value_(parameters=list(model.parameters()), clip_value=0.1)
        pickle.dumps(torch.nn.utils.clip_grad_value_)

    before = torch.nn.utils.clip_grad_value_
    assert observed(program).all(Notice) == []
    assert torch.nn.utils.clip_grad_value_ is before is torch.nn.utils.clip_grad.clip_grad_value_
