"""Metrics of recorded loops are scikit-learn's of what the loop itself saw."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import pipetrace
from pipetrace.records import Evaluation, Metrics
from pipetrace.story.confusion import OfClass, by_class, calibration_error, mean
from pipetrace.training.metrics import digested
from pipetrace.training.scores import loss_call

sk = pytest.importorskip("sklearn.metrics")

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Loop(NamedTuple):
    """What a loop saw in its last evaluation, and what was stated of it."""

    scores: torch.Tensor
    """What the loss function was given, all batches together."""
    targets: torch.Tensor
    evaluation: Evaluation
    metrics: Metrics
    weights: torch.Tensor


def loop(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Loss, record: bool = True
) -> Loop:  # fmt: skip
    """Train on two thirds of the rows, in uneven batches; evaluate the others every epoch."""
    cut = len(x) * 2 // 3
    training, held = TensorDataset(x[:cut], y[:cut]), TensorDataset(x[cut:], y[cut:])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def epochs() -> None:
        for _ in range(2):
            model.train()
            for batch, target in DataLoader(training, 16, shuffle=True):
                optimizer.zero_grad()
                loss(model(batch), target).mean().backward()
                optimizer.step()
            model.eval()
            seen.clear()
            with torch.no_grad():
                for batch, target in DataLoader(held, 7):
                    scores = model(batch)
                    loss(scores, target)
                    seen.append((scores, target))

    facts = None
    if record:
        with pipetrace.record() as run:
            epochs()
        facts = run.recording
    else:
        epochs()
    scores, targets = (torch.cat(list(each)) for each in zip(*seen, strict=True))
    weights = nn.utils.parameters_to_vector(model.parameters()).detach()
    if facts is None:
        return Loop(scores, targets, None, None, weights)  # type: ignore[arg-type]  # not recorded
    evaluations, metrics = facts.all(Evaluation), facts.all(Metrics)
    assert [(m.epoch, m.evaluation) for m in metrics] == [(1, 1), (2, 2)]
    assert [(e.epoch, e.index) for e in evaluations] == [(1, 1), (2, 2)]
    return Loop(scores, targets, evaluations[-1], metrics[-1], weights)


def bins(chance: Any, came: Any) -> float:
    """Compute the expected calibration error with numpy alone, bin by bin."""
    chance, came = numpy.asarray(chance, float), numpy.asarray(came, float)
    total = 0.0
    for low in numpy.arange(10) / 10:
        inside = (chance >= low) & ((chance < low + 0.1) | (low == 0.9))
        if inside.any():
            total += inside.sum() * abs(chance[inside].mean() - came[inside].mean())
    return total / len(chance)


def same_classes(found: Loop, truth: torch.Tensor, logits: torch.Tensor) -> None:
    """Compare everything that follows from logits `(n, classes)` and true classes `(n,)`."""
    told = found.metrics.classification
    assert told is not None
    chosen, chances = logits.argmax(1), logits.double().softmax(1)
    labels = list(range(logits.shape[1]))
    assert found.metrics.counted == len(truth)
    assert told.confusion == tuple(
        map(tuple, sk.confusion_matrix(truth, chosen, labels=labels).tolist())
    )
    assert told.accuracy == pytest.approx(sk.accuracy_score(truth, chosen))
    assert told.majority == max(truth.bincount().tolist()) / len(truth)
    expected = sk.precision_recall_fscore_support(
        truth, chosen, labels=labels, zero_division=numpy.nan
    )
    each = by_class(told.confusion)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        ours = [getattr(one, name) for one in each]
        assert [math.nan if v is None else v for v in ours] == pytest.approx(
            values.tolist(), nan_ok=True
        )
    present = sorted(set(truth.tolist()) | set(chosen.tolist()))
    assert mean(one.f1 for one in each) == pytest.approx(
        sk.f1_score(truth, chosen, labels=present, average="macro", zero_division=0)
    )
    assert mean(one.iou for one in each) == pytest.approx(
        sk.jaccard_score(truth, chosen, labels=present, average="macro", zero_division=0)
    )
    assert told.entropy == pytest.approx(sk.log_loss(truth, chances, labels=labels), rel=1e-5)
    assert told.entropy_count == len(truth)
    assert sum(each.count for each in told.bins) == len(truth)
    assert calibration_error(told.bins) == pytest.approx(
        bins(chances.max(1).values, chosen == truth), abs=1e-6
    )
    if len(labels) > 5:
        assert told.top5 == pytest.approx(
            sk.top_k_accuracy_score(truth, chances, k=5, labels=labels)
        )
    else:
        assert told.top5 is None


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(11)


@pytest.mark.parametrize("classes", [3, 8])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_classes(classes: int, reduction: str):
    x = torch.randn(120, 4)
    y = (x @ torch.randn(4, classes) + torch.randn(120, classes)).argmax(1)
    given = nn.CrossEntropyLoss(reduction=reduction)
    found = loop(nn.Linear(4, classes), x, y, given)
    same_classes(found, found.targets, found.scores)
    assert found.metrics.exact
    assert found.metrics.total == 40
    assert found.evaluation.score.loss == pytest.approx(
        F.cross_entropy(found.scores, found.targets).item(), abs=1e-6
    )
    assert found.metrics.classification is not None
    assert found.evaluation.score.accuracy == found.metrics.classification.accuracy


def test_log_probabilities():
    x = torch.randn(120, 4)
    model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1))
    found = loop(model, x, x[:, :3].argmax(1), nn.NLLLoss())
    same_classes(found, found.targets, found.scores)


def test_shares_of_classes_are_told_by_the_largest():
    x = torch.randn(120, 4)
    y = (x[:, :3] * 2).softmax(1)
    found = loop(nn.Linear(4, 3), x, y, nn.CrossEntropyLoss())
    told = found.metrics.classification
    assert told is not None
    truth = found.targets.argmax(1)
    expected = sk.confusion_matrix(truth, found.scores.argmax(1))
    assert told.confusion == tuple(map(tuple, expected.tolist()))
    assert told.entropy == pytest.approx(F.cross_entropy(found.scores, found.targets).item())
    assert found.evaluation.score.loss == pytest.approx(told.entropy)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("ignore", [-100, 1])
def test_weights_and_smoothing_change_the_loss_and_nothing_else(
    reduction: str, smoothing: float, ignore: int
):
    x, options = torch.randn(120, 4), {"label_smoothing": smoothing, "ignore_index": ignore}
    weight = torch.tensor([0.2, 1.0, 3.0])
    given = nn.CrossEntropyLoss(weight, reduction=reduction, **options)
    found = loop(nn.Linear(4, 3), x, x[:, :3].argmax(1), given)
    mean = reduction if reduction == "none" else "mean"
    whole = F.cross_entropy(found.scores, found.targets, weight, reduction=mean, **options).mean()
    assert found.evaluation.score.loss == pytest.approx(whole.item(), rel=1e-5)
    kept = found.targets != ignore
    same_classes(found, found.targets[kept], found.scores[kept])
    assert found.metrics.ignored == int((~kept).sum())


class Tokens(nn.Module):
    """A language model, small enough."""

    def __init__(self, words: int, transposed: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Embedding(words, 8), nn.Linear(8, words))
        self.transposed = transposed

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(tokens)
        return logits.transpose(1, 2) if self.transposed else logits


@pytest.mark.parametrize("transposed", [False, True])
def test_tokens_of_which_some_are_ignored(transposed: bool):
    x = torch.randint(12, (60, 5))
    y = (x + torch.randint(2, (60, 5))) % 12
    y[torch.rand(60, 5) < 0.3] = -100
    y[40:47] = -100  # a whole batch of the evaluation

    def flat(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits.reshape(-1, 12), targets.reshape(-1))

    found = loop(Tokens(12, transposed), x, y, nn.CrossEntropyLoss() if transposed else flat)
    logits = found.scores.transpose(1, 2) if transposed else found.scores
    kept = found.targets.flatten() != -100
    logits, truth = logits.reshape(-1, 12)[kept], found.targets.flatten()[kept]
    same_classes(found, truth, logits)
    assert (found.metrics.total, found.metrics.ignored) == (100, int((~kept).sum()))
    assert found.evaluation.score.loss == pytest.approx(F.cross_entropy(logits, truth).item())


def test_pixels():
    x = torch.randn(30, 2, 6, 5)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5)
    y[torch.rand(y.shape) < 0.1] = 255
    model = nn.Conv2d(2, 3, 3, padding=1)
    found = loop(model, x, y, nn.CrossEntropyLoss(ignore_index=255))
    kept = found.targets.flatten() != 255
    logits = found.scores.movedim(1, -1).reshape(-1, 3)[kept]
    same_classes(found, found.targets.flatten()[kept], logits)


@pytest.mark.parametrize("shape", ["(n,)", "(n, 1)"])
@pytest.mark.parametrize("kind", ["logits", "probabilities", "signs"])
def test_two_classes_told_by_one_output(shape: str, kind: str):
    x = torch.randn(120, 4)
    y = ((x[:, :1] + torch.randn(120, 1)) > 0.4).float()
    layers: list[nn.Module] = [nn.Linear(4, 1)]
    given: nn.Module = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))
    if kind == "probabilities":
        layers.append(nn.Sigmoid())
        given = nn.BCELoss()
    elif kind == "signs":
        y, given = y * 2 - 1, nn.SoftMarginLoss()
    if shape == "(n,)":
        y = y[:, 0]
        layers.append(nn.Flatten(0))
    found = loop(nn.Sequential(*layers), x, y, given)
    told = found.metrics.classification
    assert told is not None
    scores = found.scores.double().flatten()
    chance = scores if kind == "probabilities" else scores.sigmoid()
    truth, chosen = found.targets.flatten() > 0, chance > 0.5
    expected = sk.confusion_matrix(truth, chosen)
    assert told.confusion == tuple(map(tuple, expected.tolist()))
    assert told.accuracy == found.evaluation.score.accuracy == sk.accuracy_score(truth, chosen)
    assert told.majority == pytest.approx(max(truth.double().mean(), 1 - truth.double().mean()))
    assert told.entropy == pytest.approx(sk.log_loss(truth, chance), rel=1e-5)
    assert calibration_error(told.bins) == pytest.approx(bins(chance, truth), abs=1e-6)
    assert by_class(told.confusion)[1].f1 == pytest.approx(sk.f1_score(truth, chosen))


def test_several_labels():
    x = torch.randn(120, 4)
    y = (torch.cat([x, x[:, :1] + x[:, 1:2]], 1) + torch.randn(120, 5) > 0.8).float()
    found = loop(nn.Linear(4, 5), x, y, nn.BCEWithLogitsLoss())
    told = found.metrics.labelling
    assert told is not None
    chance = found.scores.double().sigmoid()
    truth, chosen = found.targets > 0.5, chance > 0.5
    assert (told.labels, found.metrics.counted) == (5, 40)
    assert told.subset == sk.accuracy_score(truth, chosen)
    assert told.accuracy == pytest.approx(float((truth == chosen).double().mean()))
    assert told.none == pytest.approx(1 - float(truth.double().mean()))
    each = [OfClass(*counts[:3]) for counts in told.counts]
    matrices = sk.multilabel_confusion_matrix(truth, chosen)
    assert [c[3] for c in told.counts] == [m[0][0] for m in matrices]
    expected = sk.precision_recall_fscore_support(truth, chosen, zero_division=numpy.nan)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [getattr(one, name) for one in each] == pytest.approx(values.tolist(), nan_ok=True)
    assert mean(one.f1 for one in each) == pytest.approx(
        sk.f1_score(truth, chosen, average="macro")
    )
    assert OfClass(*told.totals[:3]).f1 == pytest.approx(
        sk.f1_score(truth, chosen, average="micro")
    )
    assert told.entropy == pytest.approx(F.binary_cross_entropy(chance, found.targets.double()))
    assert calibration_error(told.bins) == pytest.approx(
        bins(chance.flatten(), truth.flatten()), abs=1e-6
    )


def test_grey_values_are_no_labels():
    x = torch.rand(60, 4)
    with pipetrace.record() as run:
        model = nn.Linear(4, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        F.binary_cross_entropy_with_logits(model(x), x).backward()
        optimizer.step()
        with torch.no_grad():
            F.binary_cross_entropy_with_logits(model(x), x)
    assert len(run.recording.all(Evaluation)) == 1
    assert run.recording.all(Metrics) == []


@pytest.mark.parametrize("outputs", [0, 1, 3])
@pytest.mark.parametrize("kind", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss])
def test_values(outputs: int, kind: type[nn.Module]):
    x = torch.randn(120, 4, dtype=torch.float64)
    y = x @ torch.randn(4, outputs or 1, dtype=torch.float64) * 100 + 1000
    layers: list[nn.Module] = [nn.Linear(4, outputs or 1).double()]
    if not outputs:
        y = y[:, 0]
        layers.append(nn.Flatten(0))
    found = loop(nn.Sequential(*layers), x, y, kind())
    told = found.metrics.regression
    assert told is not None
    assert (told.outputs, told.count) == (outputs or 1, 40 * (outputs or 1))
    truth, predicted = found.targets, found.scores
    assert told.r2 == pytest.approx(sk.r2_score(truth, predicted))
    assert told.rmse == pytest.approx(sk.mean_squared_error(truth, predicted) ** 0.5)
    assert told.mae == pytest.approx(sk.mean_absolute_error(truth, predicted))
    assert told.bias == pytest.approx(float((predicted - truth).mean()))
    dull = truth.mean(0, keepdim=True).expand_as(truth)
    assert told.mean_rmse == pytest.approx(sk.mean_squared_error(truth, dull) ** 0.5)
    assert told.mean_mae == pytest.approx(sk.mean_absolute_error(truth, dull))
    counts, edges = numpy.histogram((truth - predicted).numpy(), 20)
    assert told.residuals == tuple(counts.tolist())
    assert (told.low, told.high) == (edges[0], edges[-1])
    whole = kind()(predicted, truth).item()
    assert found.evaluation.score.loss == pytest.approx(whole)


class Broken(nn.Module):
    """A layer that gives NaN for rows whose first number is above 1."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(4, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(x)
        return found if self.training else found.masked_fill(x[:, :1] > 1, math.nan)


