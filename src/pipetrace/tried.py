"""What counterfactual runs gave: a captured forward once more, with one thing changed."""

from __future__ import annotations

from pipetrace.parts import Record


class Mixing(Record, frozen=True):
    """A forward in eval mode, in which one place of a dimension of the inputs had other content."""

    capture: int
    dimension: int
    """Of the inputs: 0 where one row was changed."""
    size: int
    others: int = 0
    """Other places of it whose outputs changed."""
    kept: bool = False
    """The output has this dimension, so that others can be told at all."""
    op: int = -1
    """The first op in which one place's content reached another's; -1 where none was found."""
    largest: float = 0.0
    """The largest absolute change of another's output."""


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
    """Units of one activation that passed no gradient on, for any row, at the last weights."""

    capture: int
    op: int
    units: int
    dead: int
    """Units that gave exactly 0 for every row."""
    flat: float = 0.0
    """Share of elements beyond 0.99 of a sigmoid's or tanh's way to its ends."""
    stuck: float = 0.0
    """Share of elements whose derivative is below 1e-6."""
    rows: int = 0
