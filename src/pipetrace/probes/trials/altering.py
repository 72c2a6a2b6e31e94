"""Forwards are played with some ops made otherwise, and two outputs told apart by one number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pipetrace.capture import replay, trees
from pipetrace.capture.altered import Altered, Change, Spot
from pipetrace.capture.guard import Modes


def altered(
    call: replay.Call, changes: Mapping[Spot, Change], modes: Modes = None,
    *, seed: int | None = None,
) -> Any:  # fmt: skip
    """Play a forward with some ops made otherwise.

    Args:
        call: The forward.
        changes: What makes these ops.
        modes: The modes to play it in; None for those it was called in.
        seed: Decides other random numbers than those that the forward drew.

    Returns:
        Its output; None where one of these ops was not reached.
    """
    made = Altered(changes)
    output = replay.play(call, modes, seed=seed, around=lambda: made)
    return output if made.reached == set(changes) else None


def apart(one: Any, other: Any) -> float | None:
    """Return the L2 norm of the difference of two outputs, over that of the other.

    None where they have other shapes, or no numbers, or the other is all zeros.
    """
    pairs = flat(one), flat(other)
    if pairs[0] is None or pairs[1] is None or pairs[0].shape != pairs[1].shape:
        return None
    size = float(pairs[1].norm())
    gap = float((pairs[0] - pairs[1]).norm())
    return gap / size if size > 0 and gap == gap else None


def flat(output: Any) -> torch.Tensor | None:
    """Return all floating numbers of an output in one vector, None where there are none."""
    found = [
        tensor.detach().reshape(-1).double()
        for tensor in trees.tensors([output])
        if tensor.is_floating_point() and tensor.layout is torch.strided and not tensor.is_nested
    ]
    return torch.cat(found) if found and sum(map(len, found)) else None
