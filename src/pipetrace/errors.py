"""What can go wrong, each said as: what happened, where, and what to write instead."""

from __future__ import annotations


class PipetraceError(Exception):
    """Any error that pipetrace raises about its own input."""


class RunFileError(PipetraceError):
    """A run file that cannot be read or written."""


class TableError(PipetraceError):
    """A table that cannot be trained on."""


class ScriptError(PipetraceError):
    """A script that cannot be run."""


class FindingError(PipetraceError):
    """A check has found a silent bug, and was asked to raise."""


class ArgumentsError(PipetraceError):
    """Arguments of an action that a page cannot mean."""


class ModulePathError(PipetraceError, KeyError):
    """A module path inside which no op ran."""

    # A KeyError shows its message in quotes.
    __str__ = Exception.__str__
