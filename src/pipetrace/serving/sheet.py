"""A page in pieces: which section changed when, so that a reader is sent what is new."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipetrace.blocks import Page, Section
from pipetrace.views import data, html

_HEAD = ("title", "subtitle", "contents", "generator", "modes", "learner")


class Sheet:
    """The page of one run as JSON, version by version.

    >>> from pipetrace.blocks import Text
    >>> first = Section(id="a", title="A", blocks=())
    >>> second = Section(id="b", title="B", blocks=(Text(text="new"),))
    >>> sheet = Sheet()
    >>> sheet.put(Page(title="Run", subtitle="", sections=(first,)))
    True
    >>> sheet.put(Page(title="Run", subtitle="", sections=(first, second)))
    True
    >>> list(json.loads(sheet.message(1))["sections"]), json.loads(sheet.message(1))["order"]
    (['b'], ['a', 'b'])
    """

    def __init__(self) -> None:
        self.version = 0
        self.title = ""
        self._head: dict[str, object] = {}
        self._sections: dict[str, tuple[int, Section, str]] = {}
        self._order: list[str] = []
        self._events: list[tuple[int, str]] = []
        """What the learner did, each with the version that it came with."""
        self._messages: dict[int, str] = {}

    def put(self, page: Page, actions: Sequence[str] = ()) -> bool:
        """Make a page the newest version, and tell whether anything has changed.

        Args:
            page: The page.
            actions: What a reader may ask of the process behind the page.
        """
        version = self.version + 1
        head: dict[str, object] = {name: getattr(page, name) for name in _HEAD}
        head["actions"] = list(actions)
        sections: dict[str, tuple[int, Section, str]] = {}
        for section in page.sections:
            known = self._sections.get(section.id)
            if known is not None and known[1] == section:
                sections[section.id] = known
                continue
            text = data.encoded(section, html.DIGITS)
            # What holds NaN equals nothing, not even itself.
            same = known is not None and known[2] == text
            at = known[0] if known is not None and same else version
            sections[section.id] = (at, section, text)
        order = list(sections)
        news = any(at == version for at, _, _ in sections.values())
        come = page.events[len(self._events) :]
        self._events += [(version, data.encoded(event)) for event in come]
        changed = news or bool(come) or order != self._order or head != self._head
        self._sections, self._order, self._head, self.title = sections, order, head, page.title
        if changed:
            self.version = version
            self._messages.clear()
        return changed

    def message(self, since: int) -> str:
        """Return what has changed since a version, as one line of JSON; all of it since 0.

        Events are only ever added: those are sent that came since.
        """
        if since not in self._messages:
            head = data.encoded({"version": self.version, **self._head, "order": self._order})
            changed = ",".join(
                f"{json.dumps(name)}:{text}"
                for name, (at, _, text) in self._sections.items()
                if at > since
            )
            events = ",".join(text for at, text in self._events if at > since)
            self._messages[since] = (
                f'{head[:-1]},"since":{since},"events":[{events}],"sections":{{{changed}}}}}'
            )
        return self._messages[since]
