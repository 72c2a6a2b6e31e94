"""A captured forward runs again with the model as it is now, one op of it in another mode."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from pipetrace.capture import guard, replay, trees
from pipetrace.capture.altered import spot
from pipetrace.capture.dropping import draw, of_row
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.kept import Kept
from pipetrace.capture.switched import DROPPING, Switched
from pipetrace.errors import PipetraceError
from pipetrace.probed import Outputs
from pipetrace.records import Capture, Fact, Model, Op
from pipetrace.summarise import values

_SEEDS = 2**63
_NUMBERS = 64


class Asked(NamedTuple):
    """What is to run again, and how."""

    capture: int
    op: int
    p: float | None
    training: bool | None
    seed: int


class Again(NamedTuple):
    """What a forward gave that ran again."""

    asked: Asked
    op: int
    """Which of these ops it is now."""
    facts: list[Fact]
    """Of a dropout op its draw; of another the ops of the whole forward, and its capture."""
    off: Outputs | None
    """The probabilities that the forward gave, where the output means any."""


def asked(arguments: Mapping[str, Any]) -> Asked:
    """Read what a page asks for.

    Args:
        arguments: `again` names a capture and an op of it (`2/0`); `p` is a probability or None,
            `training` a mode or None, `seed` a whole number.

    Raises:
        PipetraceError: one of them is missing, or is something else.

    >>> asked({"again": "2/0", "p": 0.5, "training": True, "seed": 7})
    Asked(capture=2, op=0, p=0.5, training=True, seed=7)
    """
    names = ("again", "p", "training", "seed")
    unknown = sorted(set(arguments) - set(names))
    if unknown:
        raise PipetraceError(f"rerun has no argument {unknown[0]!r}: it takes {', '.join(names)}.")
    which = arguments.get("again")
    parts = which.split("/") if isinstance(which, str) else []
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise PipetraceError(f"again={which!r:.80} names no operation. Write CAPTURE/OP, 2/0.")
    p = arguments.get("p")
    if p is not None:
        number = isinstance(p, (int, float)) and not isinstance(p, bool)
        if not number or not 0 <= p <= 1:  # which NaN is not either
            raise PipetraceError(f"p={p!r:.80} is no probability. Choose one from 0 to 1.")
    training = arguments.get("training")
    if training is not None and not isinstance(training, bool):
        raise PipetraceError(f"training={training!r:.80} is no mode. Choose true, false or null.")
    seed = arguments.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < _SEEDS:
        raise PipetraceError(f"seed={seed!r:.80} is no seed. Choose a whole number from 0 on.")
    capture, op = map(int, parts)
    return Asked(capture, op, None if p is None else float(p), training, seed)


def rerun(kept: Mapping[int, Kept], facts: Sequence[Fact], wanted: Asked) -> Again:
    """Run a forward again as the model is now, and put everything back.

    The op's module has the mode that is asked for; of a function that drops the op itself is called
    with it. All other modules are in eval mode, or as a forward of `trace` found them.

    Args:
        kept: The forwards at hand, by the ids of their captures.
        facts: What is known of the run: its ops and models.
        wanted: What is to run.

    Raises:
        PipetraceError: the forward is not at hand, the model is gone or computes something else
            now, or the forward raised.
    """
    forward = kept.get(wanted.capture)
    ops = [fact for fact in facts if isinstance(fact, Op) and fact.capture == wanted.capture]
    if forward is None or not ops:
        raise PipetraceError(f"Forward {wanted.capture} is not at hand any more: what can run "
                             "again is a prediction, or a forward that was traced.")  # fmt: skip
    if wanted.op >= len(ops):
        raise PipetraceError(f"Forward {wanted.capture} has {len(ops)} operations, counted from "
                             f"0: there is no operation {wanted.op}.")  # fmt: skip
    model = forward.model()
    if model is None:
        raise PipetraceError("The model is gone: the program has let go of it. Keep a reference "
                             "to it as long as its page is open.")  # fmt: skip
    try:
        with torch.no_grad():
            call = replay.prepare(model, forward.args, forward.kwargs)
        if ops[wanted.op].function in DROPPING and not ops[wanted.op].opaque:
            return _drawn(call, forward, ops, wanted)
        return _played(call, forward, ops, facts, wanted)
    except PipetraceError:
        raise
    except Exception as error:
        pass_on(error)
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise PipetraceError(f"The forward raised {words[:300]}") from None


def _drawn(call: replay.Call, forward: Kept, ops: Sequence[Op], wanted: Asked) -> Again:
    """Let one dropout op draw one mask for the sample's row."""
    drops = _trains(ops[wanted.op]) if wanted.training is None else wanted.training
    found = draw(of_row(call, forward.row), ops, wanted.op, rate=wanted.p, count=1,
                 seed=wanted.seed, drops=drops, read=forward.read)  # fmt: skip
    if found is None:
        raise _another(ops[wanted.op])
    return Again(wanted, wanted.op, [found], None)


