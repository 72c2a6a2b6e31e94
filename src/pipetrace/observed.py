"""What was observed of a program's own loop: facts that rules on silent bugs read."""

from __future__ import annotations

from pipetrace.parts import Place, Record


class Calls(Record, frozen=True):
    """Calls of one model from one line, in the same modes and alike with regard to autograd."""

    id: int
    model: int
    place: Place | None = None
    """The user's line that called the model."""
    graph: bool = True
    """Whether autograd was on."""
    training: bool = True
    """The mode of the root module."""
    odd: tuple[str, ...] = ()
    """Paths of modules in the other mode than the root, the first 200."""
    odd_count: int = 0
    count: int = 0
    trained: int = 0
    """A backward went through so many of them."""
    steps: tuple[int, ...] = ()
    """Optimizer steps of the whole program before each call, the first 1,000."""
    turns: tuple[int, ...] = ()
    """Which calls of the model these were, from 0, the first 1,000."""
    rows: tuple[int, ...] = ()
    """Length of the first dimension of each call's first input, the first 1,000."""
    drew: int = 0
    """So many of them moved torch's random stream."""
    seeded: int = 0
    """So many of those that drew began from a state of the stream that another had begun from."""
    repeated: int = 0
    """So many had the same input as the call of the model before them."""
    moved: tuple[str, ...] = ()
    """Buffers that changed in a call."""
    capture: int | None = None
    """The capture of one of them, where one was played again."""


class Loss(Record, frozen=True):
    """Calls of one loss function from one line, all in the same kind of calls of a model."""

    id: int
    function: str
    """Of `torch.nn.functional`; empty where it was computed by hand, as its graph tells."""
    place: Place | None = None
    model: int = -1
    """Whose output it took; -1 where that is unknown."""
    calls: int = -1
    """Of which kind the call was that gave this output."""
    direct: bool = False
    """It took what the model returned, views apart."""
    made: tuple[str, ...] = ()
    """What made its input, the last first, in autograd's words: `Softmax`; views left out."""
    count: int = 0
    trained: bool = False
    """Autograd was on."""
    reduction: str = ""
    prediction: tuple[int, ...] = ()
    target: tuple[int, ...] = ()
    combined: tuple[int, ...] = ()
    """The shape that prediction and target had together, where they were broadcast."""
    value: float | None = None
    """The first call's loss, and what it would have been element by element."""
    aligned: float | None = None
    positions: bool = False
    """Every target was its own place in the batch: the rows are each other's classes."""
    looked: int = 0
    """Inputs whose first rows were looked at."""
    probabilities: int = 0
    """So many of them had rows of numbers from 0 to 1 with the sum 1."""
    normalised: int = 0
    """So many of them had rows whose exponentials had the sum 1."""
    positive: int = 0
    """So many of them had numbers above 0."""
    total: float | None = None
    """Mean sum of the exponentials of a row, in the last of them."""


class Padded(Record, frozen=True):
    """Places of padding in the inputs of a model that a loss function was given targets for."""

    loss: int
    padding: int
    """The token that an embedding of the model takes for padding."""
    places: int
    """Targets that were looked at."""
    padded: int
    """Those where the input was padding."""
    counted: int
    """Of these, the targets that the loss function was not told to leave out."""


class Pairs(Record, frozen=True):
    """The rows of two passes of training, and the targets that they came with."""

    loss: int
    rows: int
    """Rows that both passes had, each once."""
    changed: int
    """Those with another target in the second pass."""
    expected: float
    """Share that would have another one if the targets were dealt out anew."""
    kept: float
    """Share of the targets of the first pass that the second had too, as many of each."""
    chance: float
    """How likely that is where targets are drawn anew, not dealt out anew."""
    renamed: bool
    """Rows of a batch that had the same target had the same one again, be it another."""
    reordered: bool
    """In the second pass most rows came after another one than in the first."""


class Shift(Record, frozen=True):
    """The inputs of a kind of calls beside those that the model was trained on."""

    calls: int
    features: int
    rows: int
    far: int
    """Calls of at least four rows that lay far off, and how many there were."""
    batches: int
    distance: float
    """Median over the features: how many training deviations the mean lies off."""
    scale: float
    """Median over the features: its deviation over that of training."""
    mean: float
    """Of all features together, in evaluation and in training, with the deviations."""
    deviation: float
    trained_mean: float
    trained_deviation: float


class Averaged(Record, frozen=True):
    """A number that stood for an evaluation: the mean of its batches' mean losses."""

    place: Place | None
    """The line of the loss function."""
    batches: tuple[int, ...]
    """Rows of each, the first 1,000."""
    said: float
    weighted: float
    """The mean over all rows."""
    count: int = 1
    """Evaluations of which this was so."""


class Diverged(Record, frozen=True):
    """The loss of which a backward began was not finite, and training went on."""

    place: Place | None
    first: int
    """Which backward it was, from 0, and of how many."""
    backwards: int
    bad: int
    steps: int
    """Optimizer steps after it."""
    broken: int = 0
    """Parameters with a NaN or an infinity after the first step on it, and of how many."""
    parameters: int = 0
