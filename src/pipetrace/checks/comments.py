"""A comment `# pipetrace: ignore[PTR101]` on a statement says that it is meant as it is written."""

from __future__ import annotations

import ast
import io
import linecache
import re
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from pipetrace.checks.findings import Finding
from pipetrace.checks.selecting import ALL
from pipetrace.records import SourceText
from pipetrace.tracefile import Recording

_COMMENT = re.compile(
    r"#\s*pipetrace:\s*ignore\b\s*(?:\[([^\]]*)\]|(?P<rest>[^\s#].*))?", re.IGNORECASE
)
Ignored = dict[int, tuple[str, ...]]
"""By line, how the ids begin that its comment leaves out."""


class Comments:
    """The comments in the text of a run's files, or in the files themselves where it has none.

    Args:
        recording: The run.
        names: The id of every rule, by its name.
    """

    def __init__(self, recording: Recording, names: Mapping[str, str]) -> None:
        self._texts = {item.path: item.text for item in recording.all(SourceText)}
        self._names = names
        self._known: dict[str, Ignored] = {}

    def silence(self, finding: Finding) -> bool:
        """Tell whether the statement of a finding carries a comment that leaves it out."""
        if not finding.file or not finding.line:
            return False
        known = self._known.get(finding.file)
        if known is None:
            text = self._texts.get(finding.file) or "".join(linecache.getlines(finding.file))
            known = self._known[finding.file] = ignored(text)
        words = known.get(finding.line, ())
        return finding.id.startswith(tuple(self._names.get(word, word) for word in words))

    def strange(self) -> list[str]:
        """Say which comments silence nothing, for what they name is no rule."""
        said = []
        for path, text in self._texts.items():
            for line, words in _comments(text) if _COMMENT.search(text) else ():
                place = f"{PurePath(path).name}:{line}"
                said += [f"{place}: its comment names no rule: {word}." for word in words
                         if word not in self._names and not self._begins(word)]  # fmt: skip
        return said

    def _begins(self, word: str) -> bool:
        return word.startswith(ALL) and any(each.startswith(word) for each in self._names.values())


def ignored(text: str) -> Ignored:
    r"""Return what the comments of a program leave out, for every line of their statements.

    >>> ignored("x = f(\n    1,\n)  # pipetrace: ignore[PTR101, PTR2]\ny = 2\n")
    {3: ('PTR101', 'PTR2'), 1: ('PTR101', 'PTR2'), 2: ('PTR101', 'PTR2')}
    """
    if not _COMMENT.search(text):
        return {}
    found = dict(_comments(text))
    by_line = dict(found)
    for first, last in _statements(text):
        ids = [each for line, said in found.items() if first <= line <= last for each in said]
        if ids:
            by_line |= dict.fromkeys(range(first, last + 1), tuple(ids))
    return by_line


def _comments(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            said = _COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
            if said is not None:
                yield token.start[0], _words(said)
    except (tokenize.TokenError, SyntaxError):
        return


def _words(said: re.Match[str]) -> tuple[str, ...]:
    """Return the ids in capitals and the names that a comment has in brackets; all without any."""
    if said["rest"]:
        return (f"`{said['rest'].strip()}` without brackets",)
    words = tuple(filter(None, (word.strip() for word in (said[1] or "").split(","))))
    capitals = (word.upper() for word in words)
    return tuple(
        capital if capital.startswith(ALL) else word.lower()
        for capital, word in zip(capitals, words, strict=True)
    ) or (ALL,)


def _statements(text: str) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of every statement; of a compound one, those of its head."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            yield node.lineno, max(node.lineno, last)
