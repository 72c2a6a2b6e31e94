"""A model and its steps, or a run, are checked for silent bugs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pipetrace.checks.findings import Finding
from pipetrace.errors import PipetraceError
from pipetrace.runs import Run

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from pipetrace.tracefile import Recording

Step = Callable[["nn.Module"], Any]
_ROUNDS = 2
"""Epochs that are run of the program's own steps: some bugs begin after the first validation."""


def check(
    subject: nn.Module | Run,
    inputs: Any = (),
    target: Any = None,
    *,
    loss_fn: Callable[[Any, Any], Any] | None = None,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    train_step: Step | None = None,
    eval_step: Step | None = None,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
) -> list[Finding]:
    """Look for silent bugs in a model and its loop, or in a recorded run.

    The model, its modes, gradients and buffers, the optimizers that step and the random streams
    are put back. What else your functions hold (a scheduler's count, a list) is not.

    Args:
        subject: A model, or a run of `pt.run`, `pt.record` or `pt.load`.
        inputs: What the model is called with: a tensor, or a tuple of arguments.
        target: What `loss_fn` compares the output with.
        loss_fn: Called as `loss_fn(model(*inputs), target)`; returns a scalar tensor.
        optimizer: The optimizer, or several.
        train_step: Called as `train_step(model)`: one epoch of your own training.
        eval_step: Called as `eval_step(model)`: your own validation or prediction.
        select: Ask only rules whose ids begin so, `PTR1` for a whole family.
        ignore: Leave out rules whose ids begin so.

    Returns:
        The findings, the gravest first; an empty list where nothing was found.

    Raises:
        PipetraceError: the subject is neither a model nor a run.
    """
    from pipetrace.checks import judge

    recording = subject.recording if isinstance(subject, Run) else watched(
        subject, inputs, target, loss_fn=loss_fn, optimizer=optimizer, train_step=train_step,
        eval_step=eval_step,
    )  # fmt: skip
    return judge.judge(recording, judge.chosen(select, ignore))


def watched(
    model: nn.Module, inputs: Any, target: Any, *, loss_fn: Any, optimizer: Any,
    train_step: Step | None, eval_step: Step | None,
) -> Recording:  # fmt: skip
    """Run a model's steps under observation, and return what was stated."""
    from torch import nn

    from pipetrace.restoring import restored
    from pipetrace.session import Session, origin

    if not isinstance(model, nn.Module):
        raise PipetraceError(f"{model!r:.200} is no nn.Module. Write pt.check(model, inputs), or "
                             "pt.check(run).")  # fmt: skip
    optimizers = [] if optimizer is None else optimizer
    optimizers = optimizers if isinstance(optimizers, (list, tuple)) else [optimizers]
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    session = Session(type(model).__name__, origin(), checking=True, lean=True)
    with restored(model, optimizers):
        session.begin()
        if session.observer is not None:
            session.observer.handed(model)
        try:
            if train_step is None and eval_step is None:
                _own_step(model, args, target, loss_fn)
            for _ in range(_ROUNDS):
                if session.observer is not None:
                    session.observer.calls.renew()
                for step in (train_step, eval_step):
                    if step is not None:
                        session.said(step(model))
        finally:
            session.end()
    return session.close()


def _own_step(model: nn.Module, args: tuple[Any, ...], target: Any, loss_fn: Any) -> None:
    """Call a model of which no loop is known, and its loss where there is one."""
    output = model(*args)
    if loss_fn is not None:
        loss = loss_fn(output, target)
        if loss.requires_grad:
            loss.backward()
