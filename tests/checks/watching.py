"""Programs are run under observation, as `pipetrace check` runs them."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from pipetrace.checks.findings import Finding
from pipetrace.checks.judge import judge
from pipetrace.session import Session

PROGRAMS = Path(__file__).parent / "programs"
STEPS = ("loss_fn", "train_step", "eval_step")


def script(path: Path) -> list[Finding]:
    """Run a script, and return what is found in it."""
    session = Session(path.stem, "script", path=str(path), checking=True, lean=True)
    words, sys.argv = sys.argv, [str(path)]
    session.begin()
    try:
        with patch.object(sys, "argv", [str(path)]):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        session.end()
        sys.argv = words
    return judge(session.close())


def program(build: Callable[[], dict[str, Any]]) -> list[Finding]:
    """Check what a function builds, in the form of `../shared/cases`."""
    import pipetrace as pt

    made = build()
    optimizers = made.get("optimizers", made.get("optimizer"))
    steps = {key: made[key] for key in STEPS if key in made}
    return pt.check(made["model"], made["batch"], made.get("target"), optimizer=optimizers, **steps)


def module(path: Path) -> ModuleType:
    """Import a file by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def programs() -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """Return every program of `programs/`, with its name: `fires_ptr101_...`, `silent_...`."""
    return [
        (name, build)
        for path in sorted(PROGRAMS.glob("*.py"))
        for name, build in vars(module(path)).items()
        if name.startswith(("fires_", "silent_"))
    ]
