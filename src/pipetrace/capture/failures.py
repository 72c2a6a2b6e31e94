"""What was raised becomes a record: its words, the user's lines, the op that it came from."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from pipetrace.capture import places
from pipetrace.records import Failure, Place


class Failed(NamedTuple):
    """The op that raised: what it was, what it was given, where."""

    function: str
    module: str
    module_type: str
    shapes: tuple[tuple[int, ...], ...]
    called: Place | None

    def words(self) -> str:
        """Say it in one line, for whoever reads the exception."""
        shapes = ", ".join("×".join(map(str, shape)) or "scalar" for shape in self.shapes)
        module = f"{self.module} ({self.module_type})" if self.module else self.module_type
        where = "" if self.called is None else f", {self.called.file}, line {self.called.line}"
        return f"pipetrace: in {module}, {self.function} was given {shapes or 'no tensor'}{where}."


def failure(
    error: BaseException, failed: Failed | None = None, caller: Place | None = None
) -> Failure:
    """Return the record of an exception; nothing in it keeps the exception alive.

    Args:
        error: What was raised.
        failed: The op that it came from.
        caller: The user's line outside of its traceback, where that is not complete yet.
    """
    kind, words = type(error).__name__, message(error)
    frames = (*(() if caller is None else (caller,)), *places.places(error.__traceback__))
    if failed is None:
        return Failure(type=kind, message=words, frames=frames)
    return Failure(
        type=kind, message=words, frames=frames, module=failed.module,
        module_type=failed.module_type, function=failed.function, input_shapes=failed.shapes,
    )  # fmt: skip


def message(error: BaseException) -> str:
    """Return what an exception says of itself."""
    try:
        return str(error)[:2000]
    except Exception:
        return "<exception str() failed>"


def explain(error: BaseException, failed: Failed) -> None:
    """Let an exception say which op it came from, and what that was given."""
    if failed.words() not in getattr(error, "__notes__", ()):
        # A frozen exception takes no note.
        with suppress(Exception):
            error.add_note(failed.words())


def forget(error: BaseException) -> None:
    """Let frames of ours forget what they held: it would lead back to the exception."""
    traceback = error.__traceback__
    while traceback is not None:
        if places.is_ours(traceback.tb_frame.f_code):
            # Of those that still run the caller takes care.
            with suppress(RuntimeError):
                traceback.tb_frame.clear()
        traceback = traceback.tb_next
