"""A callback for the Hugging Face Trainer that looks for silent bugs while it trains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from pipetrace.integrations.observing import Observed

if TYPE_CHECKING:
    from pipetrace.checks.findings import Finding


class Check(TrainerCallback):
    """Observes `Trainer.train` from its begin to its end, and reports what the rules find.

    Args:
        raises: Whether a warning or an error raises `FindingError` at the end.
        select: Ask only these rules: ids, how they begin, or names.
        ignore: Leave out these.
        quiet: Whether nothing is printed; `findings` has them.
    """

    def __init__(
        self, *, raises: bool = False, select: Iterable[str] = (), ignore: Iterable[str] = (),
        quiet: bool = False,
    ) -> None:  # fmt: skip
        self._observed = Observed(raises=raises, select=select, ignore=ignore, quiet=quiet)

    @property
    def findings(self) -> list[Finding]:
        """What was found in the last training; empty before its end."""
        return self._observed.findings

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **others: Any
    ) -> None:  # fmt: skip
        """Begin to observe."""
        self._observed.begin(type(model).__name__)

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Report."""
        self._observed.end()
