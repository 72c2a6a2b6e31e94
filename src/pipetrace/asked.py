"""A forward that was asked for in words: which model, in which mode, on which inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from pipetrace.inputs import Wanted, draw, read, read_named, seeded
from pipetrace.targets import Made, Target, find, make, require_fit


class Asked(NamedTuple):
    """What was asked for, read and found to be well written."""

    target: Target
    inputs: tuple[Wanted, ...]
    keywords: dict[str, Wanted]
    training: bool | None
    """The mode to put the model in; None leaves it as it was made."""
    seed: int

    def words(self, verb: str = "trace") -> tuple[str, ...]:
        """Return the command that asks for it."""
        wanted = (*self.inputs, *self.keywords.values())
        modes = () if self.training is None else ("--train" if self.training else "--eval",)
        options = (word for one in wanted for word in (one.option, one.text))
        return (verb, self.target.typed, *options, *modes, "--seed", str(self.seed))

    def made(self) -> Made:
        """Make the model and its inputs; what the user's code raises is passed on.

        Raises:
            PipetraceError: there is no such model, or the inputs do not fit it.
        """
        seeded(self.seed)
        model, args, kwargs = make(self.target)
        if self.inputs or self.keywords:
            generator = torch.Generator().manual_seed(self.seed)
            weight = next(model.parameters(), None)
            device = None if weight is None else weight.device
            args = tuple([draw(one, generator).to(device) for one in self.inputs])
            kwargs = {key: draw(one, generator).to(device) for key, one in self.keywords.items()}
        require_fit(model, args, kwargs)
        if self.training is not None:
            model.train(self.training)
        return Made(model, args, kwargs)


def ask(
    target: str, inputs: Sequence[str], keywords: Sequence[str], training: bool | None, seed: int
) -> Asked:  # fmt: skip
    """Read what was asked for.

    Args:
        target: MODULE:CALLABLE or FILE.py:CALLABLE.
        inputs: SHAPE[:DTYPE[:BOUND]] of each positional input; without any input the ones that the
            callable returned are used.
        keywords: NAME=SHAPE[:DTYPE[:BOUND]] of each keyword input.
        training: The mode to put the model in; None leaves it as it was made.
        seed: Decides the weights, the inputs and the masks.

    Raises:
        PipetraceError: something is not written as it must be; the message says how.
    """
    return Asked(find(target), tuple(map(read, inputs)), dict(map(read_named, keywords)),
                 training, seed)  # fmt: skip


__all__ = ["Asked", "ask"]
