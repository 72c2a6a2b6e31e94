"""What counterfactual runs gave: a captured forward once more, with one thing changed."""

from __future__ import annotations

from pipetrace.parts import Record


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
