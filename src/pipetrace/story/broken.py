"""The first operation that made a NaN or an infinity, said before anything else is read."""

from __future__ import annotations

from pipetrace.blocks import AnyBlock, Fact, Facts, Text
from pipetrace.records import NotFinite, Op
from pipetrace.story.details import amount
from pipetrace.story.figures import plural, shape
from pipetrace.story.forwards import Forward, forwards, spot
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

MOST = 5
"""Of more forwards only so many are told."""
_PURPOSES = {"trace": "this forward", "failure": "the forward that failed"}


@section(id="finite", title="The first NaN", order=16)
def broken(recording: Recording) -> Content | None:
    """Tell the first operation that made a NaN or an infinity, and where it was called."""
    nans = any(out.nans for op in recording.all(Op) for out in op.outputs)
    if not nans and not recording.first(NotFinite):
        return None
    found = [item for item in forwards(recording) if first(item) or _seen(item)]
    blocks: list[AnyBlock] = []
    for forward in found[:MOST]:
        op = first(forward)
        blocks += _told(forward, op) if op else _met(forward)
    if len(found) > MOST:
        words = f"The first {MOST} of {len(found)} forwards with such values are told here."
        blocks.append(Text(text=words, tone="muted"))
    infinite = all(item.broken and not item.broken.nans for item in found)
    title = "The first infinity" if infinite else ""
    return Content(blocks=tuple(blocks), title=title) if blocks else None


def first(forward: Forward) -> Op | None:
    """Return the operation that made the first NaN or infinity of a forward."""
    at = forward.broken.op if forward.broken else -1
    return forward.ops[at] if 0 <= at < len(forward.ops) else None


def sentence(forward: Forward) -> str:
    """Say in one sentence which operation it was, of which module, at which line."""
    op, known = first(forward), forward.broken
    if op is None or known is None:
        return ""
    kind = "NaN" if known.nans else "infinity"
    return (
        f"The first {kind} of {_when(forward)} came out of {_named(forward, op)}: "
        f"{amount(known)}, while none of its inputs had one"
    )


def _seen(forward: Forward) -> list[Op]:
    """Return the operations with a NaN in an output."""
    return [op for op in forward.ops if any(out.nans for out in op.outputs)]


def _named(forward: Forward, op: Op) -> str:
    """Name an operation with its module and its line."""
    owner = f" of `{op.module}` ({op.module_type})" if op.module else " in the model's own forward"
    place = spot(forward.folder, op.called) if op.called else None
    return f"`{op.function}`{owner}" + (f" at {place.file}:{place.line}" if place else "")


def _when(forward: Forward) -> str:
    purpose = forward.capture.purpose
    if purpose in _PURPOSES:
        return _PURPOSES[purpose]
    return f"the {purpose} forward after {plural(forward.capture.step, 'optimizer step')}"


def _told(forward: Forward, op: Op) -> list[AnyBlock]:
    facts = []
    if op.input_shapes:
        given = ", ".join(shape(sizes) for sizes in op.input_shapes)
        facts.append(Fact(label="was given", value=given))
    if op.called and op.called.text:
        facts.append(Fact(label="line", value=f"`{op.called.text.strip()}`"))
    later = [item for item in forward.ops[op.index + 1 :] if item.outputs]
    if later:
        carry = sum(any(out.nans or out.infinities for out in item.outputs) for item in later)
        exact = all(out.exact for item in later for out in item.outputs)
        note = "" if exact else "as far as their samples show"
        more = plural(len(later), "operation")
        facts.append(Fact(label="after it", value=f"{more}, {carry} with such values", note=note))
    blocks: list[AnyBlock] = [Text(text=f"{sentence(forward)}.", tone="bad")]
    return [*blocks, Facts(facts=tuple(facts))] if facts else blocks


def _met(forward: Forward) -> list[AnyBlock]:
    """Tell NaN of which it is not known that an operation made it."""
    seen = _seen(forward)
    text = (
        f"{len(seen)} of {plural(len(forward.ops), 'operation')} of {_when(forward)} have NaN in "
        f"their output, the first of them {_named(forward, seen[0])}. No operation is known to "
        "have made it of finite numbers: none did, or it was not looked for."
    )
    return [Text(text=text, tone="bad")]
