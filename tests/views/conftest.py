"""Pages that the tests of views share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipetrace import blocks
from pipetrace.blocks import AnyBlock, Page, Section
from pipetrace.views import demo, demo_lesson, html
from views import learner

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


MODELS = ("lab", "network", "samples", *(each.id for each in demo_lesson.sections()))


@pytest.fixture
def whole() -> Page:
    """Return the page with every kind of block."""
    return demo.page()


@pytest.fixture
def page() -> Page:
    """Return the page with one flow, chart and tree: what models and lessons add is left out."""
    sections = (each for each in demo.page().sections if each.id not in MODELS)
    return msgspec.structs.replace(demo.page(), sections=tuple(sections))


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
    kept = ("style", "tone", "state", "masks", "pixels")
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


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open blocks in a section `s` of a page; anything in the console fails the test."""
    noise: list[str] = []
    tabs: list[Any] = []

    def open_blocks(*given: AnyBlock, hash: str = "", width: int = 1200, **options: Any) -> Any:
        path = tmp_path / "page.html"
        section = Section(id="s", title="S", blocks=given)
        html.write(Page(title="t", subtitle="", sections=(section,)), path)
        size: Any = {"width": width, "height": 900}
        tab = browser.new_page(viewport=size, reduced_motion="reduce", **options)
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tabs.append(tab)
        tab.goto(path.as_uri() + hash)
        tab.wait_for_selector("main section")
        tab.wait_for_timeout(100)
        return tab

    yield open_blocks
    for tab in tabs:
        tab.close()
    assert noise == []


@pytest.fixture
def lesson(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open the lesson from its file; anything in the console fails the test."""
    contexts: list[Any] = []
    noise: list[str] = []

    def open_page(page: Page | None = None, hash: str = "", width: int = 1200, **more: Any) -> Any:
        path = tmp_path / "lesson.html"
        html.write(page or demo.lesson(), path)
        size: Any = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, reduced_motion="reduce", **more)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.goto(path.as_uri() + hash)
        learner.settle(tab)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []


def _violations(tab: Any) -> list[str]:
    """Name what axe-core finds wrong on a page."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found]


@pytest.fixture
def judged() -> Callable[[Any], list[str]]:
    """Return the function that asks axe-core."""
    return _violations
