"""What a script imports is what plain Python would give it, though we imported much before it."""

from __future__ import annotations

import atexit
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import torch

_STARTUP = ("built-in", "frozen")
_OURS = frozenset({"__main__", "encodings", "numpy", "pipetrace", "torch"})
"""Never taken from a script's folder: loaded before every script, or not loadable twice."""
_THREADS = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""What decides torch's threads when it is imported; where both are set the first one counts."""
_AT_START = {name: os.environ.get(name) for name in _THREADS}

Modules = dict[str, ModuleType]


@contextmanager
def as_alone(
    folder: str | None, arguments: Sequence[str], command: Sequence[str]
) -> Iterator[None]:  # fmt: skip
    """Let a script find its arguments and its imports as if nothing had run before it.

    Its folder stands first on the path. A module that we have loaded and that the folder has its
    own version of is loaded anew. torch counts as imported once the script imports it, and then
    reads the environment. When the block ends all this is ours again, so that nothing of the
    script's stands in our way; when the process ends it is the script's, for its exit handlers.

    Args:
        folder: `sys.path[0]`; None under `python -P`, which puts nothing there.
        arguments: `sys.argv`.
        command: What would have been typed after `python`, for `sys.orig_argv`.
    """
    names = set() if folder is None else _modules_in(Path(folder)) - _OURS
    tops = {name for name in names if name in sys.modules and _is_ours(name, Path(folder or ""))}
    argv, path, typed = sys.argv, sys.path, sys.orig_argv
    hidden, native = _take(tops), _take({"torch"})
    theirs = names - sys.modules.keys()
    importer = _Importer(native)
    sys.meta_path.insert(0, importer)
    sys.argv, sys.orig_argv = list(arguments), [typed[0], *command]
    sys.path = [*path] if folder is None else [folder, *path]
    try:
        yield
    finally:
        importer.give()
        atexit.register(_return, _take(theirs), sys.argv, sys.path)
        sys.modules.update(hidden)
        sys.argv, sys.path, sys.orig_argv = argv, path, typed


def _return(modules: Modules, argv: list[str], path: list[str]) -> None:
    """Give a script's exit handlers the imports and arguments that it had."""
    _take({name.partition(".")[0] for name in modules})
    sys.modules.update(modules)
    sys.argv, sys.path = argv, path


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports torch, which is loaded already, when the script first asks for it."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._given = False
        self._spec = modules["torch"].__spec__

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:  # fmt: skip
        """Find torch, as often as somebody asks whether it is there."""
        if name != "torch" or self._spec is None:
            return None
        spec = importlib.machinery.ModuleSpec(name, self, origin=self._spec.origin)
        spec.submodule_search_locations = self._spec.submodule_search_locations
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return the one torch that there is."""
        return self._modules["torch"]

    def exec_module(self, module: ModuleType) -> None:
        """Do of an import what is left to do: read the environment."""
        module.__spec__ = self._spec
        self.give()
        _set_threads()

    def give(self) -> None:
        """Let torch and all of its modules be known as loaded."""
        if not self._given:
            self._given = True
            sys.modules.update(self._modules)
            with suppress(ValueError):
                sys.meta_path.remove(self)


def _set_threads() -> None:
    """Do what importing torch would have done with variables that the script has just set."""
    now = {name: os.environ.get(name) for name in _THREADS}
    wanted = next((value for value in now.values() if value), "")
    if now == _AT_START or not wanted.isdecimal() or not int(wanted):
        return
    most = torch.get_num_threads() if not any(_AT_START.values()) else os.cpu_count() or 1
    has_mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]  # untyped
    torch.set_num_threads(min(int(wanted), most) if has_mkl else int(wanted))


def _take(tops: set[str]) -> Modules:
    """Take the modules below some top-level names out of `sys.modules`, and return them."""
    names = [name for name in sys.modules if name.partition(".")[0] in tops]
    return {name: sys.modules.pop(name) for name in names}


def _modules_in(folder: Path) -> set[str]:
    try:
        return {
            entry.stem
            for entry in folder.iterdir()
            if entry.suffix == ".py" or (entry / "__init__.py").exists()
        }
    except OSError:
        return set()


def _is_ours(name: str, folder: Path) -> bool:
    """Tell a module that we loaded from elsewhere; plain Python loads a few before any script."""
    spec = getattr(sys.modules[name], "__spec__", None)
    if spec is None or spec.origin is None or spec.origin in _STARTUP:
        return False
    return Path(spec.origin).parent not in (folder, folder / name)
