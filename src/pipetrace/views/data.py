"""A page as JSON: the same blocks, for other programs."""

from __future__ import annotations

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
    value = blocks.plain(page)
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(text.encodable(value)).decode()
