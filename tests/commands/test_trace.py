"""A forward that is asked for in the shell is traced, or it is said what to write instead."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as some

from pipetrace import inputs, tracefile
from pipetrace.cli import main
from pipetrace.errors import PipetraceError
from pipetrace.records import Capture, Contrast, Failure, Op, Provenance, Seed, SourceText

if TYPE_CHECKING:
    from pipetrace.tracefile import Recording

    from .conftest import Finished, Folder

MODEL = """
    import random

    import numpy
    import torch
    from torch import nn

    import beside


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5))
            self.head = nn.Linear(5, beside.CLASSES)

        def forward(self, x, *, scale=None):
            x = self.body(x)
            return self.head(x if scale is None else x * scale)


    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(50, 4)

        def forward(self, ids, mask):
            assert ids.dtype == torch.int64 and mask.dtype == torch.bool
            return self.table(ids) * mask[..., None]


    class Stopped(nn.Module):
        def forward(self):
            raise KeyboardInterrupt


    def make():
        model = Net().eval()
        return model, torch.ones(3, 6)


    def several():
        return Net(), {"x": torch.ones(2, 6), "scale": torch.ones(2, 5)}


    def pair():
        return Words(), (torch.ones(2, 3).long(), torch.ones(2, 3).bool())


    def needs(width):
        return Net()


    def nothing():
        pass


    def fails():
        raise ValueError("mine")


    class home:
        net = Net()
        width = 3


    DRAWN = torch.rand(1).item(), numpy.random.rand(), random.random()
"""


class Shell:
    """A folder with a model in it, where commands are typed into this process."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def type(self, *words: str) -> Finished:
        from .conftest import Finished

        with CliRunner().isolation() as streams:
            code = main(["trace", *words])
            sys.stdout.flush()
            sys.stderr.flush()
            out, err = (stream.getvalue().decode() for stream in streams[:2])
        return Finished(code, out, err)

    def traced(self, *words: str) -> Recording:
        finished = self.type(*words)
        assert finished.code == 0, finished.err
        assert finished.err == ""
        return self.folder.newest()

    def refused(self, *words: str) -> str:
        finished = self.type(*words)
        assert (finished.code, finished.out) == (2, "")
        assert finished.err.startswith("pipetrace: ")
        assert finished.err.count("\n") == 1
        assert self.folder.runs() == []
        return finished.err.removeprefix("pipetrace: ").rstrip("\n")


