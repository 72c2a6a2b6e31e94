"""Real questions of a real run, hostile ones, and the blocks that views are given."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import pipetrace as pt
from pipetrace.blocks import Option, Question
from pipetrace.lessons import select
from pipetrace.probes.execute import execute
from pipetrace.story.questions import block
from views.conftest import HOSTILE

MORE = (
    "{x} = {y} ~ #h ## #### : :: -> % %50% // [id:1] [tag:a] [html] \\n \\\\ \\",
    "]]> <![CDATA[ &amp; &#0; </text> <!-- -- > 'single' \"double\"",
    "\ufffe \uffff \x85 \u2028 &lt;",
    "[sound:a.mp3] [latex]x[/latex] {{Front}} {{c1::x}} </details><script>1</script>",
    "`code with < & ]]> {brace}` and `` ` ``",
    "\n\n    indented\n\n\nlines\n",
)
EVERY = (*HOSTILE, *MORE)


@pytest.fixture(scope="session")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record the built-in example."""
    folder = tmp_path_factory.mktemp("teaching")
    path = pt.run(out=folder, name="seed").path
    assert path is not None
    return path


@pytest.fixture(scope="session")
def real(run_file: Path) -> list[Question]:
    """Return every question that the run can be asked."""
    found = select.bank(pt.load(run_file).recording, execute, seed=3).questions
    assert len(found) > 15
    return [block(question) for question in found]


@pytest.fixture(params=range(len(EVERY)), ids=lambda index: f"hostile{index}")
def words(request: pytest.FixtureRequest) -> str:
    """Return a text that some program would obey."""
    return EVERY[request.param]


@pytest.fixture
def hostile(words: str) -> list[Question]:
    """Return three questions whose every text is hostile; what is executed stays ours."""
    options = tuple(
        Option(text=words, correct=place == 1, feedback=words, misconception=words)
        for place in (0, 1)
    )
    ran = Option(text="1", correct=False, feedback="So.\nExecuted:\n1 + 0\nIt gives 1.",
                 executed="1 + 0")  # fmt: skip
    first = Question(
        id=words, level=words, text=words, options=(*options, ran), code=words, hint=words,
        steps=(words, words), answer=words, check=words, mistakes=(words,), subject=words,
    )  # fmt: skip
    others = (msgspec.structs.replace(first, form=form, id=f"D{form}") for form in (1, 2))
    return [first, *others]
