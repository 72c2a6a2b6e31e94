"""A lesson in the terminal: the modes are printed, and what asks is asked there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from pipetrace.blocks import AnyBlock, Cards, Exam, Experiment, Page, Question, Section
from pipetrace.learned import Review, Sitting
from pipetrace.learner import schedule
from pipetrace.lessons.content import MODES, Include
from pipetrace.tutoring.notes import Notes, now
from pipetrace.tutoring.tutor import Tutor
from pipetrace.views import quiz, sitting, terminal

Reader = Callable[[str], str]
_MADE_LAST = {"study": "studies", "checks": "checks", "experiment": "experiment"}
"""What a text puts in its place, and what the tutor calls the making of it."""
_ASKING = (Question, Exam, Cards, Experiment)


class Lectern:
    """Shows one mode after the other.

    Args:
        tutor: Makes the lesson.
        reader: Gives the learner's line for a prompt, as `input` does.
        console: Where to print.
    """

    def __init__(self, tutor: Tutor, reader: Reader, console: Console) -> None:
        self._tutor, self._reader, self._console = tutor, reader, console
        self._rest = tutor.rest()
        self._notes = Notes(tutor.taught.lesson.id, tutor.learned)

    def menu(self) -> None:
        """Let the learner choose modes until there is no more to say."""
        page = self._tutor.page()
        self._console.print(terminal.render(replace(page, sections=())))
        while True:
            self._console.print()
            for number, mode in enumerate(page.modes, 1):
                self._console.print(Text(f"{number:3}  {mode.label:14}", "bold"), Text(mode.words))
            try:
                said = self._reader("Mode, 1 to 10 (q to stop): ").strip().lower()
            except EOFError:
                return
            if said in ("q", "quit"):
                return
            names = list(MODES)
            if said in names:
                self.show(said)
            elif said.isdecimal() and 1 <= int(said) <= len(names):
                self.show(names[int(said) - 1])
            else:
                self._console.print(Text("Type a number from 1 to 10, or q.", "dim"))

    def show(self, mode: str) -> None:
        """Print a mode, and ask what it asks."""
        self._wait(mode)
        page = self._tutor.page()
        for section in (each for each in page.sections if each.mode == mode):
            told = tuple(each for each in section.blocks if not isinstance(each, _ASKING))
            self._print(replace(section, blocks=told))
            self._ask(section.blocks)

    def _wait(self, mode: str) -> None:
        """Make as much of the lesson as the mode shows."""
        passages = [each for each in self._tutor.taught.lesson.passages if each.mode == mode]
        kinds = {part.kind for each in passages for part in each.parts if isinstance(part, Include)}
        wanted = {made for kind, made in _MADE_LAST.items() if kind in kinds}
        while wanted.intersection(self._tutor.taught.pending):
            if next(self._rest, self._rest) is self._rest:
                return

    def _print(self, section: Section) -> None:
        shown = Page(title="", subtitle="", sections=(section,))
        self._console.print(terminal.render(shown))

    def _ask(self, blocks: Sequence[AnyBlock]) -> None:
        questions = [each for each in blocks if isinstance(each, Question)]
        if questions:
            quiz.ask(questions, self._reader, self._console, self._notes.answered)
        for each in blocks:
            if isinstance(each, Exam):
                self._examine(each)
            elif isinstance(each, Cards):
                self._review(each)
            elif isinstance(each, Experiment):
                self._experiment(each)

    def _examine(self, exam: Exam) -> None:
        sat = [
            each.form
            for each in self._tutor.events
            if isinstance(each, Sitting) and each.sitting.startswith(f"{exam.id}-")
        ]
        form = min(range(len(exam.forms)), key=sat.count)
        self._notes.examine(exam, form, self._reader, self._console)

    def _review(self, block: Cards) -> None:
        known = {card.id: card for card in block.cards}
        reviews = [each for each in self._tutor.events if isinstance(each, Review)]
        order = schedule.due(known, reviews, now())
        if not order:
            self._console.print(Text("No card is due now.", "dim"))
        cards = [known[name] for name in order]
        sitting.review(cards, self._reader, self._console, self._notes.reviewed)

    def _experiment(self, block: Experiment) -> None:
        reached = sitting.experiment(block, self._reader, self._console, self._tutor.experiment)
        if reached is not None:
            self._notes.reached("experiment", reached)
