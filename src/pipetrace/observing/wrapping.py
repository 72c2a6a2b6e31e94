"""Functions of PyTorch are heard for a while: what raises in a listener never reaches a program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from pipetrace.capture.handlers import pass_on
from pipetrace.records import Notice
from pipetrace.training.recorder import Recorder

Listener = Callable[..., Callable[[], None] | None]
"""Gets the arguments of a call before it is made; what it returns is called after."""


class Wrapping:
    """Wraps functions of PyTorch, and puts them back.

    Args:
        recorder: Tells whether the program is heard, or something of ours runs.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._undo: list[Callable[[], None]] = []

    def hear(self, owner: Any, name: str, listener: Listener, *others: Any) -> None:
        """Let a listener hear every call of `owner.name` that the program makes.

        Args:
            owner: A module or a class.
            name: What it calls the function.
            listener: Hears the calls.
            others: What has the same function under the same name.
        """
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not self._recorder.watch.hears:
                return original(*args, **kwargs)
            after = self._asked(listener, *args, **kwargs)
            result = original(*args, **kwargs)
            if after is not None:
                self._asked(after)
            return result

        owners = [each for each in (owner, *others) if getattr(each, name, None) is original]

        def undo() -> None:
            # What somebody else has put in our place since stays.
            for each in owners:
                if getattr(each, name) is wrapper:
                    setattr(each, name, original)

        for each in owners:
            setattr(each, name, wrapper)
        self._undo.append(undo)

    def end(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()

    def _asked(self, listener: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            with self._recorder.watch.quiet(), torch.no_grad():
                return listener(*args, **kwargs)
        except Exception as error:
            pass_on(error)
            self.end()
            text = f"A call could not be observed: {type(error).__name__}: {str(error)[:200]}"
            self._recorder.emit(Notice(id="observer-call", text=text))
            return None
