"""One forward that somebody asks for, in Python or in the shell, becomes a run."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipetrace.errors import PipetraceError
from pipetrace.records import Seed
from pipetrace.runs import Run

if TYPE_CHECKING:
    from torch import nn

    from pipetrace.asked import Asked
    from pipetrace.blocks import AnyBlock
    from pipetrace.capture.forward import Traced
    from pipetrace.capture.kept import Kept
    from pipetrace.records import Fact
    from pipetrace.session import Session
    from pipetrace.tracefile import Recording


@contextmanager
def options(
    *, receipt: bool = True, gradients: bool = False, both_modes: bool = False,
    values: bool = True, source: bool = True, sample: int = 0,
) -> Iterator[None]:  # fmt: skip
    """Say what `trace` does beside tracing, inside a `with` block.

    All keywords of `trace` itself go to the model.

    Args:
        receipt: Whether the call is compared with a plain one. Without a receipt the one call is
            the traced one: a plain forward less.
        gradients: Whether the gradients of all outputs are kept when a backward through
            `run.output` computes them. The traced call is then the one that is used, and bytes
            kept for backward are not counted.
        both_modes: Whether the same batch is played in the other mode too, to see which ops differ.
        values: Whether rows of real values are kept.
        source: Whether source text is kept.
        sample: Which row of the batch the values are of, from 0.

    Raises:
        PipetraceError: `sample` is negative.
    """
    from pipetrace.capture.options import Options, current

    if sample < 0:
        raise PipetraceError(f"sample={sample} names no row. Rows are counted from 0.")
    token = current.set(Options(receipt, gradients, both_modes, values, source, sample))
    try:
        yield
    finally:
        current.reset(token)


def trace(model: nn.Module, *args: Any, **kwargs: Any) -> Run:
    """Call a model once, and show that call op by op.

    The model is called as you would call it; then the call is replayed under the tracer from the
    same state, and both outputs are compared: that comparison is the page's receipt. Other ways
    are chosen with `options`.

    Args:
        model: Any module; its mode is left as it is.
        *args: The model's inputs.
        **kwargs: All of them go to the model.

    Returns:
        The run; `run.output` is what the model returned, `run.ops` its ops. What the model raises
        carries the run as its attribute `pipetrace`.

    Raises:
        PipetraceError: the model is no `nn.Module`.
    """
    import torch
    from torch import nn

    from pipetrace.capture import failures, forward
    from pipetrace.capture.options import current

    if not isinstance(model, nn.Module):
        raise PipetraceError(f"{model!r:.200} is no nn.Module. Write pt.trace(model, x), with a "
                             "module that has been made.")  # fmt: skip
    chosen = current.get()
    session = sys.modules.get("pipetrace.session")
    recording = None if session is None else session.current
    # The plain call is the program's own: a recording that goes on hears it.
    apart = nullcontext if recording is None else recording.quiet
    make = forward.trace
    if torch.compiler.is_compiling():
        make = torch.compiler.disable(make)  # type: ignore[no-untyped-call]  # torch has no type
    traced: Traced = make(model, args, kwargs, chosen, apart)
    error, name = traced.error, type(model).__name__
    kept = traced.kept
    status, code = ("finished", 0) if error is None else ("raised", 1)

    def complete(facts: list[Fact]) -> Recording:
        from pipetrace.session import Session, origin

        session = Session(name, origin(), watching=False, values=chosen.values,
                          source=chosen.source, sample=chosen.sample)  # fmt: skip
        _write(session, facts)
        return session.close(status, code)

    run = Run(output=traced.output, facts=traced.facts, complete=complete,
              gradients=traced.gradients)  # fmt: skip
    if kept is not None:
        run.actions["rerun"] = _rerun(weakref.ref(run), kept)
    if error is None:
        return run
    if traced.failed is not None:
        failures.explain(error, traced.failed)
    with suppress(Exception):
        # A frozen exception takes nothing.
        error.pipetrace = run  # type: ignore[attr-defined]  # for who catches it
    failures.forget(error)
    try:
        raise error
    finally:
        # Its traceback leads here: what is raised must not be kept by itself.
        del error, traced


def _rerun(run: weakref.ref[Run], kept: Kept) -> Callable[[dict[str, Any]], list[AnyBlock]]:
    """Return the action of a run; what it needs is imported when it is first asked for."""

    def told() -> Recording:
        found = run()
        if found is None:
            raise PipetraceError("The run is gone. Keep a reference to it as long as its page is "
                                 "open.")  # fmt: skip
        return found.recording

    def act(arguments: dict[str, Any]) -> list[AnyBlock]:
        from pipetrace.session import actions

        return actions({0: kept}, told)["rerun"](arguments)

    return act


def call(
    asked: Asked, *, both_modes: bool, out: str | Path, name: str | None, sample: int,
    values: bool, source: bool, shown: Callable[[Run], None],
) -> int:  # fmt: skip
    """Trace a forward that was asked for in words, and return the exit code.

    What the user's code raises is printed as Python prints it; `shown` is called with the complete
    run, where there was a forward.

    Raises:
        PipetraceError: there is no such model, or the inputs do not fit it.
        RunFileError: the folder cannot be written to.
    """
    import torch

    from pipetrace import targets
    from pipetrace.capture import failures, forward
    from pipetrace.capture.options import Options
    from pipetrace.naming import at_free_path, file_name
    from pipetrace.session import Session, completed
    from pipetrace.training.endings import report

    target = asked.target
    label = file_name(target.names[-1]) if name is None else name
    chosen = Options(both_modes=both_modes, values=values, source=source, sample=sample)

    def begin(file: Path) -> Session:
        return Session(label, "module", file=file, command=asked.words(), watching=False,
                       values=values, source=source, sample=sample)  # fmt: skip

    with targets.alone(target):
        try:
            model, args, kwargs = asked.made()
        except PipetraceError:
            raise
        except Exception as error:
            return report(error)
        session = at_free_path(Path(out), label, begin)
        try:
            traced = forward.trace(model, args, dict(kwargs), chosen)
        except BaseException:
            session.writer.discard()
            raise
        if traced.error is not None:
            if traced.failed is not None:
                failures.explain(traced.error, traced.failed)
            report(traced.error)
    session.writer.append(Seed(value=asked.seed, threads=torch.get_num_threads()))
    _write(session, traced.facts())
    status, code = ("finished", 0) if traced.error is None else ("raised", 1)
    shown(completed(session, status, code, with_page=True))
    return code


def _write(session: Session, facts: Iterable[Fact]) -> None:
    """Write down what was traced."""
    session.recorder.forwards = 1
    for fact in facts:
        session.writer.append(fact)
