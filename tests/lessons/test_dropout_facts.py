"""The facts of the dropout lesson say what the run recorded, and nothing where it recorded none."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from pipetrace.lessons.dropout import facts
from pipetrace.lessons.dropout.reading import told_apart
from pipetrace.lessons.facts import percent
from pipetrace.lessons.reading import droppings
from pipetrace.parts import Bin, Classification
from pipetrace.records import Metrics, Op, Prediction
from pipetrace.tracefile import Recording

OF_A_MASK = (
    *("p", "scale", "stage", "mask_total", "mask_kept", "mask_dropped", "mask_expected"),
    *("drop_share", "drop_share_low", "drop_share_high", "drop_share_place"),
    *("survivor_before", "survivor_after"),
    *("mode_loss_on", "mode_loss_off", "mode_rows", "mode_masks", "mode_epoch"),
)
OF_CLASSES = (
    *("classes", "even_loss", "majority", "confidence"),
    *("weakest_class", "weakest_recall", "weakest_found"),
)


def told(name: str, recording: Recording) -> str | None:
    text = getattr(facts, name)(recording)
    assert text is None or isinstance(text, str)
    return text


def with_mask(recording: Recording, **changes: int) -> Recording:
    """Return the run with other numbers in its masks."""
    found = [
        replace(fact, mask=replace(fact.mask, **changes))
        if isinstance(fact, Op) and fact.mask is not None
        else fact
        for fact in recording.facts
    ]
    return Recording(found, {}, None)


def test_the_mask_is_counted(seed_run: Recording):
    mask = droppings(seed_run)[0].mask
    assert told("dropout", seed_run) == "yes"
    assert told("mask_total", seed_run) == "640"
    assert told("mask_kept", seed_run) == str(mask.kept)
    assert told("mask_dropped", seed_run) == str(640 - mask.kept)
    assert told("mask_expected", seed_run) == "192"
    assert told("drop_share", seed_run) == percent((640 - mask.kept) / 640)
    assert (told("p", seed_run), told("scale", seed_run)) == ("0.3", "1.4286")
    assert told("stage", seed_run) == "the module `0` (Dropout)"


def test_a_survivor_was_multiplied_by_the_scale(seed_run: Recording):
    before, after = told("survivor_before", seed_run), told("survivor_after", seed_run)
    assert before is not None
    assert after is not None
    assert float(after) == pytest.approx(float(before) / 0.7, abs=2e-4)


@pytest.mark.parametrize(("kept", "place"), [(440, "inside"), (472, "outside"), (424, "outside")])
def test_a_share_lies_inside_its_interval_or_outside(seed_run: Recording, kept: int, place: str):
    run = with_mask(seed_run, kept=kept, low=425, high=471)
    assert told("drop_share_place", run) == place
    assert (told("drop_share_low", run), told("drop_share_high", run)) == ("26.4 %", "33.6 %")


def test_losses_of_the_two_modes_are_told_where_dropout_raised_them(seed_run: Recording):
    probe = told_apart(seed_run)[-1]
    on, off = told("mode_loss_on", seed_run), told("mode_loss_off", seed_run)
    assert on is not None
    assert off is not None
    assert float(on) > float(off)
    assert told("mode_epoch", seed_run) == str(probe.epoch)
    assert told("mode_rows", seed_run) == "32"
    assert told("mode_masks", seed_run) == "4"


@pytest.mark.parametrize("name", OF_A_MASK)
def test_a_run_that_dropped_nothing_tells_nothing_of_masks(name: str, plain_run: Recording):
    assert told("dropout", plain_run) == "no"
    assert told(name, plain_run) is None


@pytest.mark.parametrize("name", [*OF_A_MASK, *OF_CLASSES, "passes", "train_difference"])
def test_a_bare_run_tells_nothing(name: str, bare_run: Recording):
    assert told(name, bare_run) is None


def test_passes_are_equal_or_different():
    def run(equal: bool | None, moved: float | None = None) -> Recording:
        chosen = Prediction(
            capture=0, sample=0, task="classes", heldout=True, scores=(1.0, 2.0),
            passes_equal=equal, train_difference=moved,
        )  # fmt: skip
        return Recording([chosen], {}, None)

    assert [told("passes", run(equal)) for equal in (True, False, None)] == [
        "equal",
        "different",
        None,
    ]
    assert told("train_difference", run(True, 0.5)) == "0.5"
    assert told("train_difference", run(True, 0.0)) is None


def test_classes_follow_from_the_confusion_matrix():
    found = Classification(
        classes=3, accuracy=0.6, majority=0.5,
        confusion=((4, 1, 0), (2, 1, 0), (0, 1, 1)),
        bins=(Bin(count=4, probability=0.5, share=0.5), Bin(count=6, probability=0.9, share=0.7)),
    )  # fmt: skip
    metrics = Metrics(
        training=0, epoch=1, evaluation=0, loss="cross_entropy", counted=10, classification=found
    )
    run = Recording([metrics], {}, None)
    assert told("classes", run) == "3"
    assert told("even_loss", run) == f"{math.log(3):.4g}"
    assert told("majority", run) == "50.0 %"
    assert told("confidence", run) == "74.0 %"
    assert told("weakest_class", run) == "1"
    assert told("weakest_recall", run) == "33.3 %"
    assert told("weakest_found", run) == "1 of 3"
