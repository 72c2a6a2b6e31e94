"""Loops as people write them: trainings, epochs and evaluations are those a reader counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from pipetrace.blocks import Table
from pipetrace.records import Epoch, Evaluation, Notice, Training
from pipetrace.story.epochs import traces
from pipetrace.story.training import training
from pipetrace.training.phases import FULL, LOADER, LOOP, OPEN, SECTION

Run = Callable[[str], Any]


class Told(NamedTuple):
    """What a person reads in a script."""

    rule: str
    steps: list[list[int]]
    """Of each epoch, of each training."""
    rows: int
    """Rows that an epoch learns from."""
    evaluated: list[int]
    """After which epoch each evaluation ran."""
    seen: set[float | None] = {0.0}  # noqa: RUF012
    """Shares of evaluated rows that equal rows trained on; None where nothing can tell."""


LOOPS = {
    "actor_critic": Told(OPEN, [[6]], 60, [], set()),
    "averaged": Told(LOADER, [[4] * 3], 56, [1, 1, 2, 2, 3, 3]),
    "best_weights": Told(LOOP, [[4] * 4], 48, [1, 2, 3, 4, 4]),
    "by_hand": Told(LOOP, [[4] * 3], 64, [1, 2, 3]),
    "contrastive": Told(LOADER, [[4] * 3], 64, [], set()),
    "cycled_loader": Told(LOADER, [[8] * 3], 160, [], set()),
    "distillation": Told(LOADER, [[4] * 3], 64, [1, 2, 3]),
    "finetune": Told(LOADER, [[3] * 2, [3] * 3], 60, [1, 2, 3]),
    "five_folds": Told(LOADER, [[3] * 2] * 5, 48, [1, 2] * 5),
    "gan": Told(LOADER, [[10] * 3], 72, [], set()),
    "language_model": Told(SECTION, [[5] * 3], 60, [0, 0, 1, 1, 2, 2, 3, 3], {0.0, None}),
    "lbfgs_batches": Told(LOADER, [[3] * 3], 60, [], set()),
    "left_early": Told(LOADER, [[3] * 4], 30, [1, 2, 3, 4]),
    "mid_epoch": Told(LOADER, [[30] * 2], 120, [0, 0, 1, 1, 2]),
    "one_epoch": Told(LOADER, [[10]], 100, [1]),
    "randperm_batches": Told(LOOP, [[4] * 3], 60, [1, 2, 3]),
    "remade_loaders": Told(LOADER, [[5] * 4], 50, [1, 2, 3, 4]),
    "resumed": Told(LOADER, [[5] * 2, [5] * 3], 50, [], set()),
    "scaled": Told(LOADER, [[4] * 3], 64, [], set()),
    "sharpness": Told(LOADER, [[3] * 3], 48, [1, 2, 3]),
    # In the first epoch nobody knows yet that no row will come again.
    "stream": Told(LOADER, [[5] * 3], 50, [1, 2, 3], {0.0, None}),
    "teacher_slices": Told(LOOP, [[4] * 3], 64, [1, 2, 3]),
    "truncated_bptt": Told(LOOP, [[4] * 3], 24, [], set()),
    "two_optimizers": Told(LOADER, [[8] * 3], 60, [], set()),
    "two_phases": Told(LOADER, [[4] * 3], 60, [1, 2, 3]),
    "vae": Told(LOADER, [[4] * 3], 60, [1, 2, 3]),
    "while_epochs": Told(LOOP, [[5] * 3], 40, [], set()),
    "whole_batch": Told(FULL, [[1] * 5], 40, [1, 2, 3, 4, 5, 5]),
    "zipped_loaders": Told(LOADER, [[4] * 3], 32, [1, 2, 3]),
}


@pytest.mark.parametrize("name", LOOPS)
def test_what_is_told_of_a_loop_is_what_a_reader_counts(name: str, ran: Run):
    run, told = ran(name), LOOPS[name]
    trainings, epochs = run.recording.all(Training), run.recording.all(Epoch)
    by_training = [[e for e in epochs if e.training == t.id] for t in trainings]
    assert [[epoch.steps for epoch in own] for own in by_training] == told.steps
    assert {epoch.rule for epoch in epochs} == {told.rule}
    assert {epoch.score.rows for epoch in epochs} == {told.rows}
    assert all(epoch.complete for epoch in epochs)
    evaluations = run.recording.all(Evaluation)
    assert [each.epoch for each in evaluations] == told.evaluated
    assert {each.seen for each in evaluations} == told.seen


@pytest.mark.parametrize("name", LOOPS)
def test_losses_are_those_that_the_script_computes(name: str, ran: Run):
    run = ran(name)
    epochs = [epoch.score.loss for epoch in run.recording.all(Epoch)]
    assert epochs == pytest.approx([loss for own in run.names["TRUTH"] for loss in own], rel=1e-5)
    held = [each.score.loss for each in run.recording.all(Evaluation)]
    if "HELD" in run.names:
        assert held == pytest.approx(run.names["HELD"], rel=1e-5)


def test_a_discriminator_is_scored_on_real_and_on_generated_rows(ran: Run):
    run = ran("gan")
    accuracies = [epoch.score.accuracy for epoch in run.recording.all(Epoch)]
    assert accuracies == run.names["RIGHT"]
    assert "optimizers-0" in [notice.id for notice in run.recording.all(Notice)]


def test_a_loss_of_several_terms_is_told_apart_from_the_function_in_it(ran: Run):
    for name, function in (("vae", "binary_cross_entropy"), ("distillation", "cross_entropy")):
        notices = [n.text for n in ran(name).recording.all(Notice) if n.id == "terms-0"]
        assert len(notices) == 1
        assert f"`{function}` alone" in notices[0]
    for name in ("lbfgs_batches", "language_model", "two_optimizers"):
        assert ran(name).recording.all(Notice) == []


def test_rows_that_never_come_again_are_not_called_held_out(ran: Run):
    recording = ran("stream").recording
    assert [epoch.repeated for epoch in recording.all(Epoch)] == [None, 0.0, None]
    (trace,) = traces(recording)
    assert trace.labels == ("evaluation",)
    assert "no training rows had come before" in trace.notes["evaluation"]
    (remade,) = traces(ran("remade_loaders").recording)
    assert remade.labels == ("held-out",)
    assert "none of them equal to a row trained on" in remade.notes["held-out"]


def test_each_of_five_folds_is_a_training_on_the_page(ran: Run):
    content = training(ran("five_folds").recording)
    assert content is not None
    assert content.title == "Training trace, 5 trainings"
    summary = next(block for block in content.blocks if isinstance(block, Table))
    assert [row[3] for row in summary.rows[:5]] == ["2"] * 5
    captions = [block.caption for block in content.blocks if isinstance(block, Table)]
    folds = [f"Training {number} of 5 by Adam, 2 epochs" for number in range(1, 6)]
    assert [caption for caption in captions if caption.startswith("Training ")] == folds
