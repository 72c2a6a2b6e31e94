"""Random programs of tensor ops are traced as they ran: each keeps a record of its own to tell."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import programs
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from programs import FORMS, IN_PLACE, NOTES, STEPS, WIDTH, Notes, Program, inside, place
from torch import Tensor, nn

import pipetrace as pt
from pipetrace.capture.guard import Streams, identical
from pipetrace.capture.storages import meet, region
from pipetrace.parts import Tensor as Described
from pipetrace.records import Capture, Gradient
from pipetrace.runs import Run

EXACT, SAMPLE, VIEWED = 65_536, 4_096, 4_096
"""Statistics are exact up to so many elements, then of so many; views of more have none."""
MODES = {"train": nullcontext, "no grad": torch.no_grad, "inference": torch.inference_mode}
quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    report_multiple_bugs=False,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    database=None,
)


steps = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(sorted(STEPS)), st.sampled_from(IN_PLACE)),
        st.integers(0, 30), st.integers(0, 30),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


class Called(NamedTuple):
    """What a call left: compared bit for bit."""

    output: Any
    error: Exception | None
    streams: Streams
    modes: list[bool]
    buffers: list[Tensor]
    inputs: list[Tensor]
    gradients: list[Tensor | None]
    trouble: str


def called(model: Program, values: tuple[Tensor, Tensor], call: Callable[..., Any]) -> Called:
    """Call a model from a fixed random state, then run a backward through all that it gives."""
    torch.manual_seed(7)
    args, kwargs = FORMS[model.form](*(tensor.clone() for tensor in values))
    output, error, trouble = None, None, ""
    try:
        output = call(*args, **kwargs)
    except Exception as raised:
        error = raised
    streams = Streams.take()
    if output is not None and not torch.is_inference_mode_enabled():
        ends = [t.square().mean() for t in output["all"] if t.requires_grad and t.numel()]
        try:
            if ends:
                torch.stack(ends).sum().backward()
        except RuntimeError as raised:
            trouble = str(raised)
    inputs = [
        *(t for a in args for t in inside(a)),
        *(t for a in kwargs.values() for t in inside(a)),
    ]
    return Called(
        output, error, streams, [module.training for module in model.modules()],
        [buffer.clone() for buffer in model.buffers()], inputs,
        [parameter.grad for parameter in model.parameters()], trouble,
    )  # fmt: skip


def kept(model: Program, values: tuple[Tensor, Tensor]) -> int:
    """Return the bytes that autograd keeps for a backward beside the model's own."""
    own = {place(tensor) for tensor in (*model.parameters(), *model.buffers())}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if place(tensor) not in own:
            saved.setdefault(place(tensor), tensor)
        return tensor

    torch.manual_seed(7)
    args, kwargs = FORMS[model.form](*(tensor.clone() for tensor in values))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(*args, **kwargs)
    assert output is not None
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


def alike(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        a is b is None or (a is not None and b is not None and identical(a, b))
        for a, b in zip(one, other, strict=True)
    )


def same_effect(plain: Called, traced: Called) -> None:
    """Assert that a traced call did what a plain one does, to the last bit."""
    assert type(plain.error) is type(traced.error), traced.error
    assert str(plain.error) == str(traced.error)
    if plain.output is not None:
        assert alike(plain.output["all"], traced.output["all"])
        assert all(vars(tensor) == {} for tensor in traced.output["all"])
        assert all(tensor._backward_hooks is None for tensor in traced.output["all"])
        assert stored(plain.output) == stored(traced.output)
    assert plain.streams.same(traced.streams)
    assert plain.modes == traced.modes
    assert alike(plain.buffers, traced.buffers)
    assert alike(plain.inputs, traced.inputs)
    assert plain.trouble == traced.trouble
    assert alike(plain.gradients, traced.gradients)


