"""One call of a model by `trace`: what is kept of it, and what is said of it when asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from pipetrace.capture import models, quiet, roots, trees
from pipetrace.capture.options import Options
from pipetrace.capture.tracer import Failed, Tracer
from pipetrace.errors import PipetraceError
from pipetrace.parts import Check, Receipt
from pipetrace.records import Capture, Fact, Gradient, Model, Notice


class Traced(NamedTuple):
    """A call that has been made.

    Attributes:
        output: What the model returned.
        error: What it raised.
        failed: The op that raised.
        facts: Makes the records of the call; to be called once.
        gradients: Makes records of the gradients that backwards have computed so far.
    """

    output: Any
    error: Exception | None
    failed: Failed | None
    facts: Callable[[], list[Fact]]
    gradients: Callable[[], list[Gradient]]


def trace(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
) -> Traced:
    """Call a model and keep what the call did.

    Args:
        model: Any module.
        args: Its positional inputs.
        kwargs: Its keyword inputs.
        options: Whether to compare with a plain call, and what else to keep.
    """
    plain = roots.unwrapped(model)
    rows = trees.rows((args, kwargs))
    if rows is not None and not 0 <= options.sample < max(rows, 1):
        raise PipetraceError(f"There is no row {options.sample}: the batch has {rows} rows, "
                             f"counted from 0.")  # fmt: skip
    inventory = models.inventory(plain, 0)
    why = roots.opaque(plain)
    if why:
        return _called(model, args, kwargs, inventory, why)
    if options.gradients or not options.receipt:
        return _traced(plain, args, kwargs, options, inventory)
    # Imported where it is needed: a first trace without a receipt takes half the time.
    from pipetrace.capture import replay

    call = replay.prepare(plain, args, kwargs)
    output, error = None, None
    try:
        output = model(*args, **kwargs)
    except Exception as raised:
        error = raised
    outcome = replay.replay(
        call, id=0, model_id=0, purpose="trace" if error is None else "failure", original=output,
        compare=error is None, row=options.sample, values=options.values,
    )  # fmt: skip
    facts: list[Fact] = [inventory, *outcome.facts]
    if options.both_modes and error is None:
        facts += filter(None, [replay.other_mode(call, outcome.tracer, 0)])
    return Traced(output, error, outcome.failed, lambda: facts, list)


def _called(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], inventory: Model, why: str
) -> Traced:
    notice = Notice(id="opaque-0", text=f"The ops inside {inventory.type} were not traced: {why}.")
    output, error = None, None
    try:
        output = model(*args, **kwargs)
    except Exception as raised:
        error = raised
    return Traced(output, error, None, lambda: [inventory, notice], list)


def _traced(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options,
    inventory: Model,
) -> Traced:  # fmt: skip
    """Make the one call under the tracer: its output is the program's own."""
    call = None
    if options.receipt:
        from pipetrace.capture import replay

        call = replay.prepare(model, args, kwargs)
    rows = trees.rows((args, kwargs))
    tracer = Tracer(model, row=options.sample, rows=rows, values=options.values,
                    gradients=options.gradients)  # fmt: skip
    inputs = trees.arguments(args, kwargs)
    tracer.admit(inputs)
    given = tracer.held(inputs)
    mode, output, error = bool(model.training), None, None
    try:
        with quiet.eagerly(), tracer.watching():
            output = model(*args, **kwargs)
    except Exception as raised:
        error = raised
    made = tracer.held(trees.leaves(output))
    receipt = None
    if call is not None and error is None:
        receipt = _receipt(output, replay.play(call))

    def facts() -> list[Fact]:
        from pipetrace.capture import telling

        capture = Capture(
            id=0, model=0, purpose="trace" if error is None else "failure", training=mode,
            rows=rows, sample=options.sample, inputs=tracer.told(given),
            outputs=tracer.told(made), receipt=receipt, complete=error is None,
        )  # fmt: skip
        return [inventory, *telling.ops(tracer, 0), capture]

    def gradients() -> list[Gradient]:
        from pipetrace.capture import telling

        return telling.gradients(tracer, 0)

    return Traced(output, error, tracer.failed(error), facts, gradients)


def _receipt(output: Any, plain: Any) -> Receipt:
    from pipetrace.capture.comparing import difference, equal

    same = equal(plain, output)
    check = Check(name="gradients", ok=None, detail="the traced call is the one that was used")
    return Receipt(equal=same, difference=None if same else difference(plain, output),
                   elements=sum(tensor.numel() for _, tensor in trees.leaves(output)),
                   checks=(check,))  # fmt: skip
