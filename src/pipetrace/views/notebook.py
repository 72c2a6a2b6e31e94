"""A page in a notebook's cell, in a frame of its own."""

from __future__ import annotations

import io
from html import escape

from rich.console import Console

from pipetrace.blocks import Page
from pipetrace.views import html as documents
from pipetrace.views import terminal, text

HEIGHT = 640


def html(page: Page) -> str:
    """Give the HTML that `_repr_html_` returns.

    Args:
        page: The page.

    Returns:
        A frame that holds the whole document, may run its scripts and nothing else, and can be
        made taller with the mouse.

    >>> html(Page(title="Run", subtitle="", sections=())).startswith("<iframe")
    True
    """
    title = escape(text.line(text.encodable(page.title), 300))
    source = escape(documents.document(page))
    look = (
        f"display: block; width: 100%; height: {HEIGHT}px; min-height: 320px; resize: vertical; "
        "overflow: auto; border: 1px solid #84898f; border-radius: 8px"
    )
    frame = f'<iframe title="{title}" sandbox="allow-scripts" style="{look}"'
    return f'{frame} srcdoc="{source}"></iframe>'


def plain(page: Page, width: int = 88) -> str:
    r"""Give the page as plain text, for places that show no HTML.

    Args:
        page: The page.
        width: Columns.

    >>> plain(Page(title="Run", subtitle="one epoch", sections=()))
    'Run\none epoch\n'
    """
    file = io.StringIO()
    console = Console(
        file=file, width=width, color_system=None, force_terminal=False, force_jupyter=False
    )
    console.print(terminal.render(page))
    return file.getvalue()


def bundle(page: Page) -> dict[str, str]:
    """Give what `_repr_mimebundle_` returns: the page as HTML and as plain text.

    Args:
        page: The page.

    >>> sorted(bundle(Page(title="Run", subtitle="", sections=())))
    ['text/html', 'text/plain']
    """
    return {"text/plain": plain(page), "text/html": html(page)}
