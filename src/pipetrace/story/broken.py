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


@section(id="finite", title="The first value that is no number", order=16)
def broken(recording: Recording) -> Content | None:
    """Tell the first operation that made a NaN or an infinity, and where it was called."""
    if not recording.first(NotFinite):
        return None
    found = [item for item in forwards(recording) if first(item)]
    if not found:
        return None
    blocks: list[AnyBlock] = []
    for forward in found[:MOST]:
        blocks += _told(forward)
    if len(found) > MOST:
        words = f"The first {MOST} of {len(found)} forwards are told here."
        blocks.append(Text(text=words, tone="muted"))
    infinite = all(item.broken and not item.broken.nans for item in found)
    return Content(
        blocks=tuple(blocks), title="The first infinity" if infinite else "The first NaN"
    )


def first(forward: Forward) -> Op | None:
    """Return the operation that made the first NaN or infinity of a forward."""
    at = forward.broken.op if forward.broken else -1
    return forward.ops[at] if 0 <= at < len(forward.ops) else None


def sentence(forward: Forward) -> str:
    """Say in one sentence which operation it was, of which module, at which line."""
    op, known = first(forward), forward.broken
    if op is None or known is None:
        return ""
    owner = f" of `{op.module}` ({op.module_type})" if op.module else " in the model's own forward"
    place = spot(forward.folder, op.called) if op.called else None
    line = f" at {place.file}:{place.line}" if place else ""
    when = _PURPOSES.get(forward.capture.purpose, f"the {forward.capture.purpose} forward")
    if forward.capture.purpose not in _PURPOSES:
        when += f" after {plural(forward.capture.step, 'optimizer step')}"
    kind = "NaN" if known.nans else "infinity"
    return (
        f"The first {kind} of {when} came out of `{op.function}`{owner}{line}: {amount(known)}, "
        "while none of its inputs had one"
    )


def _told(forward: Forward) -> list[AnyBlock]:
    op = first(forward)
    assert op is not None  # only such forwards come here
    facts = []
    if op.input_shapes:
        given = ", ".join(shape(sizes) for sizes in op.input_shapes)
        facts.append(Fact(label="was given", value=given))
    if op.called and op.called.text:
        facts.append(Fact(label="line", value=f"`{op.called.text.strip()}`"))
    later = [item for item in forward.ops[op.index + 1 :] if item.outputs]
    carry = sum(any(out.nans or out.infinities for out in item.outputs) for item in later)
    if later:
        exact = all(out.exact for item in later for out in item.outputs)
        note = "" if exact else "as far as their samples show"
        facts.append(
            Fact(
                label="after it", value=f"{carry} of {len(later)} more have such values", note=note
            )
        )
    blocks: list[AnyBlock] = [Text(text=f"{sentence(forward)}.", tone="bad")]
    return [*blocks, Facts(facts=tuple(facts))] if facts else blocks
