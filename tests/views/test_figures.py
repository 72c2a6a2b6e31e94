"""Figures are read back: their size, their ink, their words, their bytes."""

from __future__ import annotations

import io
import sys
import xml.etree.ElementTree as tree
from pathlib import Path

import msgspec
import pytest
from PIL import Image, ImageChops

import pipetrace as pt
from pipetrace import blocks
from pipetrace.blocks import Page, Section
from pipetrace.errors import PipetraceError
from pipetrace.views import demo, demo_models, figures, html

SECTIONS = figures.drawable(demo.page())


def words(svg: bytes) -> str:
    return "\n".join(" ".join(each.itertext()) for each in tree.fromstring(svg).iter() if
                     each.tag.endswith("}text"))  # fmt: skip


def one(*found: blocks.AnyBlock) -> Page:
    return Page(title="t", subtitle="", sections=(Section(id="s", title="S", blocks=found),))


@pytest.mark.parametrize("section", SECTIONS)
def test_a_picture_has_its_size_and_ink(whole: Page, section: str):
    image = Image.open(io.BytesIO(figures.encoded(whole, section, "png")))
    assert image.width == figures.WIDTH * figures.DPI
    assert image.info["dpi"] == pytest.approx((figures.DPI, figures.DPI), abs=0.1)
    plain = image.convert("RGB")
    ink = ImageChops.difference(plain, Image.new("RGB", plain.size, "white"))
    left, top, right, bottom = ink.getbbox() or (0, 0, 0, 0)
    assert right - left > image.width * 0.8
    assert bottom - top > image.height * 0.8
    edge = 4
    assert min(left, top, image.width - right, image.height - bottom) >= edge


@pytest.mark.parametrize("section", SECTIONS)
def test_equal_pages_give_equal_bytes_without_a_date(whole: Page, section: str):
    for form in ("png", "svg"):
        first = figures.encoded(whole, section, form)
        assert first == figures.encoded(whole, section, form)
        assert b"date>" not in first
        assert b"tIME" not in first


def test_a_drawing_keeps_its_words_as_text(whole: Page):
    said = words(figures.encoded(whole, "training", "svg"))
    for word in (
        "Loss",
        "epoch",
        "mean loss",
        "dropout on",
        "dropout off",
        "held out",
        "loss-fell",
    ):
        assert word in said
    assert "setosa (predicted, true)" in words(figures.encoded(whole, "prediction", "svg"))
    lab = words(figures.encoded(whole, "lab", "svg"))
    draws = demo_models.draws()
    count = len(draws.masks[draws.chosen])
    for word in (draws.title, "p = 0.3", f"mean of {count} draws", *draws.effects[-1].names):
        assert word in lab
    network = words(figures.encoded(whole, "network", "svg"))
    assert demo_models.network().columns[-1].label in network
    assert "crossed: dropped" in network
    samples = words(figures.encoded(whole, "samples", "svg"))
    for word in ("Sample 17, most wrong", "head.linear.weight", "epoch 8"):
        assert word in samples


@pytest.mark.parametrize("section", SECTIONS)
def test_no_text_is_small(whole: Page, section: str):
    from matplotlib.text import Text

    drawn = figures.figure(whole, section)
    drawn.canvas.draw()
    texts = [each for each in drawn.findobj(Text) if each.get_text().strip()]
    assert texts
    assert min(each.get_fontsize() for each in texts) >= 10


def test_lines_differ_by_more_than_their_colour():
    from matplotlib.lines import Line2D

    lines = tuple(blocks.Line(label=f"line {at}", values=(1.0 * at, 2.0 * at)) for at in range(6))
    chart = blocks.Chart(title="t", x_label="x", y_label="y", x=(0.0, 1.0), lines=lines)
    drawn = figures.figure(one(chart), "s").axes[0].get_lines()
    looks = {(each.get_marker(), each.get_linestyle()) for each in drawn}
    assert all(isinstance(each, Line2D) for each in drawn)
    assert len(looks) == len({each.get_color() for each in drawn}) == 6