@pytest.fixture
def shell(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    folder.write({"model.py": MODEL, "beside.py": "CLASSES = 3\n"})
    monkeypatch.chdir(folder.path)
    streams = torch.get_rng_state(), numpy.random.get_state(), random.getstate()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Shell(folder)
    torch.set_num_threads(threads)
    torch.set_rng_state(streams[0])
    numpy.random.set_state(streams[1])
    random.setstate(streams[2])


def functions(recording: Recording) -> list[str]:
    return [op.function for op in recording.all(Op)]


def shapes(recording: Recording) -> list[tuple[int, ...]]:
    capture = recording.last(Capture)
    assert capture is not None
    return [tensor.shape for _, tensor in capture.inputs]


def test_a_process_writes_the_run_and_its_page_and_shows_it(folder: Folder):
    folder.write({"model.py": MODEL, "beside.py": "CLASSES = 3\n"})
    finished = folder.pipetrace("trace", "model.py:Net", "--input", "8,6")
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.startswith("Net - pipeline trace\n")
    assert "ran       pipetrace trace model.py:Net --input 8,6 --seed 0" in finished.out
    assert "bit for bit" in finished.out
    assert "model.py:17  x = self.body(x)" in finished.out
    assert finished.out.endswith(
        "  page  pipetrace-runs/Net.html\n  run   pipetrace-runs/Net.pipetrace\n"
    )
    found = folder.newest()
    assert functions(found) == ["linear", "relu", "dropout", "linear"]
    origin, seed, source = found.first(Provenance), found.first(Seed), found.first(SourceText)
    assert origin is not None
    assert seed is not None
    assert source is not None
    assert (origin.origin, origin.path, seed.value) == ("module", "", 0)
    assert source.path == str(folder.path / "model.py")
    page = (folder.path / "pipetrace-runs" / "Net.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    before = (folder.path / "pipetrace-runs" / "Net.pipetrace").read_bytes()
    again = folder.pipetrace(
        "trace", "model:home.net", "--input", "2,6", "--name", "Net", "--quiet"
    )
    assert (again.code, again.out, again.err) == (0, "", "")
    names = sorted(path.name for path in (folder.path / "pipetrace-runs").iterdir())
    assert names == ["Net-2.html", "Net-2.pipetrace", "Net.html", "Net.pipetrace"]
    assert (folder.path / "pipetrace-runs" / "Net.pipetrace").read_bytes() == before


def test_a_process_whose_forward_raises_says_so_as_python_does(folder: Folder):
    folder.write({"model.py": MODEL, "beside.py": "CLASSES = 3\n"})
    finished = folder.pipetrace("trace", "model.py:Net", "--input", "8,7")
    assert finished.code == 1
    assert finished.err.startswith("Traceback (most recent call last):\n")
    assert 'model.py", line 17, in forward\n    x = self.body(x)\n' in finished.err
    assert "src/pipetrace" not in finished.err.replace("\\", "/")
    assert "importlib" not in finished.err
    last = finished.err.splitlines()[-2:]
    assert last[0] == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (8x7 and 6x5)"
    assert last[1].startswith("pipetrace: in body.0 (Linear), linear was given 8×7, 5×6")
    assert "mat1 and mat2 shapes cannot be multiplied" in finished.out
    assert "Traceback" not in finished.out
    failure = folder.newest().last(Failure)
    assert failure is not None
    assert (failure.module, failure.input_shapes[0]) == ("body.0", (8, 7))


def test_whatever_makes_a_model_is_understood(shell: Shell):
    path = list(sys.path)
    assert shapes(shell.traced("model.py:make")) == [(3, 6)]
    assert shapes(shell.traced("model:several")) == [(2, 6), (2, 5)]
    assert functions(shell.traced("model:pair"))[:1] == ["embedding"]
    assert functions(shell.traced("model:home.net", "--input", "2,6"))[0] == "linear"
    assert shapes(shell.traced("model:make", "--input", "7,6")) == [(7, 6)]
    assert functions(shell.traced("torch.nn:ReLU", "--input", "4")) == ["relu"]
    assert functions(shell.traced(str(shell.folder.path / "model.py") + ":make"))[0] == "linear"
    assert sys.path == path
    assert {"model", "beside"} & set(sys.modules) == set()


def test_a_file_may_be_named_as_a_module_that_we_use(shell: Shell):
    for name in ("click", "numpy", "torch", "random"):
        other = shell.folder.path / f"in_{name}" / f"{name}.py"
        other.parent.mkdir()
        other.write_text("from torch import nn\n\nnet = nn.Linear(6, 2)\n")
        known = sys.modules[name]
        found = shell.traced(f"in_{name}/{name}.py:net", "--input", "1,6")
        assert functions(found) == ["linear"]
        assert sys.modules[name] is known


def test_inputs_are_drawn_as_they_were_asked_for(shell: Shell):
    found = shell.traced("model:Words", "--input", "2,3:int64:50", "--keyword", "mask=2,3:bool")
    capture = found.last(Capture)
    assert capture is not None
    ids, mask = (tensor for _, tensor in capture.inputs)
    assert [name for name, _ in capture.inputs] == ["input", "mask"]
    assert (ids.shape, ids.dtype, mask.shape, mask.dtype) == ((2, 3), "int64", (2, 3), "bool")
    assert ids.maximum is not None
    assert ids.minimum is not None
    assert 0 <= ids.minimum < ids.maximum < 50
    with_scale = shell.traced("model:Net", "--input", "2,6", "--keyword", "scale=2,1:bfloat16")
    assert "mul" in functions(with_scale)


def test_a_seed_decides_weights_inputs_and_masks(shell: Shell):
    def rows(*words: str) -> list[tuple[float, ...]]:
        found = shell.traced("model:Net", "--input", "4,6", "--train", *words)
        return [op.outputs[0].row for op in found.all(Op)]

    assert rows() == rows("--seed", "0")
    assert rows()[0] != rows("--seed", "1")[0]
    for seed in ("5", "5", "6"):
        shell.folder.write({"seen.py": "from model import DRAWN, Net\n"
                            "with open('drawn', 'a') as file:\n"
                            "    print(*DRAWN, file=file)\n"})  # fmt: skip
        shell.traced("seen.py:Net", "--input", "1,6", "--seed", seed)
    drawn = (shell.folder.path / "drawn").read_text().splitlines()
    assert drawn[0] == drawn[1]
    assert all(map(str.__ne__, drawn[0].split(), drawn[2].split()))
    assert len(drawn[0].split()) == 3


def test_the_mode_is_that_of_the_callable_unless_one_is_named(shell: Shell):
    def mode(*words: str) -> bool:
        capture = shell.traced("model:make", *words).last(Capture)
        assert capture is not None
        return capture.training

    assert (mode(), mode("--train"), mode("--eval")) == (False, True, False)
    contrast = shell.traced("model:make", "--both-modes").last(Contrast)
    assert contrast is not None
    assert (contrast.training, contrast.differing) == (True, 2)
    assert shell.traced("model:make").last(Contrast) is None


def test_what_is_printed_and_kept_is_chosen(shell: Shell):
    table = shell.type("model:make", "--ops").out.splitlines()
    assert table[0].split()[:3] == ["op", "module", "function"]
    assert [line.split()[2] for line in table[1:-1]] == ["linear", "relu", "dropout", "linear"]
    page = json.loads(shell.type("model:make", "--json").out)
    assert page["title"] == "make - pipeline trace"
    assert shell.type("model:make", "--quiet").out == ""
    bare = shell.traced("model:make", "--no-values", "--no-source", "--sample", "1")
    assert bare.first(SourceText) is None
    assert {op.outputs[0].row for op in bare.all(Op)} == {()}
    assert {op.called.text for op in bare.all(Op) if op.called} == {""}
    kept = shell.traced("model:make", "--sample", "1", "--out", "elsewhere", "--name", "mine")
    capture = kept.last(Capture)
    assert capture is not None
    other = tracefile.load(shell.folder.path / "elsewhere" / "mine.pipetrace").last(Capture)
    assert other is not None
    assert (other.sample, capture.sample) == (1, 1)


def test_what_the_users_code_raises_before_a_forward_is_printed_and_leaves_no_run(shell: Shell):
    finished = shell.type("model:fails")
    assert (finished.code, finished.out) == (1, "")
    lines = finished.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in fails")
    assert lines[-1] == "ValueError: mine"
    shell.folder.write({"broken.py": "def (:\n", "lacking.py": "import there_is_no_such_thing\n"})
    assert "SyntaxError" in shell.type("broken.py:x").err
    missing = shell.type("lacking:x")
    assert missing.code == 1
    assert missing.err.endswith("No module named 'there_is_no_such_thing'\n")
    with pytest.raises(KeyboardInterrupt):
        shell.type("model:Stopped")
    assert shell.folder.runs() == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("model",), "'model' names no model. Write where it is made, MODULE:CALLABLE"),
        (("model:",), "'model:' names no model."),
        ((":make",), "':make' names no model."),
        (("a-b:make",), "'a-b' is no name of a module."),
        (("none:make",), "No module named none was found from "),
        (("model.sub:make",), "No module named model.sub was found from "),
        (("none.py:make",), "none.py: there is no such file."),
        (("model:mke",), "model has no mke. Did you mean make?"),
        (("model:home.nett",), "model.home has no nett. Did you mean net?"),
        (("beside:xyzzy",), "beside has no xyzzy. It has nothing that makes a model."),
        (("model:zzzzzz",), "model has no zzzzzz. Did you mean Net or Stopped or Words"),
        (("model:home.width",), "model:home.width is an int, and no nn.Module."),
        (("model:nothing",), "model:nothing returned None, and no nn.Module."),
        (("model:needs",), "model:needs: needs(width) cannot be called without arguments."),
        (("model:Net",), "The inputs do not fit Net.forward(x, *, scale=None): missing a required"),
        (("model:make", "--input", "1,6", "--input", "1"), "too many positional arguments"),
        (("model:make", "--keyword", "y=1,6"), "missing a required argument: 'x'"),
        (("model:make", "--input", "8x6"), "'8x6' is no shape. Write sizes with commas"),
        (("model:make", "--input", ""), "'' is no shape."),
        (("model:make", "--input", "1:int64:9:9"), "is no shape."),
        (("model:make", "--input", "8:float31"), "torch has no dtype 'float31'."),
        (("model:make", "--input", "8:int64"), "Write --input 8:int64:100 for numbers from 0"),
        (("model:make", "--input", "8:int64:0"), "the bound '0' is no whole number from 1."),
        (("model:make", "--input", "8:int8:300"), "--input 8:int8:300: torch cannot draw this"),
        (("model:make", "--input", "8:bool:2"), "only whole numbers have a bound."),
        (("model:make", "--keyword", "8,6"), "write the input's name first: --keyword mask="),
        (("model:make", "--keyword", "x=8:int8"), "Write --keyword x=8:int8:100 for numbers"),
        (("model:make", "--name", "a/b"), "'a/b' cannot be the name of a run"),
        (("model:make", "--out", "model.py/x"), "a part of its path is a file"),
        (("model:make", "--ops", "--json"), "--ops and --json are two outputs"),
        (("model:make", "--seed", "-1"), "is not in the range"),
    ],
)
def test_what_cannot_be_traced_is_refused_with_what_to_write(
    shell: Shell, words: tuple[str, ...], reason: str
):
    assert reason in shell.refused(*words)


@given(
    some.lists(some.integers(0, 5), min_size=1, max_size=4),
    some.sampled_from(["float32", "float64", "bfloat16", "complex64", "bool", "uint8", "int32"]),
    some.integers(1, 200),
)
def test_any_shape_and_dtype_is_drawn(sizes: list[int], dtype: str, bound: int):
    whole = dtype in ("uint8", "int32")
    text = ",".join(map(str, sizes)) + f":{dtype}" + (f":{bound}" if whole else "")
    drawn = inputs.draw(inputs.read(text), torch.Generator().manual_seed(0))
    assert list(drawn.shape) == sizes
    assert drawn.dtype is getattr(torch, dtype)
    if whole and drawn.numel():
        assert 0 <= int(drawn.min()) <= int(drawn.max()) < bound
    again = inputs.draw(inputs.read(text), torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


@given(some.text(max_size=12))
def test_any_other_text_is_refused_with_the_text_in_it(text: str):
    with pytest.raises(PipetraceError) as caught:
        inputs.read(f"{text}?")
    assert str(caught.value).startswith(f"--input {text}?: ")
