"""What introspection cannot know: settings and inputs of single architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SETTINGS: dict[str, dict[str, Any]] = {}
INPUTS: dict[str, Callable[[Any], dict[str, Any]]] = {}
