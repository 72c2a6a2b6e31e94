"""The HTML file is whole, closed to the network, and small."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from pipetrace import blocks
from pipetrace.blocks import Page, Section
from pipetrace.views import data, html

STATIC = resources.files("pipetrace.views") / "static"
PAIRS = [
    *(
        (ink, ground)
        for ink in ("ink", "muted", "accent")
        for ground in ("paper", "card", "soft", "accent-soft")
    ),
    ("on-accent", "accent"),
    *((f"{tone}", ground) for tone in ("good", "warning", "bad") for ground in ("paper", "card")),
    *((tone, f"{tone}-soft") for tone in ("good", "warning", "bad")),
    *(("ink", f"{tone}-soft") for tone in ("good", "warning", "bad")),
]


def colours(theme: str) -> dict[str, str]:
    """Read the colours of a theme from the style sheet."""
    light, _, dark = html.style().partition("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    if theme == "dark":
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark.partition("}")[0]))
    return found


def contrast(one: str, other: str) -> float:
    """Compute the WCAG contrast of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_black_on_white_is_known():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(theme: str):
    found = colours(theme)
    weak = {
        f"{ink} on {ground}": round(contrast(found[ink], found[ground]), 2)
        for ink, ground in PAIRS
        if contrast(found[ink], found[ground]) < 4.5
    }
    assert weak == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_lines_and_edges_can_be_seen(theme: str):
    found = colours(theme)
    names = [*(f"line-{index}" for index in range(6)), "edge", "accent"]
    weak = [name for name in names if contrast(found[name], found["card"]) < 3]
    assert weak == []


def test_the_themes_name_the_same_colours():
    dark = html.style().partition("@media (prefers-color-scheme: dark)")[2].partition("}")[0]
    assert set(re.findall(r"--([\w-]+): #", dark)) == set(colours("light"))


JOINED = pytest.mark.parametrize("modules", [html.MODULES, *html.HOSTS.values()])


@JOINED
def test_joined_modules_share_no_name(modules: tuple[str, ...]):
    names = re.findall(
        r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)",
        "\n".join((STATIC / name).read_text(encoding="utf-8") for name in modules),
        re.MULTILINE,
    )
    assert sorted(names) == sorted(set(names))


def test_every_file_belongs_to_a_document():
    on_disk = {path.name for path in STATIC.iterdir() if path.name.endswith((".js", ".css"))}
    hosts = (name for modules in html.HOSTS.values() for name in modules)
    assert on_disk == {*html.MODULES, *hosts, *html.SERVED}


@JOINED
def test_every_file_is_joined_after_what_it_imports(modules: tuple[str, ...]):
    before: set[str] = set()
    for name in modules:
        source = (STATIC / name).read_text(encoding="utf-8")
        wanted = re.findall(r'^import (\{[^}]*\}) from "\./([a-z]+\.js)";$', source, re.MULTILINE)
        assert source.count("import ") == len(wanted)
        for words, file in wanted:
            assert file in before
            other = (STATIC / file).read_text(encoding="utf-8")
            for word in re.findall(r"\w+", words):
                assert re.search(rf"^export (function|const) {word}\b", other, re.MULTILINE)
                assert len(re.findall(rf"\b{word}\b", source)) > 1, f"{name} never uses {word}"
        before.add(name)


def test_the_joined_module_imports_nothing_and_exports_once():
    assert not re.search(r"^\s*import\b", html.module(), re.MULTILINE)
    assert re.findall(r"^export .*", html.module(), re.MULTILINE) == ["export default { render };"]


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "fetch("]
)
def test_the_viewer_never_makes_markup_from_text(word: str):
    assert word not in html.module()


def test_every_style_is_scoped():
    for name in html.SHEETS:
        sheet = re.sub(r"/\*.*?\*/", "", (STATIC / name).read_text(encoding="utf-8"), flags=re.S)
        assert sheet.strip().startswith(".pipetrace {")
        depth = 0
        for index, character in enumerate(sheet.strip()):
            depth += {"{": 1, "}": -1}.get(character, 0)
            assert depth > 0 or index < len(".pipetrace {") or index == len(sheet.strip()) - 1
        assert depth == 0


def test_the_policy_allows_exactly_what_is_there(page: Page):
    document = html.document(page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', document)
    assert policy
    assert policy[1].startswith("default-src 'none'; ")
    assert "unsafe" not in policy[1]
    style = re.search(r"<style>(.*?)</style>", document, re.S)
    script = re.search(r'<script type="module">(.*?)</script>', document, re.S)
    assert style
    assert script
    for source in (style[1], script[1]):
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert not re.search(r"(?i)\b(?:src|href)=[\"']?(?:https?:)?//", document)


def test_hostile_text_stays_inside_the_data(hostile: Page):
    document = html.document(hostile)
    document.encode()
    assert document.count("<script") == 2
    assert document.count("</script>") == 2
    assert document.count("<img") == 0
    assert len(values_of(document)["sections"]) == len(hostile.sections)


def values_of(document: str) -> Any:
    """Return the data of a document, as its script reads it."""
    found = re.search(r'id="data">(.*?)</script>', document, re.S)
    assert found
    packed = not found[1].startswith("{")
    return json.loads(gzip.decompress(base64.b64decode(found[1])) if packed else found[1])


def test_large_data_is_compressed_and_small_data_is_not(page: Page):
    text = blocks.Text(text="0.25 " * 20_000)
    large = Page(title="t", subtitle="", sections=(Section(id="s", title="S", blocks=(text,)),))
    assert values_of(html.document(large)) == json.loads(data.render(large))
    assert len(html.document(large)) < len(html.document(page)) + html.PLAIN
    small = Page(title="t", subtitle="", sections=())
    assert '"title":"t"' in html.document(small)
    assert html.document(large) == html.document(large)


def test_what_is_left_out_of_the_joined_files_is_no_code():
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".js":
            # Text between backticks keeps its indentation only if it ends on its line.
            lines = [re.sub(r"/[^/]*`[^/]*/", "", line) for line in text.splitlines()]
            assert [line for line in lines if line.count("`") % 2] == []
            assert "/*" not in text
        if path.suffix == ".css":
            assert text.count("/*") == len(re.findall(r"^ */\*.*\*/$", text, re.MULTILINE))


def test_sizes(page: Page):
    assert len(html.module().encode()) <= 140_000
    assert len(html.style().encode()) <= 41_000
    assert len(html.document(page).encode()) <= 200_000


def test_a_file_is_written_whole_or_not_at_all(page: Page, tmp_path: Path):
    path = tmp_path / "page.html"
    html.write(page, path)
    assert path.read_text(encoding="utf-8") == html.document(page)
    object_in_page = blocks.Text(text=object())  # type: ignore[arg-type]  # not encodable
    section = blocks.Section(id="s", title="s", blocks=(object_in_page,))
    with pytest.raises((TypeError, NotImplementedError)):
        html.write(Page(title="t", subtitle="", sections=(section,)), path)
    assert path.read_text(encoding="utf-8") == html.document(page)
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_a_missing_folder_is_said(page: Page, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        html.write(page, tmp_path / "none" / "page.html")
