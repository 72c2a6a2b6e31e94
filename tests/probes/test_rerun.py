"""A stage runs again with the model as it is now, as a reader asks for it, and leaves no trace."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace as pt
from pipetrace.blocks import AnyBlock, Bars, Draws, Flow, Text
from pipetrace.capture.guard import Snapshot
from pipetrace.errors import PipetraceError
from pipetrace.records import Op, Prediction
from pipetrace.session import Session, completed


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Dropout(0.3), nn.Linear(20, 10), nn.BatchNorm1d(10), nn.Linear(10, 3))


def fit(model: nn.Module, x: torch.Tensor) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for rows in torch.arange(16).split(8):
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), torch.arange(8) % 3).backward()
        optimizer.step()
    with torch.no_grad():
        model.eval()
        F.cross_entropy(model(x[16:]), torch.zeros(4, dtype=torch.long))


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(20, 20)


@pytest.fixture
def run(model: nn.Sequential, rows: torch.Tensor) -> pt.Run:
    with pt.record() as run:
        fit(model, rows)
    return run


def ask(run: pt.Run, again: str, **arguments: Any) -> list[AnyBlock]:
    return run.actions["rerun"]({"again": again, **arguments})


def place(run: pt.Run, function: str) -> str:
    """Return what names an op of the prediction."""
    capture = run.recording.last(Prediction).capture
    ops = [op for op in run.recording.all(Op) if op.capture == capture]
    return f"{capture}/{next(op.index for op in ops if op.function == function)}"


def test_a_dropout_draws_one_mask(run: pt.Run, model: nn.Sequential, rows: torch.Tensor):
    found, said = ask(run, place(run, "dropout"), p=0.5, training=True, seed=4)
    assert isinstance(found, Draws)
    assert (found.rates, found.scales, len(found.masks[0])) == ((0.5,), (2.0,), 1)
    bits = f"{int(found.masks[0][0], 16):020b}"
    kept = torch.tensor([bit == "1" for bit in bits])
    with torch.no_grad():
        entered = torch.where(kept, rows[16:17] * 2, 0.0)
        logits = model[1:](entered)
    effects = {effect.label: effect.draws[0][0] for effect in found.effects}
    assert effects["probabilities"] == pytest.approx(logits.softmax(1)[0].tolist(), rel=1e-4)
    assert isinstance(said, Text)
    assert said.text == (
        "Run again with the weights that the model has now: `0` in train mode, p = 0.5, seed 4. "
        "All else is in eval mode."
    )


def test_seeds_decide_and_eval_mode_drops_nothing(run: pt.Run):
    which = place(run, "dropout")
    one, same, other = (ask(run, which, training=True, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one[0].masks != other[0].masks
    off = ask(run, which, training=False, p=0.9)[0]
    assert (off.masks, off.scales) == ((("fffff",),), (1.0,))
    assert off.effects[0].draws == ((off.effects[0].off,),)


def test_another_stage_shows_what_came_out(run: pt.Run, model: nn.Sequential, rows: torch.Tensor):
    said, flow, bars = ask(run, place(run, "batch_norm"), training=False, seed=0)
    assert isinstance(said, Text)
    assert isinstance(flow, Flow)
    assert isinstance(bars, Bars)
    assert said.text.startswith("Run again with the weights that the model has now: `2` in eval")
    stage, output = flow.stages
    with torch.no_grad():
        made = model[:3](rows[16:17])
        assert stage.strips[0].values == pytest.approx(made[0].tolist(), abs=1e-5)
        assert output.strips[0].values == pytest.approx(model(rows[16:17])[0].tolist(), abs=1e-5)
    assert stage.facts[0].value == "the same values"


def test_the_weights_are_those_of_now(run: pt.Run, model: nn.Sequential):
    with torch.no_grad():
        model[3].bias += 1.0
    flow = ask(run, place(run, "linear"), training=False)[1]
    fact = flow.stages[1].facts[0]
    assert (fact.label, fact.value) == ("beside the record", "differs by up to 1.000")


def test_what_the_forward_raises_is_said(run: pt.Run):
    with pytest.raises(PipetraceError, match="raised ValueError: Expected more than 1 value per"):
        ask(run, place(run, "batch_norm"), training=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"again": "1"}, "names no operation"),
        ({"again": None}, "names no operation"),
        ({"again": "99/0"}, "Forward 99 is not at hand any more"),
        ({"again": "2/99"}, "has 4 operations, counted from 0: there is no operation 99"),
        ({"again": "2/0", "p": 1.5}, "p=1.5 is no probability"),
        ({"again": "2/0", "p": float("nan")}, "p=nan is no probability"),
        ({"again": "2/0", "p": True}, "p=True is no probability"),
        ({"again": "2/1", "p": 0.5}, "`linear` drops nothing"),
        ({"again": "2/0", "training": 1}, "training=1 is no mode"),
        ({"again": "2/0", "seed": -1}, "seed=-1 is no seed"),
        ({"again": "2/0", "seed": 1.0}, "seed=1.0 is no seed"),
        ({"again": "2/0", "code": "x"}, "no argument 'code'"),
    ],
)
def test_what_makes_no_sense_is_refused(run: pt.Run, arguments: dict[str, Any], message: str):
    with pytest.raises(PipetraceError, match=message):
        run.actions["rerun"](arguments)


@pytest.mark.parametrize("function", ["dropout", "linear", "batch_norm"])
def test_everything_is_put_back(run: pt.Run, model: nn.Sequential, function: str):
    model.train()
    model(torch.randn(4, 20)).sum().backward()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    before = Snapshot(model)
    ask(run, place(run, function), training=function != "batch_norm", seed=9)
    assert before.streams.same(Snapshot(model).streams)
    assert before.differences(model) == {"modes": [], "buffers": []}
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    pairs = zip(model.parameters(), gradients, strict=True)
    assert all(parameter.grad.equal(gradient) for parameter, gradient in pairs)


def test_a_run_keeps_no_model_alive_but_a_live_session_does(rows: torch.Tensor):
    def made() -> nn.Module:
        return nn.Sequential(nn.Dropout(0.3), nn.Linear(20, 3))

    model = made()
    with pt.record() as run:
        fit(model, rows)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None
    with pytest.raises(PipetraceError, match="The model is gone"):
        ask(run, place(run, "dropout"))
    session = Session("live", "python", live=True)
    session.begin()
    fit(made(), rows)
    session.end()
    live = completed(session, "finished", 0)
    gc.collect()
    assert isinstance(ask(live, place(live, "dropout"), training=True)[0], Draws)


def test_a_traced_forward_runs_as_it_was_called(model: nn.Sequential):
    x = torch.randn(6, 20)
    traced = pt.trace(model, x)
    ops = {op.function: op.index for op in traced.ops}
    said, flow = ask(traced, f"0/{ops['batch_norm']}", training=False, seed=1)
    assert said.text.endswith("All else is in the mode that it was called in.")
    assert flow.stages[0].mode == "eval mode"
    assert flow.stages[0].spots[-1].text == "traced = pt.trace(model, x)"
    generator = torch.get_rng_state()
    torch.manual_seed(1)
    with torch.no_grad():
        made = model[2].eval()(model[1](model[0](x)))
    assert flow.stages[0].strips[0].values == pytest.approx(made[0].tolist(), abs=1e-5)
    torch.set_rng_state(generator)


def test_another_rate_reaches_what_is_no_multiplication():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 64), nn.AlphaDropout(0.1)).eval()
    traced = pt.trace(model, torch.randn(2, 8))
    flow = ask(traced, "0/1", p=1.0, training=True)[1]
    assert all(flow.stages[0].strips[0].struck)
    assert flow.stages[0].rate is None
    assert flow.stages[0].again == ""


def test_a_trace_lets_its_model_go_too():
    model = nn.Linear(2, 2)
    run = pt.trace(model, torch.ones(1, 2))
    reference = weakref.ref(model)
    assert run.facts
    del model
    run.output = None
    gc.collect()
    assert reference() is None
    with pytest.raises(PipetraceError, match="The model is gone"):
        ask(run, "0/0")


def test_a_file_has_no_actions(run: pt.Run, tmp_path: Any):
    assert pt.load(run.save(tmp_path / "a.pipetrace")).actions == {}
