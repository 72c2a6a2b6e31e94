"""The public functions record, open and show runs, and leave the program as they found it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace as pt
from pipetrace.errors import PipetraceError, RunFileError, ScriptError
from pipetrace.records import Ended, Epoch, Failure, Model, Notice, Op, Provenance, SourceText
from pipetrace.runs import HINT


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make() -> tuple[nn.Module, Callable[[], float]]:
    """Return a model and what takes one step with it."""
    torch.manual_seed(11)
    x = torch.randn(12, 4)
    y = (x[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.4),
                          nn.Linear(5, 2))  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type
        optimizer.step()
        return loss.item()

    return model, step


def streams() -> tuple[bytes, str, str]:
    state = numpy.random.get_state(legacy=False)
    return torch.get_rng_state().numpy().tobytes(), repr(state), repr(random.getstate())


def watched() -> list[object]:
    """Return what a recording replaces."""
    loader = torch.utils.data.dataloader._BaseDataLoaderIter
    return [nn.Module.__call__, nn.Module.__init__, F.cross_entropy, loader.__next__,
            torch.autograd.graph._engine_run_backward]  # fmt: skip


def test_a_block_is_recorded_and_computes_what_it_would_have(tmp_path: Path):
    plain_model, step = make()
    plain = [step() for _ in range(6)]
    plain_streams = streams()
    before = watched()
    model, step = make()
    with pt.record(tmp_path / "a.pipetrace") as run:
        recorded = [step() for _ in range(6)]
    assert streams() == plain_streams
    assert watched() == before
    assert recorded == plain
    for name, value in plain_model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    assert run.path == tmp_path / "a.pipetrace"
    assert (run.code, run.status) == (0, "finished")
    assert {"linear", "batch_norm", "relu", "dropout"} <= {op.function for op in run.ops}
    again = pt.load(str(tmp_path / "a.pipetrace"))
    assert again.recording.facts == run.recording.facts
    facts, ops = len(run.recording.facts), len(run.ops)
    assert repr(again) == f"<Run {run.path}: {ops} ops, {facts} facts; {HINT}>"


def test_a_run_in_memory_shows_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    _, step = make()
    with pt.record() as run:
        step()
    assert run.path is None
    assert "in memory" in repr(run)
    run.show()
    assert "recording - pipeline trace" in capsys.readouterr().out
    assert "recording - pipeline trace" in str(run)
    assert run.save_html(str(tmp_path / "page.html")) == tmp_path / "page.html"
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run._repr_html_().startswith("<iframe")
    assert set(run._repr_mimebundle_()) == {"text/plain", "text/html"}
    with pytest.raises(RunFileError, match=r"page\.html/no/page\.html: the page cannot be written"):
        run.save_html(tmp_path / "page.html" / "no" / "page.html")


def fail(step: Callable[[], float], error: Exception) -> None:
    step()
    raise error


def test_a_block_that_raises_keeps_what_ran_and_passes_the_error_on(tmp_path: Path):
    _, step = make()
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, pt.record(tmp_path / "a") as run:
        fail(step, error)
    assert caught.value is error
    failure = run.recording.last(Failure)
    assert failure is not None
    assert (failure.type, failure.message, run.code, run.status) == (
        "ValueError", "mine", 1, "raised",
    )  # fmt: skip
    assert failure.frames[-1].text == "raise error"
    with pytest.raises(KeyboardInterrupt), pt.record() as run:
        raise KeyboardInterrupt
    assert (run.code, run.status) == (130, "interrupted")
    for code, expected in ((None, 0), (0, 0), (7, 7), ("words", 1)):
        with pytest.raises(SystemExit), pt.record() as run:
            sys.exit(code)
        assert (run.code, run.status) == (expected, "finished")
    assert pt.load(tmp_path / "a").ops


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_without_words_is_recorded():
    with pytest.raises(Mute), pt.record() as run:
        raise Mute
    failure = run.recording.last(Failure)
    assert failure is not None
    assert failure.message == "<exception str() failed>"


def test_recordings_do_not_nest_and_the_outer_one_goes_on(tmp_path: Path):
    model, step = make()
    with pt.record() as run:
        step()
        with pytest.raises(RunFileError, match="recordings do not nest"), pt.record(tmp_path / "a"):
            step()
        traced = pt.trace(model, torch.ones(2, 4))
        step()
    assert [op.function for op in traced.ops][:1] == ["linear"]
    assert not (tmp_path / "a").exists()
    assert sum(epoch.steps for epoch in run.recording.all(Epoch)) == 2
    with pt.record() as other:
        step()
    assert len(other.recording.all(Model)) == 1


def test_a_recording_that_cannot_be_made_leaves_the_block_alone(tmp_path: Path):
    (tmp_path / "taken").write_text("mine")
    entered = []
    for path, reason in (
        (tmp_path / "taken", "exists already"),
        (tmp_path / "taken" / "a", "a part of its path is a file"),
        (tmp_path / ("n" * 300), "File name too long"),
    ):
        with pytest.raises(RunFileError, match=reason), pt.record(path):
            entered.append(path)
    assert entered == []
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_relative_path_stays_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    _, step = make()
    with pt.record("a.pipetrace") as run:
        os.chdir("other")
        step()
    assert run.path == tmp_path / "a.pipetrace"
    assert pt.load(run.path).ops
    assert list((tmp_path / "other").iterdir()) == []


def test_a_child_that_a_block_forks_leaves_the_run_to_its_parent(tmp_path: Path):
    _, step = make()
    with pt.record(tmp_path / "a.pipetrace") as run:
        step()
        child = os.fork()
        if not child:
            code = 1
            try:
                step()
                with pt.record(tmp_path / "child.pipetrace") as own:
                    step()
                code = 10 + len(own.recording.all(Epoch))
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11
        step()
    assert sum(epoch.steps for epoch in run.recording.all(Epoch)) == 2
    assert pt.load(tmp_path / "a.pipetrace").recording.facts == run.recording.facts
    assert len(pt.load(tmp_path / "child.pipetrace").recording.all(Epoch)) == 1


def test_epochs_are_marked_explicitly_also_when_a_loop_is_left():
    _, step = make()
    with pt.record() as run:
        for number in pt.epochs(range(3)):
            step()
            step()
            if number == 1:
                break
        step()
    assert [epoch.steps for epoch in run.recording.all(Epoch)][:2] == [2, 2]
    assert list(pt.epochs("abc")) == ["a", "b", "c"]


def test_a_model_is_traced_in_one_call():
    model, _ = make()
    model.eval()
    x = torch.randn(3, 4)
    before = streams()
    run = pt.trace(model, x)
    assert streams() == before
    assert torch.equal(run.output, model(x))
    assert run.output.requires_grad
    assert not model.training
    assert [op.function for op in run.ops] == ["linear", "batch_norm", "relu", "dropout", "linear"]
    assert "bit for bit" in str(run)
    assert run.recording.last(Notice) is None


def test_a_traced_model_gets_all_arguments_and_its_error_is_its_own():
    class Net(nn.Module):
        def forward(self, x: torch.Tensor, *, scale: float) -> dict[str, torch.Tensor]:
            return {"y": x * scale}

    run = pt.trace(Net(), torch.ones(2), scale=3.0)
    assert run.output["y"].tolist() == [3.0, 3.0]
    with pytest.raises(TypeError, match="scale"):
        pt.trace(Net(), torch.ones(2))
    for thing in (lambda x: x, "model", nn.Linear):
        with pytest.raises(PipetraceError, match=r"nn\.Module"):
            pt.trace(thing, torch.ones(2))  # type: ignore[arg-type]  # that is what is tested
    with pt.record():
        pass


def test_a_script_is_run_from_python_and_python_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("word = 'beside'")
    (tmp_path / "train.py").write_text(
        "import sys, beside, torch\n"
        "print(__name__, sys.argv, beside.word)\n"
        "torch.nn.Linear(2, 1)(torch.ones(1, 2))\n"
        "raise ValueError('é')\n"
    )
    before = sys.argv, list(sys.path), sys.modules["__main__"], sys.modules["torch"]
    run = pt.run("train.py", ["--x"], name="first")
    assert before == (sys.argv, sys.path, sys.modules["__main__"], sys.modules["torch"])
    assert "beside" not in sys.modules
    out, err = capfd.readouterr()
    assert out == "__main__ ['train.py', '--x'] beside\n"
    assert err.splitlines()[0] == "Traceback (most recent call last):"
    assert err.splitlines()[-1] == "ValueError: é"
    assert (run.code, run.status) == (1, "raised")
    assert run.path == tmp_path / "pipetrace-runs" / "first.pipetrace"
    assert run.path.with_suffix(".html").exists()
    source = run.recording.first(SourceText)
    assert source is not None
    assert source.path == str(tmp_path / "train.py")
    with pytest.raises(ScriptError, match=r"absent\.py: No such file"):
        pt.run("absent.py")
    with pytest.raises(RunFileError, match="cannot be the name of a run"):
        pt.run("train.py", name="")


def test_a_table_is_fitted_from_python(tmp_path: Path):
    (tmp_path / "a.html").write_text("mine")
    x = numpy.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(RunFileError, match=r"a\.html: the page exists already"):
        pt.fit((x, x[:, 0]), path=tmp_path / "a.pipetrace")
    run = pt.fit((x, x[:, 0]), epochs=2, path=tmp_path / "b.pipetrace")
    assert len(run.recording.all(Epoch)) == 2
    origin = run.recording.first(Provenance)
    assert origin is not None
    assert " ".join(origin.command[2:]) == "--hidden 10 --dropout 0.3 --epochs 2 --seed 0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html", "b.pipetrace"]


def test_a_fit_says_how_far_it_is_and_changes_nothing_by_that():
    x = numpy.random.default_rng(0).normal(size=(60, 3))
    plain = pt.fit((x, x[:, 0]), epochs=3).recording.series["loss/0"]
    seen: list[Any] = []
    told = pt.fit((x, x[:, 0]), epochs=3, progress=seen.append).recording.series["loss/0"]
    assert told == plain
    last = seen[-1]
    assert (last.epoch, last.epochs, last.step, last.steps) == (3, 3, 2, 2)
    assert (last.loss, last.rate, last.left) == (plain[-1], 0.01, 0)
    assert str(last).startswith("epoch 3 of 3, step 2 of 2, loss ")


def test_ctrl_c_ends_a_fit_and_the_loop_around_it(tmp_path: Path):
    x = numpy.random.default_rng(0).normal(size=(60, 3))

    def press(moment: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        pt.fit((x, x[:, 0]), epochs=2, path=tmp_path / "a.pipetrace", progress=press)
    run = caught.value.pipetrace  # type: ignore[attr-defined]  # put there by fit
    assert (run.status, run.code) == ("interrupted", 130)
    assert pt.load(tmp_path / "a.pipetrace").status == "interrupted"
    assert (tmp_path / "a.html").exists()


def test_two_runs_in_memory_are_put_side_by_side(tmp_path: Path):
    x = numpy.random.default_rng(0).normal(size=(60, 3))
    one, other = (pt.fit((x, x[:, 0]), epochs=2, seed=seed) for seed in (0, 1))
    both = pt.diff(one, other)
    assert str(both).startswith("A and B - two runs compared\n")
    assert repr(both) == f"<Comparison in memory and in memory; {HINT}>"
    assert "two runs compared" in both._repr_html_()
    assert both.save_html(tmp_path / "both.html").exists()
    one.save(tmp_path / "one.pipetrace")
    first = pt.diff(tmp_path / "one.pipetrace", one).page().sections[0].blocks[0]
    assert "equal in all that was compared" in first.text  # type: ignore[union-attr]  # a Text
    with pytest.raises(RunFileError, match="both are the same run"):
        pt.diff(one, one)


def test_opening_and_showing_a_run_needs_no_torch(tmp_path: Path):
    _, step = make()
    with pt.record(tmp_path / "a.pipetrace"):
        step()
    program = (
        "import sys, pipetrace as pt\n"
        "run = pt.load(sys.argv[1])\n"
        "run.show(); run.save_html(sys.argv[1] + '.html'); run._repr_mimebundle_()\n"
        "print(sorted({'torch', 'numpy', 'polars', 'sklearn', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.pipetrace")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_public_names_are_there_and_no_others():
    assert set(dir(pt)) == set(pt.__all__)
    for name in pt.__all__:
        assert getattr(pt, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        pt.nothing  # noqa: B018  # asking is the test


def test_what_a_file_holds_is_json_for_any_reader(tmp_path: Path):
    _, step = make()
    with pt.record(tmp_path / "a.pipetrace") as run:
        step()
    from pipetrace.views import data

    assert json.loads(data.render(run.page()))["title"] == "a - pipeline trace"
    origin, ended = run.recording.first(Provenance), run.recording.last(Ended)
    assert origin is not None
    assert ended is not None
    assert origin.origin == "python"
    assert origin.versions["torch"] == torch.__version__
    assert {"opening", "questions"} <= set(ended.costs)
    assert run.recording.all(Op)
