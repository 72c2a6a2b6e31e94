"""A test, cards and an experiment in the terminal: asked, answered, and told at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from pipetrace.blocks import Attempt, Card, Exam, Experiment, Question
from pipetrace.views import pieces, quiz, terminal, text

Reader = Callable[[str], str]
_RATINGS = ("1", "2", "3", "4")
_RATE = "How did you remember? 1 again, 2 hard, 3 good, 4 easy, q to stop: "


def sit(
    exam: Exam, form: int, reader: Reader, console: Console,
    answered: Callable[[Question, int], None] = lambda question, chosen: None,
) -> list[tuple[Question, int]]:  # fmt: skip
    """Ask the questions of one form, and say nothing of the answers until the end.

    Args:
        exam: The test.
        form: Place of the parallel form.
        reader: Gives the reader's line for a prompt; EOFError means the end.
        console: Where to print.
        answered: Called with each question and the place of the option that was chosen.

    Returns:
        Each question that was answered, with the place of the option.
    """
    asked = [exam.questions[place] for place in exam.forms[form]]
    given: list[tuple[Question, int]] = []
    for number, question in enumerate(asked, 1):
        console.print(Text(f"\nQuestion {number} of {len(asked)}\n", "dim"))
        console.print(terminal.block(quiz.unhinted(question)))
        chosen = quiz.choose(quiz.unhinted(question), reader, console)
        if chosen is None:
            break
        answered(question, chosen)
        given.append((question, chosen))
    return given


def tell(exam: Exam, given: Sequence[tuple[Question, int]], said: str, console: Console) -> None:
    """Say what a test came to, with its interval, and what was wrong.

    Args:
        exam: The test.
        given: What `sit` returned, of the whole form.
        said: The verdict.
        console: Where to print.
    """
    right = sum(question.options[chosen].correct for question, chosen in given)
    low, high = exam.intervals[right]
    hard = [
        question.options[chosen].correct for question, chosen in given if question.level == "hard"
    ]
    of_hard = f", {sum(hard)} of {len(hard)} hard ones" if hard else ""
    console.print(Text(f"\n{said}: {right} of {len(given)} right{of_hard}.", "bold"))
    console.print(
        Text(
            f"Ten questions are few: of very many like these, between {low * 100:.0f} % and "
            f"{high * 100:.0f} % would be right (95 % interval, Wilson).",
            "dim",
        )
    )
    wrong = [each for each in given if not each[0].options[each[1]].correct]
    if wrong:
        console.print(Text("\nTo practise next:", "bold"))
    for question, chosen in wrong:
        console.print(Text(f"\n{question.subject or question.id}", "bold"))
        console.print(terminal.block(quiz.unhinted(question)))
        quiz.explain(question, chosen, console)


def review(
    cards: Sequence[Card], reader: Reader, console: Console, rated: Callable[[Card, int], None]
) -> int:
    """Show cards, front first, and let the reader rate each.

    Args:
        cards: The cards in the order of their dates.
        reader: Gives the reader's line for a prompt; EOFError means the end.
        console: Where to print.
        rated: Called with each card and its rating, 1 to 4.

    Returns:
        How many were rated.
    """
    done = 0
    for number, card in enumerate(cards, 1):
        console.print(Text(f"\nCard {number} of {len(cards)}\n", "dim"))
        console.print(pieces.styled(card.front, style="bold"))
        if _said(reader, "Enter shows the answer, q to stop: ") in (None, "q"):
            break
        console.print(pieces.styled(card.back))
        if card.code:
            console.print(Text(card.code, "cyan"))
            console.print(Text(f"Executed: {card.outcome}", "dim"))
        rating = _said(reader, _RATE)
        while rating not in (None, "q", *_RATINGS):
            rating = _said(reader, _RATE)
        if rating is None or rating == "q":
            break
        rated(card, int(rating))
        done += 1
    return done


def experiment(
    block: Experiment, reader: Reader, console: Console,
    tried: Callable[[tuple[int, ...]], Attempt],
) -> tuple[int, ...] | None:  # fmt: skip
    """Let the reader change settings and run them until the target is reached.

    Args:
        block: The experiment.
        reader: Gives the reader's line for a prompt; EOFError means the end.
        console: Where to print.
        tried: Trains a choice.

    Returns:
        The choice that reached the target; None where none did.
    """
    console.print(pieces.styled(block.target, style="bold"))
    chosen = [knob.chosen for knob in block.knobs]
    while True:
        for place, knob in enumerate(block.knobs):
            listed = ", ".join(f"{at + 1} {value}" for at, value in enumerate(knob.values))
            now = knob.values[chosen[place]]
            prompt = f"{knob.label}: {listed} (now {now}; Enter keeps it, q to stop): "
            while True:
                said = _said(reader, prompt)
                if said is None or said == "q":
                    return None
                if said.isdecimal() and 1 <= int(said) <= len(knob.values):
                    chosen[place] = int(said) - 1
                if not said or (said.isdecimal() and 1 <= int(said) <= len(knob.values)):
                    break
                console.print(Text(f"Type a number from 1 to {len(knob.values)}.", "dim"))
        attempt = tried(tuple(chosen))
        for each in attempt.blocks:
            console.print(terminal.block(each))
        if attempt.reached:
            return tuple(chosen)


def _said(reader: Reader, prompt: str) -> str | None:
    try:
        return text.line(reader(prompt)).strip().lower()
    except EOFError:
        return None
