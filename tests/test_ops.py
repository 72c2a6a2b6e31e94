"""The ops of a run are a table: indexed as a person thinks of them, printed, given to polars."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars
import pytest
import torch
from torch import nn

import pipetrace as pt
from pipetrace.errors import ModulePathError, RunFileError
from pipetrace.ops import Ops
from pipetrace.records import Argument, Gradient, Link, Op, Place, Tensor


class Heads(nn.Module):
    """Two heads on one body: a backward may reach one of them and not the other."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5))
        self.first = nn.Linear(5, 2)
        self.second = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.body(x)
        return self.first(x), self.second(x.detach())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(3)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def ops() -> Ops:
    return pt.trace(Heads(), torch.randn(4, 6)).ops


def functions(ops: Ops) -> list[str]:
    return [op.function for op in ops]


def test_a_table_is_a_sequence_of_ops(ops: Ops):
    assert functions(ops) == ["linear", "relu", "dropout", "linear", "linear"]
    assert len(ops) == 5
    assert ops[-1] is list(ops)[4]
    assert functions(ops[1:3]) == ["relu", "dropout"]
    assert functions(ops[::-2]) == ["linear", "dropout", "linear"]
    assert ops[2] in ops
    assert ops.index(ops[2]) == 2
    assert functions(ops.where(lambda op: op.random)) == ["dropout"]
    with pytest.raises(IndexError):
        ops[5]


def test_a_path_gives_the_ops_of_a_module_and_of_those_inside_it(ops: Ops):
    assert functions(ops["body"]) == ["linear", "relu", "dropout"]
    assert functions(ops["body.1"]) == ["relu"]
    assert functions(ops["body"]["body.2"]) == ["dropout"]
    assert len(ops[""]) == 5
    assert "body" in ops
    assert "bod" not in ops
    with pytest.raises(ModulePathError) as caught:
        ops["bdy.1"]
    assert str(caught.value).startswith("No op ran inside a module 'bdy.1'. Near it: 'body.1'")
    with pytest.raises(KeyError, match=r"Near it: 'body', 'body\.0', 'body\.1'"):
        ops["encoder.attention"]
    with pytest.raises(KeyError, match="None ran inside a module"):
        Ops([])["encoder"]


def test_a_path_is_no_prefix_of_a_longer_name():
    ops = Ops(Op(capture=0, index=index, function="relu", module=f"layer.{index}")
              for index in range(12))  # fmt: skip
    assert [op.index for op in ops["layer.1"]] == [1]


def test_the_text_shows_what_was_measured_and_says_what_was_sampled(ops: Ops):
    lines = str(ops).splitlines()
    assert lines[0].split() == ["op", "module", "function", "shape", "mean", "zeros", "line"]
    assert lines[-1] == "5 ops"
    dropout = ops[2].outputs[0]
    assert dropout.mean is not None
    assert dropout.zeros is not None
    cells = lines[3].split()
    assert cells[:6] == ["2", "body.2", "dropout", "4", "×", "5"]
    assert float(cells[6]) == pytest.approx(dropout.mean, rel=1e-3)
    assert float(cells[7]) == pytest.approx(dropout.zeros * 100, abs=0.06)
    assert cells[9].startswith("test_ops.py:")
    sampled = Tensor(shape=(9, 9), dtype="float32", count=16, exact=False, mean=0.5, zeros=0.25)
    text = str(Ops([Op(capture=0, index=0, function="exp", outputs=(sampled,))]))
    assert text.splitlines()[1].split() == ["0", "(root)", "exp", "9", "×", "9",
                                            "~0.5000", "~25.0", "%"]  # fmt: skip
    assert text.endswith("1 op; ~ from a sample of the elements")


