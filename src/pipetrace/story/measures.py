"""Metrics of an evaluation become sentences, tables and bars, each beside what a guess reaches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipetrace.blocks import AnyBlock, Bar, Bars, Head, Table, Text
from pipetrace.records import Bin, Classification, Evaluation, Labelling, Metrics, Regression
from pipetrace.story.confusion import OfClass, by_class, calibration_error, mean
from pipetrace.story.figures import accuracy, loss, number, percent, plural, whole

WIDEST = 8
"""Of more classes no matrix is shown, but the pairs that are confused most."""
LONGEST = 20
"""Of more classes or labels only those with the lowest F1 have a row."""
PAIRS = 10
_SEVERAL = {"cross_entropy", "nll_loss", "multi_margin_loss"}
"""Loss functions that are given a score for each class."""


@dataclass(frozen=True)
class Measured:
    """One evaluation with its metrics."""

    evaluation: Evaluation
    metrics: Metrics
    rows: str
    """What is known of its rows: `held-out rows`."""
    part: str
    """What a row has several targets for, where it has: `token`, `pixel` or `position`."""

    @property
    def loss(self) -> float | None:
        """The mean loss."""
        return self.evaluation.score.loss

    @property
    def when(self) -> str:
        """Say after how much training it was."""
        at = self.evaluation
        if at.epoch:
            return f"after epoch {at.epoch}"
        return f"after {plural(at.step, 'step')}" if at.step else "before training"

    @property
    def dense(self) -> bool:
        """Whether each row has several targets: the tokens of a text, the pixels of a picture."""
        return self.metrics.total > max(1, self.evaluation.score.rows)

    @property
    def unit(self) -> str:
        """What is counted."""
        if not self.dense or not self.metrics.classification:
            return "row"
        return self.part


Lines = list[tuple[str, str, str]]
"""Label, value, and what a guess without looking at the inputs reaches."""


def tell(last: Measured, best: Measured | None, names: Sequence[str]) -> list[AnyBlock]:
    """Tell one evaluation, beside the one of lowest loss if that is another.

    Args:
        last: The last evaluation of its rows.
        best: Another of the same rows.
        names: The classes' names, where they are known.
    """
    told = last.metrics
    blocks: list[AnyBlock] = [Text(text=_basis(last))]
    if told.invalid:
        blocks.append(Text(text=_invalid(last), tone="bad"))
    lines = _lines(last)
    if lines:
        blocks.append(_summary(lines, last, best))
    if told.classification:
        blocks += _classes(last, told.classification, names)
    elif told.labelling:
        blocks += _labels(told.labelling)
    elif told.regression:
        blocks.append(_residuals(told.regression))
    return blocks


def _basis(at: Measured) -> str:
    """Say of how many targets the numbers are, and that they were all or are a sample."""
    told = at.metrics
    where = f"{at.rows}, {at.when}, as {told.loss} received them"
    if told.exact:
        counted = told.counted + told.invalid
        some = f"all {plural(counted, at.unit)} of the {where}"
        some = some.replace(f"{at.unit}s of the ", "") if at.unit == "row" else some
        if told.ignored:
            some += f"; {plural(told.ignored, 'target')} to be ignored left out"
        return f"Exact, of {some}."
    of = f"{plural(told.counted, at.unit)} evenly spread over {whole(told.total)}"
    return f"Sampled, of {of} of the {where}."


def _invalid(at: Measured) -> str:
    told = at.metrics
    of = whole(told.counted + told.invalid)
    return (
        f"The predictions of {whole(told.invalid)} of {of} {at.unit}s are NaN or infinite: "
        "they are counted nowhere below."
    )


def _lines(at: Measured) -> Lines:
    told = at.metrics
    if told.classification:
        return _of_classes(at, told.classification)
    if told.labelling:
        return _of_labels(told.labelling)
    return _of_values(told.regression) if told.regression else []


def _summary(lines: Lines, last: Measured, best: Measured | None) -> Table:
    other = dict.fromkeys(label for label, _, _ in lines)
    macro = any(label == "macro F1" for label in other)
    note = "macro F1 is the mean over the classes that were true or predicted" if macro else ""
    heads = [Head(label="measure", note=note), Head(label=last.when, number=True)]
    columns = [list(other), [value for _, value, _ in lines]]
    if best:
        values = {label: value for label, value, _ in _lines(best)}
        heads.append(Head(label=f"{best.when}, lowest loss", number=True))
        columns.append([values.get(label, "–") for label in other])
    heads.append(Head(label="guess", number=True, note=_guess(last.metrics)))
    columns.append([guess for _, _, guess in lines])
    return Table(heads=tuple(heads), rows=tuple(zip(*columns, strict=True)))


def _guess(told: Metrics) -> str:
    if told.regression:
        return "predicting the mean of these targets, whatever the input"
    if told.labelling:
        return "never giving a label, whatever the input"
    return "choosing the most frequent class of these targets, whatever the input"


def _of_classes(at: Measured, found: Classification) -> Lines:
    name = f"{at.unit} accuracy" if at.dense else "accuracy"
    lines = [(name, accuracy(found.accuracy), accuracy(found.majority))]
    if found.top5 is not None:
        lines.append(("top-5 accuracy", accuracy(found.top5), ""))
    each = by_class(found.confusion)
    if each:
        lines.append(("macro F1", accuracy(mean(one.f1 for one in each)), ""))
        if at.unit == "pixel":
            lines.append(("mean IoU", accuracy(mean(one.iou for one in each)), ""))
    if found.entropy is not None:
        lines.append(("cross entropy (nats)", loss(found.entropy), ""))
        if at.unit in ("token", "position"):
            uniform = f"{whole(found.classes)} (uniform)"
            lines.append(("perplexity", perplexity(found.entropy), uniform))
    return lines + _calibrated(found.bins)


def perplexity(entropy: float) -> str:
    """Write exp(cross entropy).

    >>> perplexity(0.0), perplexity(3.0), perplexity(1000.0)
    ('1.000', '20.09', 'infinity')
    """
    return number(math.exp(entropy) if entropy < 700 else math.inf)


def _of_labels(found: Labelling) -> Lines:
    each = [OfClass(*counts[:3]) for counts in found.counts]
    lines = [
        ("label accuracy", accuracy(found.accuracy), accuracy(found.none)),
        ("rows with every label right", accuracy(found.subset), ""),
        ("micro F1", accuracy(OfClass(*found.totals[:3]).f1), ""),
    ]
    if len(each) == found.labels:
        lines.append(("macro F1", accuracy(mean(one.f1 for one in each)), ""))
    if found.entropy is not None:
        lines.append(("binary cross entropy (nats)", loss(found.entropy), ""))
    return lines + _calibrated(found.bins)


def _calibrated(bins: Sequence[Bin]) -> Lines:
    error = calibration_error(bins)
    return [] if error is None else [("calibration error (ECE)", accuracy(error), "")]


def _of_values(found: Regression) -> Lines:
    several = f", mean of {found.outputs} outputs" if found.outputs > 1 else ""
    r2 = "–" if found.r2 is None else number(found.r2)
    return [
        (f"R²{several}", r2, "–" if found.r2 is None else "0"),
        ("root mean squared error", number(found.rmse), number(found.mean_rmse)),
        ("mean absolute error", number(found.mae), number(found.mean_mae)),
        ("mean of prediction − target", number(found.bias), "0"),
    ]


def _classes(at: Measured, found: Classification, names: Sequence[str]) -> list[AnyBlock]:
    blocks: list[AnyBlock] = []
    count = found.classes
    # Two classes told by one number: its probability is that of the second.
    what = "the predicted class" if at.metrics.loss in _SEVERAL else "class 1"

    def name(index: int) -> str:
        return names[index] if len(names) == count else f"class {index}"

    if found.confusion:
        each = by_class(found.confusion)
        if count <= WIDEST:
            blocks.append(_matrix(found.confusion, name, at.unit))
        blocks.append(_table(each, name, "class", at.unit == "pixel"))
    confused = found.confused or _confused(found.confusion)
    if count > WIDEST and confused:
        blocks.append(_pairs(confused, name))
    return [*blocks, *_reliability(found.bins, what, at.unit)]


def _matrix(confusion: Sequence[Sequence[int]], name: Callable[[int], str], unit: str) -> Table:
    heads = [Head(label="true")]
    heads += [Head(label=f"predicted {name(at)}", number=True) for at in range(len(confusion))]
    rows = [(name(at), *map(whole, row)) for at, row in enumerate(confusion)]
    caption = f"Confusion matrix: {unit}s by true class and predicted class"
    return Table(heads=tuple(heads), rows=tuple(rows), caption=caption)


def _confused(confusion: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    cells = [
        (truth, chosen, count)
        for truth, row in enumerate(confusion)
        for chosen, count in enumerate(row)
        if count and truth != chosen
    ]
    return sorted(cells, key=lambda cell: -cell[2])


def _pairs(confused: Sequence[tuple[int, int, int]], name: Callable[[int], str]) -> Table:
    heads = (Head(label="true"), Head(label="predicted"), Head(label="count", number=True))
    rows = tuple((name(a), name(b), whole(count)) for a, b, count in confused[:PAIRS])
    return Table(heads=heads, rows=rows, caption="Classes that are confused most")


def _table(each: Sequence[OfClass], name: Callable[[int], str], what: str, pictures: bool) -> Table:
    """Put precision, recall, F1 and support of each class or label in a row."""
    order = sorted(range(len(each)), key=lambda at: (each[at].f1 is None, each[at].f1))
    shown = sorted(order[:LONGEST])
    few = len(shown) < len(each)
    caption = f"The {len(shown)} of {len(each)} with the lowest F1" if few else f"By {what}"
    heads = [Head(label=what)]
    heads += [Head(label=label, number=True) for label in ("precision", "recall", "F1")]
    heads += [Head(label="IoU", number=True)] if pictures else []
    heads.append(Head(label="support", number=True, note=f"targets of this {what}"))
    rows = []
    for at in shown:
        one = each[at]
        shares = [one.precision, one.recall, one.f1, *([one.iou] if pictures else [])]
        rows.append((name(at), *map(accuracy, shares), whole(one.support)))
    return Table(heads=tuple(heads), rows=tuple(rows), caption=caption)


def _labels(found: Labelling) -> list[AnyBlock]:
    each = [OfClass(*counts[:3]) for counts in found.counts]
    table = _table(each, lambda at: f"label {at}", "label", False)
    return [table, *_reliability(found.bins, "a label", "label")]


def _reliability(bins: Sequence[Bin], what: str, unit: str) -> list[AnyBlock]:
    """Put how often probabilities came true beside them, and say to which side they err."""
    error, total = calibration_error(bins), sum(each.count for each in bins)
    if error is None:
        return []
    said = sum(each.probability * each.count for each in bins) / total
    came = sum(each.share * each.count for each in bins) / total
    width = 1 / len(bins)
    bars = tuple(
        Bar(
            label=f"{at * width:.1f} to {(at + 1) * width:.1f}, mean {each.probability:.3f}",
            share=each.share,
            value=f"{each.share:.3f} of {plural(each.count, unit)}",
        )
        for at, each in enumerate(bins)
        if each.count
    )
    side = "higher than" if said > came else "lower than" if said < came else "the same as"
    text = (
        f"The mean probability of {what} is {said:.3f}, {side} the share that came true, "
        f"{came:.3f}. In {len(bins)} equally wide intervals the two differ by {error:.3f} on "
        "average (expected calibration error)."
    )
    title = f"How often {what} came true, by its probability"
    return [Bars(bars=bars, title=title), Text(text=text)]


def _residuals(found: Regression) -> Bars:
    width = (found.high - found.low) / max(1, len(found.residuals))
    edges = [found.low + at * width for at in range(len(found.residuals) + 1)]
    total, most = sum(found.residuals), max(found.residuals)
    bars = tuple(
        Bar(
            label=f"{number(edges[at])} to {number(edges[at + 1])}",
            share=count / most,
            value=f"{whole(count)} ({percent(count / total)})",
        )
        for at, count in enumerate(found.residuals)
    )
    title = (
        f"Residuals (target − prediction) of {plural(found.count, 'value')}; the longest bar is "
        "the most frequent interval"
    )
    return Bars(bars=bars, title=title)
