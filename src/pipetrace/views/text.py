"""Text and numbers of a page are shown as they are, never obeyed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_CODE = re.compile(r"`([^`\n]+)`")


def visible(text: str, limit: int = 0) -> str:
    r"""Show what a reader would not see: control, direction and zero-width characters.

    Args:
        text: Anything, also what came from somebody's files.
        limit: The most characters to keep; 0 keeps all.

    Returns:
        The text with tabs as four spaces and each hidden character as an escape. A text that was
        cut says how long it was.

    >>> visible("safe\x1b[31m\u202e")
    'safe\\x1b[31m\\u202e'
    >>> visible("abcdefghij", 4)
    'abcd… (10 characters)'
    """
    length = len(text)
    if limit and length > limit:
        return visible(text[:limit]) + f"… ({length:,} characters)"
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    return _HIDDEN.sub(lambda match: escape(match[0]), text)


def escape(character: str) -> str:
    r"""Write one character as Python would escape it.

    >>> escape("\x07"), escape("\u202e")
    ('\\x07', '\\u202e')
    """
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def line(text: str, limit: int = 0) -> str:
    r"""Show a text on one line.

    >>> line("first\nsecond")
    'first second'
    """
    return " ".join(visible(text, limit).split())


def letter(index: int) -> str:
    """Name an option: A to Z, then AA, AB and so on.

    >>> letter(0), letter(25), letter(26)
    ('A', 'Z', 'AA')
    """
    high, low = divmod(index, 26)
    return (letter(high - 1) if high else "") + LETTERS[low]


def number(value: float | None) -> str:
    """Write a number with four significant digits; whole numbers below a million in full.

    >>> [number(value) for value in (5 / 7, 12345, 12345.6, 0.0, float("-inf"), None)]
    ['0.7143', '12345', '1.235e4', '0', '-∞', 'not measured']
    """
    if value is None:
        return "not measured"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if 1e-4 <= abs(value) < 1e4:
        short = f"{value:.4g}"
        if "e" not in short:
            return short
    mantissa, exponent = f"{value:.3e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def spans(text: str) -> Iterator[tuple[str, bool]]:
    """Cut a text into pieces and say of each whether it stood between backticks.

    >>> list(spans("call `eval()` first"))
    [('call ', False), ('eval()', True), (' first', False)]
    """
    for index, piece in enumerate(_CODE.split(text)):
        if piece:
            yield piece, index % 2 == 1


def encodable(value: Any) -> Any:
    r"""Escape lone surrogates in plain lists, dicts and strings, so that UTF-8 can carry them.

    >>> encodable({"name": "a\ud800"})
    {'name': 'a\\ud800'}
    """
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", lambda match: escape(match[0]), value)
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encodable(item) for item in value]
    return value
