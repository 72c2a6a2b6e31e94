"""Sheets and keys are parsed as CommonMark, and the key fits the form."""

from __future__ import annotations

import csv
import io
import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipetrace.blocks import Question
from pipetrace.views.questions import classroom, sheet, texts

PARSER = MarkdownIt("commonmark").enable("table")


def kinds(tokens: list[Token]) -> set[str]:
    found = set()
    for token in tokens:
        found.add(token.type)
        found |= kinds(token.children or [])
    return found


def test_real_questions(real: list[Question]) -> None:
    written = sheet.render(real, "Seed")
    tokens = PARSER.parse(written)
    fences = [token.content.rstrip("\n") for token in tokens if token.type == "fence"]
    for question in real:
        assert not question.code or question.code.rstrip("\n") in fences
        for option in question.options:
            if "\n" in option.feedback:
                assert option.executed.rstrip("\n") in fences
    questions, _, key = written.partition("## Answers")
    letters = re.findall(r"^\*\*\d+\.\*\* \*\*([A-H])\*\* `([\w-]+)`", key, re.MULTILINE)
    assert letters == [(texts.right(question), texts.key(question)) for question in real]
    assert "✓" not in questions


def test_the_key_can_be_left_out(real: list[Question]) -> None:
    whole, bare = sheet.render(real, "Seed"), sheet.render(real, "Seed", key=False)
    head, _, rest = bare.partition("\n\n")
    line, _, rest = rest.partition("\n\n")
    assert line.startswith("Name: ")
    assert line.endswith(f"of {len(real)}")
    assert whole.startswith(f"{head}\n\n{rest}".rstrip("\n"))
    assert "✓" not in bare
    assert "Final answer" not in bare


def test_hostile_texts(hostile: list[Question], words: str) -> None:
    tokens = PARSER.parse(sheet.render(hostile, words))
    assert not kinds(tokens) & {"html_block", "html_inline", "link_open", "image"}
    items = [token for token in tokens if token.type == "list_item_open" and token.level == 1]
    sizes = [3, 3, 3, *([2 + 2 + 3 + 1] * 3)] if words.strip() else None
    assert sizes is None or len(items) == sum(sizes)


def test_the_key_of_a_class(real: list[Question]) -> None:
    forms = [real[:4], real[4:8], real[8:11]]
    rows = list(csv.DictReader(io.StringIO(classroom.table(forms))))
    assert [(row["form"], int(row["question"]), row["letter"]) for row in rows] == [
        (f"form-0{number}", place, texts.right(question))
        for number, form in enumerate(forms, 1)
        for place, question in enumerate(form, 1)
    ]
    tokens = PARSER.parse(classroom.key(forms, "Seed"))
    assert "table_open" in kinds(tokens)
    cells = [
        tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "td_open"
    ]
    assert cells[:5] == ["form-01", *(texts.right(question) for question in forms[0])]
    assert cells[10:15] == ["form-03", *(texts.right(question) for question in forms[2]), ""]


def test_no_cell_of_the_table_is_a_formula(hostile: list[Question]) -> None:
    for row in csv.reader(io.StringIO(classroom.table([hostile]))):
        assert len(row) == 6
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row)
