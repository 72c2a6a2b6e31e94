"""Pages are served to browsers on this machine while their runs are written."""

from __future__ import annotations

import os

VARIABLE = "PIPETRACE_LIVE"
"""Tells a process where to call when its script has ended."""


def called() -> str:
    """Return where to call, and take it out of the environment: the script begins without it."""
    return os.environ.pop(VARIABLE, "")
