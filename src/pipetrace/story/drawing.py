"""What still draws random numbers in eval mode is named, with its module, its rate and its line."""

from __future__ import annotations

from collections.abc import Sequence

from pipetrace.records import Contrast, Op
from pipetrace.story.figures import plural, setting
from pipetrace.story.forwards import Forward, forwards, short
from pipetrace.story.sentences import plain_name, real
from pipetrace.tracefile import Recording

MOST = 3
"""So many operations are named, the others counted."""


def drawing(forward: Forward, item: Contrast) -> list[Op]:
    """Return the operations of a forward that draw in eval mode, as its comparison found.

    Args:
        forward: The captured forward; of a file that was cut short it may lack operations.
        item: The comparison of its two modes.
    """
    return [forward.ops[index] for index in item.drawing if index < len(forward.ops)]


def staying(recording: Recording, model: int | None = None) -> tuple[Forward, list[Op]] | None:
    """Return the first forward with operations that draw in eval mode too, and these.

    Args:
        recording: The run.
        model: The id of the root module to look for; None for any.
    """
    compared = {item.capture: item for item in recording.all(Contrast) if item.drawing}
    for forward in forwards(recording) if compared else ():
        if model is not None and forward.capture.model != model:
            continue
        item = compared.get(forward.capture.id)
        found = drawing(forward, item) if item else []
        if found:
            return forward, found
    return None


def warning(forward: Forward, ops: Sequence[Op]) -> str:
    """Say which operations draw in eval mode too, and what `model.eval()` does about them."""
    them = "it" if len(ops) == 1 else "them"
    verb = "draws" if len(ops) == 1 else "draw"
    switch = f"`model.eval()` does not switch {them} off"
    if not forward.capture.training and any(op.training for op in ops):
        switch = f"The module around {them} is in train mode although the model is in eval mode"
    return (
        f"{plural(len(ops), 'operation')} {verb} random numbers in eval mode too: "
        f"{named(forward, ops)}. {switch}."
    )


def named(forward: Forward, ops: Sequence[Op]) -> str:
    """Name operations in a sentence, each with its module, its rate and its line."""
    words = [_named(forward, op) for op in ops[:MOST]]
    if len(ops) > MOST:
        words.append(f"{len(ops) - MOST} more")
    # A line of code stands behind a comma, so that several are kept apart by semicolons.
    return "; ".join(words)


def _named(forward: Forward, op: Op) -> str:
    where = f" in `{op.module}`" if op.module else ""
    p = op.mask.p if op.mask else None
    if p is None and "dropout" in plain_name(op.function):
        p = real(op, "p")
    if p is None:
        p = real(op, "dropout_p") or real(op, "dropout")
    rate = f" (p = {setting(p)})" if p is not None else ""
    line = f", {short(forward.folder, op.called.file)}:{op.called.line}" if op.called else ""
    return f"`{op.function}`{where}{rate}{line}"
