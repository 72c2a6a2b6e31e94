"""What a question says becomes HTML on one line, in which every text is shown and none obeyed."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Sequence

from pipetrace.blocks import Option, Question
from pipetrace.views import text

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,23}")
_NEVER = re.compile("[\ufffe\uffff]")


def visible(value: str) -> str:
    r"""Show every character that XML cannot hold or a reader would not see as an escape.

    >>> visible("a\x00b")
    'a\\x00b'
    """
    return _NEVER.sub(lambda match: text.escape(match[0]), text.visible(value))


def inline(value: str) -> str:
    """Write a text as HTML on one line, what stands between backticks as code.

    >>> inline("call `a < b` & wait")
    'call <code>a &lt; b</code> &amp; wait'
    """
    pieces = []
    for piece, code in text.spans(visible(value)):
        words = html.escape(piece).replace("\n", "<br/>")
        pieces.append(f"<code>{words}</code>" if code else words)
    return "".join(pieces)


def code(value: str) -> str:
    r"""Write lines of code as HTML on one line.

    >>> code("a\n\nb")
    '<pre><code>a&#10;&#10;b</code></pre>'
    """
    lines = html.escape(visible(value).rstrip("\n")).replace("\n", "&#10;")
    return f"<pre><code>{lines}</code></pre>" if lines else ""


def key(question: Question) -> str:
    """Name this very question the same in every export: template, seed, and what it says.

    A run's own numbers stand in questions, so that template and seed do not tell two runs apart:
    a digest of text, code and options does.

    >>> key(Question(id="D201", level="easy", text="?", options=(), form=3))
    'D201-3-a7bfb8c3'
    """
    said = (question.text, question.code, *(option.text for option in question.options))
    start = question.id if _PLAIN.fullmatch(question.id) else f"q{_digest(question.id)[:12]}"
    return f"{start}-{question.form}-{_digest(*said)[:8]}"


def name(question: Question) -> str:
    """Name a question for a list of them: its key, and what it asks about."""
    return f"{key(question)} {text.line(visible(question.subject))}"[:120].strip()


def tag(value: str) -> str:
    """Make a tag of a word: letters, digits and hyphens, a letter first.

    >>> tag("2 Very hard!")
    'very-hard'
    """
    return re.sub(r"[^a-z0-9]+", "-", value.lower()[:60]).lstrip("-0123456789").rstrip("-")


def asked(question: Question) -> str:
    """Write what is asked, without the options."""
    return f"<p>{inline(question.text)}</p>{code(question.code)}"


def split(option: Option) -> tuple[str, str, str]:
    """Cut a feedback into the words before the lines that were executed, those lines, the rest."""
    lines = f"\n{option.executed}\n"
    if option.executed and lines in option.feedback:
        before, _, after = option.feedback.partition(lines)
        return before, option.executed, after
    return option.feedback, "", ""


def feedback(option: Option) -> str:
    """Write what is said to somebody who chose an option."""
    before, lines, after = split(option)
    parts = [f"<p>{inline(before)}</p>"]
    if lines:
        parts += [code(lines), f"<p>{inline(after)}</p>"]
    return "".join(parts)


def hint(question: Question) -> str:
    """Write the hint, if there is one."""
    return f"<p>Hint: {inline(question.hint)}</p>" if question.hint else ""


def solution(question: Question) -> str:
    """Write the way to the answer: steps, answer, check and common mistakes."""
    parts = [_listed("ol", question.steps)]
    if question.answer:
        parts.append(f"<p>Final answer: {inline(question.answer)}</p>")
    if question.check:
        parts.append(f"<p>Quick check: {inline(question.check)}</p>")
    if question.mistakes:
        parts.append(f"<p>Common mistakes:</p>{_listed('ul', question.mistakes)}")
    return "".join(parts)


def right(question: Question) -> str:
    """Return the letter of the right option; empty where none is."""
    places = (index for index, option in enumerate(question.options) if option.correct)
    return next((text.letter(index) for index in places), "")


def _digest(*words: str) -> str:
    digest = hashlib.sha256()
    for word in words:
        written = word.encode("utf-8", "surrogatepass")
        digest.update(len(written).to_bytes(8, "big") + written)
    return digest.hexdigest()


def _listed(kind: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{inline(line)}</li>" for line in lines)
    return f"<{kind}>{items}</{kind}>" if items else ""
