"""A framework's training is observed from its begin to its end, and then judged."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from pipetrace.checks import configuration, judge
from pipetrace.errors import FindingError
from pipetrace.runs import Findings
from pipetrace.story import findings
from pipetrace.views import terminal

if TYPE_CHECKING:
    from pipetrace.checks.findings import Finding
    from pipetrace.session import Session


class Observed:
    """What a callback does of its own: observe, judge, report.

    Args:
        raises: Whether a warning or an error raises `FindingError` at the end.
        select: Ask only these rules.
        ignore: Leave out these.
        quiet: Whether nothing is printed.

    Attributes:
        findings: What was found in the last training; empty before its end.
    """

    def __init__(
        self, *, raises: bool = False, select: Iterable[str] = (), ignore: Iterable[str] = (),
        quiet: bool = False,
    ) -> None:  # fmt: skip
        self.findings: list[Finding] = []
        self._raises, self._quiet = raises, quiet
        self._selection = configuration.selection(judge.every_rule(), select, ignore)
        self._session: Session | None = None

    def begin(self, name: str) -> None:
        """Start to observe; where a recording goes on, as under `pipetrace check`, it hears all."""
        from pipetrace import session

        self.abandon()
        self.findings = []
        if session.current is None:
            self._session = session.Session(name, session.origin(), checking=True, lean=True,
                                            selection=self._selection)  # fmt: skip
            self._session.begin()

    def end(self) -> None:
        """Stop to observe, and report.

        Raises:
            FindingError: something grave was found, and it was asked to raise.
        """
        session, self._session = self._session, None
        if session is None:
            return
        session.end()
        recording = session.close()
        self.findings = Findings(judge.judge(recording, self._selection))
        text = written(self.findings)
        if self._raises and any(each.grave for each in self.findings):
            raise FindingError(text)
        if self.findings and not self._quiet:
            print(text, file=sys.stderr)

    def abandon(self) -> None:
        """Stop to observe, and say nothing: the training has failed."""
        session, self._session = self._session, None
        if session is not None:
            session.end()


def written(found: Sequence[Finding]) -> str:
    """Return findings as text, as wide as the terminal."""
    text = io.StringIO()
    terminal.show(findings.alone(found), file=text, width=get_terminal_size((100, 24)).columns)
    return text.getvalue()
