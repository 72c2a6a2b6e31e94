"""What `trace` is asked to do beside tracing: in force inside a `with` block."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class Options(NamedTuple):
    """See `pipetrace.options`."""

    receipt: bool = True
    gradients: bool = False
    both_modes: bool = False
    values: bool = True
    source: bool = True
    sample: int = 0


PLAIN = Options()
current: ContextVar[Options] = ContextVar("options", default=PLAIN)
"""Those of the innermost block of this thread or task."""
