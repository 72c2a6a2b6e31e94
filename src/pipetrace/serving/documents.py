"""The documents that a browser is given: a run that follows its file, the list, a comparison."""

from __future__ import annotations

from starlette.responses import HTMLResponse

from pipetrace.blocks import Page
from pipetrace.views import data, html

# An icon of our own keeps the browser from asking for one.
_HEAD = '<link rel="icon" href="data:,">'


def run(title: str, message: str) -> HTMLResponse:
    """Return the document of a run.

    Args:
        title: Its title.
        message: All of its page, as its channel says it.
    """
    return _answer(title, html.module(html.HOSTS["live"]), message)


def runs(title: str, message: str) -> HTMLResponse:
    """Return the document of the list of runs."""
    return _answer(title, html.module(html.HOSTS["runs"]), message)


def page(shown: Page) -> HTMLResponse:
    """Return the document of a page that does not change."""
    return _answer(shown.title, html.module() + html.START, data.render(shown, html.DIGITS))


def problem(title: str, text: str, status: int = 404) -> HTMLResponse:
    """Return a document that says what went wrong, and leads to the list."""
    values = data.encoded({"title": title, "text": text})
    return _answer(title, html.module(html.HOSTS["runs"]), values, status)


def _answer(title: str, script: str, values: str, status: int = 200) -> HTMLResponse:
    sheet = html.style(html.SERVED)
    policy = f"{html.policy(script, sheet)}; connect-src 'self'; img-src data:; frame-ancestors"
    headers = {"content-security-policy": f"{policy} 'none'"}
    text = html.compose(title, script, sheet, values, _HEAD)
    return HTMLResponse(text, status, headers)
