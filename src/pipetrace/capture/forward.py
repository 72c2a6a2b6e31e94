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

    Args:
        model: Any module.
        args: Its positional inputs.
        kwargs: Its keyword inputs.
        emit: Takes the facts.

    Returns:
        What the model returned: the plain call's own output, with its graph.
    """
    plain = replay.unwrapped(model)
    emit(models.inventory(plain, 0))
    if not replay.traceable(plain):
        emit(Notice(id="opaque-0", text=f"The ops inside {type(model).__name__} were not traced."))
        return model(*args, **kwargs)
    call = replay.prepare(plain, args, kwargs)
    try:
        output = model(*args, **kwargs)
    except Exception:
        outcome = replay.replay(call, id=0, model_id=0, purpose="failure", compare=False)
        for fact in outcome.facts:
            emit(fact)
        raise
    for fact in replay.replay(call, id=0, model_id=0, purpose="trace", original=output).facts:
        emit(fact)
    return output
