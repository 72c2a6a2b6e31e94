"""Of a million steps a chart shows a few hundred, the spikes among them."""

from __future__ import annotations

import math
import random
from array import array

from hypothesis import given
from hypothesis import strategies as some

from pipetrace.blocks import Chart
from pipetrace.records import Epoch, Score, Training
from pipetrace.story.page import page
from pipetrace.story.steps import POINTS, envelope, steps
from pipetrace.tracefile import Recording
from pipetrace.views import html


@given(some.lists(some.floats(), max_size=300), some.integers(4, 60))
def test_an_envelope_keeps_the_smallest_and_the_largest_value(values: list[float], most: int):
    points = envelope(values, most)
    assert len(points) <= max(most, 0)
    assert all(values[at] == value and math.isfinite(value) for at, value in points)
    assert [at for at, _ in points] == sorted({at for at, _ in points})
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        kept = [value for _, value in points]
        assert (min(kept), max(kept)) == (min(finite), max(finite))
    else:
        assert points == []


def long(count: int) -> Recording:
    numbers = random.Random(0)
    losses = array("d", (numbers.random() for _ in range(count)))
    losses[count // 3] = 50.0
    losses[0] = math.nan
    epochs = [Epoch(training=0, index=index + 1, rule="loader", steps=count // 100,
                    score=Score(rows=10, loss=0.5)) for index in range(100)]  # fmt: skip
    series = {"loss/0": losses, "rate/0": array("d", [0.1]) * count}
    return Recording([Training(id=0, model=0), *epochs], series, None)


def test_a_chart_of_many_steps_is_thinned_and_keeps_its_spike():
    recording = long(100_000)
    content = steps(recording)
    assert content is not None
    (chart,) = content.blocks
    assert isinstance(chart, Chart)
    assert 0 < len(chart.x) <= POINTS
    spike = chart.lines[0].values.index(50.0)
    assert chart.x[spike] == 100_000 // 3 + 1
    assert "Of up to 100,000 steps each chart shows at most 400 points" in content.intro


def test_a_page_does_not_grow_with_its_steps():
    sizes = [len(html.document(page(long(count)))) for count in (10_000, 300_000)]
    assert sizes[1] < 1.05 * sizes[0]


def test_few_steps_and_full_batches_are_told_by_their_epochs():
    assert steps(long(100)) is None
    few = Recording([Training(id=0, model=0)], {"loss/0": array("d", [1.0] * 10)}, None)
    assert steps(few) is None


def test_a_learning_rate_that_changes_is_drawn():
    recording = long(1000)
    recording.series["rate/0"][500] = 0.2
    content = steps(recording)
    assert content is not None
    assert [block.title for block in content.blocks if isinstance(block, Chart)] == [
        "Loss of each step", "Learning rate of each step",
    ]  # fmt: skip
