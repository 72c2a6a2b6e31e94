"""A class gets parallel forms without their keys, and its teacher one key to all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from pipetrace.blocks import Question
from pipetrace.views import markdown
from pipetrace.views.questions import sheet, texts

_COLUMNS = ("form", "question", "letter", "id", "level", "subject")


def name(number: int, forms: int) -> str:
    """Name a form so that names sort as numbers do.

    >>> name(3, 12), name(3, 120)
    ('form-03', 'form-003')
    """
    return f"form-{number:0{max(2, len(str(forms)))}}"


def key(forms: Sequence[Sequence[Question]], title: str) -> str:
    """Write the key as Markdown: a table of letters, then every form solved.

    Args:
        forms: The questions of each form, in their order.
        title: The heading.
    """
    width = max(map(len, forms), default=0)
    heads = ["form", *(str(number) for number in range(1, width + 1))]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for number, questions in enumerate(forms, 1):
        letters = [texts.right(question) or "none" for question in questions]
        cells = letters + [""] * (width - len(letters))
        lines.append(_row([name(number, len(forms)), *cells]))
    parts = [f"# {markdown.escaped(title)}: key", "\n".join(lines)]
    for number, questions in enumerate(forms, 1):
        parts.append(f"## {name(number, len(forms))}")
        parts += sheet.solutions(questions)
    return "\n\n".join(parts) + "\n"


def table(forms: Sequence[Sequence[Question]]) -> str:
    """Write the key as CSV, a row for each question of each form.

    Args:
        forms: The questions of each form, in their order.
    """
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for number, questions in enumerate(forms, 1):
        for place, question in enumerate(questions, 1):
            row = [place, texts.right(question), texts.key(question), question.level]
            words = texts.visible(question.subject).lstrip("=+-@\t ")
            rows.writerow([name(number, len(forms)), *row, words])
    return written.getvalue()


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