def test_a_long_table_is_cut_in_the_middle_and_a_wide_one_in_its_words():
    place = Place(file="/home/ada/a_folder/a_file_with_a_long_name.py", line=1234)
    made = Tensor(shape=(1, 2, 3, 4, 5, 6), dtype="float32", count=720, mean=1.0, zeros=0.0)
    ops = Ops(
        Op(capture=index // 20, index=index % 20, function="scaled_dot_product_attention",
           module=f"encoder.layers.{index}.attention.self.projection.output", called=place,
           outputs=(made, made))
        for index in range(40)
    )  # fmt: skip
    lines = repr(ops).splitlines()
    assert len(lines) == 1 + 12 + 1 + 6 + 1
    assert lines[13] == "… 22 more"
    assert max(map(len, lines)) == 100
    assert lines[0].split()[:3] == ["capture", "op", "module"]
    assert ".output  scaled_dot_" in lines[1]
    assert len(ops.text().splitlines()) == 42
    for width in (60, 80, 120):
        assert max(map(len, ops.text(5, width).splitlines())) <= width
    assert "… 35 more" in ops.text(5)
    assert "0 ops" in repr(Ops([]))


def test_a_dataframe_has_a_typed_row_for_each_op(ops: Ops):
    frame = ops.to_polars()
    assert frame.height == 5
    assert frame["function"].to_list() == functions(ops)
    row = frame.row(2, named=True)
    dropout, mask = ops[2].outputs[0], ops[2].mask
    assert mask is not None
    assert (row["index"], row["module"], row["module_type"]) == (2, "body.2", "Dropout")
    assert row["arguments"] == "p=0.5, training=True, inplace=False"
    assert (row["inputs"], row["input_shapes"], row["shape"]) == ("op 1", [[4, 5]], [4, 5])
    assert (row["mean"], row["zeros"], row["row"]) == (
        dropout.mean, dropout.zeros, list(dropout.row)
    )  # fmt: skip
    assert (row["p"], row["kept"], row["total"], row["scale"]) == (0.5, mask.kept, 20, 2.0)
    assert (row["random"], row["training"], row["exact"], row["count"]) == (True, True, True, 20)
    assert Path(row["file"]).name == "test_ops.py"
    assert row["source"] == "x = self.body(x)"
    assert frame.row(0, named=True)["inputs"] == (
        "input input, parameter body.0.weight, parameter body.0.bias"
    )
    assert frame.row(0, named=True)["p"] is None
    assert frame["gradient_mean"].null_count() == 5
    empty = Ops([]).to_polars()
    assert empty.schema == frame.schema
    assert polars.Null not in frame.dtypes


def test_what_is_missing_or_not_finite_has_its_place_in_a_dataframe():
    made = Tensor(shape=(), dtype="float32", count=1, mean=math.nan, row=(math.inf,), nans=1)
    frame = Ops([
        Op(capture=1, index=0, function="setitem", opaque="TorchScript", flops=None,
           arguments=(Argument(name="index", value="0"),), inputs=(Link(source="constant"),)),
        Op(capture=1, index=1, function="log", outputs=(made,)),
    ]).to_polars()  # fmt: skip
    bare, bad = frame.rows(named=True)
    assert (bare["outputs"], bare["shape"], bare["mean"], bare["line"]) == (0, None, None, None)
    assert (bare["inputs"], bare["opaque"]) == ("constant", "TorchScript")
    assert math.isnan(bad["mean"])
    assert (bad["row"], bad["shape"], bad["nans"], bad["opaque"]) == ([math.inf], [], 1, None)


def test_gradients_that_come_late_are_in_the_next_table():
    model = Heads()
    with pt.options(gradients=True):
        run = pt.trace(model, torch.randn(4, 6))
    first, second = run.output
    assert run.ops.gradient(run.ops[4]) is None
    second.sum().backward()
    known = run.ops.gradient(run.ops[4])
    assert known is not None
    assert (known.mean, known.std) == (1.0, 0.0)
    assert run.ops.gradient(run.ops[0]) is None
    first.pow(2).sum().backward()
    # This one reached ops before those that the first backward had reached, the last first.
    expected = (2 * first).detach()
    head = run.ops.gradient(run.ops[3])
    assert head is not None
    assert head.mean == pytest.approx(float(expected.mean()), rel=1e-5)
    stated = run.recording.all(Gradient)
    assert [one.op for one in stated] == [4, 3, 2, 1, 0]
    assert run.recording.all(Gradient) == stated
    frame = run.ops.to_polars()
    assert frame["gradient_mean"].null_count() == 0
    row = frame.row(3, named=True)
    assert (row["gradient_mean"], row["gradient_maximum"]) == (head.mean, head.maximum)
    assert run.ops["first"].gradient(run.ops[3]) == head


