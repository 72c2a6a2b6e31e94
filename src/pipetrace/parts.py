"""The pieces that records are made of: frozen, plain structs that are never stored alone."""

from __future__ import annotations

import msgspec

_CHANCE = 1e-3


def telling(repeated: float | None, rows: int) -> bool:
    """Tell whether it says something that none of so many rows equals a row trained on.

    Had they been drawn as training rows are, each had been found with the chance `repeated`.

    Args:
        repeated: Share of the second epoch's rows that the first one had; None if unknown.
        rows: How many rows were looked up.

    >>> telling(1.0, 3), telling(0.1, 20), telling(0.1, 200), telling(0.0, 200)
    (True, False, True, False)
    """
    return repeated is None or (1 - repeated) ** rows < _CHANCE


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a record: never stored alone."""


class Record(Part, frozen=True, kw_only=True, tag_field="kind", tag=str.lower):
    """A fact of a run: appended to its file, never edited."""


class Place(Part, frozen=True):
    """A line of the user's code."""

    file: str
    line: int
    text: str = ""
    function: str = ""


class Tensor(Part, frozen=True):
    """What is known of one tensor; statistics are over `count` elements, all of them if `exact`."""

    shape: tuple[int, ...]
    dtype: str
    device: str = "cpu"
    count: int = 0
    exact: bool = True
    mean: float | None = None
    std: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    zeros: float | None = None
    """Share of elements equal to zero, in [0, 1]."""
    nans: int = 0
    infinities: int = 0
    row: tuple[float, ...] = ()
    """The first real values of the chosen sample's row, flattened."""
    row_count: int = 0
    """How many values the whole row has."""


class Link(Part, frozen=True):
    """Where an input of an op came from."""

    source: str
    """`op`, `input`, `parameter`, `buffer` or `constant`."""
    name: str = ""
    index: int | None = None
    """The op's index, when the source is an op."""


class Argument(Part, frozen=True):
    """One argument that an op was really called with, in words."""

    name: str
    value: str


class Mask(Part, frozen=True):
    """A dropout mask: regenerated from the saved RNG state, or seen as the op's own output."""

    p: float
    """The probability of being dropped."""
    kept: int
    total: int
    low: int
    high: int
    """`low` and `high`: the central 95 % of Binomial(total, 1 - p)."""
    scale: float
    """What the survivors were multiplied with, 1 / (1 - p); 0 at p = 1."""
    row: tuple[bool, ...] = ()
    """True where the element of the sample's row was kept."""
    unit: str = "elements"
    """What is dropped independently: `elements`, `channels`, `rows` or `batches`."""


class Check(Part, frozen=True):
    """One line of a receipt: `ok` is None where it could not be measured."""

    name: str
    ok: bool | None
    detail: str = ""


class Receipt(Part, frozen=True):
    """What a real comparison of the user's forward with its traced replay found."""

    equal: bool | None
    """Every output bit equal; None where there was nothing to compare."""
    difference: float | None = None
    """The largest absolute difference, where not equal."""
    repeats: bool | None = None
    """Whether a second, plain replay equals the user's forward (asked only if not equal)."""
    unfused: bool | None = None
    """Whether the traced forward equals a plain one whose fused fast paths are switched off (asked
    only if not equal): the fast path of `nn.TransformerEncoder` then made the difference."""
    elements: int = 0
    checks: tuple[Check, ...] = ()


class ModulePart(Part, frozen=True):
    """One submodule of a model: its own parameters, and the line that made it."""

    path: str
    type: str
    detail: str = ""
    parameters: int = 0
    trainable: int = 0
    training: bool = True
    made: Place | None = None


class Spread(Part, frozen=True):
    """One sample under dropout: what the model gives over many draws of its masks."""

    draws: int
    kind: str = "outputs"
    """`probabilities` or `outputs`."""
    low: tuple[float, ...] = ()
    """The 5 % quantile of each output."""
    mean: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    """The 95 % quantile of each output."""
    votes: tuple[int, ...] = ()
    """How many draws chose each class; empty where values are predicted."""


class Score(Part, frozen=True):
    """Loss and metric of some rows; what could not be measured is None."""

    rows: int
    loss: float | None = None
    accuracy: float | None = None