def stored(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def nothing_left(before: Any) -> None:
    assert nn.Module.__dict__["__call__"] is before
    assert torch._C._len_torch_function_stack() == 0
    assert not nn.modules.module._has_any_global_hook()
    assert torch._C._autograd._top_saved_tensors_default_hooks(True) is None


def as_noted(run: Run, notes: Notes, model: Program) -> None:
    """Assert that the ops of a run are what the program knows of them."""
    ops = run.ops
    assert [op.function for op in ops] == [note.function for note in notes.ops]
    for op, note in zip(ops, notes.ops, strict=True):
        assert [(link.source, link.name if link.index is None else link.index)
                for link in op.inputs] == note.links, op  # fmt: skip
        assert list(op.input_shapes) == note.given, op
        assert (op.module, op.call) == (note.module, note.call)
        assert op.training is model.training
        assert op.view is note.view, op
        assert op.memory == note.memory, op
        assert op.random is note.random, op
        assert op.called is not None
        assert op.called.file == programs.__file__
        assert not op.opaque
        assert len(op.outputs) == len(note.made)
        for told, made, values in zip(op.outputs, note.made, note.values, strict=True):
            assert told.shape == tuple(made.shape)
            assert told.dtype == str(made.dtype).removeprefix("torch.")
            statistics_hold(told, values, view=note.view)


def statistics_hold(told: Described, values: np.ndarray, *, view: bool) -> None:
    """Assert that statistics are those of the values, computed with numpy."""
    if told.count == 0:
        assert values.size == 0 or (view and values.size > VIEWED)
        return
    assert told.exact is (values.size <= EXACT)
    assert told.count == (values.size if told.exact else SAMPLE)
    finite = values[np.isfinite(values)]
    if not told.exact:
        assert told.minimum >= finite.min()
        assert told.maximum <= finite.max()
        assert abs(told.mean - finite.mean()) < 6 * finite.std() / SAMPLE**0.5
        return
    assert (told.nans, told.infinities) == (
        int(np.isnan(values).sum()),
        int(np.isinf(values).sum()),
    )
    assert told.zeros == pytest.approx(float((values == 0).mean()), rel=1e-6)
    if finite.size:
        size = float(np.abs(finite).max()) * 1e-6
        assert told.mean == pytest.approx(finite.mean(), rel=1e-6, abs=size)
        assert told.std == pytest.approx(finite.std(), rel=1e-6, abs=size)
        assert (told.minimum, told.maximum) == (finite.min(), finite.max())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("mode", MODES)
@given(steps=steps, form=st.sampled_from(sorted(FORMS)), receipt=st.booleans(),
       wide=st.booleans(), seed=st.integers(0, 1000))  # fmt: skip
@quick
def test_a_program_is_traced_as_it_ran(
    mode: str, training: bool, steps: Any, form: str, receipt: bool, wide: bool, seed: int
):
    torch.manual_seed(seed)
    values = torch.randn((4, 3, WIDTH) if wide else (4, WIDTH)), torch.randn(4, WIDTH)
    model = Program(steps, form, noting=True).train(training)
    twin = copy.deepcopy(model)
    twin.noting = False
    third = copy.deepcopy(twin)
    call = nn.Module.__dict__["__call__"]
    runs: list[Run] = []

    def trace(*args: Any, **kwargs: Any) -> Any:
        try:
            with pt.options(receipt=receipt):
                runs.append(pt.trace(model, *args, **kwargs))
        except Exception as error:
            runs.append(error.pipetrace)  # type: ignore[attr-defined]  # trace sets it
            raise
        return runs[0].output

    with MODES[mode]():
        plain = called(twin, values, twin)
        traced = called(model, values, trace)
        same_effect(plain, traced)
        nothing_left(call)
        as_noted(runs[0], NOTES.get(), model)
    capture = runs[0].recording.last(Capture)
    assert capture is not None
    assert capture.complete is (plain.error is None)
    if receipt and plain.error is None:
        assert capture.receipt is not None
        assert capture.receipt.equal is True
        assert all(check.ok for check in capture.receipt.checks)
        if mode == "train":
            assert sum(op.saved or 0 for op in runs[0].ops) == kept(third, values)


@pytest.mark.filterwarnings("ignore")
@given(steps=steps, seed=st.integers(0, 1000))
@quick
def test_gradients_are_those_that_hooks_on_the_tensors_see(steps: Any, seed: int):
    torch.manual_seed(seed)
    values = torch.randn(4, 3, WIDTH), torch.randn(4, WIDTH)
    model = Program(steps, "plain", noting=False)
    twin = copy.deepcopy(model)
    twin.noting = twin.hooking = True
    runs: list[Run] = []

    def trace(*args: Any, **kwargs: Any) -> Any:
        with pt.options(gradients=True):
            runs.append(pt.trace(model, *args, **kwargs))
        assert runs[0].recording.all(Gradient) == []
        return runs[0].output

    plain = called(twin, values, twin)
    traced = called(model, values, trace)
    if plain.error is not None:
        assert str(plain.error) == str(traced.error)
        return
    assert alike(plain.output["all"], traced.output["all"])
    assert alike(plain.gradients, traced.gradients)
    recorded = {(g.op, g.output): g.gradient for g in runs[0].recording.all(Gradient)}
    if not plain.trouble:
        assert recorded.keys() == NOTES.get().gradients.keys()
    for key, values_there in NOTES.get().gradients.items():
        assert recorded[key].shape == values_there.shape
        statistics_hold(recorded[key], values_there.astype(np.float64), view=False)


regions = st.tuples(
    st.integers(0, 12), st.lists(st.tuples(st.integers(1, 3), st.integers(0, 6)), max_size=3)
)


@given(one=regions, other=regions)
@settings(deadline=None, derandomize=True)
def test_two_views_meet_where_they_share_an_element(one: Any, other: Any):
    elements = torch.arange(60, dtype=torch.float32)
    views = [
        elements.as_strided([size for size, _ in dims], [stride for _, stride in dims], start)
        for start, dims in (one, other)
    ]
    covered = [set(view.reshape(-1).tolist()) for view in views]
    assert meet(*map(region, views)) is bool(covered[0] & covered[1])
