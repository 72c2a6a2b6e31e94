"""Whatever stands in a run file, its page shows it as text, asks nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn

import pipetrace as pt
from pipetrace import records
from pipetrace.blocks import Page
from pipetrace.records import Fact
from pipetrace.tracefile import Writer
from pipetrace.views import html, markdown, notebook, text
from views.conftest import HOSTILE

FREE = {
    *("name", "path", "command", "folder", "platform", "commit", "type", "module", "module_type"),
    *("file", "text", "names", "classes", "title", "message", "error", "label", "where", "reason"),
    *("hint", "steps", "answer", "check", "mistakes", "feedback", "code", "why", "detail", "words"),
}
"""The fields of records that hold what a user, a library or a file may have written."""
PARTS = (
    *("<", ">", "&", '"', "'", "`", "|", "\\", "$", "{", "}", "%", "#", "/", ".", ":", "a", " "),
    *("\n", "\r", "\t", "\x00", "\x1b[31m", "\x9b", "\u202e", "\u2066", "\u200b", "\ufeff"),
    *(
        "\ud800",
        "\udfff",
        "\U000e0041",
        "é",
        "漢",
        "\U0001f600",
        "ا",
        "[red]",
        "&lt;",
        "<!--",
        "]]>",
    ),
    *("<script>window.broken=1</script>", "</script><script>alert(1)//", "javascript:alert(1)"),
    *("<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<base href=//x.test>"),
    *("<style>*{display:none}</style>", "@import url(//x.test)", "__proto__", "constructor"),
)
LONGEST = 10_000


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], list[Fact]]:
    """Return what gives the facts that a real training stated: hypothesis writes out a list."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(60, 4), torch.arange(60) % 3
    path = tmp_path_factory.mktemp("fuzz") / "plain.pipetrace"
    with pt.record(path):
        for _ in pt.epochs(range(3)):
            for start in range(0, 40, 10):
                optimizer.zero_grad()
                rows = slice(start, start + 10)
                nn.functional.cross_entropy(model.train()(x[rows]), y[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                nn.functional.cross_entropy(model.eval()(x[40:]), y[40:])
    found = pt.load(path).facts
    kinds = {type(fact) for fact in found}
    assert {records.Op, records.Epoch, records.Prediction, records.Question} <= kinds
    found.append(records.Notice(id="fuzz", text="What happened."))
    found.append(records.SourceText(path="fuzz.py", text="model = 1"))
    return lambda: found


def poisoned(value: Any, hostile: str, free: bool = False) -> Any:
    """Append a hostile text to every free text: what was equal stays equal."""
    if isinstance(value, str):
        return f"{value}{hostile}" if free and value else value
    if isinstance(value, (tuple, list)):
        return type(value)(poisoned(each, hostile, free) for each in value)
    if isinstance(value, dict):
        return {key: poisoned(each, hostile, True) for key, each in value.items()}
    if not isinstance(value, msgspec.Struct):
        return value
    names = [field.name for field in msgspec.structs.fields(value)]
    changes = {
        name: poisoned(getattr(value, name), hostile, name in FREE)
        for name in names
        if (type(value), name) not in _CHOICES
    }
    return msgspec.structs.replace(value, **changes)


_CHOICES: set[tuple[type, str]] = {(records.Question, "code"), (records.Ended, "error")}
"""Fields that share a free field's name, and hold what we wrote ourselves."""


@contextmanager
def watched(browser: Any, document: Path, width: int) -> Iterator[Any]:
    """Open a file; a dialog, a request, a line in the console or a script that ran is an error."""
    tab = browser.new_page(viewport={"width": width, "height": 800}, reduced_motion="reduce")
    noise: list[str] = []

    def dismissed(dialog: Any) -> None:
        noise.append(f"dialog {dialog.message}")
        dialog.dismiss()

    tab.on("dialog", dismissed)
    tab.on("console", lambda message: noise.append(message.text))
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.on("request", lambda request: noise.append(request.url))
    try:
        tab.goto(document.as_uri())
        tab.wait_for_selector("main")
        tab.wait_for_timeout(50)
        yield tab
        assert tab.evaluate("window.broken") is None
    finally:
        tab.close()
    assert noise == [document.as_uri()]


def looked_through(browser: Any, page: Page, document: Path) -> None:
    """Open a page narrow and wide, and look for what is not text."""
    html.write(page, document)
    for width in (320, 1280):
        with watched(browser, document, width) as tab:
            wide = tab.evaluate(
                """() => {
                    document.querySelectorAll("details").forEach((one) => (one.open = true));
                    return document.documentElement.scrollWidth;
                }"""
            )
            assert wide <= width
            made = tab.locator("main :is(script, img, iframe, style, base, link, object, a[href])")
            assert made.count() == 0
            whole = tab.locator(".pipetrace").text_content()
            assert tab.locator(".crash").all_text_contents() == []
            assert not set(whole) & set("\x00\x07\x1b\x9b\u202e\u2066\u200b\ufeff")
            title = text.visible(text.encodable(page.title)).replace("`", "")
            shown = tab.locator("h1").text_content().replace("`", "")
            assert shown.split() == title.split()
            assert tab.locator("section h2").count() == len(page.sections)


@pytest.mark.browser
@settings(
    max_examples=6, deadline=None, derandomize=True, phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    parts=st.lists(st.sampled_from((*PARTS, *HOSTILE[:6])), min_size=1, max_size=12),
    long=st.booleans(),
)
def test_a_hostile_run_file_is_text(
    facts: Callable[[], list[Fact]], browser: Any, tmp_path_factory: pytest.TempPathFactory,
    parts: list[str], long: bool,
):  # fmt: skip
    hostile = ("".join(parts) * (LONGEST if long else 1))[:LONGEST]
    folder = tmp_path_factory.mktemp("hostile")
    writer = Writer(folder / "hostile.pipetrace")
    for fact in facts():
        writer.append(poisoned(fact, hostile))
    writer.close()
    assert writer.trouble == ""
    run = pt.load(folder / "hostile.pipetrace")
    page = run.page()
    crashed = [each for section in page.sections for each in section.blocks
               if type(each).__name__ == "Crash"]  # fmt: skip
    assert crashed == []
    looked_through(browser, page, folder / "page.html")
    assert not set(str(run)) & set("\x00\x07\x1b\x9b\u202e\u2066\u200b\ufeff\r")
    markdown.render(page).encode()
    notebook.html(page).encode()


@pytest.mark.browser
@pytest.mark.parametrize("index", range(len(HOSTILE) - 1))
def test_a_model_of_hostile_names_is_text(browser: Any, tmp_path: Path, index: int):
    name = HOSTILE[index].replace("\x00", "\\0").replace("\ud800", "?")
    torch.manual_seed(0)
    layer = type(name, (nn.Linear,), {})(4, 4)
    model = nn.Module.__new__(type(f"Net{name}", (nn.Sequential,), {}))
    nn.Sequential.__init__(model)
    model.add_module(name.replace(".", "") or "empty", layer)
    model.add_module("drop", nn.Dropout(0.5))
    run = pt.trace(model, torch.randn(8, 4))
    path = run.save(tmp_path / "names.pipetrace")
    looked_through(browser, pt.load(path).page(), tmp_path / "page.html")
