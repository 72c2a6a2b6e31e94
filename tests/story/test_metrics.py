"""The metrics section: each number beside its baseline, exact told from sampled."""

from __future__ import annotations

import math

import msgspec
import pytest

from pipetrace.blocks import Bars, Table, Text
from pipetrace.parts import Bin, Classification, Labelling, Regression
from pipetrace.records import Dataset, Evaluation, Metrics, Score, Training
from pipetrace.story.metrics import metrics
from pipetrace.story.page import page
from pipetrace.tracefile import Recording

TWO = Classification(
    classes=2,
    accuracy=0.8,
    majority=0.6,
    confusion=((5, 1), (1, 3)),
    bins=(Bin(count=4, probability=0.2, share=0.25), Bin(count=6, probability=0.8, share=0.5)),
    entropy=0.5,
    entropy_count=10,
)


def measured(
    *losses: float, rows: int = 10, seen: float | None = 0.0, name: str = "", first: int = 1,
    loss: str = "cross_entropy", **told: object,
) -> list[Evaluation | Metrics]:  # fmt: skip
    facts: list[Evaluation | Metrics] = []
    for index, value in enumerate(losses, first):
        facts.append(
            Evaluation(
                training=0, epoch=index - first + 1, index=index, forwards=1, mode=False,
                score=Score(rows=rows, loss=value), seen=seen, name=name,
            )
        )  # fmt: skip
        given = {"counted": rows, "total": rows, "classification": TWO, **told}
        facts.append(
            Metrics(training=0, epoch=index - first + 1, evaluation=index, loss=loss, **given)
        )
    return facts


def blocks(*facts: object) -> list[object]:
    training = Training(id=0, model=0, loss="cross_entropy", task="classes")
    content = metrics(Recording([training, *facts], {}, None))  # type: ignore[list-item]  # facts
    return [] if content is None else list(content.blocks)


def test_nothing_is_told_where_nothing_is_known(regression_run, section_of):
    assert blocks() == []
    assert blocks(measured(0.5)[0]) == []
    assert "metrics" not in {section.id for section in page(regression_run).sections}


def test_in_short_the_summary_is_told_and_of_several_trainings_nothing():
    trainings = [Training(id=at, model=at, loss="cross_entropy", task="classes") for at in range(2)]
    one = metrics(Recording([trainings[0], *measured(0.5)], {}, None))
    both = metrics(Recording([*trainings, *measured(0.5)], {}, None))
    assert one is not None
    assert both is not None
    assert one.brief == one.blocks[:2]
    assert isinstance(one.blocks[1], Table)
    assert len(one.blocks) > 2
    assert both.brief == ()


def test_the_section_follows_the_training(dropout_run):
    last = dropout_run.all(Evaluation)[-1]
    told = Metrics(
        training=last.training, epoch=last.epoch, evaluation=last.index, loss="cross_entropy",
        counted=last.score.rows, total=last.score.rows, classification=TWO,
    )  # fmt: skip
    sections = page(Recording([*dropout_run.facts, told], {}, None)).sections
    order = [each.id for each in sections]
    assert order.index("training") + 1 == order.index("metrics")


def test_classes_beside_a_guess():
    basis, summary, matrix, each, bars, text = blocks(*measured(0.6, 0.5))
    assert basis == Text(
        text="Exact, of all 10 held-out rows, after epoch 2, as cross_entropy received them."
    )
    assert isinstance(summary, Table)
    assert [head.label for head in summary.heads] == ["measure", "after epoch 2", "guess"]
    assert summary.rows == (
        ("accuracy", "0.800", "0.600"),
        ("macro F1", "0.792", ""),
        ("cross entropy (nats)", "0.500", ""),
        ("calibration error (ECE)", "0.200", ""),
    )
    assert isinstance(matrix, Table)
    assert matrix.rows == (("class 0", "5", "1"), ("class 1", "1", "3"))
    assert isinstance(each, Table)
    assert each.rows[1] == ("class 1", "0.750", "0.750", "0.750", "4")
    assert isinstance(bars, Bars)
    assert [(bar.label, bar.share) for bar in bars.bars] == [
        ("0.0 to 0.5, mean 0.200", 0.25),
        ("0.5 to 1.0, mean 0.800", 0.5),
    ]
    assert isinstance(text, Text)
    assert "0.560, higher than the share that came true, 0.400" in text.text


def test_the_epoch_of_lowest_loss_stands_beside_the_last():
    summary = blocks(*measured(0.4, 0.3, 0.5))[1]
    assert isinstance(summary, Table)
    assert [head.label for head in summary.heads][1:3] == [
        "after epoch 3",
        "after epoch 2, lowest loss",
    ]
    last = blocks(*measured(0.4, math.nan))[1]
    assert isinstance(last, Table)
    assert last.heads[2].label == "after epoch 1, lowest loss"
    alone = blocks(*measured(math.nan))[1]
    assert isinstance(alone, Table)
    assert len(alone.heads) == 3


