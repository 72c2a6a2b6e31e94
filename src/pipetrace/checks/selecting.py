"""Rules are chosen by how their ids begin or by name, and the longer word decides."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from pipetrace.checks.registry import Rule
from pipetrace.errors import PipetraceError
from pipetrace.records import Selection

ALL = "PTR"
"""How every id begins."""


def asked(selection: Selection, rules: Iterable[Rule]) -> list[Rule]:
    """Return the rules that a selection asks: `PTR101` outweighs `PTR1`, and that `PTR`."""
    return [rule for rule in rules if wanted(rule.id, selection.select, selection.ignore)]


def wanted(id: str, select: Iterable[str], ignore: Iterable[str]) -> bool:
    """Tell whether an id is selected more closely than it is ignored.

    >>> wanted("PTR101", ["PTR"], ["PTR1"]), wanted("PTR101", ["PTR101"], ["PTR1"])
    (False, True)
    """
    return _closest(id, select) > _closest(id, ignore)


def find(word: str, rules: Sequence[Rule]) -> Rule:
    """Return the rule with an id or a name.

    Raises:
        PipetraceError: there is none; the message names the nearest.
    """
    for rule in rules:
        if word.upper() == rule.id or word.lower() == rule.name:
            return rule
    raise PipetraceError(_unknown(word, rules))


def search(word: str, rules: Sequence[Rule]) -> list[Rule]:
    """Return the rule with an id or a name, else those whose id begins so or whose name has it.

    Raises:
        PipetraceError: there is none; the message names the nearest.
    """
    exact = [rule for rule in rules if word.upper() == rule.id or word.lower() == rule.name]
    near = [rule for rule in rules
            if rule.id.startswith(word.upper()) or word.lower() in rule.name]  # fmt: skip
    return exact or near or [find(word, rules)]


def read(words: Iterable[str], rules: Sequence[Rule], where: str) -> tuple[str, ...]:
    """Return ids, or how they begin, as they are written in `where`: names become ids.

    Raises:
        PipetraceError: a word is no rule's; the message names the nearest.
    """
    words = tuple(words)
    if words and not any(word.strip() for word in words):
        raise PipetraceError(f"{where}: no rule is named. Write an id: PTR101")
    return tuple(_read(word.strip(), rules, where) for word in words if word.strip())


def _read(word: str, rules: Sequence[Rule], where: str) -> str:
    start = word.upper()
    if start.startswith(ALL) and any(rule.id.startswith(start) for rule in rules):
        return start
    named = next((rule.id for rule in rules if rule.name == word.lower()), None)
    if named is None:
        raise PipetraceError(f"{where}: {_unknown(word, rules)}")
    return named


def _closest(id: str, starts: Iterable[str]) -> int:
    return max((len(start) for start in starts if id.startswith(start)), default=0)


def _unknown(word: str, rules: Sequence[Rule]) -> str:
    names = {key: rule for rule in rules for key in (rule.id, rule.name)}
    near = [names[key] for key in difflib.get_close_matches(word.upper(), names, 3)]
    near += [names[key] for key in difflib.get_close_matches(word.lower(), names, 3, 0.5)]
    said = " or ".join(f"{rule.id} ({rule.name})" for rule in list(dict.fromkeys(near))[:3])
    hint = f"Did you mean {said}? " if said else ""
    return f"there is no rule {word!r}. {hint}`pipetrace rules` lists them."
