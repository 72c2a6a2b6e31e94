"""What counterfactual runs of a captured forward gave: facts that rules on silent bugs read."""

from __future__ import annotations

from pipetrace.parts import Part, Place, Record


class Turned(Part, frozen=True):
    """An op that gave something else of equal inputs when it drew other random numbers."""

    function: str
    module: str = ""
    called: Place | None = None
    zeros: float | None = None
    """Share of its output's elements that were zero, in [0, 1]."""


class Repeats(Record, frozen=True):
    """A captured forward again, every module told `eval()`, from two states of all streams."""

    capture: int
    equal: bool
    """Whether the outputs were equal bit for bit."""
    largest: float | None = None
    """The largest absolute difference of the outputs."""
    steady: bool = True
    """Whether a third forward, from the first state, gave the first outputs again."""
    streams: tuple[str, ...] = ()
    """Which streams the forward drew from: `torch`, `numpy`, `python`."""
    drawing: tuple[int, ...] | None = None
    """Ops of the capture that draw in eval mode; None where the capture itself was in it, or is
    compared with it."""
    turned: tuple[Turned, ...] = ()
    """Where the difference begins, unless it comes from torch alone: the first eight such ops."""
    left_out: tuple[str, ...] = ()
    """Modules that ran from one of the states only, the first eight."""
    rows: int = 0
    """Rows of the first input."""
    distinct: int = 0
    """How many of them differ from all rows before."""


class Inert(Part, frozen=True):
    """An op that drops in train mode."""

    function: str
    p: float
    module: str = ""
    called: Place | None = None


class Asleep(Record, frozen=True):
    """A training forward that was not in train mode, again with every module told `train()`."""

    capture: int
    idle: tuple[Inert, ...] = ()
    """What dropped in train mode alone, the first 100."""


class Stranger(Record, frozen=True):
    """A module that a captured forward called, and that the model has not registered."""

    capture: int
    path: str
    """Where it is kept, `drops[0]` for example; with its class where that is not known."""
    type: str
    training: bool
    anew: bool
    """Whether it was made while the forward ran."""


class Scaling(Record, frozen=True):
    """A dropout written by hand, played with the mean of its mask in place of the mask.

    Its module is in train mode, all others in eval mode. Where a dropout keeps the mean of what it
    drops, in training or by a factor in eval mode, this forward equals that in eval mode.
    """

    capture: int
    op: int
    """The op in which the mask met the data."""
    p: float
    """The probability of being dropped."""
    apart: float
    """L2 norm of the output's difference from eval mode, over that of the output there."""
    factor: float
    """What comes closest: 1 / (1 - p), p / (1 - p) or 1 - p."""
    scaled: float
    """The same as `apart`, with what was kept multiplied by the factor."""


class Aliased(Record, frozen=True):
    """A dropout that wrote into its input, played once more with the same mask on a copy."""

    capture: int
    op: int
    apart: float
    """L2 norm of the output's difference from the forward as it is, over that of its output."""


class Survival(Record, frozen=True):
    """How much of the output stays what it is in eval mode while some dropouts drop, all else off.

    The share is the variance of the eval-mode output between rows, over that variance plus the mean
    square of what the masks add.
    """

    capture: int
    ops: tuple[int, ...]
    p: float
    """The largest of their probabilities."""
    share: float
    opposite: float
    """The share with 1 - p in place of each p."""


class Company(Record, frozen=True):
    """A forward in eval mode in which ops took statistics over the batch, played on half of it."""

    capture: int
    ops: tuple[int, ...]
    """The ops that did."""
    rows: int
    """How many rows the half had."""
    apart: float
    """L2 norm of the difference of these rows' outputs, over that of their outputs."""


class Recomputed(Record, frozen=True):
    """A forward whose backward computed modules again and drew random numbers for it.

    It was played twice from the same state, with the same loss; only the random stream that each
    backward began with was another.
    """

    capture: int
    modules: tuple[str, ...]
    """Paths of the outermost modules that backward called, in the order of the forward."""
    apart: float
    """L2 norm of the difference of the two gradients, over the norm of the first."""


class Mixing(Record, frozen=True):
    """A training forward in eval mode, in which one row of the inputs had another one's content."""

    capture: int
    rows: int
    others: int = 0
    """Other rows of the output that changed."""
    largest: float = 0.0
    """The largest absolute change of another's output."""
    op: int = -1
    """The op in which one row's content first reached another's, ..."""
    function: str = ""
    module: str = ""
    """... the module around it, ..."""
    module_type: str = ""
    shapes: tuple[tuple[int, ...], ...] = ()
    """... and the shapes of what the module's first op took in that call."""
    returned: bool = False
    """What it made is what the model returned."""


class Standardised(Record, frozen=True):
    """An evaluation's batch once more, each feature moved to the training's mean and deviation."""

    calls: int
    """Of which kind of calls the batch was."""
    before: float
    """The loss, as the loop computed it, of the batch as it came and of the moved one."""
    after: float
    function: str = ""


class Ignored(Record, frozen=True):
    """A forward in which one input had other content, and every output stayed bit for bit."""

    capture: int
    input: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    masking: int = 0
    """Places that it marks as false or 0, where it holds nothing but true and false."""
    reached: float | None = None
    """Largest change of an output when the other input had other content at those places."""


class Silenced(Record, frozen=True):
    """Units of one activation for a training batch in eval mode, at the last weights."""

    capture: int
    op: int
    function: str
    module: str
    units: int
    rows: int
    dead: int = 0
    """Units of a rectifier that gave exactly 0 for every row."""
    flat: float = 0.0
    """Share of elements beyond 0.99 of the way to the ends of a sigmoid or tanh."""
    stuck: float = 0.0
    """Share of elements whose derivative is below 1e-6."""
    learned: bool = False
    """What it took came right out of a layer with parameters."""
    returned: bool = False


Tried = (
    Repeats | Asleep | Stranger | Scaling | Aliased | Survival | Company | Recomputed
    | Mixing | Standardised | Ignored | Silenced
)  # fmt: skip
"""Every fact that a counterfactual run states."""
