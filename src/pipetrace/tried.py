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


class Idle(Part, frozen=True):
    """An op that drops in train mode."""

    function: str
    p: float
    module: str = ""
    called: Place | None = None


class Asleep(Record, frozen=True):
    """A training forward that was not in train mode, again with every module told `train()`."""

    capture: int
    idle: tuple[Idle, ...] = ()
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
