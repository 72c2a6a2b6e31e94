"""The notebook is valid, and runs from top to bottom in a real kernel."""

from __future__ import annotations

import json

import msgspec
import nbformat
import pytest
from nbclient import NotebookClient

from pipetrace.blocks import Option, Question
from pipetrace.probes.execute import execute
from pipetrace.views.questions import notebook, texts


def read(written: str) -> nbformat.NotebookNode:
    found = nbformat.reads(written, as_version=4)
    nbformat.validate(found, relax_add_props=False)
    assert (found.nbformat, found.nbformat_minor) == (4, 5)
    assert len({cell.id for cell in found.cells}) == len(found.cells)
    return found


def told(cell: nbformat.NotebookNode) -> str:
    """Return what a cell that has run shows."""
    assert [output for output in cell.outputs if output.output_type == "error"] == []
    shown = [output for output in cell.outputs if output.get("name") != "stderr"]
    return "".join(output.get("text") or output["data"]["text/plain"] for output in shown)


RAISES = Question(
    id="T1",
    level="easy",
    text="What raises?",
    code="nn.Dropout(30)",
    options=(
        Option(text="It", correct=True, feedback="Yes.", executed="nn.Dropout(30)",
               raises="ValueError"),
        Option(text="That", correct=False, feedback="No.", raises="OutOfPaperError",
               executed="class OutOfPaperError(Exception): ...\nraise OutOfPaperError('none')"),
        Option(text="1", correct=False, feedback="No.", executed="x = 1\nx"),
    ),
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_it_runs_and_shows_what_was_executed(real: list[Question]) -> None:
    found = read(notebook.render([*real, RAISES], "Seed", lambda code: execute(code).error))
    NotebookClient(found, timeout=120).execute()
    cells = {cell.id: cell for cell in found.cells}
    errors = [
        output.evalue
        for cell in found.cells
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]
    assert errors == []
    checked = 0
    for question in real:
        for letter, option in zip("ABCDEFGH", question.options, strict=False):
            cell = cells[f"{texts.key(question)}-{letter}"]
            assert option.executed.strip().splitlines()[-1] in cell.source
            if option.raises:
                assert told(cell).startswith(f"{option.raises}: ")
                checked += 1
            elif f"gives {told(cell)}." in option.feedback:
                checked += 1
    assert checked > len(real)
    own = texts.key(RAISES)
    assert told(cells[f"{own}-code"]).startswith("ValueError: ")
    assert told(cells[f"{own}-A"]).startswith("ValueError: ")
    assert told(cells[f"{own}-B"]) == "OutOfPaperError: none\n"
    assert told(cells[f"{own}-C"]) == "1"


@pytest.mark.parametrize(
    ("code", "runs"),
    [
        ("x = torch.ones(2)\nx.sum()", True),
        ("def f(a, *b, **c):\n    return a + len(b) + len(c)\nf(1)", True),
        ("import math as m\nfrom os import path\nm.pi, path", True),
        ("[each for each in range(3)]\nlambda a: a", True),
        ("x = torch.ones(2)\n...  # one of the lines below\n(y == 0).sum()", False),
        ("layer(x)", False),
        ("x = (", False),
        ("", False),
        ("# nothing", False),
    ],
)
def test_only_whole_code_gets_a_cell(code: str, runs: bool) -> None:
    assert notebook.whole(code) is runs
    question = msgspec.structs.replace(RAISES, code=code)
    found = read(notebook.render([question], "t"))
    own = texts.key(question)
    assert (f"{own}-code" in {cell.id for cell in found.cells}) is runs
    if not runs and code:
        assert code in next(cell.source for cell in found.cells if cell.id == own)


def test_hostile_texts(hostile: list[Question], words: str) -> None:
    written = notebook.render(hostile, words)
    assert json.loads(written.encode())["nbformat"] == 4
    found = read(written)
    folded = [cell.source for cell in found.cells if cell.source.startswith("<details>")]
    assert len(folded) == len(hostile)
    for source in folded:
        assert "\n" not in source
        assert source.count("<details>") == source.count("</details>") == 1
        assert "<script" not in source
    for cell in found.cells:
        if cell.cell_type == "code":
            compile(cell.source, cell.id, "exec")
