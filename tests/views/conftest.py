"""Pages that the tests of views share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pipetrace import blocks
from pipetrace.blocks import Page, Section
from pipetrace.views import demo

HOSTILE = (
    "[bold red]markup[/bold red] [/] [link=file:///etc]x",
    "<script>window.broken = 1</script><img src=x onerror='window.broken = 1'>",
    "\x1b[31mred\x1b[0m \x07 \x00 \x9b2J",
    "right \u202eto left\u202c \u200b \u2066x\u2069 \ufeff",
    "| pipe | `code|x` ``` ~~~ **bold** [a](b) ]]> --> </script> $x$ #h",
    "lone \ud800 surrogate, \U0001f600, 漢字, é",
    "long " + "x" * 10_000,
    "two\nlines\r\nand\ttabs",
    "",
)


@pytest.fixture
def page() -> Page:
    """Return the page with every kind of block."""
    return demo.page()


@pytest.fixture(params=range(len(HOSTILE)), ids=lambda index: f"hostile{index}")
def hostile(request: pytest.FixtureRequest) -> Page:
    """Return the same page with every text replaced by a hostile one."""
    page = demo.page()
    text = HOSTILE[request.param]
    sections = tuple(
        msgspec.structs.replace(poison(section, text), id=section.id) for section in page.sections
    )
    return Page(title=text, subtitle=text, contents=text, generator=text, sections=sections)


@pytest.fixture(params=range(len(HOSTILE)), ids=lambda index: f"hostile{index}")
def poisoned(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Return what replaces every text of a block by a hostile one."""
    return lambda value: poison(value, HOSTILE[request.param])


def poison(value: Any, text: str) -> Any:
    """Replace every free text inside a block; what names a choice stays."""
    if isinstance(value, str):
        return text
    if isinstance(value, tuple):
        return tuple(poison(item, text) for item in value)
    if not isinstance(value, blocks.Piece):
        return value
    kept = ("style", "tone", "state")
    changes = {
        field.name: poison(getattr(value, field.name), text)
        for field in msgspec.structs.fields(value)
        if field.name not in kept
    }
    return msgspec.structs.replace(value, **changes)


@pytest.fixture
def deep() -> Page:
    """Return a page with 10,000 stages, 100 of them at the top."""
    stages = tuple(
        blocks.Stage(
            id=f"layer{outer}",
            name=f"Layer {outer}",
            stages=tuple(
                blocks.Stage(id=f"layer{outer}.{inner}", name=f"Op {inner}", shape="32 × 20")
                for inner in range(99)
            ),
        )
        for outer in range(100)
    )
    flow = Section(id="flow", title="Data flow", blocks=(blocks.Flow(stages=stages),))
    return Page(title="Deep", subtitle="", sections=(flow,))
