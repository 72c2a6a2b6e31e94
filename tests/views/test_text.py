"""Hidden characters are shown, numbers are short and true."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipetrace.views import text


@given(st.text())
def test_nothing_hidden_is_left(value: str):
    for character in text.visible(value):
        assert character == "\n" or unicodedata.category(character) not in ("Cc", "Cs")
        assert unicodedata.bidirectional(character) not in ("LRE", "RLE", "LRO", "RLO", "PDF")


@given(st.text())
def test_what_is_visible_stays(value: str):
    plain = "".join(c for c in value if c.isalnum() and c.isascii())
    assert text.visible(plain) == plain


@given(st.floats(min_value=-1e308, max_value=1e308))
def test_a_number_reads_back_within_four_digits(value: float):
    assert math.isclose(float(text.number(value)), value, rel_tol=5.001e-4)


@given(st.floats())
def test_a_number_is_short(value: float):
    assert len(text.number(value)) <= 11


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.7142857, "0.7143"),
        (-0.0, "0"),
        (9999.96, "1e4"),
        (0.00001234, "1.234e-5"),
        (999999.0, "999999"),
        (1e6, "1e6"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (None, "not measured"),
    ],
)
def test_numbers(value: float | None, shown: str):
    assert text.number(value) == shown


@given(st.text(alphabet="ab`\n"))
def test_spans_lose_nothing_but_backticks(value: str):
    assert "".join(piece for piece, _ in text.spans(value)).replace("`", "") == value.replace(
        "`", ""
    )


def test_letters_are_different():
    assert len({text.letter(index) for index in range(100)}) == 100
