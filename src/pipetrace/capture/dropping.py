"""One dropout op of a forward drops at several rates, many times, all else in eval mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from pipetrace.capture import guard, replay, trees
from pipetrace.capture.altered import spot
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.switched import DROPPING, Switched
from pipetrace.parts import Link
from pipetrace.probed import Draws, Outputs
from pipetrace.records import Op
from pipetrace.summarise import ROW, values

FEW = 8
"""So many masks are drawn at each rate where each draw is a forward of its own."""
NUMBERS = 16
"""So many numbers of each output are kept."""
RATES = tuple(tenth / 10 for tenth in range(10))
_SEED = 20_261_000
_NEAR = 1e-6

Read = Callable[[Any, int], torch.Tensor | None]
"""From a model's output and a number of rows: the probabilities of each row, or nothing."""


class Pass(NamedTuple):
    """One forward of equal rows; the tensors have as many rows, all else is flattened.

    `shapes` are those before: of what entered, under an empty name, and of the outputs. What
    entered an op that drops channels is the first element of each; `each` has so many.
    """

    rate: float | None
    entered: torch.Tensor
    kept: torch.Tensor | None
    scale: float
    outputs: dict[str, torch.Tensor]
    shapes: dict[str, tuple[int, ...]]
    each: int = 1


def dropping(ops: Sequence[Op]) -> list[Op]:
    """Return the ops of a capture that drop elements or channels in train mode, in order."""
    return [op for op in ops if op.function in DROPPING and not op.opaque]


def of_row(call: replay.Call, row: int) -> replay.Call:
    """Return the call with one row of its batch alone."""
    rows = trees.rows((call.args, call.kwargs))

    def cut(tensor: torch.Tensor) -> torch.Tensor:
        return trees.part(tensor, rows, row, row + 1)

    return call._replace(args=trees.rebuild(call.args, cut), kwargs=trees.rebuild(call.kwargs, cut))


def draw(
    call: replay.Call, ops: Sequence[Op], index: int, *, rate: float | None = None,
    count: int = 32, single: int = FEW, seed: int = _SEED, drops: bool = True,
    read: Read | None = None,
) -> Draws | None:  # fmt: skip
    """Run a forward again and again, and say what one dropout op of it dropped.

    The rows of a batch are one row, repeated, where the model treats them alike; else there is one
    forward for each draw, and fewer draws. Everything is put back.

    Args:
        call: A forward of one row.
        ops: The ops of its capture, in order.
        index: Which of them drops.
        rate: A probability to drop with.
        count: How many masks are drawn at each rate. Of one alone the rate is the op's own, if none
            is given; of several the rates are 0, 0.1, ..., 0.9 and the op's own.
        single: How many where each draw is a forward of its own.
        seed: Decides the masks.
        drops: Whether the op drops; else it is in eval mode like all others.
        read: Finds probabilities in the model's output.

    Returns:
        The record; None where the op was not reached again, its rate is no number, or each draw
        were a forward and none may be.
    """
    target, following = spot(ops, index), next_op(ops, index)
    then = None if following is None else spot(ops, following.index)
    name = "" if following is None else named(ops, following)

    shapes: dict[str, tuple[int, ...]] = {}

    def run(n: int, p: float | None, training: bool, start: int) -> Pass | None:
        switched = Switched(target, p, training, following=then)
        output = _played(call, n, switched, start)
        return _pass(switched, output, n, name, read, shapes)

    off = run(1, None, False, seed)
    if off is None or off.rate is None or not off.entered.numel():
        return None
    shapes.update(off.shapes)
    others = [tenth for tenth in RATES if abs(tenth - off.rate) > _NEAR]
    chosen = tuple(sorted([*others, off.rate]))
    if count == 1 or rate is not None:
        chosen = (off.rate if rate is None else rate,)
    batched = count > 1 and _alike(lambda: run(count, None, False, seed), off)
    count = count if batched else min(count, single)
    if not count:
        return None
    drawn: list[list[Pass]] = []
    for p in chosen:
        # Of one seed at every rate: another rate changes as little of a mask as it can.
        starts = range(seed, seed + (1 if batched else count))
        made = [run(count if batched else 1, p, drops, start) for start in starts]
        drawn.append([each for each in made if each is not None])
        if len(drawn[-1]) < len(made):
            return None
    return Draws(
        capture=ops[index].capture, op=index, p=off.rate, values=values(off.entered),
        count=off.entered.numel(), rates=chosen,
        scales=tuple(max(each.scale for each in made) for made in drawn),
        masks=tuple(tuple(_bits(made, min(ROW, off.entered.numel()))) for made in drawn),
        outputs=tuple(_outputs(key, off, drawn) for key in _told(off, name)), each=off.each,
    )  # fmt: skip


def next_op(ops: Sequence[Op], index: int) -> Op | None:
    """Return the op that computes with the output of another, past views of it."""
    carriers = {index}
    for op in ops[index + 1 :]:
        if any(_carries(link, carriers) for link in op.inputs):
            if not op.view:
                return None if op.opaque else op
            carriers.add(op.index)
    return None


def named(ops: Sequence[Op], op: Op) -> str:
    """Name an op by its module's path; by its function where the module has modules inside."""
    inside = any(other.module.startswith(f"{op.module}.") for other in ops)
    return op.function if inside or not op.module else op.module


def _carries(link: Link, carriers: set[int]) -> bool:
    return link.source == "op" and link.index in carriers


