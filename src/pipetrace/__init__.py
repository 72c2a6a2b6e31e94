"""pipetrace makes any PyTorch pipeline show its work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Finding", "Run", "__version__", "check", "diff", "epochs", "fit", "load", "options",
           "record", "run", "serve", "trace", "widget"]  # fmt: skip

if TYPE_CHECKING:
    from pipetrace.api import (
        Finding,
        Run,
        check,
        diff,
        epochs,
        fit,
        load,
        options,
        record,
        run,
        serve,
        trace,
    )
    from pipetrace.integrations.notebooks import widget

_ELSEWHERE = {"widget": "integrations.notebooks"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: importing pipetrace must not import torch."""
    if name in __all__:
        import random
        from importlib import import_module

        stream = random.getstate()
        home = import_module(f"pipetrace.{_ELSEWHERE.get(name, 'api')}")
        # A library that we show pages with draws a number when it is imported.
        random.setstate(stream)
        return getattr(home, name)
    raise AttributeError(f"module 'pipetrace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: Any) -> None:
    """Make `%load_ext pipetrace` provide the cell magic `%%pipetrace`."""
    from pipetrace.integrations.ipython import register

    register(shell)
