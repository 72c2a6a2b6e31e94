"""The braille chart draws what was measured, whatever was measured."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipetrace.blocks import Chart, Line
from pipetrace.views.chart import MARKERS, plot, ticks

NAN, INF = math.nan, math.inf


def chart(*values: tuple[float | None, ...], style: str = "solid") -> Chart:
    x = tuple(range(1, max(map(len, values)) + 1))
    lines = tuple(
        Line(label=f"line {index}", values=each, style=style) for index, each in enumerate(values)
    )
    return Chart(title="Title", x_label="epoch", y_label="loss", x=x, lines=lines)


def cells(drawn: str) -> list[str]:
    """Return the plot's rows, without labels."""
    return [row.partition("┤")[2] or row.partition("│")[2] for row in drawn.split("\n")[2:]]


def braille(drawn: str) -> int:
    return sum(bin(ord(c) - 0x2800).count("1") for c in drawn if 0x2800 < ord(c) < 0x2900)


def test_a_falling_line_falls():
    drawn = plot(chart((3.0, 2.0, 1.0)), 60, 9).plain
    rows = [index for index, row in enumerate(cells(drawn)) if "●" in row]
    columns = [row.index("●") for row in cells(drawn) if "●" in row]
    assert len(rows) == 3
    assert columns == sorted(columns)


def test_y_ticks_stand_at_their_values():
    drawn = plot(chart((0.0, 10.0)), 60, 11).plain
    rows = drawn.split("\n")[2:13]
    assert rows[0].startswith("10 ┤")
    assert rows[-1].startswith(" 0 ┤")
    assert "●" in rows[0]
    assert "●" in rows[-1]


def test_every_epoch_has_a_tick_where_there_is_room():
    drawn = plot(chart((5.0, 4.0, 3.0, 2.0, 1.0)), 60).plain
    assert drawn.split("└")[1].split("\n")[1].split()[:5] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("missing", [None, NAN])
def test_a_gap_stays_a_gap(missing: float | None):
    whole = plot(chart((1.0, 1.0, 1.0, 1.0, 1.0)), 60).plain
    broken = plot(chart((1.0, 1.0, missing, 1.0, 1.0)), 60).plain
    assert broken.count("●") == whole.count("●") - 1
    assert braille(broken) < braille(whole) * 0.7


def test_infinities_stand_at_the_edges():
    rows = cells(plot(chart((1.0, INF, 2.0, -INF, 3.0)), 60, 8).plain)
    assert "∞" in rows[0]
    assert "∞" in rows[7]


def test_one_point_is_drawn():
    drawn = plot(chart((2.5,)), 60).plain
    assert sum(row.count("●") for row in cells(drawn)[:10]) == 1
    assert "2.5" in drawn


def test_a_constant_is_level():
    rows = cells(plot(chart((2.0,) * 8), 60).plain)[:10]
    assert sum("●" in row for row in rows) == 1


@pytest.mark.parametrize("values", [(NAN, None, INF), (), (None,)])
def test_nothing_measured_is_said(values: tuple[float | None, ...]):
    assert "no finite value" in plot(chart(values), 60).plain


def test_lines_differ_without_colour():
    drawn = plot(chart(*((float(index), index + 1.0) for index in range(4))), 60).plain
    for marker in MARKERS[:4]:
        assert drawn.count(marker) >= 2


def test_styles_differ():
    dots = [
        braille(plot(chart((0.0, 10.0), style=style), 80).plain)
        for style in ("solid", "dashed", "dotted")
    ]
    assert dots[0] > dots[1] > dots[2] > 0


def test_markup_in_labels_is_text():
    line = Line(label="[red]loss[/red]", values=(1.0, 2.0))
    drawn = plot(Chart(title="[b]", x_label="[i]", y_label="[u]", x=(1, 2), lines=(line,)), 60)
    for word in ("[red]loss[/red]", "[b]", "[i]", "[u]"):
        assert word in drawn.plain


@given(
    st.lists(st.none() | st.floats(), max_size=30),
    st.integers(min_value=1, max_value=150),
    st.integers(min_value=1, max_value=20),
)
def test_any_series_fits_its_room(values: list[float | None], width: int, height: int):
    drawn = plot(chart(tuple(values)), width, height).plain
    head, legend = drawn.split("\n")[1:], drawn.count("●─")
    assert max((len(row) for row in head[: -legend or None]), default=0) <= max(width, 48)


@given(
    st.floats(min_value=-1e12, max_value=1e12),
    st.floats(min_value=1e-3, max_value=1e12),
    st.integers(min_value=2, max_value=12),
)
def test_ticks_are_ascending_and_inside(low: float, span: float, count: int):
    high = low + span
    found = ticks(low, high, count)
    assert found == sorted(set(found))
    assert len(found) <= 2 * count + 2
    room = span * 1e-6 + abs(low) * 1e-9
    assert low - room <= found[0] <= found[-1] <= high + room