def test_predictions_that_are_no_numbers_are_counted_apart():
    x = torch.randn(120, 4)
    found = loop(Broken(3), x, x[:, :3].argmax(1), nn.CrossEntropyLoss())
    bad = found.scores.isnan().any(1)
    assert 0 < found.metrics.invalid == int(bad.sum())
    same_classes(found, found.targets[~bad], found.scores[~bad])
    values = loop(Broken(1), x, x[:, 1:2], nn.MSELoss())
    bad = values.scores.isnan()
    assert (values.metrics.counted, values.metrics.invalid) == (int((~bad).sum()), int(bad.sum()))
    told = values.metrics.regression
    assert told is not None
    assert told.r2 == pytest.approx(sk.r2_score(values.targets[~bad], values.scores[~bad]))
    labels = loop(Broken(2), x, (x[:, :2] > 0).float(), nn.BCEWithLogitsLoss())
    assert labels.metrics.invalid == int(labels.scores.isnan().any(1).sum())


def test_nothing_but_nan_is_told_as_that():
    x = torch.randn(60, 4)
    model = nn.Linear(4, 3)
    nn.init.constant_(model.weight, math.nan)
    found = loop(model, x, x[:, :3].argmax(1), nn.CrossEntropyLoss())
    assert (found.metrics.counted, found.metrics.invalid) == (0, 20)
    assert found.metrics.classification is None


