"""Numerics: numbers that are none, and units through which no gradient goes."""

from __future__ import annotations

from collections.abc import Iterator

from pipetrace.checks.evidence import Evidence, Traced
from pipetrace.checks.findings import Found
from pipetrace.checks.registry import rule
from pipetrace.observed import Diverged
from pipetrace.parts import Place
from pipetrace.records import NotFinite, Op
from pipetrace.tried import Silenced

_HALF = ("float16", "bfloat16")


@rule("PTR901", "not-a-number-in-the-forward", "error")
def not_finite(evidence: Evidence) -> Iterator[Found]:
    """The first NaN or infinity of a forward.

    Whatever is computed from it is lost: one NaN in a loss makes every weight NaN with the next
    step.

    Every element that every op of a captured forward made is looked at, and the first op is named
    that made a NaN or an infinity of finite numbers. Infinities that a program asked for, to mask
    a softmax, are meant; one that does not reach the output is only noted. Keep the op away from
    the edge: `log(x + eps)`, `x / (n + eps)`, `clamp`.
    """
    for forward, found, op in _broken(evidence):
        if not _overflown(found, op):
            yield _at(forward, found, op, "torch.log(x.clamp(min=1e-8))")


@rule("PTR902", "overflow-in-half-precision", "error")
def overflow(evidence: Evidence) -> Iterator[Found]:
    """A number too large for half precision.

    float16 ends at 65504: what is larger becomes an infinity, and the next difference of two such
    a NaN.

    Every element that every op made is looked at. Found is the first op that made an infinity of
    finite numbers in half precision. Compute it in float32, under
    `torch.autocast(..., enabled=False)`, or use bfloat16.
    """
    for forward, found, op in _broken(evidence):
        if _overflown(found, op):
            fix = "with torch.autocast(device, enabled=False):\n    h = h.float()  # and so on"
            yield _at(forward, found, op, fix)


@rule("PTR903", "layer-of-dead-units", "warning")
def dead(evidence: Evidence) -> Iterator[Found]:
    """A layer whose units are all dead.

    No gradient passes a ReLU that gives 0 for every row: the layers before it never learn again.

    A training batch is played in eval mode at the last weights, and units are counted that gave
    exactly 0 for every row. All of them is a warning where they come right out of a layer with
    parameters; half of them or more is a note. Rectifiers that are terms of a loss, and experts
    without rows, are not looked at. Use a smaller learning rate, a better scale of the inputs, or
    a leaky ReLU.
    """
    for forward, found in _activations(evidence):
        if found.units < 4 or not found.learned or found.dead * 2 < found.units:
            continue
        whole = found.dead == found.units
        yield Found(
            message=f"{'All' if whole else 'Many'} units of `{found.function}` in "
            f"{forward.name(found.module)} are dead.",
            evidence=f"{found.dead} of {found.units} units gave 0 for each of {found.rows} rows at "
            "the last weights, so that no gradient goes through them.",
            fix="nn.LeakyReLU(0.01)  # and a smaller learning rate", module=found.module,
            place=_line(forward, found), severity="" if whole else "note",
        )  # fmt: skip


@rule("PTR904", "layer-of-saturated-units", "warning")
def saturated(evidence: Evidence) -> Iterator[Found]:
    """A layer whose sigmoids or tanhs are saturated.

    At the ends of a sigmoid the derivative is 0: what lies before it never learns again.

    A training batch is played in eval mode at the last weights. A warning needs 99 % of the
    elements of a hidden layer with a derivative below one in a million; nine out of ten near
    their ends are a note. Outputs that are sure of themselves are meant, and so are gates that
    come from no layer. Standardise the inputs, or normalise before the activation.
    """
    for forward, found in _activations(evidence):
        if found.returned or found.flat < 0.9 or not found.learned:
            continue
        yield Found(
            message=f"`{found.function}` in {forward.name(found.module)} is saturated.",
            evidence=f"{found.flat:.1%} of its elements lie within 1 % of their ends over "
            f"{found.rows} rows, and {found.stuck:.1%} have a derivative below 1e-6.",
            fix="x = (x - mean) / std  # before the first layer", module=found.module,
            place=_line(forward, found), severity="" if found.stuck > 0.99 else "note",
        )  # fmt: skip


