"""Facts that only looking again could find: the other mode, other draws, distributions."""

from __future__ import annotations

from pipetrace.parts import Difference, Part, Record

UNITS = 300
"""A model of more units, inputs and outputs of linear layers, is not drawn unit by unit."""
VALUES = 1_000
"""Nor is one of more values in a row, those of activations and dropouts counted too."""
NUMBERS = 20_000
"""Nor is one of more parameters."""


class Contrast(Record, frozen=True):
    """The batch of a capture once more, in the other mode, op by op."""

    capture: int
    training: bool
    """The mode of the other pass."""
    paired: int
    """Ops found in both."""
    differing: int
    """Paired ops whose outputs differ, for whatever reason."""
    only_here: int = 0
    """Ops that only the capture has, and those that only the other pass has."""
    only_there: int = 0
    sources: tuple[Difference, ...] = ()
    """Where differences come in; the other ops pass them on."""
    drawing: tuple[int, ...] = ()
    """Ops of the capture that draw random numbers in eval mode."""


class Outputs(Part, frozen=True):
    """What one place computed for a sample: without dropping, and under each draw of each rate."""

    name: str
    """Of an op: its module's path or function; `output` for what the model returned;
    `probabilities` for the softmax or sigmoid of it."""
    off: tuple[float, ...]
    draws: tuple[tuple[tuple[float, ...], ...], ...]
    """For each rate, for each draw, the values."""


class Draws(Record, frozen=True):
    """One dropout op run again for one sample, at several rates, as often as there are masks.

    All else is in eval mode: what differs is this op alone. The model has its last weights.
    """

    capture: int
    """Of a prediction: the sample is that one's."""
    op: int
    p: float
    """The rate that the layer has."""
    values: tuple[float, ...]
    """What entered the op in eval mode, the first elements of the sample's row; where the op drops
    channels, the first element of each of the first channels."""
    count: int
    """How many elements, or channels, the whole row has."""
    rates: tuple[float, ...]
    scales: tuple[float, ...]
    """What a kept element was multiplied with, measured; 0 where none was kept."""
    masks: tuple[tuple[bytes, ...], ...]
    """For each rate, for each draw: kept flags as bits, the first in the highest bit."""
    outputs: tuple[Outputs, ...] = ()
    each: int = 1
    """How many elements a channel has, which are dropped together."""


class Spectrum(Part, frozen=True):
    """Counts of numbers in equally wide intervals from `low` to `high`; of finite ones only."""

    path: str
    """A module's path, with the parameter's name for weights: `body.0.weight`."""
    low: float
    high: float
    counts: tuple[int, ...]
    total: int
    """How many elements there are; fewer counted means a sample."""


class Histograms(Record, frozen=True):
    """How weights and activations are distributed at the end of an epoch.

    Activations are outputs of modules without children, for the fixed rows of the probe, with
    dropout off.
    """

    training: int
    epoch: int
    """0 for before the first step."""
    weights: tuple[Spectrum, ...] = ()
    activations: tuple[Spectrum, ...] = ()


class Weights(Record, frozen=True):
    """All numbers of one parameter of a small model, in its first captured training forward.

    They are those that this forward was computed with: picture, values and weights belong together.
    """

    model: int
    path: str
    """`body.0.weight`."""
    shape: tuple[int, ...]
    values: tuple[float, ...]
    """Row after row."""


class WholeRow(Record, frozen=True):
    """All values of the sample's row in a captured forward of a small model.

    Stated where a row has more values than a tensor's own record keeps.
    """

    capture: int
    op: int
    """Whose first output it is of; -1 for the input."""
    values: tuple[float, ...]
    kept: tuple[bool, ...] = ()
    """Where the op drops at random: True where the element was kept; from the mask drawn again."""


class Ranked(Part, frozen=True):
    """One evaluated row at the last weights."""

    sample: int
    loss: float | None = None
    """Of this row alone, in the unit of the training's loss."""
    truth: float | None = None
    predicted: float | None = None
    """The class with the highest probability, or the predicted value."""
    probability: float | None = None
    """Of the predicted class."""
    true_probability: float | None = None
    margin: float | None = None
    """The highest probability minus the second highest: small where the model is least certain."""


class Ranking(Record, frozen=True):
    """The rows that the trained model gets most wrong, and those that it is least certain of."""

    training: int
    rows: int
    """How many rows were kept and looked at."""
    total: int
    """How many rows the evaluation had."""
    heldout: bool | None
    task: str
    wrong: tuple[Ranked, ...] = ()
    """Of highest loss first."""
    uncertain: tuple[Ranked, ...] = ()
    """Of smallest margin first; none where values are predicted."""


class InputImage(Record, frozen=True):
    """An input of a captured forward that is an image, for the sample's row."""

    capture: int
    input: str
    height: int
    width: int
    channels: int
    pixels: bytes
    """Row after row from the top, one byte for each channel: 0 for `low`, 255 for `high`."""
    low: float
    high: float
    shape: tuple[int, ...] = ()
    """Height and width before it was made smaller."""


class InputTokens(Record, frozen=True):
    """An input of a captured forward that is token ids, with the texts of the sample's row."""

    capture: int
    input: str
    ids: tuple[int, ...]
    count: int
    """How many ids the whole row has."""
    texts: tuple[str, ...] = ()
    source: str = ""
    """Where the vocabulary was found: `itos, a dict of 65 entries`; empty if none was."""
