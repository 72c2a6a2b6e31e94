"""The text of a lesson, as its author writes it, becomes passages: one for each title of a mode."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from pipetrace.lessons.drafts import LessonError

MODES = {
    "why": "Why",
    "deep": "Deep",
    "trace": "Trace",
    "training": "Training",
    "predict": "Predict",
    "metrics": "Metrics",
    "checks": "Checks",
    "practice": "Practice",
    "experiment": "Experiment",
    "review": "Review & test",
}
"""The ten modes of every lesson by their ids, in their order."""
PLACED = ("quiz", "practice", "challenges", "checks", "experiment", "cards", "exam")
"""What the engine puts where the text says `!cards`."""

NAME = re.compile(r"\{((?:run|study|demo)\.[a-z0-9_.-]+)\}")
"""A fact in a text: `{run.drop_share}`."""
_CONDITION = re.compile(r"\[if ([a-z0-9_.-]+)(?: (is not|is) ([^\]]+))?\]\s*")
_FENCE = re.compile(r"^```(\w*)(.*)$")


class Condition(msgspec.Struct, frozen=True):
    """When a paragraph is shown: where a fact is known, or is or is not what is said."""

    name: str
    relation: str = ""
    value: str = ""

    def holds(self, facts: Mapping[str, str]) -> bool:
        """Tell whether it holds."""
        if self.name not in facts:
            return False
        if not self.relation:
            return True
        return (facts[self.name] == self.value) == (self.relation == "is")


class Part(msgspec.Struct, frozen=True, kw_only=True, tag_field="part", tag=str.lower):
    """A piece of a passage; `line` is where it stands in the file."""

    line: int


class Paragraph(Part, frozen=True):
    """Text; a `key` sentence stands behind `>` in the file."""

    text: str
    key: bool = False
    condition: Condition | None = None


class Bullets(Part, frozen=True):
    """A list."""

    items: tuple[str, ...]


class Grid(Part, frozen=True):
    """A table."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Demo(Part, frozen=True):
    """Code that is executed when the lesson is made; its outcome is the fact `demo.ID`."""

    id: str
    code: str
    hidden: bool = False
    raises: str = ""
    """The type of the exception that it raises on purpose."""
    needs: str = ""
    """A fact that the run must have for it to be shown."""


class Include(Part, frozen=True):
    """Something that the engine puts here: `section`, `study`, or one of `PLACED`."""

    kind: str
    name: str = ""


AnyPart = Paragraph | Bullets | Grid | Demo | Include


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """The text under one title."""

    mode: str
    title: str
    parts: tuple[AnyPart, ...]


class CardText(msgspec.Struct, frozen=True, kw_only=True):
    """A flash card as it is written."""

    id: str
    front: str
    back: str
    code: str = ""


def parse(path: Path) -> tuple[Passage, ...]:
    """Read the content file of a lesson.

    Raises:
        LessonError: a mode is unknown, a fence is left open, a demonstration has no name.
    """
    passages: list[Passage] = []
    mode, title = "", ""
    parts: list[AnyPart] = []

    def close() -> None:
        if mode and parts:
            passages.append(Passage(mode=mode, title=title, parts=tuple(parts)))
        parts.clear()

    for line, kind, text in _pieces(path):
        if kind == "mode":
            close()
            mode, title = text, MODES.get(text, "")
            if not title:
                raise _wrong(path, line, f"{text!r} is no mode. Modes are: {', '.join(MODES)}.")
        elif kind == "title":
            close()
            title = text
        elif not mode:
            raise _wrong(path, line, "text stands before the first mode: begin with `## why`.")
        else:
            parts.append(_part(path, line, kind, text))
    close()
    demos = [part.id for each in passages for part in each.parts if isinstance(part, Demo)]
    for name in demos:
        if demos.count(name) > 1:
            raise LessonError(f"{path}: two demonstrations are called {name!r}.")
    return tuple(passages)


def cards(path: Path) -> tuple[CardText, ...]:
    """Read the flash cards of a lesson.

    Raises:
        LessonError: a card has no `---` between front and back, or two have one id.
    """
    found: dict[str, CardText] = {}
    for text in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, body = text.partition("\n")
        front, rule, back = body.partition("\n---\n")
        fence = re.search(r"^```python\n(.*?)^```$", back, re.DOTALL | re.MULTILINE)
        if not rule or not front.strip() or name.strip() in found:
            raise LessonError(
                f"{path}: the card {name.strip()!r} must have an id of its own, a front, a line "
                "`---` and a back."
            )
        code = fence.group(1).rstrip() if fence else ""
        back = back.replace(fence.group(0), "") if fence else back
        found[name.strip()] = CardText(
            id=name.strip(), front=_joined(front), back=_joined(back), code=code
        )
    return tuple(found.values())


