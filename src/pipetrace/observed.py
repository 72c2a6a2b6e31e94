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
    ended: int = 0
    """So many calls, whether they drew or not, ended in a state of it that another of them had
    ended in."""
    repeated: int = 0
    """So many had the same input as the call of the model before them."""
    moved: tuple[str, ...] = ()
    """Buffers that changed in a call."""
    capture: int | None = None
    """The capture of one of them, where one was played again."""


class Used(Record, frozen=True):
    """What a loop did with an output of a model before the first backward that went through it."""

    calls: int
    output: str
    """Where in what the model returned it was, as in the capture."""
    functions: tuple[str, ...] = ()
    """Nodes of autograd between the loss and the output, those next to the loss first."""
    learned: bool = False
    """Whether a parameter takes part in between."""


class Idle(Record, frozen=True):
    """A dropout layer that was never called, though the module it belongs to was."""

    model: int
    path: str
    p: float
    calls: int
    """Forwards of the model that a backward went through."""
    named: bool = False
    """Whether a method of the module it belongs to, other than the constructor, names it."""
    own: bool = True
    """Whether the program itself, and no installed package, wrote that module."""


class Rate(Record, frozen=True):
    """A dropout layer whose probability was another at a later forward that was trained on."""

    model: int
    path: str
    first: float
    last: float
    changes: int
    step: int
    """Optimizer steps of the whole program before the first change."""


class Norm(Record, frozen=True):
    """A batch normalisation in forwards that a backward went through."""

    model: int
    path: str
    frozen: int = 0
    """In so many of them it was in train mode, and its weight and bias wanted no gradient."""
    free: int = 0
    """In so many it was in train mode, and they did."""
    slept: int = 0
    """In so many it was in eval mode, within a root in train mode."""
    asleep: bool = False
    """Whether it was handed over in eval mode, within a root in train mode."""
    shift: float = 0.0
    """Largest change of a running mean from the first of them to the last, in running standard
    deviations."""


class Copies(Record, frozen=True):
    """Modules of one class that were all trained by steps of an optimizer, and are still equal."""

    paths: tuple[str, ...]
    """Empty paths are root modules of their own."""
    type: str
    parameters: int
    """Of one of them."""
    steps: int
    """Optimizer steps that changed them, the fewest that one of them had."""
