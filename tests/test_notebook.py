"""A cell under `%%pipetrace` is an ordinary cell whose output is the page of what it did."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from pipetrace import api
from pipetrace.records import Epoch, Failure, Provenance, SourceText

CELL = """%%pipetrace{line}
import torch
from torch import nn
torch.set_num_threads(1)
torch.manual_seed(0)
x = torch.randn(8, 3)
model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(3):
    for batch in x.split(4):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch), batch[:, :1])
        loss.backward()
        optimizer.step()
print("trained", epoch)
{last}
"""


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Return IPython's shell with the extension loaded, and leave none of its hooks behind."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    started = InteractiveShell.instance()
    started.run_line_magic("load_ext", "pipetrace")
    yield started
    started.history_manager.end_session()
    started.restore_sys_module_state()
    InteractiveShell.clear_instance()


def run(shell: Any, cell: str) -> tuple[Any, str]:
    """Run a cell as a person does; return its value and what it printed."""
    with capture_output() as captured:
        shell.run_cell(cell, store_history=True)
    return shell.user_ns.get(f"_{shell.execution_count - 1}"), captured.stdout


def test_a_cell_runs_in_the_namespace_and_gives_its_page(shell: Any):
    found, printed = run(shell, CELL.format(line="", last=""))
    assert isinstance(found, api.Run)
    assert printed.startswith("trained 2\n")
    assert printed.count("recording - pipeline trace") == 1
    shown, _ = shell.display_formatter.format(found)
    assert set(shown) >= {"text/plain", "text/html"}
    assert "pipeline trace" in shown["text/plain"]
    assert shown["text/html"].startswith("<iframe")
    assert [epoch.steps for epoch in found.recording.all(Epoch)] == [2, 2, 2]
    origin = found.recording.first(Provenance)
    assert origin is not None
    assert (origin.origin, found.status, found.path) == ("notebook", "finished", None)
    assert any("nn.Dropout(0.5)" in source.text for source in found.recording.all(SourceText))
    assert any("model(batch)" in op.called.text for op in found.ops if op.called is not None)
    shape, _ = run(shell, "epoch, model(x).shape")
    assert str(shape) == "(2, torch.Size([8, 1]))"


def test_a_cell_that_raises_shows_its_error_once_and_the_page(shell: Any):
    found, printed = run(shell, CELL.format(line="", last="model(x[:, :2])"))
    assert printed.count("mat1 and mat2 shapes cannot be multiplied") >= 1
    assert printed.count("Traceback (most recent call last)") == 1
    assert "The cell raised RuntimeError; the page is of what ran before." in printed
    assert found.status == "raised"
    failure = found.recording.last(Failure)
    assert failure is not None
    assert failure.input_shapes[0] == (8, 2)
    assert len(found.recording.all(Epoch)) == 3
    found, printed = run(shell, "%%pipetrace\nraise KeyboardInterrupt")
    assert found.status == "interrupted"
    found, printed = run(shell, "%%pipetrace\n1 +/ 0")
    assert "SyntaxError" in printed
    assert found.status == "raised"
    found, _ = run(shell, CELL.format(line="", last=""))
    assert found.status == "finished"


def test_a_cell_keeps_its_run_in_the_file_that_is_named(shell: Any, tmp_path: Path):
    found, _ = run(shell, CELL.format(line=" 'kept run.pipetrace'", last=""))
    assert found.path == tmp_path / "kept run.pipetrace"
    assert api.load(found.path).recording.facts == found.recording.facts
    _, printed = run(shell, CELL.format(line=" kept run.pipetrace", last=""))
    assert printed == ""
    assert shell.user_ns["epoch"] == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [(" taken", "taken: the file exists already"), (" taken/a", "a part of its path is a file")],
)
def test_a_file_that_cannot_be_made_is_said_in_a_line_and_nothing_runs(
    shell: Any, tmp_path: Path, line: str, reason: str
):
    (tmp_path / "taken").write_text("mine")
    with capture_output() as captured:
        shell.run_cell(f"%%pipetrace{line}\nstarted = True")
    assert reason in captured.stderr
    assert "Traceback" not in captured.stderr + captured.stdout
    assert "started" not in shell.user_ns


def test_the_magic_explains_itself(shell: Any):
    with capture_output() as captured:
        shell.run_cell("%%pipetrace?")
    assert "FILE keeps the run" in captured.stdout
