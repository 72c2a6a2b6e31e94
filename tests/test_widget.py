"""A page as a widget: what a notebook is given, and what its script does in a real browser."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import expect

import pipetrace as pt
from pipetrace.blocks import Bar, Bars, Page
from pipetrace.errors import PipetraceError
from pipetrace.integrations.widget import module
from pipetrace.runs import Run
from pipetrace.views import data, demo, html

HOST = """
const values = JSON.parse(document.getElementById("data").textContent);
const listeners = {};
window.sent = [];
window.model = {
  get: (name) => values[name],
  set: (name, value) => (values[name] = value),
  save_changes: () => {},
  on: (event, listener) => (listeners[event] ??= []).push(listener),
  off: (event, listener) =>
    (listeners[event] = (listeners[event] ?? []).filter((each) => each !== listener)),
  send: (message) => window.sent.push(message),
};
window.fire = (event, ...told) => (listeners[event] ?? []).forEach((each) => each(...told));
window.heard = () => Object.values(listeners).flat().length;
window.notebook = inNotebook(window.model);
window.clear = widget.render({ model: window.model, el: document.getElementById("page") });
"""


@pytest.fixture
def traced() -> Run:
    torch.manual_seed(0)
    return pt.trace(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()), torch.ones(2, 4))


def test_a_widget_holds_the_page_and_the_viewer(traced: Run, tmp_path: Path):
    widget = pt.widget(traced)
    assert widget.page == data.plain(traced.page(), html.DIGITS)
    assert widget.owns_address is False
    assert "save_html(path)" in repr(widget)
    assert len(repr(widget)) < 200
    assert widget.actions == ["rerun"]
    state = widget.get_state()
    assert state["_esm"] == module()
    assert state["_css"] == html.style()
    assert json.loads(json.dumps(widget.page, allow_nan=False)) == widget.page
    path = traced.save(tmp_path / "a.pipetrace")
    opened = pt.widget(path)
    assert (opened.page["title"], opened.actions) == (widget.page["title"], [])
    assert pt.widget(pt.diff(traced, path)).page["sections"]
    with pytest.raises(PipetraceError, match="there is no such run file"):
        pt.widget(tmp_path / "b.pipetrace")


def test_a_run_that_is_recorded_is_shown_as_far_as_it_has_come():
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pt.record() as run:
        widget = pt.widget(run)
        before = widget.page
        for _ in pt.epochs(range(2)):
            torch.nn.functional.cross_entropy(model(torch.ones(3, 4)), torch.tensor([0, 1, 1]))
            loss = torch.nn.functional.cross_entropy(model(torch.ones(2, 4)), torch.tensor([0, 1]))
            loss.backward()
            optimizer.step()
        widget.refresh()
        during = widget.page
        with pytest.raises(PipetraceError, match="nothing to save yet"):
            run.save("never.pipetrace")
    widget.refresh()
    assert before != during != widget.page
    assert "still running" in during["subtitle"]
    assert "finished after" in widget.page["subtitle"]


def test_what_a_page_asks_for_is_answered(traced: Run):
    def rerun(arguments: dict[str, Any]) -> list[Bars]:
        if arguments["p"] == 2:
            raise PipetraceError("p is 2, and must be from 0 to 1.")
        return [Bars(bars=(Bar(label="a", share=float("nan"), value=""),))]

    traced.actions = {"rerun": rerun}
    widget = pt.widget(traced)
    assert widget.actions == ["rerun"]
    sent: list[Any] = []
    widget.send = sent.append
    for asked in ({"number": 1, "name": "rerun", "arguments": {"p": 0.5}},
                  {"number": 2, "name": "rerun", "arguments": {"p": 2}},
                  {"number": 3, "name": "other", "arguments": {}}, "nonsense"):  # fmt: skip
        widget._handle_custom_msg(asked, [])
    assert sent[0] == {
        "number": 1,
        "blocks": [{"block": "bars", "bars": [{"label": "a", "share": "NaN", "value": ""}]}],
    }
    assert sent[1] == {"number": 2, "error": "p is 2, and must be from 0 to 1."}
    assert sent[2] == {"number": 3, "error": "KeyError: 'other'"}
    assert sent[3]["number"] is None


def test_a_missing_package_is_named():
    program = (
        "import sys; sys.modules['anywidget'] = None\n"
        "import pipetrace as pt\n"
        "try: pt.widget('a.pipetrace')\n"
        "except pt.api.PipetraceError as error: print(error)\n"
    ).replace("pt.api.PipetraceError", "Exception")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert done.stdout.strip() == (
        "A widget needs the package anywidget, which is not installed: "
        'pip install "pipetrace[notebook]"'
    )


@pytest.mark.browser
def test_the_viewer_runs_on_a_widgets_model(browser: Any, tmp_path: Path):
    page = demo.page()
    script = module().replace("export default", "const widget =") + HOST
    values = data.encoded({"page": page, "owns_address": False, "actions": []})
    path = tmp_path / "page.html"
    path.write_text(html.compose("widget", script, html.style(), values), encoding="utf-8")
    tab = browser.new_page()
    noise: list[str] = []
    tab.on("pageerror", lambda error: noise.append(str(error)))
    tab.goto(path.as_uri())
    expect(tab.locator("h1")).to_have_text(page.title)
    changed = data.plain(Page(title="Another", subtitle="", sections=page.sections[:1]))
    tab.evaluate("page => { model.set('page', page); fire('change:page'); }", changed)
    expect(tab.locator("h1")).to_have_text("Another")
    assert tab.evaluate("notebook.host.act === undefined")
    tab.evaluate("model.set('actions', ['rerun'])")
    tab.evaluate("window.first = notebook.host.act('rerun', { p: 0.5 }); undefined")
    tab.evaluate(
        "window.second = notebook.host.act('rerun', { p: 2 }).catch((error) => error.message);"
        "undefined"
    )
    assert tab.evaluate("sent") == [
        {"number": 1, "name": "rerun", "arguments": {"p": 0.5}},
        {"number": 2, "name": "rerun", "arguments": {"p": 2}},
    ]
    tab.evaluate("fire('msg:custom', { number: 2, error: 'p is 2' })")
    tab.evaluate("fire('msg:custom', { number: 1, blocks: [1] })")
    assert tab.evaluate("first") == [1]
    assert tab.evaluate("second") == "p is 2"
    assert tab.url == path.as_uri()
    tab.evaluate("clear(); notebook.clear()")
    assert tab.evaluate("heard()") == 0
    assert noise == []
    tab.close()
