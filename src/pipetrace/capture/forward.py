"""One call of a model by `trace`: what is kept of it, and what is said of it when asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from msgspec.structs import replace
from torch import nn

from pipetrace.capture import failures, inputs, models, places, quiet, roots, trees
from pipetrace.capture.failures import Failed
from pipetrace.capture.kept import Kept, keep
from pipetrace.capture.options import Options
from pipetrace.capture.tracer import Tracer
from pipetrace.parts import Check, Place, Receipt
from pipetrace.records import Capture, Fact, Gradient, Notice

Apart = Callable[[], AbstractContextManager[object]]


class Traced(NamedTuple):
    """A call that has been made.

    Attributes:
        output: What the model returned.
        error: What it raised.
        failed: The op that raised.
        facts: Makes the records of the call, what it raised among them; to be called once.
        gradients: Makes records of the gradients that backwards have computed so far.
        kept: What is needed to run the call again; None where it failed.
    """

    output: Any
    error: Exception | None
    failed: Failed | None
    facts: Callable[[], list[Fact]]
    gradients: Callable[[], list[Gradient]]
    kept: Kept | None = None


def trace(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options,
    apart: Apart = nullcontext,
) -> Traced:  # fmt: skip
    """Call a model and keep what the call did.

    Args:
        model: Any module.
        args: Its positional inputs.
        kwargs: Its keyword inputs.
        options: Whether to compare with a plain call, and what else to keep.
        apart: Makes a context for all that is not the program's own plain call.
    """
    with places.quoted(options.source):
        plain, caller = roots.unwrapped(model), places.caller(sys._getframe(1))
        around = None if caller is None else caller.place()
        inventory = models.inventory(plain, 0)
        options, notices = _within(options, trees.rows((args, kwargs)))
        said: list[Fact] = [inventory, *notices]
        why = roots.opaque(plain)
        if why:
            words = f"The ops inside {inventory.type} were not traced: {why}."
            said.append(Notice(id="opaque-0", text=words))
            return _called(model, args, kwargs, said, around)
        if options.gradients or not options.receipt:
            with apart():
                return _traced(plain, args, kwargs, options, said, around)
        return _replayed(model, args, kwargs, options, said, around, apart)


def _within(options: Options, rows: int | None) -> tuple[Options, list[Notice]]:
    """Show the first row where the batch does not have the one that was asked for."""
    if rows is None or options.sample < rows:
        return options, []
    words = f"The batch has {rows} rows: values are of row 0, not of row {options.sample}."
    return options._replace(sample=0), [Notice(id="sample-0", text=words)]


def _called(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], said: list[Fact],
    around: Place | None,
) -> Traced:  # fmt: skip
    output, error = None, None
    try:
        output = model(*args, **kwargs)
    except Exception as raised:
        error = raised
        said.append(failures.failure(error, None, around))
    return Traced(output, error, None, lambda: said, list)


def _replayed(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options,
    said: list[Fact], around: Place | None, apart: Apart,
) -> Traced:  # fmt: skip
    """Make the one call plain, then play it again under the tracer."""
    # Imported where it is needed: a first trace without a receipt takes half the time.
    from pipetrace.capture import replay

    with apart():
        call = replay.prepare(roots.unwrapped(model), args, kwargs)
    output, error = None, None
    try:
        output = model(*args, **kwargs)
    except Exception as raised:
        error = raised
    with apart():
        outcome = replay.replay(
            call, id=0, model_id=0, purpose="trace" if error is None else "failure",
            original=output, compare=error is None, row=options.sample, values=options.values,
        )  # fmt: skip
        said += outcome.facts
        if options.both_modes and error is None:
            said += replay.other_mode(call, outcome, 0)
    if error is not None:
        said.append(failures.failure(error, outcome.failed, around))
    elif outcome.raised is not None:
        words = f"The call went well, but its replay raised {outcome.raised.words()}: the ops are "
        words += "those before. With pt.options(receipt=False) the call itself is traced."
        said.append(Notice(id="replay-0", text=words))
    shown = _Shown(call.model, call.args, call.kwargs, options)
    return Traced(output, error, outcome.failed, lambda: [*said, *shown.facts(said)], list,
                  shown.kept if error is None else None)  # fmt: skip


def _traced(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options,
    said: list[Fact], around: Place | None,
) -> Traced:  # fmt: skip
    """Make the one call under the tracer: its output is the program's own."""
    call = None
    if options.receipt:
        from pipetrace.capture import replay

        call = replay.prepare(model, args, kwargs)
    rows = trees.rows((args, kwargs))
    # Before the forward, which may write into them.
    shown = _Shown(model, args, kwargs, options)
    tracer = Tracer(model, row=options.sample, rows=rows, values=options.values,
                    gradients=options.gradients)  # fmt: skip
    inputs = trees.arguments(args, kwargs)
    tracer.admit(inputs)
    given = tracer.held(inputs)
    mode, output, error, failure = bool(model.training), None, None, []
    with quiet.eagerly(), tracer.watching():
        # Inside: a frozen exception could not leave the context.
        try:
            output = model(*args, **kwargs)
        except Exception as raised:
            error = raised
            tracer.blame(error)
            failure.append(failures.failure(error, tracer.failed, around))
    made = tracer.held(trees.leaves(output))
    receipt = None
    if call is not None and error is None:
        receipt = _receipt(output, replay.again(call))

    def facts() -> list[Fact]:
        from pipetrace.capture import telling

        capture = Capture(
            id=0, model=0, purpose="failure" if failure else "trace", training=mode,
            rows=rows, sample=options.sample, inputs=tracer.told(given),
            outputs=tracer.told(made), receipt=receipt, complete=not failure,
        )  # fmt: skip
        with places.quoted(options.source):
            told = [*said, *telling.ops(tracer, 0), capture, *failure]
            return [*told, *shown.facts(told)]

    kept = tracer.gradients

    def gradients() -> list[Gradient]:
        from pipetrace.capture import telling

        return telling.gradients(kept, 0, values=options.values)

    late = gradients if options.gradients else list
    return Traced(output, error, tracer.failed, facts, late,
                  shown.kept if error is None else None)  # fmt: skip


class _Shown:
    """The sample's inputs as they came: to be shown, and to run the call again."""

    def __init__(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options
    ) -> None:
        self.kept: Kept | None = None
        if options.values:
            self.kept = keep(model, args, kwargs, options.sample)

    def facts(self, told: Sequence[Fact]) -> list[Fact]:
        """Return those that are images or token ids."""
        capture = inputs.capture(told)
        if self.kept is None or capture is None:
            return []
        rows = trees.rows((self.kept.args, self.kept.kwargs))
        named = trees.arguments(self.kept.args, self.kept.kwargs)
        of = replace(capture, sample=self.kept.row, rows=rows)
        ids = inputs.ids(named, of, told)
        if ids:
            from pipetrace.capture.vocabulary import spelled
        return [*inputs.images(named, of), *(spelled(each, self.kept.model()) for each in ids)]


def _receipt(output: Any, plain: tuple[Any, ...]) -> Receipt:
    """Compare the one call with a plain replay, where that came to its end."""
    from pipetrace.capture.comparing import compared

    check = Check(name="gradients", ok=None, detail="the traced call is the one that was used")
    receipt = compared(plain[0], output) if plain else Receipt(equal=None)
    return Receipt(equal=receipt.equal, difference=receipt.difference, elements=receipt.elements,
                   checks=(check,))  # fmt: skip
