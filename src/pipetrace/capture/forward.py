"""One call of a model: plain, as its user would make it, then replayed under the tracer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from pipetrace.capture import models, replay
from pipetrace.records import Fact, Notice


def trace(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], emit: Callable[[Fact], None]
) -> Any:
    """Call a model and state what the call did.

    Nothing of ours that fails reaches the caller: a notice says what could not be replayed.

    Args:
        model: Any module.
        args: Its positional inputs.
        kwargs: Its keyword inputs.
        emit: Takes the facts.

    Returns:
        What the model returned: the plain call's own output, with its graph.
    """
    plain = replay.unwrapped(model)
    why = replay.opaque(plain)
    if why:
        try:
            return model(*args, **kwargs)
        finally:
            # A lazy module has its sizes now.
            emit(models.inventory(plain, 0))
            text = f"The ops inside {models.kind(plain)} were not traced: {why}."
            emit(Notice(id="opaque-0", text=text))
    emit(models.inventory(plain, 0))
    try:
        call = replay.prepare(plain, args, kwargs)
    except Exception as error:
        emit(_missed(error))
        return model(*args, **kwargs)
    try:
        output = model(*args, **kwargs)
    except Exception as error:
        _replay(call, emit, "failure", original=error, compare=False)
        raise
    _replay(call, emit, "trace", original=output, compare=True)
    return output


def _replay(
    call: replay.Call, emit: Callable[[Fact], None], purpose: str, *, original: Any, compare: bool
) -> None:
    try:
        outcome = replay.replay(
            call, id=0, model_id=0, purpose=purpose, original=original, compare=compare
        )
    except Exception as error:
        emit(_missed(error))
        return
    for fact in outcome.facts:
        emit(fact)


def _missed(error: Exception) -> Notice:
    said = str(error).partition("\n")[0][:200]
    return Notice(
        id="capture-trace-0", text=f"The call could not be replayed: {type(error).__name__}: {said}"
    )