def test_of_large_batches_a_sample_is_counted_and_the_entropy_is_exact():
    words = 60_000
    x = torch.randint(words, (30, 12))
    y = x.clone()
    y[:, :3] = -100
    y[:, 3:6] = 7
    found = loop(Tokens(words, True), x, y, nn.CrossEntropyLoss())
    told = found.metrics.classification
    assert told is not None
    assert not found.metrics.exact
    assert found.metrics.total == 120
    assert 10 < found.metrics.counted < 50
    logits, truth = found.scores.movedim(1, -1).reshape(-1, words), found.targets.flatten()
    assert told.entropy == pytest.approx(F.cross_entropy(logits, truth).item(), rel=1e-5)
    assert told.entropy_count == int((truth != -100).sum())
    assert told.confusion == ()


def test_large_batches_are_reduced_to_a_few_numbers_a_target():
    x = torch.randint(4000, (30, 12))
    y = x.clone()
    y[torch.rand(30, 12) < 0.3] = -100
    given = nn.CrossEntropyLoss(torch.rand(4000), label_smoothing=0.1)
    found = loop(Tokens(4000, True), x, y, given)
    logits, truth = found.scores.movedim(1, -1).reshape(-1, 4000), found.targets.flatten()
    kept = truth != -100
    told = found.metrics.classification
    assert told is not None
    assert (found.metrics.exact, found.metrics.total) == (True, 120)
    assert (found.metrics.counted, found.metrics.ignored) == (int(kept.sum()), int((~kept).sum()))
    assert told.entropy == pytest.approx(F.cross_entropy(logits, truth).item(), rel=1e-5)
    right = logits.argmax(1)[kept] == truth[kept]
    assert told.accuracy == found.evaluation.score.accuracy == float(right.double().mean())
    whole = given(found.scores, found.targets).item()
    assert found.evaluation.score.loss == pytest.approx(whole, rel=1e-5)
    call = loss_call("cross_entropy", (logits, truth), {}, F.cross_entropy(logits, truth))
    assert call is not None
    small = digested(call)
    assert small.digest is not None
    assert small.digest.numel() == 5 * 120
    assert small.input.numel() == small.target.numel() == 0
    assert small.unchanged()