def test_held_out_rows_come_before_others():
    held = measured(0.5, name="val", first=1)
    seen = measured(0.4, rows=20, seen=1.0, first=2)
    unknown = measured(0.4, rows=30, seen=None, first=3)
    for facts, words in (
        ([*seen, *held, *unknown], "10 held-out rows"),
        ([*seen, *unknown], "30 evaluated rows"),
        (seen, "20 evaluated rows (100 % of them also trained on)"),
    ):
        basis = blocks(*facts)[0]
        assert isinstance(basis, Text)
        assert words in basis.text


def test_names_of_classes_are_used():
    data = Dataset(role="training", classes=("cat", "dog"))
    matrix = blocks(*measured(0.5), data)[2]
    assert isinstance(matrix, Table)
    assert [row[0] for row in matrix.rows] == ["cat", "dog"]
    assert matrix.heads[2].label == "predicted dog"


def test_samples_and_predictions_that_are_no_numbers_are_told():
    told = {"exact": False, "total": 4000, "counted": 90, "invalid": 10}
    basis, warning, *_ = blocks(*measured(0.5, **told))
    assert isinstance(basis, Text)
    assert basis.text.startswith("Sampled, of 90 positions evenly spread over 4000 of the held-out")
    assert warning == Text(
        text="The predictions of 10 of 100 positions are NaN or infinite: they are counted "
        "nowhere below.",
        tone="bad",
    )
    nothing = {"classification": None, "counted": 0, "invalid": 10}
    assert len(blocks(*measured(math.nan, **nothing))) == 2


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        ((5,), {"position accuracy", "perplexity"}),
        ((3, 8, 8), {"pixel accuracy", "mean IoU"}),
    ],
)
def test_several_targets_in_a_row(features: tuple[int, ...], labels: set[str]):
    data = Dataset(role="evaluation", features=features)
    summary = blocks(*measured(0.5, total=50, counted=50), data)[1]
    assert isinstance(summary, Table)
    rows = {row[0]: row for row in summary.rows}
    assert labels <= set(rows)
    if "perplexity" in labels:
        assert rows["perplexity"] == ("perplexity", "1.649", "2 (uniform)")


def test_many_classes_are_told_by_the_pairs_that_are_confused():
    many = msgspec.structs.replace(
        TWO, classes=100, confusion=(), confused=((3, 5, 9), (7, 1, 2)), top5=0.9
    )
    found = blocks(*measured(0.5, classification=many))
    tables = [block for block in found if isinstance(block, Table)]
    assert ("top-5 accuracy", "0.900", "") in tables[0].rows
    assert tables[1].rows == (("class 3", "class 5", "9"), ("class 7", "class 1", "2"))
    assert len(tables) == 2


def test_labels():
    told = Labelling(
        labels=2, accuracy=0.75, subset=0.5, none=0.6, counts=((3, 1, 1, 5), (0, 0, 2, 8)),
        totals=(3, 1, 3, 13),
    )  # fmt: skip
    summary, each = blocks(*measured(0.5, classification=None, labelling=told))[1:]
    assert isinstance(summary, Table)
    assert summary.rows == (
        ("label accuracy", "0.750", "0.600"),
        ("rows with every label right", "0.500", ""),
        ("micro F1", "0.600", ""),
        ("macro F1", "0.375", ""),
    )
    assert isinstance(each, Table)
    assert each.rows[1] == ("label 1", "–", "0.000", "0.000", "2")


def test_values():
    told = Regression(
        outputs=1, count=10, r2=0.75, rmse=1.0, mae=0.8, bias=-0.1, mean_rmse=2.0, mean_mae=1.5,
        low=-2.0, high=2.0, residuals=(2, 8),
    )  # fmt: skip
    found = measured(0.5, loss="mse_loss", classification=None, regression=told)
    summary, bars = blocks(*found)[1:]
    assert isinstance(summary, Table)
    assert summary.rows == (
        ("R²", "0.7500", "0"),
        ("root mean squared error", "1.000", "2.000"),
        ("mean absolute error", "0.8000", "1.500"),
        ("mean of prediction − target", "-0.1000", "0"),
    )
    assert isinstance(bars, Bars)
    assert [(bar.label, bar.share, bar.value) for bar in bars.bars] == [
        ("-2.000 to 0", 0.25, "2 (20.0 %)"),
        ("0 to 2.000", 1.0, "8 (80.0 %)"),
    ]
