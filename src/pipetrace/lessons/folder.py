"""A lesson is a folder: what it is, its text, its cards, and modules with facts and templates."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec

from pipetrace.lessons import content, facts
from pipetrace.lessons.content import CardText, Demo, Include, Passage
from pipetrace.lessons.drafts import LessonError

_OWN = "pipetrace_lessons"
"""Package name under which the modules of a folder outside of pipetrace are imported."""
_MEASURED = ("with", "without", "difference", "low", "high", "seeds", "better", "verdict")
_MOST = 100

Setting = bool | int | float | str


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same training with and without the layer, over several seeds."""

    id: str
    title: str
    with_: dict[str, Setting] = msgspec.field(name="with")
    without: dict[str, Setting]
    seeds: int = 8
    measure: str = "held-out loss"
    """A curve of the study; of a loss less is better, of anything else more."""


class Knob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A setting that the reader may change. `chosen`: the place of the value at the start."""

    id: str
    label: str
    values: tuple[Setting, ...]
    chosen: int = 0
    note: str = ""


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an experiment shall reach at its last epoch."""

    text: str
    measure: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("a target needs one of at_most and at_least")

    def reached(self, value: float) -> bool:
        """Tell whether a value is good enough; NaN never is."""
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is not None and value >= self.at_least


