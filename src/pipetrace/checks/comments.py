"""A comment `# pipetrace: ignore[PTR101]` on a statement says that it is meant as it is written."""

from __future__ import annotations

import ast
import io
import linecache
import re
import tokenize
import warnings
from collections.abc import Iterator

from pipetrace.checks.findings import Finding
from pipetrace.checks.selecting import ALL
from pipetrace.records import SourceText
from pipetrace.tracefile import Recording

_COMMENT = re.compile(r"#\s*pipetrace:\s*ignore\b(?:\s*\[([^\]]*)\])?", re.IGNORECASE)
Ignored = dict[int, tuple[str, ...]]
"""By line, how the ids begin that its comment leaves out."""


class Comments:
    """The comments in the text of a run's files, or in the files themselves where it has none."""

    def __init__(self, recording: Recording) -> None:
        self._texts = {item.path: item.text for item in recording.all(SourceText)}
        self._known: dict[str, Ignored] = {}

    def silence(self, finding: Finding) -> bool:
        """Tell whether the statement of a finding carries a comment that leaves it out."""
        if not finding.file or not finding.line:
            return False
        known = self._known.get(finding.file)
        if known is None:
            text = self._texts.get(finding.file) or "".join(linecache.getlines(finding.file))
            known = self._known[finding.file] = ignored(text)
        return finding.id.startswith(known.get(finding.line, ("none",)))


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
                ids = [word.strip().upper() for word in (said[1] or "").split(",")]
                yield token.start[0], tuple(filter(None, ids)) or (ALL,)
    except (tokenize.TokenError, SyntaxError):
        return


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
