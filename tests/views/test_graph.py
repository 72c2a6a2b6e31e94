"""A graph on its rail: folds, edges, lanes, the keyboard and the same facts in text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pipetrace import blocks
from pipetrace.views import demo_models

pytestmark = pytest.mark.browser
Open = Callable[..., Any]

BLOCK = demo_models.graph()
ENDS = "#s?s.graph~open=none"


def names(tab: Any) -> list[str]:
    found: list[str] = tab.locator(".station .name").all_inner_texts()
    return [each.strip() for each in found]


def said(tab: Any) -> str:
    found: str = tab.locator(".graph [role=status]").inner_text()
    return found


def straight(tab: Any) -> int:
    return len([path for path in paths(tab) if "H" not in path])


def paths(tab: Any) -> list[str]:
    found: list[str] = tab.locator(".link").evaluate_all("all => all.map(e => e.getAttribute('d'))")
    return found


def test_a_small_graph_is_open_and_a_folded_one_joins_its_leaves(shown: Open):
    tab = shown(BLOCK, hash=ENDS)
    assert names(tab) == [
        "embed Embedding(100, 16)", "layers.0 Block", "layers.1 Block", "layers.2 Block",
        "head Linear(16, 3)",
    ]  # fmt: skip
    assert straight(tab) == 4
    assert len(paths(tab)) == 5
    tab.get_by_role("button", name="Unfold all").click()
    assert len(names(tab)) == 20
    assert "open" not in tab.evaluate("location.hash")
    inner = 3 * 4 + 1
    skips = 3 + 1
    tab.get_by_role("tree").evaluate("one => (one.style.maxHeight = 'none')")
    tab.wait_for_function(f"document.querySelectorAll('.link').length === {inner + skips}")
    assert straight(tab) == inner
    assert tab.locator(".stations .dot").count() == 14


def test_a_node_says_what_it_takes_and_feeds(shown: Open):
    tab = shown(BLOCK, hash=ENDS)
    tab.get_by_role("treeitem", name="head Linear(16, 3)").click()
    assert said(tab) == (
        "head Linear(16, 3); 32 × 16 → 32 × 3. "
        "Takes from: layers.2 Block, embed Embedding(100, 16). Feeds: nothing recorded."
    )
    assert tab.locator(".link.mine").count() == 2
    tab.get_by_role("treeitem", name="layers.1 Block").click()
    assert said(tab) == (
        "layers.1 Block; 32 × 16 → 32 × 16. Takes from: layers.0 Block. Feeds: layers.2 Block."
    )
    assert "LayerNorm(16)" in names(tab)
    tab.get_by_role("treeitem", name="add").click()
    assert said(tab) == (
        "add; 32 × 16; Adds what went into the block. "
        "Takes from: Sequential, layers.0 Block. Feeds: layers.2 Block."
    )


def test_the_keyboard_walks_and_folds(shown: Open):
    tab = shown(BLOCK, hash=ENDS)
    tree = tab.get_by_role("tree", name="What feeds what")
    tree.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    assert len(names(tab)) == 8
    assert tab.get_by_role("treeitem", expanded=True).count() == 1
    tab.keyboard.press("ArrowRight")
    assert said(tab).startswith("LayerNorm(16)")
    chosen = tab.get_by_role("treeitem", selected=True)
    assert chosen.get_attribute("aria-level") == "2"
    assert chosen.get_attribute("id") == tree.get_attribute("aria-activedescendant")
    place = tab.evaluate("location.hash")
    assert "s.graph~open=1&" in f"{place}&"
    assert "s.graph~node=1.0" in place
    tab.reload()
    assert said(tab).startswith("LayerNorm(16)")
    assert len(names(tab)) == 8
    tree.focus()
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")
    assert len(names(tab)) == 5
    tab.keyboard.press("End")
    assert said(tab).startswith("head")
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowUp")
    assert said(tab).startswith("embed")
    tab.evaluate("location.hash = '#s?s.graph~node=3.2'")
    tab.wait_for_function(
        "document.querySelector('.graph [role=status]').textContent.startsWith('add')"
    )


def test_skips_beside_each_other_have_lanes_of_their_own(shown: Open):
    leaves = tuple(
        blocks.Node(id=str(at), name=f"op {at}", sources=tuple(str(each) for each in range(at)))
        for at in range(12)
    )
    tab = shown(blocks.Graph(title="dense", nodes=leaves))
    found = paths(tab)
    assert len(found) == 66
    assert straight(tab) == 11
    lanes = {path.split("Q")[1].split(" ")[0] for path in found if "Q" in path}
    assert len(lanes) == 8
    tab.get_by_role("treeitem", name="op 11").click()
    assert said(tab).endswith("op 6, op 7, 3 more. Feeds: nothing recorded.")
    backward = (blocks.Node(id="a", name="a", sources=("b", "lost")), blocks.Node(id="b", name="b"))
    tab = shown(blocks.Graph(title="backward", nodes=backward))
    assert len(paths(tab)) == 1
    assert "H" in paths(tab)[0]


def test_a_large_graph_is_drawn_in_a_window(shown: Open):
    tab = shown(demo_models.graph(layers=500))
    assert tab.get_by_role("treeitem").count() < 60
    tab.get_by_role("button", name="Unfold all").click()
    tab.get_by_role("tree").focus()
    tab.keyboard.press("End")
    assert said(tab).startswith("head")
    rows = tab.get_by_role("treeitem")
    assert rows.count() < 60
    row = tab.get_by_role("treeitem", selected=True).bounding_box()
    tree = tab.get_by_role("tree").bounding_box()
    assert tree["y"] <= row["y"] < tree["y"] + tree["height"]
    tab.get_by_role("tree").evaluate("one => (one.scrollTop = 20000)")
    tab.wait_for_function("document.querySelectorAll('.link').length > 20")
    assert rows.count() < 60
    assert tab.locator(".link").count() < 120


def test_the_table_says_the_same(shown: Open):
    tab = shown(BLOCK)
    tab.get_by_text("The graph as a table").click()
    tab.wait_for_selector("details[open] table")
    rows = tab.locator("details tbody tr").all_inner_texts()
    assert len(rows) == 20
    assert rows[6].split("\t") == [
        "add", "layers.0 Block", "32 × 16", "Adds what went into the block.",
        "Linear(64, 16), embed Embedding(100, 16)",
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(shown: Open, judged: Callable[[Any], list[str]], scheme: str):
    tab = shown(BLOCK, color_scheme=scheme)
    tab.locator("details").evaluate_all("all => all.forEach(one => (one.open = true))")
    tab.wait_for_selector("details table")
    assert judged(tab) == []


def test_it_fits_a_narrow_screen_and_paper(shown: Open):
    tab = shown(BLOCK, width=320)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    tab.emulate_media(media="print")
    tab.wait_for_selector("details[open] table")
    assert tab.get_by_role("treeitem").count() == 20
    assert tab.locator(".graph button:visible").count() == 0


def test_hostile_text_stays_text(shown: Open):
    hostile = "<img src=x onerror='window.broken = 1'>\u202e `code` " + "x" * 5000

    def poison(value: Any) -> Any:
        if isinstance(value, str):
            return hostile
        if isinstance(value, tuple):
            return tuple(map(poison, value))
        if not isinstance(value, blocks.Piece):
            return value
        fields = msgspec.structs.fields(value)
        changes = {each.name: poison(getattr(value, each.name)) for each in fields}
        return msgspec.structs.replace(value, **changes)

    given = [demo_models.draws(), demo_models.network(), demo_models.graph()]
    empty = blocks.Graph(title="none", nodes=())
    tab = shown(*map(poison, given), empty, width=320)
    assert tab.locator(".crash, img, script:not(body > script)").count() == 0
    assert tab.evaluate("window.broken") is None
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    assert "\u202e" not in tab.locator("main").text_content()
    assert tab.get_by_text("No module was recorded.").is_visible()
