"""Markdown carries the page, its key at the end, and nobody's markup."""

from __future__ import annotations

import re

import pytest

from pipetrace import blocks
from pipetrace.blocks import Page
from pipetrace.views import demo, markdown

BLOCKS = [value for section in demo.page().sections for value in section.blocks]


@pytest.mark.parametrize("value", BLOCKS, ids=lambda value: type(value).__name__)
def test_each_block_is_written_alone(value: blocks.Block):
    written = markdown.block(value)
    assert written
    assert "could not be written" not in written


def test_the_key_stands_at_the_end(whole: Page):
    before, _, after = markdown.render(whole).partition("## Answers")
    assert "0.5 / 0.7" not in before
    assert "**1.** D" in after
    assert "**2.** A" in after


def test_every_section_has_a_heading(whole: Page):
    headings = re.findall(r"^## (.*)$", markdown.render(whole), re.MULTILINE)
    assert headings == [*(section.title for section in whole.sections), "Answers"]


def test_tables_have_equal_rows():
    heads = (blocks.Head(label="a|b"), blocks.Head(label="`c|d`", number=True))
    written = markdown.block(blocks.Table(heads=heads, rows=(("x|y", "1\n2"), ("`p|q`", "\\|"))))
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in written.split("\n")} == {3}


def test_hostile_text_is_only_text(hostile: Page):
    written = markdown.render(hostile)
    assert "could not be written" not in written
    assert not set(written) & set("\x00\x07\x1b\x9b\u202e\u2066\u200b\ud800\r\t")
    outside = re.sub(r"^(`{3,})[^\n]*\n.*?\n\1$", "", written, flags=re.MULTILINE | re.DOTALL)
    outside = re.sub(r"(`+)[^\n]*?(?<!`)\1(?!`)", "", outside)
    assert not re.search(r"(?<!\\)<", outside)
    assert not re.search(r"(?<!\\)\[", outside)
    written.encode()


def test_a_fence_cannot_be_closed_from_inside():
    assert markdown.fenced("```\n# x") == "````\n```\n# x\n````"


def test_a_failing_block_leaves_the_page_standing():
    broken = blocks.Table(heads=(), rows=None)  # type: ignore[arg-type]  # what a bug would make
    assert "could not be written" in markdown.block(broken)
