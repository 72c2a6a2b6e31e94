"""What a trace must not do: keep things alive, change what is raised, say what is not so."""

from __future__ import annotations

import dataclasses
import gc
import warnings
import weakref
from contextlib import suppress
from typing import Any

import pytest
import torch
from small import Small
from torch import Tensor, nn

import pipetrace as pt
from pipetrace.capture import options as options_module
from pipetrace.errors import PipetraceError
from pipetrace.records import Capture, Epoch, Failure, Notice

X = torch.arange(12.0).reshape(4, 3) / 7


@pytest.fixture
def uncollected():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


WAYS = [{}, {"receipt": False}, {"gradients": True}, {"both_modes": True}]


@pytest.mark.parametrize("options", WAYS)
def test_a_run_keeps_neither_the_model_nor_what_it_computed(uncollected, options: dict[str, Any]):
    kept = []

    def forward(self: Small, x: Tensor) -> Tensor:
        hidden = self.body(x)
        kept.append(weakref.ref(hidden))
        # An op that raised would keep all frames around it.
        with suppress(RuntimeError):
            hidden @ torch.ones(7, 7)
        return hidden + 1

    model, x = Small(forward, body=nn.Linear(3, 3)), X.clone()
    with pt.options(**options):
        run = pt.trace(model, x)
    kept += [weakref.ref(model), weakref.ref(x), weakref.ref(run.output)]
    run.output = None
    assert len(run.ops) == 3
    del model, x
    assert [one() for one in kept] == [None] * len(kept)


@pytest.mark.parametrize("options", WAYS)
def test_what_a_forward_raises_is_gone_when_nobody_holds_it(uncollected, options: dict[str, Any]):
    kept = []

    def forward(self: Small, x: Tensor) -> Tensor:
        hidden = self.body(x)
        kept.append(weakref.ref(hidden))
        return hidden @ torch.ones(7, 7)

    model = Small(forward, body=nn.Linear(3, 3))
    status = ""
    try:
        with pt.options(**options):
            pt.trace(model, X)
    except RuntimeError as error:
        status = error.pipetrace.status
    assert status == "raised"
    kept.append(weakref.ref(model))
    del model
    assert [one() for one in kept] == [None] * len(kept)


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int = 0


def test_an_exception_that_takes_no_attribute_is_raised_as_it_is():
    def forward(self: Small, x: Tensor) -> Tensor:
        try:
            return x @ x
        except RuntimeError as error:
            raise Frozen(3) from error

    with pytest.raises(Frozen) as caught:
        pt.trace(Small(forward), X)
    assert caught.value == Frozen(3)
    token = options_module.current.set(options_module.Options(receipt=False))
    try:
        with pytest.raises(Frozen):
            pt.trace(Small(forward), X)
    finally:
        options_module.current.reset(token)


@pytest.mark.parametrize("options", WAYS)
def test_without_source_no_line_has_its_text(options: dict[str, Any]):
    with pt.options(source=False, **options):
        run = pt.trace(nn.Linear(3, 2), X)
    assert run.ops[0].called.line
    assert run.ops[0].called.text == ""
    with pt.options(source=False), pytest.raises(RuntimeError) as caught:
        pt.trace(nn.Linear(4, 2), X)
    assert {place.text for place in caught.value.pipetrace.recording.last(Failure).frames} == {""}


def test_a_sample_that_is_not_in_the_batch_is_said_not_to_be():
    with pt.options(sample=9):
        run = pt.trace(nn.Linear(3, 2), X)
    capture = run.recording.last(Capture)
    assert capture.sample == 0
    assert capture.inputs[0][1].row == pytest.approx(X[0].tolist())
    assert [notice.text for notice in run.recording.all(Notice)] == [
        "The batch has 4 rows: values are of row 0, not of row 9."
    ]
    with pytest.raises(PipetraceError, match="from 0"), pt.options(sample=-1):
        pass


def test_where_nothing_is_compared_nothing_is_equal():
    receipt = pt.trace(Small(lambda self, x: float(x.sum())), X).recording.last(Capture).receipt
    assert (receipt.equal, receipt.elements) == (None, 0)


def test_a_replay_that_cannot_be_made_is_no_failure_of_the_call():
    run = pt.trace(Small(lambda self, parts: next(parts) + 1), iter([X]))
    assert torch.equal(run.output, X + 1)
    assert "its replay raised StopIteration" in run.recording.last(Notice).text
    assert run.recording.last(Failure) is None
    assert "The replay ended here" in str(run)


def test_a_recording_that_goes_on_hears_the_call_once():
    model = nn.Sequential(nn.Linear(3, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pt.record() as run:
        for _ in range(3):
            pt.trace(model, X).output.sum().backward()
            optimizer.step()
    forwards = [fact for fact in run.facts if isinstance(fact, Capture)]
    assert [fact.purpose for fact in forwards][:1] == ["training"]
    assert run.recording.last(Epoch).index == 3
    assert not [fact for fact in run.facts if isinstance(fact, Notice) and "forward" in fact.id]


def test_a_trace_inside_of_a_compiled_function_is_a_break_in_its_graph():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    found = []

    def double(x: Tensor) -> Tensor:
        found.append(pt.trace(model, x))
        return found[-1].output * 2

    with warnings.catch_warnings():
        # What the compiler says of code that it leaves alone.
        warnings.simplefilter("ignore")
        doubled = torch.compile(double, backend="eager")(X)
    assert torch.equal(doubled, model(X) * 2)
    assert [op.function for op in found[0].ops] == ["linear", "relu"]


def test_an_input_that_is_given_twice_is_one_tensor_in_the_replay_too():
    run = pt.trace(Small(lambda self, x, y: x.add_(1) * 0 + y), X.clone(), y=(twice := X.clone()))
    assert run.recording.last(Capture).receipt.equal
    run = pt.trace(Small(lambda self, x, y: x.add_(1) * 0 + y), twice, y=twice)
    assert torch.equal(twice, X + 1)
    assert run.recording.last(Capture).receipt.equal