@rule("PTR905", "training-goes-on-without-a-loss", "error")
def diverged(evidence: Evidence) -> Iterator[Found]:
    """Training that goes on after its loss has become NaN.

    Nothing is learned any more: the weights themselves are NaN, and no later batch mends them.

    The loss that every backward began with is kept, and after the first step on one that is NaN
    or infinite the parameters are looked at. A scaler that leaves out such steps is right: that is
    only noted, and so is a loss whose NaN was found in the forward. Stop at the first such loss,
    and look for its cause: `torch.isfinite(loss)`. On the CPU the forward before the first such
    loss is looked at: whether its inputs, or already its parameters, held a NaN.
    """
    known = any(_reached(forward) for forward, _, _ in _broken(evidence))
    for found in evidence.all(Diverged):
        # What nothing mends, though steps are taken, are the weights.
        for_good = found.bad == found.backwards - found.first and found.bad > 2
        broken = found.steps > 0 and (found.broken > 0 or for_good)
        yield Found(
            message=_said(found) if broken else "The loss was NaN or infinite at times.",
            evidence=f"From backward {found.first + 1} of {found.backwards} on {found.bad} losses "
            f"were NaN or infinite; {found.steps} steps followed, and {found.broken} of "
            f"{found.parameters} parameters held a NaN or an infinity after the first of them."
            f"{_cause(found)}",
            fix=_mended(found), place=found.place,
            severity="" if broken and not known else "note",
        )  # fmt: skip


def _said(found: Diverged) -> str:
    of = ": the inputs hold NaN" if found.rows else ""
    return f"The loss became NaN or infinite, and training went on{of}."


def _cause(found: Diverged) -> str:
    """Say what the first loss that is none was computed from, where that was looked at."""
    if not found.looked:
        return ""
    if found.rows:
        rows = "1 row" if found.rows == 1 else f"{found.rows} rows"
        return f" Before it {rows} of the batch held NaN, first row {found.row} (counted from 0)."
    rate = "" if found.rate is None else f"; the step before had a learning rate of {found.rate:g}"
    if found.spoiled:
        return f" Before it {found.spoiled} parameters were NaN or infinite already{rate}."
    return f" Before it neither inputs nor parameters were NaN or infinite{rate}."


def _mended(found: Diverged) -> str:
    if found.rows:
        return "keep = x.isfinite().all(1)\nx, y = x[keep], y[keep]"
    return "if not torch.isfinite(loss):\n    raise RuntimeError('the loss is NaN or infinite')"


def _activations(evidence: Evidence) -> Iterator[tuple[Traced, Silenced]]:
    forwards = {forward.capture.id: forward for forward in evidence.forwards}
    for found in evidence.all(Silenced):
        if found.capture in forwards:
            yield forwards[found.capture], found


def _line(forward: Traced, found: Silenced) -> Place | None:
    op = forward.alike(found.op, found.function, found.module)
    return None if op is None else op.called


def _broken(evidence: Evidence) -> Iterator[tuple[Traced, NotFinite, Op]]:
    """Yield what is not finite, each line once: the first time that it was met."""
    forwards = {forward.capture.id: forward for forward in evidence.forwards}
    known = set()
    for found in evidence.all(NotFinite):
        forward = forwards.get(found.capture)
        if forward is not None and found.op < len(forward.ops):
            op = forward.ops[found.op]
            if (op.function, op.module, op.called) not in known:
                known.add((op.function, op.module, op.called))
                yield forward, found, op


def _overflown(found: NotFinite, op: Op) -> bool:
    return bool(op.outputs) and op.outputs[0].dtype in _HALF and not found.nans


def _reached(forward: Traced) -> bool:
    return any(tensor.nans or tensor.infinities for _, tensor in forward.capture.outputs)


def _at(forward: Traced, found: NotFinite, op: Op, fix: str) -> Found:
    reached = _reached(forward)
    kind, count = ("NaN", found.nans) if found.nans else ("infinite", found.infinities)
    return Found(
        message=f"`{op.function}` in {forward.name(op.module)} makes {kind} numbers of finite "
        "ones" + (", and they reach the output." if reached else "."),
        evidence=f"{count} of {found.total} elements of its output are {kind}; its inputs have "
        f"none, after {forward.capture.step} steps.",
        fix=fix, module=op.module, place=op.called, severity="" if reached else "note",
    )  # fmt: skip
