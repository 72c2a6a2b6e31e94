"""The public functions: each makes or opens a run; a run shows itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipetrace.checking import check
from pipetrace.checks.findings import Finding
from pipetrace.errors import RunFileError
from pipetrace.runs import Comparison, Run
from pipetrace.tracing import options, trace

if TYPE_CHECKING:
    from pipetrace.pipeline.progress import Moment
    from pipetrace.records import Selection
    from pipetrace.session import Session
    from pipetrace.training.script import Ending

FOLDER = Path("pipetrace-runs")
"""Where runs are kept unless another folder is named."""

_PATIENCE = 3.0
"""Seconds for which the first rank, after its end, waits for the end of the others."""
Item = TypeVar("Item")


def run(
    script: str | Path | None = None,
    arguments: Sequence[str] = (),
    *,
    module: bool = False,
    out: str | Path = FOLDER,
    name: str | None = None,
    steps: int | None = None,
    sample: int = 0,
    values: bool = True,
    source: bool = True,
) -> Run:
    """Execute a script as `__main__`, unmodified, and record what it does.

    Args:
        script: A Python file, or the built-in dropout example where it is None.
        arguments: The script's own arguments.
        module: Whether `script` names a module, as after `python -m`.
        out: Folder of the run file and the HTML page; nothing in it is written over.
        name: Their name; the script's by default.
        steps: Stop the script after so many optimizer steps.
        sample: Which held-out row the prediction is about, from 0.
        values: Whether rows of real values are kept in the run file.
        source: Whether source text is kept in the run file.

    Returns:
        The run. What the script raised was printed as Python prints it; `run.code` is its exit
        code.

    Raises:
        ScriptError: there is no such script or module, or it is not Python.
        RunFileError: the folder cannot be written to.
    """
    main = sys.modules["__main__"]
    try:
        return execute(script, arguments, module=module, out=out, name=name, steps=steps,
                       sample=sample, values=values, source=source)[0]  # fmt: skip
    finally:
        sys.modules["__main__"] = main


def execute(
    script: str | Path | None, arguments: Sequence[str], *, module: bool, out: str | Path,
    name: str | None, steps: int | None, sample: int, values: bool, source: bool,
    shown: Callable[[Run], None] = lambda run: None, live: bool = False,
    selection: Selection | None = None,
) -> tuple[Run, Ending]:  # fmt: skip
    """Do what `run` does, and also return how the script ended.

    `shown` is called with the complete run, also where the script leaves through `os._exit`. Of
    the ranks of a launch only the first shows its run, with those of the others. A `live` run is
    written to its file more often, and can do something again when it has ended. With a
    `selection` of rules all of the loop is observed for them, else as much as costs little.
    """
    from pipetrace.following import all_ranks
    from pipetrace.launch import at_agreed_path, launched
    from pipetrace.naming import at_free_path, file_name
    from pipetrace.session import Session, completed
    from pipetrace.training import script as scripts

    verb = "run" if selection is None else "check"
    origin = "example" if script is None else "module" if module else "script"
    if module:
        found = scripts.from_module(str(script), tuple(arguments), verb)
    else:
        example = Path(__file__).parent / "examples" / "dropout.py"
        path = str(example if script is None else script)
        found = scripts.from_file(path, tuple(arguments), verb)
    if name is None:
        name = file_name(str(script) if module else Path(found.path).stem)

    def begin(file: Path) -> Session:
        session = Session(
            name, origin, file=file, path=found.path, command=(verb, *found.arguments),
            steps=steps, values=values, source=source, sample=sample, live=live,
            checking=True, frugal=selection is None, selection=selection,
        )  # fmt: skip
        if live:
            session.writer.hurry()
        return session

    rank = launched()
    if rank is None:
        session = at_free_path(Path(out), name, begin)
    else:
        session = at_agreed_path(Path(out), name, rank, begin)

    def complete(ending: Ending) -> Run:
        run = completed(session, *ending, with_page=rank is None)
        if rank is None:
            shown(run)
        elif rank.number == 0 and (file := run.path) is not None and not session.trouble:
            try:
                run = Run(all_ranks(file, rank.world, _PATIENCE))
                run.save_html(file.with_suffix(".html"))
            except RunFileError as error:
                print(f"pipetrace: {error}", file=sys.stderr)
            shown(run)
        return run

    ending = scripts.run(found, session.begin, session.end,
                         lambda code: complete(scripts.Ending("finished", code, None)))  # fmt: skip
    if session.stopped and ending.status == "finished":
        ending = scripts.Ending("stopped", 0, None)
    return complete(ending), ending


@contextmanager
def record(
    path: str | Path | None = None, *, sample: int = 0, values: bool = True, source: bool = True
) -> Iterator[Run]:  # fmt: skip
    """Record what runs inside a `with` block.

    Args:
        path: The run file to make; None keeps the run in memory. Under `torchrun` each rank makes
            one of its own: NAME.rank0.pipetrace, NAME.rank1.pipetrace, ...
        sample: Which held-out row the prediction is about, from 0.
        values: Whether rows of real values are kept.
        source: Whether source text is kept.

    Yields:
        The run; it is complete when the block has ended.

    Raises:
        RunFileError: the file exists, its folder cannot be written to, or a recording is going on.
    """
    from pipetrace.launch import launched
    from pipetrace.naming import of_rank
    from pipetrace.session import Session, completed, origin

    file = None if path is None else Path(path)
    name = "recording" if file is None else file.stem
    rank = launched()
    if file is not None and rank is not None:
        file = of_rank(file, rank.number)
    run = Run()
    session = Session(name, origin(), file=file, sample=sample, values=values, source=source)
    run.so_far = session.writer.recording
    status, code, error = "finished", 0, None
    try:
        session.begin()
        yield run
    except KeyboardInterrupt:
        status, code = "interrupted", 130
        raise
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
        raise
    except BaseException as raised:
        status, code, error = "raised", 1, raised
        raise
    finally:
        session.end()
        done = completed(session, status, code, error)
        run.recording = done.recording
        run.actions.update(done.actions)
        run.so_far = None


def fit(
    table: Any,
    target: str | None = None,
    *,
    task: str | None = None,
    hidden: Sequence[int] = (10,),
    dropout: float = 0.3,
    epochs: int | None = None,
    seed: int = 0,
    drop: Sequence[str] = (),
    path: str | Path | None = None,
    sample: int = 0,
    values: bool = True,
    progress: Callable[[Moment], object] | None = None,
) -> Run:
    """Train the dropout pipeline on a table of your own, and record it.

    Args:
        table: A CSV or Parquet file, a polars or pandas DataFrame, a pair (X, y) of arrays, or a
            scikit-learn Bunch.
        target: The column to predict.
        task: `classification` or `regression`; decided by the target where it is None.
        hidden: Width of each hidden layer.
        dropout: Probability that an input is dropped in training, in [0, 1).
        epochs: Passes over the training rows.
        seed: Decides the split, the initial weights, the order and the masks.
        drop: Columns to leave out.
        path: The run file to make; None keeps the run in memory.
        sample: Which held-out row the prediction is about, from 0.
        values: Whether rows of real values are kept.
        progress: Called at most ten times a second with how far the training is, for example
            `print`: `epoch`, `epochs`, `step`, `steps`, `loss`, `rate` and seconds `left`.

    Returns:
        The run. What ends the training early, Ctrl-C too, carries the run as its attribute
        `pipetrace`.

    Raises:
        TableError: the table cannot be trained on; the message says what to write instead.
        RunFileError: the file or its page exists, or its folder cannot be written to.
    """
    from pipetrace.pipeline import prepare, train
    from pipetrace.session import Session, completed

    file = None if path is None else Path(path)
    if file is not None and file.with_suffix(".html").exists():
        raise RunFileError(f"{file.with_suffix('.html')}: the page exists already. Name another "
                           "path: neither runs nor pages are written over.")  # fmt: skip
    count = train.EPOCHS if epochs is None else epochs
    train.require_settings(hidden=hidden, dropout=dropout, epochs=count, seed=seed)
    prepared = prepare.prepare(table, target, task=task, drop=drop, seed=seed, sample=sample)
    shown = str(table) if isinstance(table, (str, Path)) else ""
    typed = {"target": (target,), "task": (task,), "hidden": (",".join(map(str, hidden)),),
             "dropout": (dropout,), "epochs": (count,), "seed": (seed,), "drop": drop}  # fmt: skip
    words = [word for option, given in typed.items() for value in given if value is not None
             for word in (f"--{option}", str(value))]  # fmt: skip
    # Live: nobody else holds the model, and it is a small one.
    session = Session(prepared.name, "table", file=file, path=shown, values=values, sample=sample,
                      command=("fit", prepared.name, *words), live=True)  # fmt: skip
    session.recorder.course.passes.described.update(("training", "evaluation"))
    status: str = "finished"
    error: BaseException | None = None
    try:
        for fact in prepared.facts:
            session.writer.append(fact if values else prepare.without_values(fact))
        session.begin()
        try:
            train.train(prepared, hidden=hidden, dropout=dropout, epochs=count, seed=seed,
                        each_epoch=_mark, progress=progress)  # fmt: skip
        finally:
            session.end()
    except BaseException as raised:
        status = "interrupted" if isinstance(raised, KeyboardInterrupt) else "raised"
        error = raised
        raise
    finally:
        code = {"finished": 0, "interrupted": 130, "raised": 1}[status]
        run = completed(session, status, code, error, with_page=True)
        if error is not None:
            with suppress(Exception):
                # A frozen exception takes nothing.
                error.pipetrace = run  # type: ignore[attr-defined]  # for who catches it
    return run


def load(path: str | Path, *ranks: str | Path) -> Run:
    """Open a run file; it needs no torch and executes nothing.

    Args:
        path: The run file.
        ranks: The run files of the other ranks of the same launch: they become one page.

    Raises:
        RunFileError: there is no such file, or it is empty, damaged, of something else, or newer;
            or several files are not ranks of one launch.
    """
    from pipetrace.following import load_together

    return Run(load_together([Path(file) for file in (path, *ranks)]))


def diff(a: Run | str | Path, b: Run | str | Path) -> Comparison:
    """Put two runs side by side: what differs first, and all that differs.

    Settings, source text, model, stages, curves, observations and prediction are compared. It needs
    no torch and executes nothing.

    Args:
        a: A run, or the path of a run file.
        b: The other one.

    Returns:
        A comparison; it shows itself like a run.

    Raises:
        RunFileError: there is no such file, it is no run file, or both are the same run.
    """
    one, two = (run if isinstance(run, Run) else load(run) for run in (a, b))
    paths = (one.path, two.path)
    if one is two or (paths[0] and paths[1] and paths[0].samefile(paths[1])):
        raise RunFileError(f"{b}: both are the same run. Name two runs: "
                           "pipetrace diff A.pipetrace B.pipetrace")  # fmt: skip
    return Comparison(one.recording, two.recording)


def serve(
    place: str | Path = FOLDER, *, port: int = 0,
    opened: Callable[[str], None] = lambda url: None,
) -> None:  # fmt: skip
    """Serve the pages of runs to browsers on this machine, until Ctrl-C is pressed.

    A page follows its run while it is written. The address that is printed carries a token;
    nothing is answered without it, and nothing to another machine.

    Args:
        place: A folder of runs, or one run file.
        port: Where to listen; 0 for a free port.
        opened: Called with the address, for example `webbrowser.open`.

    Raises:
        RunFileError: there is no such file or folder.
        PipetraceError: the extra `live` is not installed, or the port is taken.
    """
    from pipetrace.serving.process import desk_of, served

    make, path = desk_of(Path(place))
    with suppress(KeyboardInterrupt), served(make, port, path) as server:
        print(f"Serving {place} at {server.url} until Ctrl-C is pressed.", flush=True)
        opened(server.url)
        while True:
            time.sleep(3600)


def epochs(iterable: Iterable[Item]) -> Iterator[Item]:
    """Mark epochs explicitly: `for epoch in pt.epochs(range(5)):`; without a recorder, a no-op."""
    return _mark(iterable)


def _mark(iterable: Iterable[Item]) -> Iterator[Item]:
    module = sys.modules.get("pipetrace.session")
    session = None if module is None else module.current
    if module is None or session is None:
        yield from iterable
        return
    course = session.recorder.course
    try:
        for item in iterable:
            course.marked()
            yield item
    finally:
        if module.current is session:
            course.unmarked()


__all__ = ["FOLDER", "Comparison", "Finding", "Run", "check", "diff", "epochs", "fit", "load",
           "options", "record", "run", "serve", "trace"]  # fmt: skip
