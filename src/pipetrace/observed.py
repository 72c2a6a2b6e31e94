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
    """So many of them moved a random stream."""
    seeded: int = 0
    """So many of those that drew began from a state of torch's streams that another began from."""
    repeated: int = 0
    """So many had the same input as the call of the model before them."""
    again: int = 0
    """So many had an input that one of them had had before, with no optimizer step in between."""
    after: int = 0
    """So many came after the last backward through the model (through any, where there was none
    through it), and none went through them."""
    losses: int = 0
    """After so many a loss function was called, before the next call of any model."""
    fed: int = 0
    """The output of so many was given to another model."""
    taught: int = 0
    """So often that was in a call that a backward went through."""
    discarded: bool = False
    """Whether the line throws the output away."""
    learned: bool = False
    """Whether an optimizer that stepped has parameters of the model."""
    fixed: tuple[str, ...] = ()
    """Paths of modules whose forward is a recorded graph: traced by `torch.fx`, `torch.jit.trace`
    or `torch.export`."""
    moved: tuple[str, ...] = ()
    """Buffers that changed in a call."""
    capture: int | None = None
    """The capture of one of them, where one was played again."""
