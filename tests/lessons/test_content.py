"""The text of a lesson: what its author may write, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipetrace.lessons import content
from pipetrace.lessons.content import (
    Bullets,
    Condition,
    Demo,
    Grid,
    Include,
    Paragraph,
    cards,
    filled,
    names,
    parse,
)
from pipetrace.lessons.drafts import LessonError

TEXT = """\
# A title that is not shown

## why
A paragraph of
two lines with {run.p}.
- an item
  that goes on
- another {study.few.low}

> A key sentence.
[if study.few.verdict is not no clear difference] Shown only then.

!study few

### A title of its own
| a | b |
|---|---|
| {run.rows} | `x` |
```python demo=scale hidden
x = {"a": 1}

x
```

## review
!cards
```python demo=wrong raises=ValueError if=run.p
nn.Dropout(30)
```
"""


def written(folder: Path, text: str, name: str = "content.md") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_everything_that_may_be_written(tmp_path: Path):
    first, second, third = parse(written(tmp_path, TEXT))
    assert (first.mode, first.title) == ("why", "Why")
    assert first.parts == (
        Paragraph(line=4, text="A paragraph of two lines with {run.p}."),
        Bullets(line=6, items=("an item that goes on", "another {study.few.low}")),
        Paragraph(line=10, text="A key sentence.", key=True),
        Paragraph(
            line=11,
            text="Shown only then.",
            condition=Condition("study.few.verdict", "is not", "no clear difference"),
        ),
        Include(line=13, kind="study", name="few"),
    )
    assert (second.mode, second.title) == ("why", "A title of its own")
    assert second.parts == (
        Grid(line=16, heads=("a", "b"), rows=(("{run.rows}", "`x`"),)),
        Demo(line=19, id="scale", code='x = {"a": 1}\n\nx', hidden=True),
    )
    assert third.parts == (
        Include(line=26, kind="cards"),
        Demo(line=27, id="wrong", code="nn.Dropout(30)", raises="ValueError", needs="run.p"),
    )


def test_facts_are_named_wherever_they_stand(tmp_path: Path):
    found = list(names(parse(written(tmp_path, TEXT))))
    assert found == [
        (4, "run.p"), (6, "study.few.low"), (11, "study.few.verdict"), (16, "run.rows"),
        (27, "run.p"),
    ]  # fmt: skip
    assert filled("{run.rows} rows", {"run.rows": "{run.p}"}) == "{run.p} rows"
    assert filled("{run.rows} rows", {}) is None
    assert filled("a dict {'a': 1}", {}) == "a dict {'a': 1}"


@pytest.mark.parametrize(
    ("condition", "known", "holds"),
    [
        (Condition("run.p"), {"run.p": "0.3"}, True),
        (Condition("run.p"), {}, False),
        (Condition("study.a.verdict", "is", "better"), {"study.a.verdict": "better"}, True),
        (Condition("study.a.verdict", "is", "better"), {"study.a.verdict": "worse"}, False),
        (Condition("study.a.verdict", "is not", "better"), {"study.a.verdict": "worse"}, True),
        (Condition("study.a.verdict", "is not", "better"), {}, False),
    ],
)
def test_a_paragraph_is_shown_where_its_condition_holds(
    condition: Condition, known: dict[str, str], holds: bool
):
    assert condition.holds(known) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("words", "line 1: text stands before the first mode"),
        ("## how\n", "line 1: 'how' is no mode. Modes are: why, deep"),
        ("## why\n\n!picture", "line 3: !picture is unknown. Known are: !quiz"),
        ("## why\n```python\n1\n```", "line 2: code needs a name"),
        ("## why\n```python demo=a\n1", "line 2: this code is never closed"),
        ("## why\n```python demo=a\n1\n```\n```python demo=a\n1\n```", "are called 'a'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path: Path, text: str, said: str):
    with pytest.raises(LessonError, match=r"content\.md") as caught:
        parse(written(tmp_path, text))
    assert said in str(caught.value)


def test_cards(tmp_path: Path):
    path = written(
        tmp_path,
        "# Cards\n\n## scale\nBy\nwhat?\n---\nBy {run.scale}.\n```python\n1 + 1\n```\n\n"
        "## plain\nWhy?\n---\nSo.\n",
        "cards.md",
    )
    first, second = cards(path)
    assert first == content.CardText(
        id="scale", front="By what?", back="By {run.scale}.", code="1 + 1"
    )
    assert (second.id, second.code) == ("plain", "")
    with pytest.raises(LessonError, match="the card 'lost' must have"):
        cards(written(tmp_path, "## lost\nno back\n", "cards.md"))
    with pytest.raises(LessonError, match="an id of its own"):
        cards(written(tmp_path, "## a\nx\n---\ny\n## a\nx\n---\ny\n", "cards.md"))
