"""Randomness that is alive in evaluation: drawn where every module was told `eval()`."""

from __future__ import annotations

from collections.abc import Iterator

from pipetrace.checks.evidence import Evidence, argument, number
from pipetrace.checks.findings import Found
from pipetrace.checks.registry import rule


@rule("PTR101", "functional-dropout-in-eval", "warning")
def functional_dropout(evidence: Evidence) -> Iterator[Found]:
    """Functional dropout that `eval()` does not reach.

    Predictions are random, and worse than the model could make them: dropout goes on after
    `model.eval()`, because the call does not depend on the mode.

    The forward is played with every module in eval mode, and the arguments that `F.dropout` was
    really called with are read. Write `training=self.training`, or use an `nn.Dropout`.
    """
    for forward in evidence.forwards:
        for op in forward.drawing():
            rate = number(op, "p")
            if "dropout" in op.function and argument(op, "training") == "True" and rate:
                yield Found(
                    message=f"`{op.function}` in `{op.module or 'the root'}` drops in eval mode "
                    "too.",
                    evidence="With every module in eval mode it ran with training=True and "
                    f"p = {rate:g}.",
                    fix=f"F.dropout(x, {rate:g}, training=self.training)",
                    module=op.module, place=op.called,
                )  # fmt: skip
