"""Quiz questions about the scores and probabilities of one real sample."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.anymodel.reading import predicted
from pipetrace.lessons.drafts import Draft, Option, claim, literal, number, result
from pipetrace.lessons.registry import question
from pipetrace.records import Prediction
from pipetrace.tracefile import Recording


@question(id="A451", group="quiz", level="easy", needs="run", place="prediction")
def chosen_class(recording: Recording, random: Random) -> Draft | None:
    """Which class a row of scores speaks for, and which against."""
    found = predicted(recording)
    if found is None or len(found.scores) < 4:
        return None
    scores = [round(score, 4) for score in found.scores]
    order = sorted(range(len(scores)), key=lambda index: scores[index])
    if len(set(scores)) < len(scores) or order[-1] != found.predicted:
        return None
    most = random.choice((True, False))
    key, other = (order[-1], order[0]) if most else (order[0], order[-1])
    near = min(range(len(scores)), key=lambda index: abs(scores[index]))
    rest = [index for index in order if index not in (key, other)]
    pick = "argmax" if most else "argmin"
    made = f"scores = torch.tensor({literal(scores)})\n"

    def option(index: int) -> Option:
        told = {
            key: ("Probabilities come in the order of the scores.", ""),
            other: ("This is the other end of the order.", "softmax-of-smallest"),
        }
        middle = (
            ("A score near 0 has no place of its own in the order.", "score-near-zero")
            if index == near
            else ("Another class stands further out.", "any-class")
        )
        words, belief = told.get(index, middle)
        return claim(
            f"Class {index}",
            f"{made}(scores.softmax(0).{pick}() == {index}).item()",
            words,
            correct=index == key,
            misconception=belief,
        )

    return Draft(
        text="For one sample the model gave the scores {scores}, for classes from 0. Which class "
        "does it hold for the {most} probable?",
        options=tuple(option(index) for index in (key, other, *random.sample(rest, 2))),
        given={
            "scores": str(scores),
            "most": "most" if most else "least",
            "end": "highest" if most else "lowest",
            "score": number(scores[key]),
        },
        steps=(
            "Softmax keeps the order of the scores. The {end} is {score}.",
            "Classes are counted from 0: {key}.",
        ),
        answer="{letter}: {key}",
        check="`scores.softmax(0)` lists the probabilities.",
        hint="Mind the signs, and count from 0.",
    )


@question(id="A452", group="quiz", level="easy", needs="run", place="prediction")
def margin(recording: Recording, random: Random) -> Draft | None:
    """By how much the predicted class leads."""
    found = predicted(recording)
    if found is None:
        return None
    probabilities = [round(p, 4) for p in found.probabilities]
    first, second, *_ = sorted(probabilities, reverse=True)
    made = f"p = torch.tensor({literal(probabilities)})\n"
    count, low = len(probabilities), min(probabilities)
    options = three(
        random,
        first - second,
        [
            Wrong(f"{made}(p.max() - p.min()).item()", first - low,
                  "The margin is to the next class, not to the last.", "margin-to-last"),
            Wrong(f"{made}p.max().item()", first, "This is the highest probability.",
                  "margin-is-highest"),
            Wrong(f"{made}(p.max() - p.mean()).item()", first - sum(probabilities) / count,
                  "The margin is to the next class, not to the mean.", "margin-to-mean"),
            Wrong(f"{made}p.sort().values[-2:].sum().item()", first + second,
                  "The two are not added.", "gap-is-sum"),
            Wrong(f"{made}1 - p.max().item()", 1 - first, "This is all that others have.",
                  "loss-is-error"),
            Wrong(f"{made}p.sort().values[-2].item()", second,
                  "This is the second class alone.", "margin-is-second"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="For one sample the model gave the probabilities {p}. How large is its margin, the "
        "lead of the highest over the next one?",
        options=(
            result(
                f"{made}top = p.topk(2).values\n(top[0] - top[1]).item()",
                "A small margin means that little would change the answer.",
                correct=True,
                expected=number(first - second),
            ),
            *options,
        ),
        given={"p": str(probabilities), "first": number(first), "second": number(second)},
        steps=("The two highest are {first} and {second}.", "They differ by {key}."),
        answer="{letter}: {key}",
        check="`p.topk(2)`",
        hint="Which two probabilities are compared?",
    )


@question(id="A453", group="quiz", level="hard", needs="run", place="prediction")
def odds(recording: Recording, random: Random) -> Draft | None:
    """How a difference of scores becomes a ratio of probabilities."""
    found = predicted(recording)
    if found is None:
        return None
    scores = [round(score, 4) for score in found.scores]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    a, b = order[0], random.choice(order[1:])
    difference = scores[a] - scores[b]
    if not 0.1 < difference < 4:
        return None
    made = f"scores = torch.tensor({literal(scores)})\n"
    p, q = found.probabilities[a], found.probabilities[b]
    options = three(
        random,
        math.exp(difference),
        [
            Wrong(f"{made}(scores[{a}] - scores[{b}]).item()", difference,
                  "This is the difference; the ratio is e to its power.", "ratio-is-difference"),
            Wrong(f"{made}(scores[{a}].abs() / scores.abs().sum()).item()",
                  abs(scores[a]) / sum(map(abs, scores)), "Scores are put through exp first.",
                  "plain-share"),
            Wrong(f"{made}(scores.softmax(0)[{a}] - scores.softmax(0)[{b}]).item()", p - q,
                  "This is a difference of probabilities.", "share-is-difference"),
            Wrong(f"{made}2 ** (scores[{a}] - scores[{b}]).item()", 2**difference,
                  "The base is e, not 2.", "log-base"),
            Wrong(f"{made}10 ** (scores[{a}] - scores[{b}]).item()", 10**difference,
                  "The base is e, not 10.", "log-base"),
            Wrong(f"{made}(scores[{b}] - scores[{a}]).exp().item()", math.exp(-difference),
                  "This is the ratio the other way round.", "ratio-turned"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="The scores of one sample were {scores}, for classes from 0. Without computing the "
        "whole softmax: how many times as probable as class {b} is class {a}?",
        options=(
            result(
                f"{made}p = scores.softmax(0)\n(p[{a}] / p[{b}]).item()",
                "The sum in softmax cancels: e to the difference of the scores is left.",
                correct=True,
                expected=number(math.exp(difference)),
            ),
            *options,
        ),
        given={"scores": str(scores), "a": str(a), "b": str(b), "difference": number(difference)},
        steps=(
            "Both probabilities are divided by the same sum, which cancels in their ratio.",
            "The scores differ by {difference}.",
            "e to this power is {key}.",
        ),
        answer="{letter}: {key}",
        check="Divide the two recorded probabilities.",
        hint="What is e to the a, divided by e to the b?",
    )


@question(id="A454", group="quiz", level="medium", needs="run", place="prediction")
def shifted(recording: Recording, random: Random) -> Draft | None:
    """What adding a number to every score does to a probability."""
    found = predicted(recording)
    if found is None:
        return None
    scores = [round(score, 4) for score in found.scores]
    at = max(range(len(scores)), key=lambda index: scores[index])
    more = random.choice((1, 2, 3, -1, -2))
    made = f"scores = torch.tensor({literal(scores)})\n"
    p = found.probabilities[at]
    if not all(abs(score) < 30 for score in scores):
        return None

    def share(values: list[float]) -> float:
        return math.exp(values[at]) / sum(math.exp(value) for value in values)

    only = [score + more * (index == at) for index, score in enumerate(scores)]
    double = [2 * score for score in scores]
    options = three(
        random,
        p,
        [
            Wrong(f"{made}scores[{at}] += {more}\nscores.softmax(0)[{at}].item()", share(only),
                  "Here only this class's score was changed.", "shift-of-one"),
            Wrong(f"{made}(2 * scores).softmax(0)[{at}].item()", share(double),
                  "Here the scores were doubled: that does change their differences.",
                  "shift-is-scale"),
            Wrong(f"{made}torch.sigmoid(scores[{at}] + {more}).item()",
                  1 / (1 + math.exp(-scores[at] - more)), "Softmax looks at all scores.",
                  "sigmoid-for-softmax"),
            Wrong(f"1 / {len(scores)}", 1 / len(scores), "The differences are still there.",
                  "uniform"),
            Wrong(f"{made}(scores / 2).softmax(0)[{at}].item()",
                  share([score / 2 for score in scores]),
                  "Here the scores were halved: that does change their differences.",
                  "shift-is-scale"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="The scores {scores} gave class {at} the probability {p}. If {more} were added to "
        "every one of them, which probability would softmax give to it?",
        options=(
            result(
                f"{made}(scores + {more}).softmax(0)[{at}].item()",
                "Softmax looks at differences of scores only.",
                correct=True,
                expected=number(p),
            ),
            *options,
        ),
        given={"scores": str(scores), "at": str(at), "p": number(p), "more": str(more)},
        steps=(
            "Adding {more} multiplies each e to a score by the same number.",
            "It stands above and below the line of the fraction, and cancels: {key}.",
        ),
        answer="{letter}: {key}",
        check="`(scores + 100).softmax(0)` is the same as `scores.softmax(0)`.",
        hint="Do the differences of the scores change?",
    )


@question(id="A455", group="quiz", level="easy", needs="run", place="prediction")
def squared_error(recording: Recording, random: Random) -> Draft | None:
    """Which squared error one predicted value has."""
    found = next(
        (each for each in reversed(recording.all(Prediction)) if each.role == "chosen"), None
    )
    if found is None or found.task != "values" or len(found.scores) != 1 or found.truth is None:
        return None
    value, truth = round(found.scores[0], 4), round(found.truth, 4)
    if not (math.isfinite(value) and math.isfinite(truth)) or max(abs(value), abs(truth)) > 1e4:
        return None
    error = value - truth
    if abs(error) < 0.05:
        return None
    options = three(
        random,
        error**2,
        [
            Wrong(f"abs({value} - {truth})", abs(error), "This is the error without squaring.",
                  "square-forgotten"),
            Wrong(f"{value} - {truth}", error, "This is the error with its sign.",
                  "square-forgotten"),
            Wrong(f"{value} ** 2 - {truth} ** 2", value**2 - truth**2,
                  "The difference is taken first.", "square-first"),
            Wrong(f"({value} - {truth}) ** 2 / 2", error**2 / 2, "PyTorch does not halve it.",
                  "loss-halved"),
            Wrong(f"({value} + {truth}) ** 2", (value + truth) ** 2, "A difference is squared.",
                  "gap-is-sum"),
            Wrong(f"2 * ({value} - {truth})", 2 * error, "This is its slope.", "loss-is-slope"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="For one sample the model predicted {value}; the target is {truth}. Which squared "
        "error is that?",
        options=(
            result(
                f"F.mse_loss(torch.tensor({value}), torch.tensor({truth})).item()",
                "The difference, squared.",
                correct=True,
                expected=number(error**2),
            ),
            *options,
        ),
        given={"value": number(value), "truth": number(truth), "error": number(error)},
        steps=("The difference is {error}.", "Squared: {key}."),
        answer="{letter}: {key}",
        check="The root of it is the distance between the two.",
        hint="Difference first, square second.",
    )
