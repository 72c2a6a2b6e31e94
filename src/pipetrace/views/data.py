"""A page as JSON: the same blocks, for other programs."""

from __future__ import annotations

from typing import Any

import msgspec

from pipetrace import blocks
from pipetrace.blocks import Page
from pipetrace.views import text


def render(page: Page) -> str:
    """Write a page as JSON that any reader accepts.

    Args:
        page: The page.

    Returns:
        One JSON object. NaN and the infinities are the strings "NaN", "Infinity" and "-Infinity";
        fields that hold their default are left out.

    >>> render(Page(title="Run", subtitle="one epoch", sections=()))
    '{"title":"Run","subtitle":"one epoch","sections":[]}'
    """
    return encoded(page)


def encoded(value: Any) -> str:
    """Write any part of a page, or plain values, as JSON that any reader accepts.

    Args:
        value: A page, a section, a block, or lists and dicts of them.

    >>> encoded({"share": float("nan")})
    '{"share":"NaN"}'
    """
    value = blocks.plain(value)
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(text.encodable(value)).decode()
