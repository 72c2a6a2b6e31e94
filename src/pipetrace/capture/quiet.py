"""What we run of the program's code a second time is not heard: no prints, warnings or graphs."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TextIO

import torch

_silent: Counter[int] = Counter()
"""How often each thread plays something again at this moment."""


def _is_silent() -> bool:
    return _silent[threading.get_ident()] > 0


class _Shared:
    """What holds for the whole process: the first thread that enters begins it, the last ends it.

    If each put back what it had found, two that overlap would leave it as one of them had set it.
    """

    def __init__(self, make: Callable[[], contextlib.AbstractContextManager[object]]) -> None:
        self._make = make
        self._inner: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        self._count = 0
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        with self._lock:
            if self._count == 0:
                self._inner = self._make()
                self._inner.__enter__()
            self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        with self._lock:
            self._count -= 1
            if self._count == 0:
                self._inner.__exit__(None, None, None)


class _Muted:
    """A stream that drops what silent threads write; what other threads write goes through."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if _is_silent() else self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if not _is_silent():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _OfSilent(type):
    def __subclasscheck__(cls, category: type) -> bool:
        return _is_silent()


class _AnyOfSilent(Warning, metaclass=_OfSilent):
    """Every warning of a silent thread is one of these, and none of any other thread's."""


# `catch_warnings` would let what the program was warned of once be said again.
_IGNORED: Any = ("ignore", None, _AnyOfSilent, None, 0)


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            # A program may have closed its streams, or have none.
            if stream is not None:
                stack.callback(_put_back, sys, name, muted := _Muted(stream), stream)
                setattr(sys, name, muted)
        handle = logging.Logger.handle

        def handle_unless_silent(logger: logging.Logger, record: logging.LogRecord) -> None:
            if not _is_silent():
                handle(logger, record)

        stack.callback(_put_back, logging.Logger, "handle", handle_unless_silent, handle)
        logging.Logger.handle = handle_unless_silent  # type: ignore[assignment]  # put back
        if _IGNORED not in warnings.filters:
            warnings.filters.insert(0, _IGNORED)  # type: ignore[attr-defined]  # it is a list
        yield
    with contextlib.suppress(ValueError):
        warnings.filters.remove(_IGNORED)  # type: ignore[attr-defined]  # it is a list


def _put_back(store: Any, name: str, ours: object, found: object) -> None:
    # What the program has set meanwhile is its own.
    if getattr(store, name) is ours:
        setattr(store, name, found)


@contextlib.contextmanager
def _without_fast_path() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _uncompiled() -> contextlib.AbstractContextManager[object]:
    # Setting a stance imports the compiler, which takes a second: only where somebody uses it.
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    stance: contextlib.AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


_muting, _fusing, _compiling = map(_Shared, (_muted, _without_fast_path, _uncompiled))


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Run without prints, log lines and warnings: what is played again was said the first time."""
    thread = threading.get_ident()
    _silent[thread] += 1
    try:
        with _muting, eagerly():
            yield
    finally:
        _silent[thread] -= 1
        if not _silent[thread]:
            del _silent[thread]


def eagerly() -> contextlib.AbstractContextManager[object]:
    """Run compiled modules uncompiled: what we play again must add no graph to the user's."""
    return _compiling


def unfused() -> contextlib.AbstractContextManager[object]:
    """Run without the fused fast paths of attention layers, which a function mode switches off."""
    return _fusing