class Layer(Part, frozen=True):
    """One module with parameters of its own, at one optimizer step; shared ones count once."""

    path: str
    type: str
    parameters: int
    gradient: float | None = None
    """L2 norm of its gradients as the optimizer got them: after clipping, without a loss scale."""
    weight: float | None = None
    """L2 norm of its parameters before the step."""
    update: float | None = None
    """L2 norm of the step's change over that of the parameters that it could change; None where
    they were all zero, or where the step was none of theirs."""


class Units(Part, frozen=True):
    """Units of one ReLU-like activation that gave 0 for every row in eval mode."""

    path: str
    """Of the module that called it."""
    function: str
    dead: int
    units: int
    """Channels after a convolution, else features."""
    rows: int


class Bin(Part, frozen=True):
    """Predictions whose probability lies in one of several equally wide intervals of [0, 1]."""

    count: int = 0
    probability: float = 0.0
    """Their mean probability."""
    share: float = 0.0
    """The share of them that came true."""


class Classification(Part, frozen=True):
    """How well classes were chosen; precision, recall, F1 and IoU follow from `confusion`."""

    classes: int
    accuracy: float
    majority: float
    """The share of the most frequent true class: the accuracy of always choosing it."""
    top5: float | None = None
    """The share of targets among the five highest scores, where there are six classes or more."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Counts: a row for each true class, a column for each predicted; of 64 classes at most."""
    confused: tuple[tuple[int, int, int], ...] = ()
    """Where there are more classes: true class, predicted class and count, the most first."""
    bins: tuple[Bin, ...] = ()
    """By the probability of the predicted class; of two classes told by one output, by that of
    class 1. Empty where the scores are no probabilities."""
    entropy: float | None = None
    """Cross entropy in nats, without class weights and label smoothing."""
    entropy_count: int = 0
    """How many targets it is the mean over."""


class Labelling(Part, frozen=True):
    """How well several labels were told for each row, each true or not."""

    labels: int
    accuracy: float
    """The share of labels that are right."""
    subset: float
    """The share of rows whose labels are all right."""
    none: float
    """The share of labels that are not true: the accuracy of never giving one."""
    counts: tuple[tuple[int, int, int, int], ...] = ()
    """True positives, false positives, false negatives, true negatives of each of 256 labels at
    most; F1 follows from them."""
    totals: tuple[int, int, int, int] = (0, 0, 0, 0)
    """The same, of all labels."""
    bins: tuple[Bin, ...] = ()
    """By the probability of a label."""
    entropy: float | None = None
    """Binary cross entropy in nats per label, without weights."""


class Regression(Part, frozen=True):
    """How far predicted values lie from the targets, in the unit that the loss function saw."""

    outputs: int
    """Values per row; of rows with several dimensions, the size of the first."""
    count: int
    r2: float | None
    """Mean of the outputs' coefficients of determination; None where no target varies."""
    rmse: float
    mae: float
    bias: float
    """Mean of prediction minus target."""
    mean_rmse: float
    """What predicting the mean of these targets would give."""
    mean_mae: float
    low: float
    high: float
    """The smallest and the largest residual (target minus prediction)."""
    residuals: tuple[int, ...] = ()
    """Counts of residuals in equally wide intervals from `low` to `high`."""


class Difference(Part, frozen=True):
    """One op that two forwards of the same batch computed differently."""

    op: int
    """Its index in the capture."""
    cause: str
    """`mode` where the op itself was called in another mode, `values` where equal inputs gave
    other outputs."""
    largest: float | None = None
    """The largest absolute difference of its outputs, over `count` elements."""
    relative: float | None = None
    """L2 norm of the difference over that of the eval-mode output."""
    count: int = 0
    exact: bool = True


class Outcome(Part, frozen=True):
    """What one snippet of a question did when it was executed."""

    value: str = ""
    """The last expression as text; tensors as lists of numbers with at most 4 decimals."""
    error: str = ""
    """The type of the exception that it raised, `ValueError` for example."""
    message: str = ""
    printed: str = ""
    fields: dict[str, str] = {}
    """The items of the last expression as text, where it is a dict."""


class Choice(Part, frozen=True):
    """One option of a question; `executed` is the code that was run for it."""

    text: str
    correct: bool
    feedback: str
    misconception: str = ""
    executed: str = ""
    outcome: str = ""
