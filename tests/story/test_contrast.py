"""The same batch in the other mode: what differs of itself, by how much, and what passes it on."""

from __future__ import annotations

import torch
from torch import nn

from pipetrace.blocks import Table, Text
from pipetrace.records import Contrast
from pipetrace.story.contrast import contrast


def test_sources_are_told_apart_from_what_passes_them_on(traced):
    model = nn.Sequential(
        nn.Dropout(0.3), nn.Linear(20, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 3)
    )
    recording = traced(model, torch.randn(32, 20), both_modes=True)
    (found,) = recording.all(Contrast)
    content = contrast(recording)
    text, table = content.blocks
    assert isinstance(text, Text)
    assert isinstance(table, Table)
    assert text.text == (
        "5 of 5 operations differ: 2 of themselves (1 dropout and 1 batch norm), the other 3 pass "
        "on what they were given; 1 operation ran in train mode only."
    )
    assert content.intro.startswith("The forward above ran in train mode; it was played once more ")
    first, second = table.rows
    source = found.sources[0]
    assert first == (
        "Dropout", "`0`", "dropout", f"{source.largest:#.4g}", f"{source.relative * 100:.1f} %",
        "640 values, exact",
    )  # fmt: skip
    assert second[:3] == ("BatchNorm1d", "`2`", "batch norm")


def test_the_difference_is_that_of_the_outputs(traced):
    """Dropout's own share of the table is recomputed from two calls of the model."""
    torch.manual_seed(5)
    model, x = nn.Dropout(0.5), torch.randn(16, 8)
    recording = traced(model, x, both_modes=True)
    kept = torch.tensor(recording.all(Contrast)[0].sources[0].largest)
    assert torch.isclose(kept, x.abs().max(), rtol=1e-5)
    relative = recording.all(Contrast)[0].sources[0].relative
    assert abs(relative - 1) < 1e-5
    assert contrast(recording).blocks[1].rows[0][3] == f"{x.abs().max():#.4g}"


def test_equal_layers_are_one_row(traced):
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 3)
    recording = traced(model, torch.randn(4, 6, 16), both_modes=True)
    rows = contrast(recording).blocks[1].rows
    assert len(recording.all(Contrast)[0].sources) == 12
    assert [row[1] for row in rows] == [
        "`layers.*.self_attn`, 3 times", "`layers.*.dropout1`, 3 times",
        "`layers.*.dropout`, 3 times", "`layers.*.dropout2`, 3 times",
    ]  # fmt: skip
    assert all(" to " in row[4] for row in rows)
    assert {row[2] for row in rows} == {"dropout"}


def test_dropout_inside_a_recurrent_layer_counts_as_dropout(traced):
    model = nn.LSTM(4, 4, 2, dropout=0.5)
    recording = traced(model, torch.randn(2, 5, 4), both_modes=True)
    (row,) = (row for row in contrast(recording).blocks[1].rows if row[0] == "lstm")
    assert row[2].startswith("dropout")


def test_a_model_without_modes_does_not_differ(traced):
    content = contrast(traced(nn.Linear(4, 2), torch.randn(8, 4), both_modes=True))
    (text,) = content.blocks
    assert text.text == "0 of 1 operation differ between train and eval mode."


def test_without_the_other_pass_there_is_no_section(traced):
    assert contrast(traced(nn.Linear(4, 2), torch.randn(8, 4))) is None
