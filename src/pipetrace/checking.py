"""A model and its steps, or a run, are checked for silent bugs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipetrace.checks.findings import Finding
from pipetrace.errors import PipetraceError
from pipetrace.runs import Run

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from torch.optim import Optimizer

    from pipetrace.asked import Asked
    from pipetrace.records import Selection
    from pipetrace.session import Session
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
        inputs: What the model is called with: a tensor, a tuple of arguments, or a mapping of
            keyword arguments.
        target: What `loss_fn` compares the output with.
        loss_fn: Called as `loss_fn(output, target)` with what the model returned of `inputs`;
            returns a scalar tensor.
        optimizer: The optimizer, or several.
        train_step: Called as `train_step(model)`: one epoch of your own training.
        eval_step: Called as `eval_step(model)`: your own validation or prediction.
        select: Ask only these rules: ids, or how they begin, `PTR1` for a whole family; or names.
        ignore: Leave out these; of two that fit the longer one counts.

    Returns:
        The findings, the gravest first; an empty list where nothing was found. What a comment
        `# pipetrace: ignore[PTR101]` on its statement says is meant is not among them. That not
        all of a model and its steps could be looked at is said as a warning of Python's.

    Raises:
        PipetraceError: the subject is neither a model nor a run, the model is lazy and was never
            called, or an id is unknown.
    """
    from pipetrace.checks import configuration, judge
    from pipetrace.story.findings import incomplete

    selection = None
    if select or ignore or not isinstance(subject, Run):
        selection = configuration.selection(judge.every_rule(), select, ignore)
    if isinstance(subject, Run):
        return judge.judge(subject.recording, selection)
    recording = watched(
        subject, inputs, target, loss_fn=loss_fn, optimizer=optimizer, train_step=train_step,
        eval_step=eval_step,
    )  # fmt: skip
    for reason in incomplete(recording):
        warnings.warn(reason, stacklevel=2)
    return judge.judge(recording, selection)


def watched(
    model: nn.Module, inputs: Any, target: Any, *, loss_fn: Any, optimizer: Any,
    train_step: Step | None, eval_step: Step | None,
) -> Recording:  # fmt: skip
    """Run a model's steps under observation, and return what was stated."""
    from torch import nn
    from torch.nn.parameter import is_lazy

    from pipetrace.restoring import restored
    from pipetrace.session import Session, origin

    if not isinstance(model, nn.Module):
        raise PipetraceError(f"{model!r:.200} is no nn.Module. Write pt.check(model, inputs), or "
                             "pt.check(run).")  # fmt: skip
    lazy = [name for tensors in (model.named_parameters(), model.named_buffers())
            for name, tensor in tensors if is_lazy(tensor)]  # fmt: skip
    if lazy:
        raise PipetraceError(f"The model is lazy: it has no {lazy[0]} yet, which could not be put "
                             "back. Call it once before it is checked: model(inputs)")  # fmt: skip
    optimizers = [] if optimizer is None else optimizer
    optimizers = optimizers if isinstance(optimizers, (list, tuple)) else [optimizers]
    kwargs = inputs if isinstance(inputs, Mapping) else {}
    args = () if kwargs is inputs else inputs if isinstance(inputs, tuple) else (inputs,)
    session = Session(type(model).__name__, origin(), checking=True, lean=True)
    with restored(model, optimizers):
        session.begin()
        if session.observer is not None:
            session.observer.handed(model)
        try:
            if train_step is None and eval_step is None:
                _own_step(model, args, kwargs, target, loss_fn)
            for _ in range(_ROUNDS):
                if session.observer is not None:
                    session.observer.calls.renew()
                for step in (train_step, eval_step):
                    if step is not None:
                        session.said(step(model))
        finally:
            session.end()
    return session.close()


def call(
    asked: Asked, *, selection: Selection, out: Path, name: str | None, values: bool,
    source: bool, shown: Callable[[Run], None],
) -> tuple[Run | None, int]:  # fmt: skip
    """Check a model that was asked for in words, alone; what its code raises is printed.

    Returns:
        The run, which `shown` was called with, and 0, or 1 where the user's code raised: then
        there is a run only if a forward had begun.

    Raises:
        PipetraceError: there is no such model, or the inputs do not fit it.
        RunFileError: the folder cannot be written to.
    """
    from pipetrace import targets
    from pipetrace.naming import at_free_path, file_name
    from pipetrace.session import Session, completed
    from pipetrace.training.endings import report

    target = asked.target
    label = file_name(target.names[-1]) if name is None else name

    def begin(file: Path) -> Session:
        return Session(label, "module", file=file, command=asked.words("check"), values=values,
                       source=source, checking=True, selection=selection)  # fmt: skip

    error: Exception | None = None
    with targets.alone(target):
        try:
            model, args, kwargs = asked.made()
        except PipetraceError:
            raise
        except Exception as raised:
            return None, report(raised)
        session = at_free_path(out, label, begin)
        session.begin()
        try:
            _own_step(model, args, kwargs, None, None)
        except Exception as raised:
            error = raised
        finally:
            session.end()
        code = 0 if error is None else report(error)
    status = "finished" if error is None else "raised"
    run = completed(session, status, code, error, with_page=True)
    shown(run)
    return run, code


def _own_step(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], target: Any, loss_fn: Any
) -> None:  # fmt: skip
    """Call a model of which no loop is known, and its loss where there is one."""
    output = model(*args, **kwargs)
    if loss_fn is not None:
        loss = loss_fn(output, target)
        if loss.requires_grad:
            loss.backward()
