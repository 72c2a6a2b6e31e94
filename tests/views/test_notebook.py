"""A notebook gets a frame that holds the whole page."""

from __future__ import annotations

from html.parser import HTMLParser

from pipetrace.blocks import Page
from pipetrace.views import html, notebook


class Frames(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "iframe":
            self.found.append(dict(attrs))
        else:
            self.others.append(tag)


def test_the_frame_holds_the_document_and_nothing_leaks(hostile: Page):
    parser = Frames()
    parser.feed(notebook.html(hostile))
    assert parser.others == []
    (frame,) = parser.found
    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"] == html.document(hostile)


def test_the_bundle_has_text_without_colour(page: Page, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    bundle = notebook.bundle(page)
    assert set(bundle) == {"text/plain", "text/html"}
    assert "\x1b" not in bundle["text/plain"]
    assert "Data flow, 5 stages" in bundle["text/plain"]
