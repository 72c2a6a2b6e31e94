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


class Selection(Record, frozen=True):
    """Which rules were to be asked of a run: what its page shows, too."""

    select: tuple[str, ...] = ("PTR",)
    """Ids, or how they begin."""
    ignore: tuple[str, ...] = ()
    """Ids that are left out, or how they begin."""
    files: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Patterns of files, and the ids that are left out of their lines."""
    folder: str = ""
    """Where the patterns begin."""