class Study(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A script with a function `train`, and what it is to be asked."""

    script: str
    comparisons: tuple[Comparison, ...] = ()
    knobs: tuple[Knob, ...] = ()
    target: Target | None = None

    def settings(self, choices: tuple[int, ...]) -> dict[str, Setting]:
        """Return the settings that a choice of places stands for."""
        return {
            knob.id: knob.values[place] for knob, place in zip(self.knobs, choices, strict=True)
        }

    def start(self) -> tuple[int, ...]:
        """Return the choice at the start."""
        return tuple(knob.chosen for knob in self.knobs)

    def choices(self) -> Iterator[tuple[int, ...]]:
        """Yield every choice, that of the start first and its neighbours before what is far."""
        start = self.start()
        every = itertools.product(*(range(len(knob.values)) for knob in self.knobs))
        yield from sorted(
            every, key=lambda each: sum(a != b for a, b in zip(each, start, strict=True))
        )


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `lesson.toml` says."""

    id: str
    title: str
    words: str
    example: str
    order: int = 100
    checks: tuple[str, ...] = ()
    study: Study | None = None


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """A lesson that was read from its folder."""

    about: About
    folder: Path
    passages: tuple[Passage, ...]
    cards: tuple[CardText, ...]

    @property
    def id(self) -> str:
        """Its id, which recorded answers refer to."""
        return self.about.id

    @property
    def example(self) -> Path:
        """The script that is run for it."""
        return (self.folder / self.about.example).resolve()

    def demos(self) -> Iterator[Demo]:
        """Yield the code of its text that is executed."""
        for passage in self.passages:
            yield from (part for part in passage.parts if isinstance(part, Demo))


def found() -> dict[str, Path]:
    """Return the folders of the lessons that come with pipetrace, by their names."""
    here = Path(__file__).parent
    return {path.parent.name: path.parent for path in sorted(here.glob("*/lesson.toml"))}


def every() -> list[Lesson]:
    """Return the lessons that come with pipetrace, in their order."""
    return sorted(map(load, found().values()), key=lambda lesson: lesson.about.order)


def named(name: str) -> Lesson:
    """Return the lesson of this id, or the one in the folder of this path.

    Raises:
        LessonError: there is none, or it is not written as it must be.
    """
    built_in = found()
    if name in built_in:
        return load(built_in[name])
    if (Path(name) / "lesson.toml").is_file():
        return load(Path(name))
    raise LessonError(
        f"There is no lesson {name!r}. Lessons are: {', '.join(built_in)}; a folder of your own "
        "needs a lesson.toml."
    )


def load(folder: Path) -> Lesson:
    """Read a lesson, import its modules, and check that every fact it names is known.

    Raises:
        LessonError: something in it is not written as it must be; the message says where.
    """
    folder = folder.resolve()
    about = _about(folder / "lesson.toml")
    _imported(folder, about.id)
    text, cards = folder / "content.md", folder / "cards.md"
    lesson = Lesson(
        about=about, folder=folder,
        passages=content.parse(text) if text.is_file() else (),
        cards=content.cards(cards) if cards.is_file() else (),
    )  # fmt: skip
    _check(lesson)
    return lesson


def _about(path: Path) -> About:
    try:
        with path.open("rb") as file:
            return msgspec.convert(tomllib.load(file), About, strict=True)
    except FileNotFoundError:
        raise LessonError(f"{path}: a lesson needs this file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise LessonError(f"{path}: {error}.") from None


def _imported(folder: Path, id: str) -> None:
    if folder.parent == Path(__file__).parent:
        importlib.import_module(f"pipetrace.lessons.{folder.name}")
        return
    start, name = folder / "__init__.py", f"{_OWN}.{id}"
    if not start.is_file():
        return
    known = sys.modules.get(name)
    if known is not None:
        if known.__file__ != str(start):
            raise LessonError(
                f"{folder}: a lesson called {id!r} was loaded from {known.__file__} already. "
                "Give one of them another id."
            )
        return
    spec = importlib.util.spec_from_file_location(
        name, start, submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    parent = sys.modules.setdefault(_OWN, ModuleType(_OWN))
    parent.__path__ = []
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise LessonError(
            f"{folder}: its modules cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _check(lesson: Lesson) -> None:
    """Refuse a name that nothing fills, wherever it stands."""
    names = {*facts.known(), *_of_study(lesson.about.study)}
    demos = {demo.id for demo in lesson.demos()}
    file = lesson.folder / "content.md"
    for line, name in content.names(lesson.passages):
        _known(name, names, demos, f"{file}, line {line}")
    for card in lesson.cards:
        for name in content.NAME.findall(card.front + card.back):
            _known(name, names, demos, f"{lesson.folder / 'cards.md'}, card {card.id}")
    study = lesson.about.study
    comparisons = {each.id for each in study.comparisons} if study else set()
    for passage in lesson.passages:
        for part in passage.parts:
            if isinstance(part, Include) and part.kind == "study" and part.name not in comparisons:
                raise LessonError(f"{file}, line {part.line}: there is no study {part.name!r}.")
            if isinstance(part, Include) and part.kind == "section" and not part.name:
                raise LessonError(f"{file}, line {part.line}: !section needs the id of one.")
    if study is not None:
        _check_study(lesson, study)
    if not lesson.example.is_file():
        raise LessonError(f"{lesson.folder}: there is no example {lesson.about.example}.")


def _known(name: str, names: set[str], demos: set[str], where: str) -> None:
    kind, _, rest = name.partition(".")
    if name in names or (kind == "demo" and rest.partition(".")[0] in demos):
        return
    near = sorted(each for each in names if each.startswith(f"{kind}."))
    known = ", ".join(near) if kind != "demo" else ", ".join(f"demo.{each}" for each in demos)
    raise LessonError(f"{where}: {{{name}}} is unknown. Known are: {known or 'none'}.")


def _of_study(study: Study | None) -> Iterator[str]:
    for each in study.comparisons if study else ():
        yield from (f"study.{each.id}.{field}" for field in _MEASURED)


def _check_study(lesson: Lesson, study: Study) -> None:
    file = lesson.folder / "lesson.toml"
    if not (lesson.folder / study.script).is_file():
        raise LessonError(f"{file}: there is no script {study.script}.")
    for knob in study.knobs:
        if not 0 <= knob.chosen < len(knob.values):
            raise LessonError(f"{file}: knob {knob.id!r} has no value {knob.chosen}.")
    if len(list(study.choices())) > _MOST:
        raise LessonError(f"{file}: the knobs have more than {_MOST} combinations.")
    for each in study.comparisons:
        if each.seeds < 3:
            raise LessonError(f"{file}: study {each.id!r} needs three seeds for an interval.")