def test_the_curve_is_the_one_that_was_measured(whole: Page):
    chart = next(b for s in whole.sections for b in s.blocks if isinstance(b, blocks.Chart))
    axes = figures.figure(whole, "training").axes[0]
    for line, drawn in zip(chart.lines, axes.get_lines(), strict=False):
        kept = [value for value in drawn.get_ydata() if value == value]
        assert kept == [value for value in line.values if value is not None]


def test_the_palette_is_the_page_s():
    for at, colour in enumerate(figures.COLOURS):
        assert f"--line-{at}: {colour};" in html.style()


def test_a_section_without_figures_is_named(whole: Page):
    with pytest.raises(PipetraceError, match="no figure in a section 'flow'"):
        figures.figure(whole, "flow")
    with pytest.raises(PipetraceError, match="This page has no figure"):
        figures.figure(one(blocks.Text(text="nothing")))
    gaps = blocks.Line(label="l", values=(None, float("nan"), float("inf")))
    chart = blocks.Chart(title="t", x_label="x", y_label="y", x=(1, 2, 3), lines=(gaps,))
    with pytest.raises(PipetraceError, match="This page has no figure"):
        figures.figure(one(chart))


def test_without_matplotlib_it_is_said_what_to_install(
    whole: Page, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PipetraceError, match=r'pip install "pipetrace\[plot\]"'):
        figures.figure(whole)


def test_hostile_text_is_only_text(hostile: Page):
    for section in figures.drawable(hostile):
        drawn = figures.encoded(hostile, section, "svg")
        tree.fromstring(drawn)
        assert b"<script" not in drawn
        assert len(drawn) < 2_000_000


def test_odd_numbers_are_gaps():
    values = (1e308, -1e308, float("inf"), None, 1.0, float("nan"), 2.0)
    line = blocks.Line(label="_hidden $x$", values=values)
    other = blocks.Line(label="other", values=(3.0,))
    chart = blocks.Chart(
        title="$", x_label="_", y_label="$$", x=tuple(range(7)), lines=(line, other)
    )
    said = words(figures.encoded(one(chart), "s", "svg"))
    assert "_hidden $x$" in said
    bar = blocks.Bar(label="b", share=float("nan"), value="NaN")
    assert figures.encoded(one(blocks.Bars(bars=(bar,))), "s", "png")
    one_value = blocks.Histogram(low=2.0, high=2.0, counts=(5,))
    panel = blocks.Panel(label="p", histograms=(one_value, None))
    block = blocks.Distributions(title="d", x_label="epoch", moments=(0, 1), panels=(panel,))
    assert figures.encoded(one(block), "s", "png")


def test_a_run_plots_itself_and_leaves_pyplot_alone(whole: Page, tmp_path: Path):
    class Shown(pt.Run):
        def page(self) -> Page:
            return whole

    run = Shown()
    known = sys.modules.get("matplotlib.pyplot")  # another test's library may have loaded it
    drawn = run.plot("training")
    drawn.savefig(tmp_path / "mine.png")
    assert (tmp_path / "mine.png").stat().st_size > 10_000
    assert len(run.plot().axes) > len(drawn.axes)
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is known
    assert pyplot is None or pyplot.get_fignums() == []


def test_a_large_network_is_drawn():
    wide = tuple(tuple(0.01 * (a - b) for a in range(100)) for b in range(60))
    columns = tuple(
        blocks.Column(label=f"Linear {count}", values=(0.5,) * count) for count in (100, 60)
    )
    wires = blocks.Wires(source=0, target=1, weights=wide)
    network = blocks.Network(title="n", columns=columns, wires=(wires,))
    assert figures.encoded(one(network), "s", "png")
    struck = msgspec.structs.replace(columns[0], struck=(True,) * 100)
    network = msgspec.structs.replace(network, columns=(struck, columns[1]))
    assert "crossed" in words(figures.encoded(one(network), "s", "svg"))
