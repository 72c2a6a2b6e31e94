"""Questions in the terminal: asked one by one, graded at once, with the solution after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from pipetrace.blocks import Option, Question
from pipetrace.views import pieces, terminal, text

PROMPT = "Your answer ({letters}, {hint}q to stop): "


def ask(
    questions: Sequence[Question], reader: Callable[[str], str], console: Console,
    answered: Callable[[Question, int], None] = lambda question, chosen: None,
) -> tuple[int, int]:  # fmt: skip
    """Ask questions and grade the answers.

    Args:
        questions: What to ask, in order. One without options cannot be graded and is left out.
        reader: Gives the reader's line for a prompt, as `input` does; EOFError means the end.
        console: Where to print.
        answered: Called with each question and the place of the option that was chosen.

    Returns:
        How many answers were right, and how many were given.

    >>> question = Question(
    ...     id="sum", level="easy", text="1 + 1?", options=(
    ...         Option(text="2", correct=True, feedback="Yes."),
    ...         Option(text="3", correct=False, feedback="One too many."),
    ...     ),
    ... )
    >>> import io
    >>> ask([question], lambda prompt: "a", Console(file=io.StringIO()))
    (1, 1)
    """
    asked = [question for question in questions if question.options]
    right = given = 0
    for number, question in enumerate(asked, 1):
        head = Text(f"\nQuestion {number} of {len(asked)}\n", "dim")
        console.print(head)
        console.print(terminal.block(unhinted(question)))
        chosen = choose(question, reader, console)
        if chosen is None:
            break
        answered(question, chosen)
        given += 1
        right += question.options[chosen].correct
        explain(question, chosen, console)
    console.print(Text(f"\n{right} of {given} right, {len(asked)} in all.", "bold"))
    return right, given


def unhinted(question: Question) -> Question:
    """Leave the hint out until somebody asks for it."""
    return Question(
        id=question.id,
        level=question.level,
        text=question.text,
        options=question.options,
        code=question.code,
    )


def choose(question: Question, reader: Callable[[str], str], console: Console) -> int | None:
    """Let the reader choose an option, and return its place; None at the end."""
    letters = [text.letter(index) for index in range(len(question.options))]
    named = letters[0] if len(letters) == 1 else f"{letters[0]}-{letters[-1]}"
    prompt = PROMPT.format(letters=named, hint="h for a hint, " if question.hint else "")
    while True:
        try:
            said = reader(prompt).strip().upper()
        except EOFError:
            return None
        if said in letters:
            return letters.index(said)
        if said in ("Q", "QUIT"):
            return None
        if said in ("H", "HINT"):
            console.print(pieces.styled(question.hint or "There is no hint here.", style="dim"))
        else:
            console.print(Text(f"Type one of {', '.join(letters)}, or q.", "dim"))


def explain(question: Question, chosen: int, console: Console) -> None:
    """Say whether an answer was right, why, and how it is found."""
    option = question.options[chosen]
    _say(console, *(("✓ Right. ", "green") if option.correct else ("✗ Not right. ", "red")), option)
    if not option.correct:
        for index, other in enumerate(question.options):
            if other.correct:
                _say(console, f"✓ {text.letter(index)} is right. ", "green", other)
    for number, step in enumerate(question.steps, 1):
        console.print(Text(f"  {number}. ").append_text(pieces.styled(step)))
    for label, value in (("Final answer", question.answer), ("Quick check", question.check)):
        if value:
            console.print(Text(f"  {label}: ", "bold").append_text(pieces.styled(value)))
    for mistake in question.mistakes:
        console.print(Text("  Common mistake: ", "bold").append_text(pieces.styled(mistake)))


def _say(console: Console, words: str, style: str, option: Option) -> None:
    console.print(Text(words, style).append_text(pieces.styled(option.feedback)))
