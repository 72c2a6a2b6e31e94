"""Quiz questions about what this run's predictions were worth."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.anymodel.reading import classified
from pipetrace.lessons.drafts import Draft, Option, claim, number, result
from pipetrace.lessons.registry import question
from pipetrace.records import Bin, Classification, Metrics
from pipetrace.tracefile import Recording


class _Counts(NamedTuple):
    """A class's counts in a confusion matrix: right, truly of it, predicted as it, all."""

    place: int
    right: int
    true: int
    told: int
    total: int


@question(id="A441", group="quiz", level="easy", needs="run", place="metrics")
def accuracy(recording: Recording, random: Random) -> Draft | None:
    """Which accuracy a confusion matrix tells."""
    found = classified(recording)
    if found is None:
        return None
    matrix, made = found.confusion, _made(found)
    total, right = sum(map(sum, matrix)), sum(row[i] for i, row in enumerate(matrix))
    recalls = [row[i] / sum(row) for i, row in enumerate(matrix) if sum(row)]
    options = three(
        random,
        right / total,
        [
            Wrong(f"{made}1 - matrix.diagonal().sum().item() / {total}", 1 - right / total,
                  "This is the share of wrong ones.", "accuracy-is-error"),
            Wrong(f"{made}matrix.diagonal().sum().item() / {max(total - right, 1)}",
                  right / max(total - right, 1), "This divides right ones by wrong ones.",
                  "share-against-rest"),
            Wrong(f"{made}sum((row[i] / row.sum()).item() for i, row in enumerate(matrix) "
                  f"if row.sum()) / {len(recalls)}", sum(recalls) / len(recalls),
                  "This is the mean over classes: it counts a rare class as much as a common one.",
                  "accuracy-per-class"),
            Wrong(f"{made}matrix.sum(1).max().item() / {total}", max(map(sum, matrix)) / total,
                  "This is the share of the most common class.", "accuracy-is-majority"),
            Wrong(f"{made}matrix.diagonal().max().item() / {total}",
                  max(row[i] for i, row in enumerate(matrix)) / total,
                  "The right ones of the other classes count, too.", "one-class-counts"),
            Wrong(f"1 / {len(matrix)}", 1 / len(matrix), "This is what guessing blindly gives.",
                  "accuracy-is-chance"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="An evaluation counted {matrix}: a row for each true class, a column for each "
        "predicted one. Which share of all predictions was right?",
        options=(
            result(
                f"{made}matrix.diagonal().sum().item() / matrix.sum().item()",
                "Right ones stand where row and column agree.",
                correct=True,
                expected=number(found.accuracy),
            ),
            *options,
        ),
        given={"matrix": _text(found), "right": str(right), "total": str(total)},
        steps=(
            "Right predictions stand on the diagonal: {right}.",
            "All numbers together: {total}.",
            "The share is {key}.",
        ),
        answer="{letter}: {key}",
        check="The metrics of the run name the same accuracy.",
        hint="Where do true and predicted class agree?",
    )


@question(id="A442", group="quiz", level="medium", needs="run", place="metrics")
def recall(recording: Recording, random: Random) -> Draft | None:
    """How many of a class were found."""
    return _of_class(recording, random, "recall")


@question(id="A443", group="quiz", level="medium", needs="run", place="metrics")
def precision(recording: Recording, random: Random) -> Draft | None:
    """How far the naming of a class can be trusted."""
    return _of_class(recording, random, "precision")


@question(id="A444", group="quiz", level="easy", needs="run", place="metrics")
def majority(recording: Recording, random: Random) -> Draft | None:
    """Which accuracy always naming the commonest class would have."""
    found = classified(recording)
    if found is None:
        return None
    made, matrix = _made(found), found.confusion
    total, sums = sum(map(sum, matrix)), [sum(row) for row in matrix]
    columns = [sum(column) for column in zip(*matrix, strict=True)]
    options = three(
        random,
        max(sums) / total,
        [
            Wrong(f"{made}matrix.diagonal().sum().item() / {total}", found.accuracy,
                  "This is the accuracy of the model.", "majority-is-accuracy"),
            Wrong(f"1 / {len(matrix)}", 1 / len(matrix),
                  "This is what guessing blindly gives; the classes are not equally common.",
                  "accuracy-is-chance"),
            Wrong(f"{made}matrix.sum(0).max().item() / {total}", max(columns) / total,
                  "This is the class that was predicted most often.", "majority-of-predicted"),
            Wrong(f"{made}matrix.sum(1).min().item() / {total}", min(sums) / total,
                  "This is the rarest class.", "majority-is-rarest"),
            Wrong(f"{made}1 - matrix.sum(1).max().item() / {total}", 1 - max(sums) / total,
                  "This is how often it would be wrong.", "accuracy-is-error"),
            Wrong(f"{made}matrix.max().item() / {total}", max(map(max, matrix)) / total,
                  "A whole row counts, not one number of it.", "one-cell-counts"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="An evaluation counted {matrix}: a row for each true class, a column for each "
        "predicted one. Which accuracy would a model have that always names the commonest true "
        "class?",
        options=(
            result(
                f"{made}matrix.sum(1).max().item() / matrix.sum().item()",
                "It is right for every row of that class, and for no other.",
                correct=True,
                expected=number(found.majority),
            ),
            *options,
        ),
        given={
            "matrix": _text(found),
            "sums": str(sums),
            "total": str(total),
            "most": str(max(sums)),
            "accuracy": number(found.accuracy),
        },
        steps=(
            "The classes have {sums} samples of {total}.",
            "The commonest has {most}: {key}.",
            "The model's accuracy of {accuracy} is to be compared with this, not with 0.",
        ),
        answer="{letter}: {key}",
        check="The metrics of the run name it, too.",
        hint="Add up each row.",
    )


@question(id="A445", group="quiz", level="medium", needs="run", place="metrics")
def calibration(recording: Recording, random: Random) -> Draft | None:
    """Whether a model was as sure as it was right."""
    found = [
        (metrics.epoch, interval)
        for metrics in recording.all(Metrics)
        if metrics.classification is not None and metrics.classification.classes > 2
        for interval in metrics.classification.bins
        if abs(interval.probability - interval.share) > 0.02 and _chance(interval) < 0.025
    ]
    if not found:
        return None
    epoch, drawn = random.choice(found)
    p, share = round(drawn.probability, 4), round(drawn.share, 4)
    away = round(abs(p - share), 4)
    others = [
        (round(abs(1 - p - share), 4), "One probability is to be compared with one share.",
         "calibration-of-rest"),
        (round(abs(share / p - 1), 4), "This is a ratio to the probability, not a distance.",
         "gap-is-ratio"),
        (round((p + share) / 2, 4), "This is the mean of the two.", "gap-is-mean"),
    ]  # fmt: skip
    other, words, idea = random.choice(
        [each for each in others if each[0] > 0.001 and abs(away - each[0]) > 0.001]
    )
    made = f"sure, right = {p}, {share}\n"

    def option(word: str, value: float, feedback: str, belief: str = "") -> Option:
        side = "sure > right" if word == "too sure" else "sure < right"
        return claim(
            f"It was {word}, by {number(value)}",
            f"{made}{side} and abs(abs(sure - right) - {value}) < 1e-3",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    right, wrong = ("too sure", "too unsure") if p > share else ("too unsure", "too sure")
    return Draft(
        text="{when}, {count} predictions had a probability of {p} on average; a "
        "share of {share} of them was right. How sure was the model of these?",
        options=(
            option(right, away, "Probability and share of right ones differ by this much."),
            option(wrong, away, "The two are exchanged.", "calibration-turned"),
            option(right, other, words, idea),
            option(wrong, other, f"The two are exchanged. {words}", "calibration-turned"),
        ),
        given={"when": f"After epoch {epoch}" if epoch else "In an evaluation",
               "count": str(drawn.count), "p": number(p), "share": number(share),
               "chance": f"{100 * _chance(drawn):.1f} %", "far": "few" if p > share else "many"},
        steps=(
            "A model that says {p} should be right in a share of {p}.",
            "It was right in {share}.",
            "Were {p} the true share, chance would make so {far} of {count} right in {chance} of "
            "such samples: it is no likely reason.",
            "{key}.",
        ),
        answer="{letter}: {key}.",
        check="The calibration chart shows both numbers for each interval of probabilities.",
        hint="Which of the two is larger?",
    )  # fmt: skip


@question(id="A446", group="quiz", level="hard", needs="run", place="metrics")
def f1(recording: Recording, random: Random) -> Draft | None:
    """Which F1 score a class has."""
    found = classified(recording)
    counts = [
        each for each in _counts(found) if 0 < each.right < min(each.true, each.told)
    ] if found is not None else []  # fmt: skip
    if found is None or not counts:
        return None
    each = random.choice(counts)
    r, p = each.right / each.true, each.right / each.told
    made = f"right, true, told = {each.right}, {each.true}, {each.told}\n"
    made += "recall, precision = right / true, right / told\n"
    options = three(
        random,
        2 * r * p / (r + p),
        [
            Wrong(f"{made}(recall + precision) / 2", (r + p) / 2,
                  "This is the plain mean: it forgives a low one.", "f1-is-mean"),
            Wrong(f"{made}recall * precision", r * p, "This is the product.", "f1-is-product"),
            Wrong(f"{made}recall", r, "This is recall alone.", "recall-is-all"),
            Wrong(f"{made}precision", p, "This is precision alone.", "precision-is-all"),
            Wrong(f"{made}(recall * precision) ** 0.5", math.sqrt(r * p),
                  "This is the geometric mean; F1 is the harmonic one.", "f1-is-mean"),
            Wrong(f"{made}min(recall, precision)", min(r, p), "Both count.", "f1-is-least"),
            Wrong(f"{made}right / (true + told)", each.right / (each.true + each.told),
                  "The right ones count twice.", "f1-half"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="Of {true} samples of class {index}, {right} were found; {told} were named so in all. "
        "F1 is twice the product of precision (right among named) and recall (found among true), "
        "divided by their sum. What is it?",
        options=(
            result(
                f"{made}2 * recall * precision / (recall + precision)",
                "It lies nearer to the lower of the two.",
                correct=True,
            ),
            *options,
        ),
        given={
            "index": str(each.place),
            "right": str(each.right),
            "true": str(each.true),
            "told": str(each.told),
            "r": number(r),
            "p": number(p),
        },
        steps=(
            "Recall: {right} of {true}, {r}. Precision: {right} of {told}, {p}.",
            "Twice the product, divided by the sum, is {key}.",
        ),
        answer="{letter}: {key}",
        check="Twice {right}, divided by {true} + {told}, gives the same.",
        hint="Compute precision and recall first.",
    )


@question(id="A447", group="quiz", level="medium", needs="run", place="metrics")
def explained(recording: Recording, random: Random) -> Draft | None:
    """How much better than the mean a regression is."""
    metrics = recording.last(Metrics)
    found = metrics.regression if metrics is not None else None
    if found is None or found.outputs != 1 or found.r2 is None:
        return None
    a, b = round(found.rmse, 4), round(found.mean_rmse, 4)
    if not (0.05 < a < 1e6 and 0.05 < b < 1e6) or abs(1 - (a / b) ** 2 - found.r2) > 5e-4:
        return None
    options = three(
        random,
        found.r2,
        [
            Wrong(f"1 - {a} / {b}", 1 - a / b, "The errors are squared first.",
                  "square-forgotten"),
            Wrong(f"({a} / {b}) ** 2", (a / b) ** 2, "This is what is left unexplained.",
                  "share-of-rest"),
            Wrong(f"{a} / {b}", a / b, "This is the ratio of the errors.", "share-of-rest"),
            Wrong(f"{b} - {a}", b - a, "This is a difference of errors.", "share-is-difference"),
            Wrong(f"1 - {a} ** 2", 1 - a**2, "It is compared with what the mean gives.",
                  "r2-without-baseline"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="Predictions were off by {a} (root of the mean squared error); always predicting the "
        "mean would be off by {b}. R2 is the share of the squared error that the model takes "
        "away from the mean's. What is it?",
        options=(
            result(f"1 - ({a} / {b}) ** 2", "1 minus the ratio of the squared errors.",
                   correct=True, expected=number(found.r2)),
            *options,
        ),
        given={"a": number(a), "b": number(b), "ratio": number((a / b) ** 2)},
        steps=("The ratio of the squared errors is {ratio}.", "1 minus it is {key}."),
        answer="{letter}: {key}",
        check="Predicting the mean gives 0, a perfect model 1.",
        hint="Squared errors are compared.",
    )  # fmt: skip


def _of_class(recording: Recording, random: Random, asked: str) -> Draft | None:
    """Ask for recall or precision of a class."""
    found = classified(recording)
    counts = [
        each for each in _counts(found) if each.right > 0 and each.true != each.told
    ] if found is not None else []  # fmt: skip
    if found is None or not counts:
        return None
    each = random.choice(counts)
    made, at = _made(found), each.place
    values = {
        "recall": (f"matrix[{at}].sum()", each.true, "This divides by what is truly of the class."),
        "precision": (f"matrix[:, {at}].sum()", each.told,
                      "This divides by what was named so, rightly or not."),
    }  # fmt: skip
    other = "precision" if asked == "recall" else "recall"
    key = each.right / values[asked][1]
    options = three(
        random,
        key,
        [
            Wrong(f"{made}(matrix[{at}, {at}] / {values[other][0]}).item()",
                  each.right / values[other][1], values[other][2], f"{other}-is-all"),
            Wrong(f"{made}(matrix[{at}, {at}] / matrix.sum()).item()", each.right / each.total,
                  "This divides by the samples of all classes.", "share-of-everything"),
            Wrong(f"{made}matrix.diagonal().sum().item() / {each.total}", found.accuracy,
                  "This is the accuracy over all classes.", "accuracy-is-recall"),
            Wrong(f"{made}1 - (matrix[{at}, {at}] / {values[asked][0]}).item()", 1 - key,
                  "This is the share of wrong ones.", "accuracy-is-error"),
            Wrong(f"{made}({values[asked][0]} / matrix.sum()).item()",
                  values[asked][1] / each.total, "This is how common the class is.",
                  "accuracy-is-majority"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    asks = (
        "Which share of the samples that are truly of class {index} was found (recall)?"
        if asked == "recall"
        else "Which share of the samples that were named class {index} truly was (precision)?"
    )
    row = "row" if asked == "recall" else "column"
    return Draft(
        text="An evaluation counted {matrix}: a row for each true class, a column for each "
        f"predicted one, classes from 0. {asks}",
        options=(
            result(
                f"{made}(matrix[{at}, {at}] / {values[asked][0]}).item()",
                f"Right ones, divided by the sum of the {row}.",
                correct=True,
            ),
            *options,
        ),
        given={
            "matrix": _text(found),
            "index": str(at),
            "right": str(each.right),
            "sum": str(values[asked][1]),
        },
        steps=(
            "{right} were right.",
            f"The {row} of class {{index}} adds up to {{sum}}.",
            "The share is {key}.",
        ),
        answer="{letter}: {key}",
        check="The metrics of the run list both shares for each class.",
        hint="Does the question begin with true samples, or with predictions?",
    )


def _chance(found: Bin) -> float:
    """Return how probable a share as far off is where the mean probability is the true share.

    It is the exact tail of the binomial distribution on the side where the share lies; below 2.5 %
    the mean probability is outside of the share's exact 95 % interval. 1 for more than 100,000.

    >>> round(_chance(Bin(count=8, probability=0.385, share=0.5)), 2)
    0.37
    """
    n, p, right = found.count, found.probability, round(found.count * found.share)
    if not 0 < n <= 100_000 or not 0 < p < 1:
        return 1.0
    tail = range(right, n + 1) if right > n * p else range(right + 1)
    whole, yes, no = math.lgamma(n + 1), math.log(p), math.log1p(-p)
    return math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * yes + (n - k) * no)
        for k in tail
    )


def _counts(found: Classification) -> list[_Counts]:
    matrix = found.confusion
    return [
        _Counts(i, row[i], sum(row), sum(each[i] for each in matrix), sum(map(sum, matrix)))
        for i, row in enumerate(matrix)
    ]


def _made(found: Classification) -> str:
    return f"matrix = torch.tensor({_text(found)})\n"


def _text(found: Classification) -> str:
    return str([list(row) for row in found.confusion])
