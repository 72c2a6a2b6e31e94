"""What we run a second time starts no collective: the other processes would wait, or answer us."""

from __future__ import annotations

import contextlib
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from pipetrace.capture import roots

_COLLECTIVE = {"c10d", "_c10d_functional", "_c10d_functional_autograd", "symm_mem", "_dtensor"}


class CollectiveError(RuntimeError):
    """A forward that was played again wanted to hear from the other processes."""


class _Alone(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no type
    """Refuses the ops by which processes exchange tensors; all others run as they are."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:  # fmt: skip
        if func.namespace in _COLLECTIVE:
            name = func.overloadpacket.__name__.strip("_")
            raise CollectiveError(f"it exchanges tensors with the other processes ({name})")
        return func(*args, **(kwargs or {}))


def alone() -> contextlib.AbstractContextManager[object]:
    """Refuse collectives, where there are other processes."""
    if not roots.shared():
        return contextlib.nullcontext()
    return _Alone()  # type: ignore[no-untyped-call]  # torch has no type
