"""The terminal page reads well at fixed widths and obeys nobody's text."""

from __future__ import annotations

import io
import os
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from rich.text import Text

from pipetrace import blocks
from pipetrace.blocks import Page
from pipetrace.views import demo, terminal

GOLDEN = Path(__file__).parent / "golden"
BLOCKS = [value for section in demo.page().sections for value in section.blocks]


def printed(value: object, width: int = 80, colour: bool = False) -> str:
    file = io.StringIO()
    Console(
        file=file,
        width=width,
        color_system="truecolor" if colour else None,
        force_terminal=colour,
        legacy_windows=False,
        _environ={},
    ).print(value)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_looks_as_it_did(whole: Page, width: int):
    path = GOLDEN / f"demo-{width}.txt"
    drawn = printed(terminal.render(whole), width)
    if os.environ.get("PIPETRACE_GOLDEN") == "write":
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")


def test_the_demo_has_every_kind_of_block():
    assert {type(value) for value in BLOCKS} == set(terminal._DRAW)


@pytest.mark.parametrize("value", BLOCKS, ids=lambda value: type(value).__name__)
def test_each_block_is_drawn_alone(value: blocks.Block, whole: Page):
    drawn = printed(terminal.block(value))
    assert drawn.strip()
    assert "could not be drawn" not in drawn
    for line in drawn.splitlines():
        assert line.strip() in printed(terminal.render(whole))


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(whole: Page, width: int):
    lines = printed(terminal.render(whole), width).split("\n")
    assert max(Text(line).cell_len for line in lines) <= min(width, terminal.WIDEST)
    assert [line for line in lines if line.endswith(" ")] == []


def test_hostile_text_is_only_text(hostile: Page):
    drawn = printed(terminal.render(hostile))
    assert not set(drawn) & set("\x00\x07\x1b\x9b\u202e\u202c\u2066\u200b\ufeff\ud800\r\t")
    assert "could not be drawn" not in drawn
    assert max(Text(line).cell_len for line in drawn.split("\n")) <= 80
    drawn.encode()
    if hostile.title.startswith("[bold"):
        assert "[bold red]markup[/bold red]" in drawn
    if "\x1b" in hostile.title:
        assert "\\x1b[31mred" in drawn


def test_hostile_text_links_nowhere():
    drawn = printed(terminal.block(blocks.Text(text="[link=file:///etc]x[/link]")), colour=True)
    assert "\x1b]8" not in drawn


def test_dropped_values_are_marked_without_colour():
    strip = blocks.Strip(label="out", values=(0.5, 0.0, 1.25), struck=(False, True, False))
    stage = blocks.Stage(id="0", name="Dropout", strips=(strip,))
    drawn = printed(terminal.block(blocks.Flow(stages=(stage,))))
    assert "·0·" in drawn
    assert "·0.5·" not in drawn


def test_the_key_of_a_question_is_not_shown():
    marked = next(value for value in BLOCKS if isinstance(value, blocks.Question))
    swapped = msgspec.structs.replace(
        marked,
        options=tuple(
            msgspec.structs.replace(option, correct=not option.correct, feedback="changed")
            for option in marked.options
        ),
        steps=(),
        answer="",
        check="",
        mistakes=(),
    )
    assert printed(terminal.block(marked), colour=True) == printed(
        terminal.block(swapped), colour=True
    )


def test_a_failing_block_leaves_the_page_standing():
    broken = blocks.Table(heads=(), rows=None)  # type: ignore[arg-type]  # what a bug would make
    section = blocks.Section(id="s", title="Section", blocks=(broken, blocks.Text(text="after")))
    drawn = printed(terminal.render(Page(title="t", subtitle="s", sections=(section,))))
    assert "Table could not be drawn" in drawn
    assert "after" in drawn


def test_an_ascii_terminal_gets_ascii(whole: Page):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    terminal.show(whole, file=file, width=80)
    file.flush()
    drawn = raw.getvalue().decode("ascii")
    assert "+ a traced forward equals a plain one" in drawn
    assert "x random streams" in drawn


def test_ten_thousand_stages_are_counted_not_printed(deep: Page):
    drawn = printed(terminal.render(deep))
    assert len(drawn.splitlines()) < 8000
    assert "60 more stages" in drawn


def test_long_tables_are_cut_and_say_so():
    rows = tuple((str(index),) for index in range(1000))
    table = blocks.Table(heads=(blocks.Head(label="n", number=True),), rows=rows)
    drawn = printed(terminal.block(table))
    assert "960 of 1,000 rows are left out" in drawn
    assert "999" in drawn
