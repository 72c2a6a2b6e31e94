"""What teaches, for the demo: a test in two forms, cards, steps and an experiment."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipetrace.blocks import (
    Attempt,
    Bar,
    Bars,
    Card,
    Cards,
    Code,
    Exam,
    Experiment,
    Fact,
    Facts,
    Knob,
    Mode,
    Option,
    Question,
    Section,
    Step,
    Steps,
    Text,
)

MODES = tuple(
    Mode(id=name, label=label, words=words)
    for name, label, words in (
        ("why", "Why", "What the layer is for."),
        ("deep", "Deep", "What it computes, number by number."),
        ("trace", "Trace", "One row of values on its way through the model."),
        ("training", "Training", "Every epoch of the run."),
        ("predict", "Predict", "One sample, with dropout off."),
        ("metrics", "Metrics", "What was measured on rows that were held out."),
        ("checks", "Checks", "Mistakes that are easily made, and what finds them."),
        ("practice", "Practice", "Questions with hints and solutions."),
        ("experiment", "Experiment", "Change the settings until the target is reached."),
        ("review", "Review & test", "Cards to be remembered, and a test."),
    )
)
WEIGHTS = (
    0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796,
    1.4835, 0.0614, 0.2629, 1.6483, 0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
)  # fmt: skip
"""The parameters that FSRS-6 starts with."""
RATES = (0.0, 0.1, 0.3, 0.5, 0.8)
TARGET = 0.2


def sections() -> tuple[Section, ...]:
    """Build a section for each kind of block that teaches.

    >>> [section.id for section in sections()]
    ['checking', 'knobs', 'cards', 'exam']
    """
    return (
        Section(id="checking", title="A mistake and its check", blocks=(steps(),), mode="checks"),
        Section(id="knobs", title="Experiment", blocks=(experiment(),), mode="experiment"),
        Section(id="cards", title="Cards", blocks=(cards(),), mode="review"),
        Section(id="exam", title="Test", blocks=(exam(),), mode="review"),
    )


def interval(right: int, total: int) -> tuple[float, float]:
    """Compute the 95 % interval of a share by Wilson's formula (1927).

    >>> [round(bound, 2) for bound in interval(8, 10)]
    [0.49, 0.94]
    """
    z = 1.959964
    share, size = right / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / size
    reach = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2) / size
    return max(0.0, middle - reach), min(1.0, middle + reach)


def exam() -> Exam:
    """Build a test of ten questions in two parallel forms."""
    questions = tuple(_questions())
    return Exam(
        id="dropout-test",
        title="Test: dropout",
        questions=questions,
        forms=(tuple(range(10)), tuple(range(10, 20))),
        intervals=tuple(interval(right, 10) for right in range(11)),
    )


def _questions() -> Iterator[Question]:
    for form, shift in enumerate((0.0, 0.05)):
        for number, p in enumerate((0.1, 0.2, 0.4, 0.6)):
            yield _scale(number, round(p + shift, 2), form)
        for rows in (50, 100, 200):
            yield _kept(rows, round(0.2 + shift, 2), form)
        for number, p in enumerate((0.2, 0.5, 0.8)):
            yield _spread(number, round(p + shift, 2), form)


def _ask(
    id: str, level: str, text: str, key: float, others: dict[str, tuple[float, str]], form: int
) -> Question:
    """Write a question whose right answer moves by one place from form to form."""
    options = [
        Option(text=f"{value:.4g}", correct=False, feedback=feedback, misconception=name)
        for name, (value, feedback) in others.items()
    ]
    right = Option(text=f"{key:.4g}", correct=True, feedback="As computed.")
    options.insert((len(text) + form) % (len(options) + 1), right)
    return Question(
        id=id, level=level, text=text, options=tuple(options), form=form,
        steps=(f"The value is {key:.4g}.",), answer=f"{key:.4g}", place="flow/0",
        subject={"easy": "scaling", "medium": "how many are kept", "hard": "spread"}[level],
    )  # fmt: skip


def _scale(number: int, p: float, form: int) -> Question:
    others = {
        "no-scaling": (2.0, "Survivors are scaled."),
        "keeps-p": (2 / p, "p is the share that is dropped."),
        "shrinks": (2 * (1 - p), "Dropout divides by 1 - p."),
    }
    words = f"`nn.Dropout({p})` in train mode keeps an element of 2. What comes out?"
    return _ask(f"scale-{number}", "easy", words, 2 / (1 - p), others, form)


def _kept(rows: int, p: float, form: int) -> Question:
    others = {
        "keeps-p": (rows * p + 0.5, "p is the share that is dropped."),
        "all-kept": (rows, "That is eval mode."),
        "half-kept": (rows * (1 - p) / 2, "Each element is dropped on its own."),
    }
    words = f"How many of {rows} elements does `nn.Dropout({p})` keep on average?"
    return _ask(f"kept-{rows}", "medium", words, rows * (1 - p), others, form)


def _spread(number: int, p: float, form: int) -> Question:
    others = {
        "binomial": (p * (1 - p) + 0.001, "That is the variance of the mask before scaling."),
        "keeps-p": ((1 - p) / p + 0.002, "p is the share that is dropped."),
        "no-spread": (0.0, "Only the mean stays as it was."),
    }
    words = f"What is the variance of an element of 1 after `nn.Dropout({p})` in train mode?"
    return _ask(f"spread-{number}", "hard", words, p / (1 - p), others, form)


def cards() -> Cards:
    """Build four cards."""
    return Cards(
        title="Cards: dropout",
        weights=WEIGHTS,
        cards=(
            Card(
                id="scale",
                front="What becomes of a survivor of `nn.Dropout(0.5)`?",
                back="It is divided by 1 - p: it doubles.",
                code="nn.Dropout(0.5)(torch.ones(4)).max()",
                outcome="2.0",
            ),
            Card(id="eval", front="What does dropout do in eval mode?", back="Nothing at all."),
            Card(id="fresh", front="In which mode is a fresh layer?", back="In train mode."),
            Card(id="range", front="Which p are allowed?", back="0 to 1, both included."),
        ),
    )


def steps() -> Steps:
    """Build a mistake that is found and repaired in two steps."""
    return Steps(
        title="Dropout is left on while the model predicts",
        blocks=(Code(text="model.train()\nprint(model(x))\n", path="predict.py", marks=(1,)),),
        steps=(
            Step(
                label="Run the check",
                blocks=(Text(text="PTR101: the model predicts in train mode.", tone="warning"),),
                again="PTR101 fires",
            ),
            Step(
                label="Repair it",
                blocks=(
                    Code(text="model.eval()\nprint(model(x))\n", path="predict.py", marks=(1,)),
                    Text(text="The check is silent.", tone="good"),
                ),
                again="PTR101 silent",
            ),
        ),
    )


def experiment() -> Experiment:
    """Build an experiment whose numbers plain Python computes; one choice is not recorded."""
    widths = (5, 20)
    attempts = tuple(
        _attempt((at, wide), rate, width)
        for at, rate in enumerate(RATES)
        for wide, width in enumerate(widths)
        if (rate, width) != (0.8, 5)
    )
    return Experiment(
        title="Which rate keeps the spread small?",
        target=f"Bring the spread of the mean to {TARGET} or less, with some dropout on.",
        knobs=(
            Knob(id="p", label="p of dropout", values=tuple(map(str, RATES)), chosen=3,
                 note="The probability of being dropped."),
            Knob(id="width", label="elements", values=tuple(map(str, widths))),
        ),
        attempts=attempts,
    )  # fmt: skip


def _attempt(choices: tuple[int, int], rate: float, width: int) -> Attempt:
    spread = math.sqrt(rate / (1 - rate) / width)
    bar = Bar(label="spread", share=spread, value=f"{spread:.3f}")
    return Attempt(
        choices=choices,
        reached=0 < spread <= TARGET,
        blocks=(
            Text(text=f"The mean of {width} elements has a spread of {spread:.3f}."),
            Facts(facts=(Fact(label="kept", value=f"{width * (1 - rate):g} of {width}"),)),
            Bars(bars=(bar,)),
        ),
    )
