"""A Lightning callback that looks for silent bugs while a model is fitted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback  # type: ignore[assignment]  # of the same kind

from pipetrace.integrations.observing import Observed

if TYPE_CHECKING:
    from pipetrace.checks.findings import Finding


class Check(Callback):
    """Observes `Trainer.fit` from its first batch to its end, and reports what the rules find.

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
        super().__init__()
        self._observed = Observed(raises=raises, select=select, ignore=ignore, quiet=quiet)

    @property
    def findings(self) -> list[Finding]:
        """What was found in the last fit; empty before its end."""
        return self._observed.findings

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Begin to observe a fit."""
        if stage == "fit":
            self._observed.begin(type(pl_module).__name__)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Report on it."""
        if stage == "fit":
            self._observed.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Say nothing of a fit that failed."""
        self._observed.abandon()
