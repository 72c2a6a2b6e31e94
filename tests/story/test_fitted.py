"""A table that was fitted: our own loop, with probes that get rarer."""

from __future__ import annotations

import pytest
import torch

import pipetrace as pt
from pipetrace.records import Probe
from pipetrace.story.page import page
from pipetrace.story.training import training
from pipetrace.tracefile import Recording


@pytest.fixture(scope="module")
def fitted() -> Recording:
    """A table fitted for more epochs than are probed one by one."""
    torch.manual_seed(0)
    x = torch.randn(96, 3).numpy()
    return pt.fit((x, x[:, 0] > 0), epochs=14, seed=1).recording


def test_where_probes_get_rarer_the_page_says_so(fitted, words_of):
    probed = [probe.epoch for probe in fitted.all(Probe)]
    assert probed[:10] == list(range(1, 11))
    assert len(probed) < 14
    loss, accuracy, told = training(fitted).blocks[:3]
    assert all(any("–" in row for row in table.rows) for table in (loss, accuracy))
    assert told.text == (
        "– marks epochs at which the fixed training rows were not probed and the loop's "
        f"predictions not counted: that was done at {len(probed)} of 14, every one up to 10 and "
        "then more rarely, to cost little beside the steps of the loop."
    )


def test_where_each_epoch_is_probed_nothing_is_said_of_it(dropout_run, words_of):
    assert "more rarely" not in words_of(training(dropout_run).blocks)


def test_a_fitted_table_was_trained_by_a_loop_of_ours(fitted, words_of):
    told = words_of(page(fitted).sections)
    assert "by the script" not in told
    assert "the script evaluated" not in told
    assert "epochs()" not in words_of(training(fitted).blocks)
    assert "by pipetrace's own training loop, none of them equal to a row trained on" in told
    assert "epochs as pipetrace's own training loop counts them" in told