def test_of_many_classes_the_most_confused_pairs_are_stated():
    x = torch.randn(600, 4)
    y = (torch.arange(600) % 70).contiguous()
    found = loop(nn.Linear(4, 70), x, y, nn.CrossEntropyLoss())
    told = found.metrics.classification
    assert told is not None
    matrix = sk.confusion_matrix(found.targets, found.scores.argmax(1), labels=range(70))
    numpy.fill_diagonal(matrix, 0)
    assert [count for _, _, count in told.confused] == sorted(matrix[matrix > 0])[::-1][:20]
    assert all(matrix[truth, chosen] == count for truth, chosen, count in told.confused)


@pytest.mark.parametrize("kind", ["classes", "labels", "values"])
def test_recording_changes_no_bit(kind: str):
    x = torch.randn(90, 4)
    given: tuple[torch.Tensor, Loss] = {
        "classes": (x[:, :3].argmax(1), nn.CrossEntropyLoss(torch.rand(3), label_smoothing=0.1)),
        "labels": ((x[:, :3] > 0).float(), nn.BCEWithLogitsLoss(reduction="none")),
        "values": (x[:, :3], nn.MSELoss(reduction="sum")),
    }[kind]
    runs = []
    for record in (False, True):
        torch.manual_seed(5)
        model = nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 3))
        runs.append((loop(model, x, *given, record=record), torch.rand(3)))
    (alone, first), (recorded, second) = runs
    assert torch.equal(alone.weights, recorded.weights)
    assert torch.equal(alone.scores, recorded.scores)
    assert torch.equal(first, second)
