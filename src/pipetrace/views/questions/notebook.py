"""Questions as a Jupyter notebook that runs from top to bottom, what raises on purpose too."""

from __future__ import annotations

import ast
import builtins
import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipetrace.blocks import Option, Question
from pipetrace.views import markdown, text
from pipetrace.views.questions import texts

_IMPORTS = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F"
_GIVEN = {"torch", "nn", "F", *vars(builtins)}
_ABOUT = (
    "Answer each question before you run the cells below it: they are the code that was executed "
    "for its options, each from seed 0. The key is folded up below them."
)

Cell = dict[str, Any]
Raised = Callable[[str], str]
"""Names the type of the exception that code raises; empty where it runs through."""


def render(questions: Sequence[Question], title: str, raised: Raised = lambda code: "") -> str:
    """Write questions as a notebook of format 4.5.

    Each has a cell of text, its code in a cell where this is a whole program, a cell for what was
    executed for each option, and the key behind a fold. What raises on purpose is caught and shown.

    Args:
        questions: The questions.
        title: The heading.
        raised: Tells of a question's own code whether it raises. Where it cannot tell, Jupyter runs
            on behind that cell: it has the tag `raises-exception`.
    """
    cells = [
        _words("about", f"# {markdown.escaped(title)}\n\n{_ABOUT}"),
        _code("imports", _IMPORTS),
    ]
    for number, question in enumerate(questions, 1):
        cells += _cells(question, number, raised)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(text.encodable(notebook), indent=1, ensure_ascii=False) + "\n"


def whole(code: str) -> bool:
    """Tell whether code can run by itself: nothing is left out, and it makes the names it uses.

    >>> whole("x = torch.ones(2)"), whole("x = ..."), whole("layer(x)")
    (True, False, False)
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    nodes = list(ast.walk(tree))
    if any(isinstance(node, ast.Constant) and node.value is ... for node in nodes):
        return False
    used = {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return bool(tree.body) and used <= _GIVEN | set(_made(nodes))


def _made(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def _cells(question: Question, number: int, raised: Raised) -> list[Cell]:
    key = texts.key(question)
    runs = whole(question.code)
    cells = [_words(key, _asked(question, number, with_code=not runs))]
    if runs:
        ready = _ready(question.code, raised(question.code))
        cells.append(_code(f"{key}-code", ready, "raises-exception"))
    for index, option in enumerate(question.options):
        if option.executed:
            letter = text.letter(index)
            tags = ("raises-exception",) if option.raises else ()
            cells.append(_code(f"{key}-{letter}", _option(option, letter), *tags))
    cells.append(_words(f"{key}-key", _key(question)))
    return cells


def _asked(question: Question, number: int, *, with_code: bool) -> str:
    about = ", ".join(part for part in (question.subject, question.level) if part)
    parts = [f"## Question {number}" + (f" ({markdown.escaped(about)})" if about else "")]
    parts.append(markdown.escaped(question.text))
    if question.code and with_code:
        parts.append(markdown.fenced(question.code, "python"))
    parts.append(
        "\n".join(
            f"- **{text.letter(index)}** {markdown.escaped(option.text)}"
            for index, option in enumerate(question.options)
        )
    )
    if question.hint:
        parts.append(_folded("Hint", f"<p>{texts.inline(question.hint)}</p>"))
    return "\n\n".join(part for part in parts if part)


def _key(question: Question) -> str:
    parts = [f"<p><b>{texts.right(question) or 'No option is right'}</b></p>"]
    parts.append(texts.solution(question))
    for index, option in enumerate(question.options):
        sign = "✓" if option.correct else "✗"
        before = texts.inline(texts.split(option)[0])
        parts.append(f"<p><b>{text.letter(index)}</b> {sign} {before}</p>")
    return _folded("Key", "".join(parts))


def _folded(label: str, words: str) -> str:
    return f"<details><summary>{label}</summary>{words}</details>"


def _option(option: Option, letter: str) -> str:
    words = text.line(texts.visible(option.text), 60)
    return f"# {letter}: {words}\n{_ready(option.executed, option.raises)}"


def _ready(code: str, raises: str) -> str:
    """Start the code where ours started; print what it raises on purpose, so that the rest runs."""
    code = code.strip("\n")
    if raises:
        inside = textwrap.indent(code, "    ")
        shown = 'print(f"{type(error).__name__}: {error}")'
        caught = raises if hasattr(builtins, raises) else "Exception"
        code = f"try:\n{inside}\nexcept {caught} as error:\n    {shown}"
    return f"torch.manual_seed(0)\n{code}"


def _words(name: str, source: str) -> Cell:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": _lines(source)}


def _code(name: str, source: str, *tags: str) -> Cell:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": _lines(source),
    }


def _lines(source: str) -> list[str]:
    return source.splitlines(keepends=True)
