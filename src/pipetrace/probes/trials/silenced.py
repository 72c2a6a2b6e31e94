"""Told is which units of a trained model pass nothing on, for any row of a training batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from msgspec.structs import replace

from pipetrace.capture import replay, trees
from pipetrace.capture.tracer import Heard
from pipetrace.probes.trials.trial import Subject
from pipetrace.records import Fact
from pipetrace.training.rectified import RECTIFIERS
from pipetrace.tried import Silenced

_SQUASHING = {"sigmoid": (0.0, 1.0), "sigmoid_": (0.0, 1.0), "tanh": (-1.0, 1.0),
              "tanh_": (-1.0, 1.0)}  # fmt: skip
_LAYERS = frozenset({"linear", "conv1d", "conv2d", "conv3d", "batch_norm", "layer_norm",
                     "group_norm", "instance_norm"})  # fmt: skip
_FLAT = 0.01
"""So near to its end, as a share of the way, a unit counts as saturated."""
_STUCK = 1e-6
_FEWEST = 4
"""Rows and units that there are at least."""


def silenced(subject: Subject) -> Iterator[Fact]:
    """Play a forward that was trained on in eval mode, at the last weights."""
    activated = any(op.function in RECTIFIERS or op.function in _SQUASHING for op in subject.ops)
    if not subject.kind.trained or not activated:
        return
    found = _Activations(subject.capture.id)
    outcome = replay.examined(subject.call, found.look, modes=False)
    returned = set(outcome.tracer.makers(trees.leaves(outcome.output)))
    for index, told in found.told.items():
        if told.dead or told.flat:
            own = subject.own(outcome.tracer, index)
            yield replace(told, op=own, returned=index in returned)


class _Activations:
    """Looks at what activations make."""

    def __init__(self, capture: int) -> None:
        self.told: dict[int, Silenced] = {}
        self._capture = capture
        self._layers: set[int] = set()
        """Ops with parameters, and views of what they made."""
        self._convolved = False

    def look(
        self, op: Heard, given: Sequence[torch.Tensor], made: list[torch.Tensor], index: int
    ) -> None:  # fmt: skip
        """Count the units of an activation that pass nothing on."""
        name = op.plan.name
        learned = bool(op.links) and op.links[0].index in self._layers
        if name in _LAYERS or (op.view and learned):
            self._layers.add(index)
            self._convolved = name.startswith("conv") or (name not in _LAYERS and self._convolved)
            return
        output = made[0]
        if output.dim() < 2 or len(output) < _FEWEST or not output.is_floating_point():
            return
        if name in RECTIFIERS:
            unit = 1 if self._convolved else output.dim() - 1
            dead = (output == 0).movedim(unit, 0).flatten(1).all(1)
            self._tell(op, output, index, learned, units=len(dead), dead=int(dead.sum()))
        elif name in _SQUASHING:
            low, high = _SQUASHING[name]
            way = (output - low) / (high - low)
            ends = torch.minimum(way, 1 - way)
            share = [float((ends < limit).float().mean()) for limit in (_FLAT / 2, _STUCK / 4)]
            self._tell(op, output, index, learned, flat=share[0], stuck=share[1])

    def _tell(
        self, op: Heard, output: torch.Tensor, index: int, learned: bool, *, units: int = 0,
        dead: int = 0, flat: float = 0.0, stuck: float = 0.0,
    ) -> None:  # fmt: skip
        self.told[index] = Silenced(
            capture=self._capture, op=index, function=op.plan.name, module=op.entry.path,
            units=units or output.shape[-1], rows=len(output), dead=dead, flat=flat, stuck=stuck,
            learned=learned,
        )  # fmt: skip
