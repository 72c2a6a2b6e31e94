"""A model and its steps, or a run, are checked for silent bugs."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipetrace.errors import PipetraceError
from pipetrace.runs import Findings, Run

if TYPE_CHECKING:
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
) -> Findings:
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
        The findings, the gravest first, as a list that shows itself; empty where nothing was found.
        What a comment `# pipetrace: ignore[PTR101]` on its statement says is meant is not among
        them. That not all of a model and its steps could be looked at is said as a warning of
        Python's.

    Raises:
        PipetraceError: the subject is neither a model nor a run, the model is lazy and was never
            called, an id is unknown, or an argument is not what it must be.
    """
    from pipetrace.checks import configuration, judge
    from pipetrace.story.findings import incomplete

    selection = None
    if select or ignore or not isinstance(subject, Run):
        selection = configuration.selection(judge.every_rule(), select, ignore)
    if isinstance(subject, Run):
        others = (target, loss_fn, optimizer, train_step, eval_step)
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        if given or any(each is not None for each in others):
            raise PipetraceError("A run is judged as it was recorded: write pt.check(run) alone.")
        return Findings(judge.judge(subject.recording, selection))
    recording = watched(
        subject, inputs, target, loss_fn=loss_fn, optimizer=optimizer, train_step=train_step,
        eval_step=eval_step,
    )  # fmt: skip
    for reason in incomplete(recording):
        warnings.warn(reason, stacklevel=2)
    return Findings(judge.judge(recording, selection))


def watched(
    model: nn.Module, inputs: Any, target: Any, *, loss_fn: Any, optimizer: Any,
    train_step: Step | None, eval_step: Step | None,
) -> Recording:  # fmt: skip
    """Run a model's steps under observation, and return what was stated."""
    from torch import nn
    from torch.nn.parameter import is_lazy

    from pipetrace.restoring import restored
    from pipetrace.session import Session, origin

    if isinstance(model, (str, Path)):
        raise PipetraceError(f"{str(model)!r} is a path. Open the run first: "
                             f"pt.check(pt.load({str(model)!r}))")  # fmt: skip
    if not isinstance(model, nn.Module):
        raise PipetraceError(f"The first argument is a {type(model).__name__} and no nn.Module. "
                             "Write pt.check(model, inputs), or pt.check(run).")  # fmt: skip
    _require_fit(model, target, loss_fn, train_step, eval_step)
    lazy = [name for tensors in (model.named_parameters(), model.named_buffers())
            for name, tensor in tensors if is_lazy(tensor)]  # fmt: skip
    if lazy:
        raise PipetraceError(f"The model is lazy: it has no {lazy[0]} yet, which could not be put "
                             "back. Call it once before it is checked: model(inputs)")  # fmt: skip
    optimizers = [] if optimizer is None else optimizer
    optimizers = optimizers if isinstance(optimizers, (list, tuple)) else [optimizers]
    for each in optimizers:
        if not hasattr(each, "param_groups"):
            raise PipetraceError(f"optimizer={each!r:.60} is no optimizer. Write optimizer="
                                 "torch.optim.Adam(model.parameters()), or a list.")  # fmt: skip
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


def _require_fit(
    model: nn.Module, target: Any, loss_fn: Any, train_step: Any, eval_step: Any
) -> None:  # fmt: skip
    steps = {"train_step": train_step, "eval_step": eval_step}
    for name, step in steps.items():
        if step is None:
            continue
        if not callable(step):
            raise PipetraceError(f"{name}={step!r:.60} cannot be called. Write a function of the "
                                 f"model: {name}=lambda model: ...")  # fmt: skip
        try:
            inspect.signature(step).bind(model)
        except TypeError as error:
            raise PipetraceError(
                f"{name} is called with the model alone, and does not take it so ({error}). "
                f"Write {name}=lambda model: ..."
            ) from None
        except ValueError:
            # A function that is written in C says nothing of its arguments.
            continue
    if loss_fn is not None and not callable(loss_fn):
        raise PipetraceError(f"loss_fn={loss_fn!r:.60} cannot be called. Write loss_fn="
                             "F.cross_entropy, or a function of output and target.")  # fmt: skip
    if any(steps.values()):
        return
    if target is not None and loss_fn is None:
        raise PipetraceError(
            "There is a target and nothing that takes it. "
            "Write pt.check(model, inputs, target, loss_fn=F.cross_entropy)"
        )
    if target is None and loss_fn is not None:
        raise PipetraceError("loss_fn has no target to be called with. Write "
                             "pt.check(model, inputs, target, loss_fn=...)")  # fmt: skip


def _own_step(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], target: Any, loss_fn: Any
) -> None:  # fmt: skip
    """Call a model of which no loop is known, and its loss where there is one."""
    output = model(*args, **kwargs)
    if loss_fn is not None:
        loss = loss_fn(output, target)
        if getattr(loss, "requires_grad", False):
            loss.backward()