def _played(
    call: replay.Call, forward: Kept, ops: Sequence[Op], facts: Sequence[Fact], wanted: Asked
) -> Again:  # fmt: skip
    """Play the forward under the tracer, with the op's module in the mode asked for."""
    op = ops[wanted.op]
    captures = {fact.id: fact for fact in facts if isinstance(fact, Capture)}
    before = captures[wanted.capture]
    modes = _modes(call.model, before, facts)
    named = dict(call.model.named_modules(remove_duplicate=False))
    if wanted.training is not None and op.module in named:
        modes[id(named[op.module])] = wanted.training
    target = spot(ops, wanted.op)

    turned: list[Switched] = []

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        guard.seed(wanted.seed)
        turned.append(Switched(target, wanted.p, wanted.training))
        with turned[-1]:
            yield

    outcome = replay.replay(
        call, id=max(captures) + 1, model_id=before.model, purpose=before.purpose,
        compare=False,
        modes=[modes.get(id(inside.module), False) for inside in call.snapshot.insides],
        row=forward.row, around=around,
    )  # fmt: skip
    if outcome.raised is not None:
        raise PipetraceError(f"The forward raised {outcome.raised.words()}")
    found = [fact for fact in outcome.facts if isinstance(fact, Op)]
    # In another mode a module may call more or less before it: the op is known by its name.
    place = next((each.index for each in found if _named(found, each) == _named(ops, op)), None)
    if place is None:
        raise _another(op)
    if wanted.p is not None and turned[-1].rate is None:
        raise PipetraceError(f"`{op.function}` drops nothing: it has no p. Leave p out.")
    return Again(wanted, place, outcome.facts, _shares(forward, outcome.output))


def _named(ops: Sequence[Op], op: Op) -> tuple[str, int, str, int]:
    """Name an op by its module, the module's call, its function, and which of these it is there."""
    alike = (o for o in ops[: op.index] if o.function == op.function and o.module == op.module)
    return op.module, op.call, op.function, sum(other.call == op.call for other in alike)


def _modes(model: nn.Module, before: Capture, facts: Sequence[Fact]) -> dict[int, bool]:
    """Return the modes that are not eval: those of a traced forward, as it was called."""
    if before.purpose != "trace":
        return {}
    told = next(fact for fact in facts if isinstance(fact, Model) and fact.id == before.model)
    named = dict(model.named_modules(remove_duplicate=False))
    return {id(named[part.path]): part.training for part in told.modules if part.path in named}


def _shares(forward: Kept, output: Any) -> Outputs | None:
    rows = trees.rows((forward.args, forward.kwargs))
    shares = None if forward.read is None or rows is None else forward.read(output, rows)
    if shares is None or not rows:
        return None
    row = values(shares.reshape(rows, -1)[forward.row], _NUMBERS)
    return (
        Outputs(name="probabilities", off=row, draws=()) if all(map(math.isfinite, row)) else None
    )


def _trains(op: Op) -> bool:
    told = {argument.name: argument.value for argument in op.arguments}
    return told.get("training", told.get("train", str(op.training))) == "True"


def _another(op: Op) -> PipetraceError:
    return PipetraceError(f"The model does not call `{op.function}` at this place any more: it "
                          "takes another way now.")  # fmt: skip
