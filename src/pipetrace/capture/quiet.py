"""What we run of the program's code a second time is not heard: no prints, warnings or graphs."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

import torch


class _Muted:
    """A stream that drops what this thread writes; what other threads write goes through."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread:
            return len(text)
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if threading.get_ident() != self._thread:
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Run without prints and warnings: what is played again was said the first time."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # A program may have closed its streams, or have none.
        if sys.stdout is not None:
            stack.enter_context(contextlib.redirect_stdout(_Muted(sys.stdout)))
        if sys.stderr is not None:
            stack.enter_context(contextlib.redirect_stderr(_Muted(sys.stderr)))
        stack.enter_context(eagerly())
        warnings.simplefilter("ignore")
        yield


def eagerly() -> contextlib.AbstractContextManager[object]:
    """Run compiled modules uncompiled: what we play again must add no graph to the user's."""
    # Setting a stance imports the compiler, which takes a second: only where somebody uses it.
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    stance: contextlib.AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


@contextlib.contextmanager
def unfused() -> Iterator[None]:
    """Run without the fused fast paths of attention layers, which a function mode switches off."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
