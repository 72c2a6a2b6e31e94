"""A page as JSON: the same blocks, for other programs."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from pipetrace.blocks import Page
from pipetrace.views import text


def render(page: Page, digits: int | None = None) -> str:
    """Write a page as JSON that any reader accepts.

    Args:
        page: The page.
        digits: Significant digits that numbers keep; None for all. Seven are what float32 has.

    Returns:
        One JSON object. NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity";
        fields that hold their default are left out.

    >>> render(Page(title="Run", subtitle="one epoch", sections=()))
    '{"title":"Run","subtitle":"one epoch","sections":[]}'
    """
    return encoded(page, digits)


def encoded(value: Any, digits: int | None = None) -> str:
    """Write any part of a page, or plain values, as JSON that any reader accepts.

    Args:
        value: A page, a section, a block, or lists and dicts of them.
        digits: Significant digits that numbers keep; None for all.

    >>> encoded({"share": float("nan")})
    '{"share":"NaN"}'
    """
    value = plain(value, digits)
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(text.encodable(value)).decode()


def plain(value: Any, digits: int | None = None) -> Any:
    """Turn a page, or any part of one, into what any JSON reader accepts.

    JSON has no NaN and no infinity: they become the strings "NaN", "Infinity" and "-Infinity".

    Args:
        value: A page, a section, a block, or lists and dicts of them.
        digits: Significant digits that numbers keep; None for all.

    >>> from pipetrace.blocks import Bar, Line
    >>> plain(Bar(label="a", share=1 / 3, value=""), digits=4)
    {'label': 'a', 'share': 0.3333, 'value': ''}
    >>> plain(Line(label="loss", values=(1.0, float("nan"))))
    {'label': 'loss', 'values': [1.0, 'NaN']}
    """
    value = _finite(msgspec.to_builtins(value))
    return value if digits is None else _rounded(value, f".{digits}g")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _rounded(value: Any, form: str) -> Any:
    if isinstance(value, float):
        short = float(format(value, form))
        return int(short) if short.is_integer() and abs(short) < 1e15 else short
    if isinstance(value, dict):
        return {key: _rounded(item, form) for key, item in value.items()}
    return [_rounded(item, form) for item in value] if isinstance(value, list) else value
