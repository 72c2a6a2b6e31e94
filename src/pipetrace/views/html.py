"""A page as one HTML file that works offline and runs no code but our own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import os
import re
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path

from pipetrace.blocks import Page
from pipetrace.views import data, text

MODULES = (
    "dom.js", "address.js", "chart.js", "distributions.js", "code.js", "rerun.js", "stage.js",
    "flow.js", "question.js", "tabs.js", "draws.js", "network.js", "graph.js", "exam.js",
    "fsrs.js", "cards.js", "steps.js", "experiment.js", "blocks.js", "section.js", "paper.js",
    "drawer.js", "learner.js", "modes.js", "viewer.js",
)  # fmt: skip
SHEETS = (
    "viewer.css", "blocks.css", "choices.css", "code.css", "stage.css", "draws.css", "network.css",
    "lesson.css", "flow.css",
)  # fmt: skip
HOSTS = {
    "live": (*MODULES, "live.js"),
    "runs": ("dom.js", "runs.js"),
    "widget": (*MODULES, "widget.js"),
}
"""What else is made of the same files: a page that follows its run, the list of runs, a widget."""
SERVED = (*SHEETS, "live.css")
DIGITS = 7
"""Significant digits of the numbers in a document: what float32 has; fewer are shown."""
PLAIN = 50_000
"""Data of more characters is compressed."""
START = """
const el = document.getElementById("page");
const text = document.getElementById("data").textContent;
const unpacked = (packed) => {
const bytes = Uint8Array.from(atob(packed), (each) => each.charCodeAt(0));
const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
return new Response(stream).text();
};
const page = JSON.parse(text.startsWith("{") ? text : await unpacked(text));
const values = { page, owns_address: true };
render({ model: { get: (name) => values[name] }, el });
"""
_ROOM = "html, body, #page { margin: 0; height: 100%; }\n"
_IMPORT = re.compile(r"^import \{[^}]*\} from \"\./[a-z]+\.js\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const) )", re.MULTILINE)


@cache
def module(names: tuple[str, ...] = MODULES) -> str:
    """Join the viewer's files, or those that are named, into one ES module.

    Returns:
        JavaScript with one export, `default`, an object with `render({ model, el })`. The model's
        `get("page")` gives the plain dict of a page; `get("owns_address")` says whether the place
        on the page may be written to the address.

    >>> module().count("export default { render };")
    1
    """
    joined = "\n".join(_EXPORT.sub("", _IMPORT.sub("", _static(name))) for name in names)
    return _lean(joined, "//")


@cache
def style(names: tuple[str, ...] = SHEETS) -> str:
    """Join the viewer's style sheets, or those that are named.

    >>> ".pipetrace {" in style()
    True
    """
    return _lean("\n".join(_static(name) for name in names), "/*")


def document(page: Page) -> str:
    """Write a page as one HTML document.

    The document asks nothing of a network and may not: its Content-Security-Policy allows exactly
    its own script and style, by hash.

    Args:
        page: The page.

    Returns:
        HTML in Unicode; encode it as UTF-8.

    >>> document(Page(title="a < b", subtitle="", sections=())).count("<title>a &lt; b</title>")
    1
    """
    script, sheet = module() + START, style()
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy(script, sheet)}">'
    return compose(page.title, script, sheet, _packed(data.render(page, DIGITS)), meta)


def policy(script: str, sheet: str) -> str:
    """Return the Content-Security-Policy of a document: its own script and style, by hash.

    >>> policy("", "").startswith("default-src 'none'; script-src 'sha256-")
    True
    """
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(_ROOM + sheet)}; "
        "base-uri 'none'; form-action 'none'"
    )


def compose(title: str, script: str, sheet: str, values: str, head: str = "") -> str:
    """Put a document together from our own script and style and from values as JSON.

    Args:
        title: The document's title, any text.
        script: An ES module; it finds its root at `#page` and the values at `#data`.
        sheet: Its style.
        values: JSON, or what the script makes JSON of.
        head: What else belongs into the head, as HTML.

    >>> compose("a < b", "", "", "{}").count("<title>a &lt; b</title>")
    1
    """
    values = values.replace("<", "\\u003c")
    title = html.escape(text.line(text.encodable(title), 300))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{head}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{_ROOM}{sheet}</style>
</head>
<body>
<div id="page"></div>
<noscript>This page draws itself with JavaScript, which is off. The same page is printed in a
terminal by pipetrace show and written as text by pipetrace export --to md.</noscript>
<script type="text/plain" id="data">{values}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def write(page: Page, path: Path) -> None:
    """Write a page to an HTML file, whole or not at all.

    Args:
        page: The page.
        path: Where to; what stands there is replaced only once the new file is complete.

    Raises:
        OSError: The folder cannot be written to.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:50]}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(document(page))
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _packed(values: str) -> str:
    if len(values) <= PLAIN:
        return values
    return base64.b64encode(gzip.compress(values.encode(), mtime=0)).decode()


def _lean(source: str, comment: str) -> str:
    """Leave out indentation and lines of comment: a tenth of the bytes, and none of the code."""
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(comment))


def _static(name: str) -> str:
    return (resources.files("pipetrace.views") / "static" / name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return f"'sha256-{digest}'"
