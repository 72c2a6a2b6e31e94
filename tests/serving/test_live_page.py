"""The live pages in a real Chromium: they follow without a reload, and keep what was chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import pipetrace
from pipetrace.records import Ended, Notice
from pipetrace.serving.process import desk_of, served
from serving.conftest import Serve, begin, epoch, write

pytestmark = pytest.mark.browser
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open an address; an error in the console, or a request to elsewhere, fails the test."""
    contexts, noise, asked = [], [], []

    def go(url: str, **more: Any) -> Any:
        context = browser.new_context(**{"reduced_motion": "reduce", **more})
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: noise.append(message.text))
        tab.on("pageerror", lambda error: noise.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(url)
        tab.wait_for_selector("main")
        return tab

    go.missing = False  # type: ignore[attr-defined]  # a test that asks for what is not there
    yield go
    for context in contexts:
        context.close()
    # The browser itself notes an answer that is an error, or that did not come.
    missing = go.missing  # type: ignore[attr-defined]  # as above
    assert [text for text in noise if not missing or "Failed to load resource" not in text] == []
    assert all(url.startswith(("http://127.0.0.1:", "data:")) for url in asked)


def violations(tab: Any) -> list[str]:
    found = Axe().run(tab, options=AXE)
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found.response["violations"]]


def test_an_epoch_appears_without_a_reload(serve: Serve, tmp_path: Path, visit: Any):
    path = tmp_path / "a.pipetrace"
    writer = begin(path)
    writer.append(epoch(1, 1.0))
    writer.flush()
    client = serve(path)
    tab = visit(client.url)
    tab.evaluate("window.mark = 'the same document'")
    expect(tab.locator(".subtitle")).to_contain_text("1 epoch")
    for index in (2, 3):
        writer.append(epoch(index, 1 / index))
        writer.flush()
        expect(tab.locator(".subtitle")).to_contain_text(f"{index} epochs")
    expect(tab.locator("#page")).to_contain_text("0.333")
    writer.append(Ended(status="finished", seconds=2.0))
    writer.close()
    expect(tab.locator(".subtitle")).to_contain_text("finished after 2.0 s")
    assert tab.evaluate("window.mark") == "the same document"
    assert violations(tab) == []


def test_what_a_reader_chose_survives_news(serve: Serve, tmp_path: Path, visit: Any):
    """The chosen stage, the focus and the address stay; the document is not loaded again."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    traced = pipetrace.trace(model, torch.randn(8, 4))
    path = tmp_path / "a.pipetrace"
    writer = begin(path)
    for fact in traced.facts[1:]:
        writer.append(fact)
    writer.flush()
    client = serve(path)
    tab = visit(client.url)
    stage = tab.get_by_role("treeitem").nth(2)
    stage.click()
    chosen = tab.locator("[aria-selected=true]").first.inner_text()
    tab.get_by_role("tree").first.press("j")
    moved = tab.locator("[aria-selected=true]").first.inner_text()
    assert moved != chosen
    address = tab.url
    assert "token=" in address
    assert "#" in address
    for index in range(1, 4):
        writer.append(epoch(index, 1 / index))
        writer.append(Notice(id=str(index), text=f"notice {index}"))
        writer.flush()
        expect(tab.locator("#page")).to_contain_text(f"notice {index}")
    assert tab.locator("[aria-selected=true]").first.inner_text() == moved
    assert tab.url == address
    again = visit(address)
    expect(again.locator("[aria-selected=true]").first).to_have_text(moved, use_inner_text=True)
    writer.close()


def test_the_list_links_compares_and_follows(serve: Serve, tmp_path: Path, visit: Any):
    write(tmp_path / "old.pipetrace", epochs=1, day=1)
    write(tmp_path / "new <b>run.pipetrace", epochs=3, day=2)
    client = serve(tmp_path)
    tab = visit(client.url)
    assert tab.locator("tbody tr").count() == 2
    assert violations(tab) == []
    tab.get_by_role("checkbox", name="Compare old").focus()
    tab.keyboard.press("Space")
    tab.get_by_role("button", name="Compare the two chosen runs").press("Enter")
    expect(tab.get_by_role("status")).to_have_text("Choose two runs: 1 is chosen.")
    writer = begin(tmp_path / "now.pipetrace", "now", 4)
    expect(tab.locator("tbody tr")).to_have_count(3)
    expect(tab.locator("tbody tr").first).to_contain_text("running")
    assert tab.get_by_role("checkbox", name="Compare old").is_checked()
    writer.close()
    tab.get_by_role("checkbox", name="Compare new <b>run").check()
    tab.get_by_role("button").press("Enter")
    expect(tab.locator("h1")).to_contain_text("old")
    tab.go_back()
    tab.get_by_role("link", name="new <b>run").click()
    expect(tab.locator(".subtitle")).to_contain_text("3 epochs")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_is_accessible_narrow_and_in_both_themes(
    serve: Serve, tmp_path: Path, visit: Any, scheme: str
):
    write(tmp_path / ("a" * 200 + ".pipetrace"))
    tab = visit(serve(tmp_path).url, color_scheme=scheme, viewport={"width": 320, "height": 700})
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    visit.missing = True
    tab.goto(tab.url.replace("/?", "/run/nothing?"))
    expect(tab.locator("main")).to_contain_text("There is no such run")
    assert violations(tab) == []


def test_a_server_that_has_ended_is_said(tmp_path: Path, visit: Any):
    path = tmp_path / "a.pipetrace"
    write(path)
    visit.missing = True
    make, where = desk_of(path)
    with served(make, 0, where) as server:
        tab = visit(server.url)
        expect(tab.locator(".subtitle")).to_contain_text("2 epochs")
        assert tab.locator(".pipetrace-lost").inner_text() == ""
    expect(tab.locator(".pipetrace-lost")).to_contain_text("cannot be reached")
    assert violations(tab) == []
