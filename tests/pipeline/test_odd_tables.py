"""Whatever stands in a table, it is prepared to finite numbers or refused in one paragraph."""

from __future__ import annotations

import csv
import io

import polars as pl
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipetrace.errors import TableError
from pipetrace.pipeline.prepare import prepare
from pipetrace.records import Column, Preparation

names = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12).filter(
        lambda name: "\0" not in name
    ),
    st.sampled_from(["a = b", "<b>x</b>", '"', "[red]x[/red]", "a", " a ", "missing", "é", "0"]),
)
cells = st.one_of(
    st.sampled_from(
        ["", "NA", "inf", "-inf", "nan", "1e308", "1e-300", "99999999999999999999999", "-0", "007"]
    ),
    st.integers(-(10**25), 10**25).map(str),
    st.floats().map(repr),
    st.sampled_from(["red", "blue", "<i>", "a,b", 'say "x"', "line\nbreak", "true", "2020-01-02"]),
)
columns = st.one_of(
    st.lists(cells, min_size=12, max_size=12),
    st.lists(st.floats().map(repr), min_size=12, max_size=12),
    st.lists(st.integers().map(str), min_size=12, max_size=12),
    st.just(["NA"] * 12),
    st.lists(st.sampled_from(["x", "y", ""]), min_size=12, max_size=12),
    st.lists(st.dates().map(str), min_size=12, max_size=12),
)
targets = st.one_of(
    st.just(["u", "v"] * 6),
    st.just(["1", "2", "3"] * 4),
    st.lists(st.floats(-1e6, 1e6).map(repr), min_size=12, max_size=12),
    columns,
)


def check(source, target):
    """Prepare a table and look at what comes out; return why it was refused, or nothing."""
    try:
        prepared = prepare(source, target)
    except TableError as error:
        return str(error)
    for part in (prepared.train_inputs, prepared.heldout_inputs):
        assert part.shape[1] == len(prepared.names) == len(set(prepared.names))
        assert torch.isfinite(part).all()
    assert torch.isfinite(prepared.train_targets).all()
    made = [name for fact in prepared.facts if isinstance(fact, Column) for name in fact.encoded]
    assert sorted(made) == sorted(prepared.names)
    for fact in prepared.facts:
        if isinstance(fact, Preparation):
            assert len(fact.row) == len(fact.names) == fact.after[1]
    return ""


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@example({"\n": ["0.0"] * 12}, ["u", "v"] * 6)
@given(st.dictionaries(names, columns, min_size=1, max_size=4), targets)
def test_frames(table, target):
    table["y"] = target
    assert "\n" not in check(pl.DataFrame(table), "y")


@settings(
    deadline=None, max_examples=120,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.lists(st.tuples(names, columns), min_size=1, max_size=4), targets)
def test_files(tmp_path, table, target):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*(name for name, _ in table), "y"])
    writer.writerows(zip(*(cells for _, cells in table), target, strict=True))
    path = tmp_path / "odd.csv"
    path.write_bytes(text.getvalue().encode())
    refused = check(path, "y")
    assert "\n" not in refused
    assert "cannot be read" not in refused, "the csv module wrote it, so it is a table"
    assert "not a table as text" not in refused
    assert "by its quotes" not in refused


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=300), st.text(alphabet='ab1,;\t\n"\r ', max_size=80)))
def test_any_bytes(tmp_path, content):
    path = tmp_path / "any.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "\n" not in check(path, "a")