def names(passages: tuple[Passage, ...]) -> Iterator[tuple[int, str]]:
    """Yield every fact that a text names, with its line."""
    for part in (part for passage in passages for part in passage.parts):
        if isinstance(part, Paragraph) and part.condition is not None:
            yield part.line, part.condition.name
        if isinstance(part, Demo) and part.needs:
            yield part.line, part.needs
        for text in texts(part):
            yield from ((part.line, name) for name in NAME.findall(text))


def texts(part: AnyPart) -> tuple[str, ...]:
    """Return the texts of a part in which facts are filled in."""
    match part:
        case Paragraph():
            return (part.text,)
        case Bullets():
            return part.items
        case Grid():
            return tuple(cell for row in (part.heads, *part.rows) for cell in row)
        case _:
            return ()


def filled(text: str, facts: Mapping[str, str]) -> str | None:
    """Fill facts in; None where one of them is not known of this run.

    >>> filled("p is {run.p}.", {"run.p": "0.3"}), filled("{run.p}", {})
    ('p is 0.3.', None)
    """
    if any(name not in facts for name in NAME.findall(text)):
        return None
    return NAME.sub(lambda match: facts[match.group(1)], text)


def _pieces(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, kind and text of what stands between empty lines, and fenced code as it is."""
    gathered: list[str] = []
    first = 0
    fence = kind = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if fence:
            if line.strip() == "```":
                yield first, fence, "\n".join(gathered)
                fence, gathered = "", []
            else:
                gathered.append(line)
            continue
        opened = _FENCE.match(line)
        begins = line.startswith(("## ", "### ", "!", "[if ")) or _kind(line) != kind or opened
        if gathered and (begins or not line.strip()):
            yield first, "text", "\n".join(gathered)
            gathered = []
        kind = _kind(line)
        if opened:
            first, fence = number, f"code {opened.group(1)} {opened.group(2)}"
        elif line.startswith("### "):
            yield number, "title", line[4:].strip()
        elif line.startswith("## "):
            yield number, "mode", line[3:].strip().lower()
        elif line.startswith("!"):
            yield number, "include", line[1:].strip()
        elif line.strip() and not line.startswith("# "):
            first = first if gathered else number
            gathered.append(line)
    if fence:
        raise _wrong(path, first, "this code is never closed: write ``` behind it.")
    if gathered:
        yield first, "text", "\n".join(gathered)


def _kind(line: str) -> str:
    """Return what begins a list, a table or a key sentence; a list's item may go on indented."""
    return "-" if line.startswith(("- ", "  ")) else line[:1] if line[:1] in ("|", ">") else ""


def _part(path: Path, line: int, kind: str, text: str) -> AnyPart:
    if kind.startswith("code "):
        given = re.search(r"demo=([a-z0-9_-]+)", kind)
        if given is None:
            raise _wrong(path, line, "code needs a name: write ```python demo=NAME.")
        raises = re.search(r"raises=(\w+)", kind)
        needs = re.search(r"if=([a-z0-9_.]+)", kind)
        return Demo(line=line, id=given.group(1), code=text, hidden=" hidden" in kind,
                    raises=raises.group(1) if raises else "",
                    needs=needs.group(1) if needs else "")  # fmt: skip
    if kind == "include":
        word, _, name = text.partition(" ")
        if word not in (*PLACED, "section", "study"):
            known = ", ".join(f"!{each}" for each in (*PLACED, "section ID", "study ID"))
            raise _wrong(path, line, f"!{word} is unknown. Known are: {known}.")
        return Include(line=line, kind=word, name=name.strip())
    lines = text.splitlines()
    if all(each.startswith("|") for each in lines) and len(lines) > 2:
        rows = [tuple(cell.strip() for cell in each.strip("| \t").split("|")) for each in lines]
        return Grid(line=line, heads=rows[0], rows=tuple(rows[2:]))
    if lines[0].startswith("- "):
        items = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
        return Bullets(line=line, items=tuple(_joined(item) for item in items))
    key = lines[0].startswith(">")
    plain = _joined("\n".join(each.removeprefix(">") for each in lines))
    found = _CONDITION.match(plain)
    if found is None:
        return Paragraph(line=line, text=plain, key=key)
    condition = Condition(found.group(1), found.group(2) or "", (found.group(3) or "").strip())
    return Paragraph(line=line, text=plain[found.end() :], key=key, condition=condition)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _wrong(path: Path, line: int, reason: str) -> LessonError:
    return LessonError(f"{path}, line {line}: {reason}")