def test_a_gradient_that_is_computed_again_replaces_the_first_and_nan_is_stated_once():
    with pt.options(gradients=True):
        run = pt.trace(nn.Linear(2, 2), torch.ones(1, 2))
    run.output.sum().backward(retain_graph=True)
    assert run.ops.to_polars()["gradient_mean"].to_list() == [1.0]
    run.output.backward(torch.full((1, 2), 3.0), retain_graph=True)
    assert run.ops.to_polars()["gradient_mean"].to_list() == [3.0]
    run.output.backward(torch.full((1, 2), math.nan))
    assert [len(run.recording.all(Gradient)) for _ in range(3)] == [3, 3, 3]


def test_a_trace_is_saved_and_opened_again(tmp_path: Path):
    model = Heads()
    with pt.options(gradients=True):
        run = pt.trace(model, torch.randn(4, 6))
    run.output[0].sum().backward()
    path = tmp_path / "new" / "trace.pipetrace"
    assert run.save(str(path)) == path
    again = pt.load(path)
    assert again.recording.facts == run.recording.facts
    assert list(again.ops) == list(run.ops)
    assert again.ops.to_polars().equals(run.ops.to_polars())
    assert (again.status, again.code) == ("finished", 0)
    assert [each.name for each in path.parent.iterdir()] == ["trace.pipetrace"]
    with pytest.raises(RunFileError, match=r"trace\.pipetrace: the file exists already"):
        run.save(path)
    with pytest.raises(RunFileError, match="a part of its path is a file"):
        run.save(path / "inside")


def test_scalars_are_saved_too_and_a_run_that_has_not_ended_is_not(tmp_path: Path):
    model = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pt.record() as run:
        with pytest.raises(RunFileError, match="nothing to save yet"):
            run.save(tmp_path / "early")
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(2, 4)).sum().backward()
            optimizer.step()
    assert run.recording.series
    again = pt.load(run.save(tmp_path / "late"))
    assert again.recording.series == run.recording.series
    assert again.recording.facts == run.recording.facts
    assert not (tmp_path / "early").exists()


def test_a_full_disk_leaves_no_half_a_run(tmp_path: Path):
    program = (
        "import resource, signal, sys, torch, pipetrace as pt\n"
        "from pipetrace.errors import RunFileError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "run = pt.trace(torch.nn.Linear(9, 9), torch.ones(2, 9))\n"
        "run.recording\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    run.save(sys.argv[1])\n"
        "except RunFileError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "nothing more was recorded" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dataframe_without_polars_says_what_to_install():
    program = (
        "import sys; sys.modules['polars'] = None\n"
        "from pipetrace.errors import PipetraceError\n"
        "from pipetrace.ops import Ops\n"
        "try:\n"
        "    Ops([]).to_polars()\n"
        "except PipetraceError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith('Install it with: pip install "pipetrace[tabular]"\n')


def test_a_block_keeps_no_rows_and_no_source_where_none_are_wanted():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU())
    for keep in (True, False):
        with pt.record(values=keep, source=keep) as run:
            model(torch.ones(2, 4)).sum().backward()
        frame = run.ops.to_polars()
        assert frame.height
        assert (frame["row"].list.len().sum() > 0) is keep
        assert (frame["source"].null_count() == 0) is keep


def test_the_table_does_not_hide_a_nan_behind_a_mean():
    class Roots(nn.Module):
        def forward(self, x):
            return torch.log(x)

    written = pt.trace(Roots(), torch.tensor([[1.0, -1.0], [0.0, 2.0]])).ops.text()
    assert "1 NaN" in written
    assert "1 inf" in pt.trace(Roots(), torch.tensor([[1.0, 0.0]])).ops.text()
