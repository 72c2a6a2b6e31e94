"""Questions as an Anki package, whose notes keep their identity when it is imported again."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence

from pipetrace.blocks import Question
from pipetrace.errors import PipetraceError
from pipetrace.views import text
from pipetrace.views.questions import texts

_MODEL = 1_607_394_211
"""The note type, for good: Anki takes equal numbers for the same type."""

_COMMANDS = re.compile(r"\[(?=(?:sound|anki|latex|/latex|\$|/\$))", re.IGNORECASE)
"""Brackets by which Anki plays files or runs LaTeX."""

_STYLE = """\
.card { font: 18px/1.5 system-ui, sans-serif; max-width: 44em; margin: auto; text-align: left; }
pre { background: #8882; padding: .6em; border-radius: .4em; overflow-x: auto; }
.about { opacity: .7; font-size: 80%; }
"""
_FRONT = '<div class="about">{{Subject}}</div>{{Question}}{{Options}}'
_BACK = '{{FrontSide}}<hr id="answer">{{Answer}}{{Solution}}{{Others}}'
_FIELDS = ("Key", "Subject", "Question", "Options", "Answer", "Solution", "Others")


def render(questions: Sequence[Question], title: str) -> bytes:
    """Write questions as an `.apkg`, a note each.

    In front are question, code and options; behind are the right option, the steps, and which idea
    leads to each of the others. A note is known by its question's template, seed and words, the
    deck by its title: importing a newer package updates the questions that are there, and what was
    learned stays; those of another run are added.

    Args:
        questions: The questions.
        title: The name of the deck.

    Raises:
        PipetraceError: genanki is not installed.
    """
    try:
        import genanki
    except ImportError:
        raise PipetraceError(
            'Anki packages are written by genanki: pip install "pipetrace[teach]"'
        ) from None
    model = genanki.Model(
        _MODEL,
        "pipetrace question",
        fields=[{"name": name} for name in _FIELDS],
        templates=[{"name": "Question", "qfmt": _FRONT, "afmt": _BACK}],
        css=_STYLE,
        sort_field_index=0,
    )
    heading = text.line(texts.visible(title)) or "Questions"
    deck = genanki.Deck(_number(heading), heading)
    for question in questions:
        deck.add_note(
            genanki.Note(
                model=model,
                fields=[_quiet(field) for field in _fields(question)],
                guid=genanki.guid_for("pipetrace", texts.key(question)),
                tags=[tag for tag in ("pipetrace", texts.tag(question.level)) if tag],
            )
        )
    packed = io.BytesIO()
    genanki.Package(deck).write_to_file(packed)
    return packed.getvalue()


def _fields(question: Question) -> tuple[str, ...]:
    letters = [text.letter(index) for index in range(len(question.options))]
    pairs = list(zip(letters, question.options, strict=True))
    options = "".join(
        f"<p><b>{letter}</b> {texts.inline(option.text)}</p>" for letter, option in pairs
    )
    answer, others = (
        "".join(
            f"<p><b>{letter}</b> {texts.inline(option.text)}</p>{texts.feedback(option)}"
            for letter, option in pairs
            if option.correct is correct
        )
        for correct in (True, False)
    )
    about = " · ".join(part for part in (question.subject, question.level) if part)
    return (
        texts.key(question),
        texts.inline(about),
        texts.asked(question),
        options,
        answer,
        texts.solution(question),
        f"<p>The other options:</p>{others}" if others else "",
    )


def _quiet(field: str) -> str:
    """Keep Anki from taking a text for a command.

    >>> _quiet("[sound:a.mp3] [1, 2]")
    '&#91;sound:a.mp3] [1, 2]'
    """
    return _COMMANDS.sub("&#91;", field)


def _number(title: str) -> int:
    """Return the deck's number: the same for the same title."""
    digest = hashlib.sha256(title.encode()).digest()
    return (1 << 30) + int.from_bytes(digest[:4], "big") % (1 << 30)