def _played(call: replay.Call, n: int, switched: Switched, seed: int) -> Any:
    """Play a forward of `n` equal rows in eval mode, with one op switched."""

    def repeated(tensor: torch.Tensor) -> torch.Tensor:
        many = n > 1 and tensor.dim() > 0 and tensor.shape[0] == 1
        return tensor.repeat(n, *[1] * (tensor.dim() - 1)) if many else tensor.clone()

    with replay.playing(call, False), torch.no_grad():
        args, kwargs = trees.rebuild(call.args, repeated), trees.rebuild(call.kwargs, repeated)
        guard.seed(seed)
        with switched:
            return call.model(*args, **replay.in_mode(kwargs, False))


def _pass(
    switched: Switched, output: Any, n: int, name: str, read: Read | None,
    shapes: dict[str, tuple[int, ...]],
) -> Pass | None:  # fmt: skip
    """Cut what a forward gave into its rows; None where it has no such rows.

    `shapes` are those of one row alone.
    """
    if switched.entered is None:
        return None
    with torch._C.DisableTorchFunction():
        found = {
            name: switched.made, "output": trees.first(output),
            "probabilities": None if read is None else read(output, n),
        }  # fmt: skip
        tensors = {key: tensor for key, tensor in found.items() if tensor is not None and key}
        tensors[""] = switched.entered
        rows = {key: _cut(tensor, n, shapes.get(key)) for key, tensor in tensors.items()}
        outputs = {key: row for key, row in rows.items() if row is not None}
        if len(outputs) < len(rows):
            return None
        kept = None if switched.kept is None else _cut(switched.kept, n, shapes.get(""))
        return Pass(
            switched.rate, outputs.pop(""), None if kept is None else kept[:, :ROW],
            switched.scale, outputs, {key: tuple(made.shape) for key, made in tensors.items()},
            switched.each,
        )  # fmt: skip


def _cut(tensor: torch.Tensor, n: int, alone: tuple[int, ...] | None) -> torch.Tensor | None:
    """Return a row for each of `n`, wherever the batch has its dimension; None where it has none.

    >>> x = torch.arange(6).reshape(2, 3)
    >>> _cut(x, 3, (2, 1)).tolist(), _cut(x, 2, (1, 3)).tolist(), _cut(x, 2, (2, 3))
    ([[0, 3], [1, 4], [2, 5]], [[0, 1, 2], [3, 4, 5]], None)
    """
    tensor = tensor.detach()
    if tensor.layout is not torch.strided or tensor.is_nested:
        return None
    if n == 1 or alone is None:
        return tensor.reshape(n, -1) if n == 1 else None
    if tensor.dim() != len(alone):
        return None
    pairs = enumerate(zip(tensor.shape, alone, strict=True))
    grown = [place for place, (many, one) in pairs if many != one]
    if len(grown) != 1 or tensor.shape[grown[0]] != n * alone[grown[0]]:
        return None
    place = grown[0]
    parts = tensor.reshape(*alone[:place], n, *alone[place:])
    return parts.movedim(place, 0).reshape(n, -1)


def _alike(run: Callable[[], Pass | None], alone: Pass) -> bool:
    """Tell whether equal rows of a batch give in eval mode what one row gives alone."""
    try:
        found = run()
    except Exception as error:
        pass_on(error)
        # A model may know one row only, and raise anything: it is asked for one row at a time.
        return False
    if found is None or found.outputs.keys() != alone.outputs.keys():
        return False
    pairs = [(found.entered, alone.entered)]
    pairs += [(found.outputs[key], told) for key, told in alone.outputs.items()]
    return all(
        many.shape[1] == one.shape[1]
        and bool(torch.isclose(many, one, rtol=1e-3, atol=1e-5, equal_nan=True).all())
        for many, one in pairs
    )


def _told(off: Pass, name: str) -> list[str]:
    """Return which outputs are told.

    An op that gives the model's output has no line of its own, and probabilities stand for the
    output that they are read off.
    """
    names = [key for key, told in off.outputs.items() if told.numel()]
    if name not in names or "output" not in names:
        return names
    if off.outputs[name].equal(off.outputs["output"]):
        names.remove(name)
    elif "probabilities" in names:
        names.remove("output")
    return names


def _bits(made: Sequence[Pass], size: int) -> list[bytes]:
    """Pack the kept flags of each draw, the first in the highest bit.

    >>> kept = torch.tensor([[True, False, True], [False, True, True]])
    >>> [each.hex() for each in _bits([Pass(0.5, torch.ones(2, 3), kept, 2.0, {}, {})], 3)]
    ['a0', '60']
    """
    width = -(-size // 8)
    packed = []
    for each in made:
        rows = len(each.entered)
        flags = [[1] * size] * rows if each.kept is None else each.kept.int().tolist()
        words = ("".join(map(str, row)).ljust(8 * width, "0") for row in flags)
        packed += [int(word, 2).to_bytes(width, "big") for word in words]
    return packed


def _outputs(name: str, off: Pass, drawn: Sequence[Sequence[Pass]]) -> Outputs:
    def rows(made: Sequence[Pass]) -> tuple[tuple[float, ...], ...]:
        shown = torch.cat([each.outputs[name][:, :NUMBERS] for each in made])
        flat, width = values(shown, shown.numel()), shown.shape[1]
        return tuple(flat[start : start + width] for start in range(0, len(flat), width))

    return Outputs(name=name, off=rows([off])[0], draws=tuple(map(rows, drawn)))
