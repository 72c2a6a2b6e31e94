"""What draws random numbers where every module is told `eval()`, and whether that is on purpose."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from pipetrace.checks.evidence import Evidence, Traced, argument, number
from pipetrace.observed import Calls
from pipetrace.records import Op
from pipetrace.tried import Stranger

ATTENTION = "scaled_dot_product_attention"
HIDING = (ATTENTION, "lstm", "gru", "rnn_tanh", "rnn_relu")
"""Functions that may drop inside."""
_NOISE = {"randn", "randn_like", "rand", "rand_like", "normal", "normal_", "uniform_"}
_SAME = {
    "to", "float", "half", "bfloat16", "double", "type", "type_as", "contiguous", "clone", "cpu",
    "cuda", "view", "view_as", "reshape", "unsqueeze", "squeeze", "expand", "expand_as", "flatten",
    "detach", "abs", "std", "mean", "norm", "neg",
}  # fmt: skip
_SCALING = {"mul", "div", "sub", "add", "rsub"}
_BOUNDING = {"tanh", "sigmoid", "clamp", "clamp_", "relu", "softmax", "log_softmax", "hardtanh"}


class Alive(NamedTuple):
    """An op that draws in eval mode, in a forward whose output it changes."""

    forward: Traced
    op: Op
    stranger: Stranger | None
    """Its module, where the model has not registered that."""
    fixed: str | None
    """The recorded graph that it is a part of."""
    advice: bool
    """The program trains and never evaluates the model: nothing of its own is contradicted."""

    @property
    def severity(self) -> str:
        """The severity of what is found, where it is another than the rule's."""
        return "advice" if self.advice else ""

    @property
    def shown(self) -> str:
        """The executed evidence."""
        return shown(self.forward)

    @property
    def drops(self) -> float | None:
        """The probability that a dropout function of PyTorch's was told to drop with, if one."""
        if "dropout" not in self.op.function:
            return None
        if "True" not in (argument(self.op, "training"), argument(self.op, "train")):
            return None
        return number(self.op, "p")


def alive(evidence: Evidence) -> Iterator[Alive]:
    """Yield what draws in eval mode and was not meant to, each line of each module once."""
    strangers: dict[tuple[int, str], Stranger] = {
        (each.capture, each.path): each for each in evidence.all(Stranger)
    }
    seen = set()
    for forward, advice in judged(evidence):
        fixed = forward.calls.fixed if forward.calls is not None else ()
        several = _several(forward)
        for op in forward.drawing():
            key = forward.capture.model, op.module, op.function, op.called
            if key in seen or (op.module, op.called) in several:
                continue
            stranger = _stranger(strangers, op)
            if stranger is None and op.training and not forward.capture.training:
                # Its forward tells it the mode itself.
                continue
            seen.add(key)
            inside = [path for path in fixed if f"{op.module}.".startswith(f"{path}.") or not path]
            yield Alive(forward, op, stranger, inside[0] if inside else None, advice)


def judged(evidence: Evidence) -> Iterator[tuple[Traced, bool]]:
    """Yield the forwards whose randomness in eval mode counts, and whether it is advice only.

    Of a model that the program evaluates these are its evaluations; where one of them draws
    again and again for the same rows, it means to.
    """
    forwards: dict[int, list[Traced]] = defaultdict(list)
    for forward in evidence.forwards:
        forwards[forward.capture.model].append(forward)
    learns = any(calls.learned and calls.trained for calls in evidence.calls)
    for model, found in forwards.items():
        calls = [each for each in evidence.calls if each.model == model]
        evaluated = [each for each in found if each.calls is not None and not each.calls.trained]
        if any(map(sampled, calls)) or any(map(rows_repeat, evaluated)):
            continue
        for forward in evaluated or found:
            if changes(forward):
                yield forward, learns and not evaluated


def changes(forward: Traced) -> bool:
    """Tell whether other random numbers gave another output in eval mode, as far as is known."""
    repeats = forward.repeats
    return repeats is None or not repeats.equal or not repeats.streams


def sampled(calls: Calls) -> bool:
    """Tell whether the same inputs were evaluated again and again, as Monte Carlo dropout does."""
    return not calls.trained and calls.drew > 0 and 0 < calls.again * 2 >= calls.count


def shown(forward: Traced) -> str:
    """Say how far apart two forwards in eval mode are."""
    repeats = forward.repeats
    if repeats is None or repeats.equal:
        return "It drew random numbers in a forward in which every module was in eval mode."
    gap = "in shape" if repeats.largest is None else f"by up to {repeats.largest:.3g}"
    return (
        f"Two forwards of the same {forward.capture.rows or 1} rows, every module told eval(), "
        f"differ {gap} when other random numbers are drawn."
    )


def drop_rate(op: Op) -> float | None:
    """Return the probability that an op drops with, as far as it was told one."""
    return op.mask.p if op.mask is not None else number(op, "p", "dropout_p", "dropout")


def noise(alive: Alive) -> tuple[Op, float] | None:
    """Return the op in which noise of a constant scale is added to data, and the scale.

    Noise whose scale is learned or computed, that is itself an output or is used a second time,
    or that is added to what the model also returns without it, or to the output alone, is a
    sample and not a disturbance.
    """
    op, forward = alive.op, alive.forward
    if op.function not in _NOISE or op.within:
        return None
    source = next((link.index for link in op.inputs if link.index is not None), None)
    scale, centre = number(op, "std") or 1.0, number(op, "mean", "from") or 0.0
    while True:
        users = forward.users[op.index]
        if len(users) != 1 or op.index in forward.capture.returned:
            return None
        op, before = users[0], op.index
        others = [link for link in op.inputs if link.index != before]
        factor = number(op, "other", "argument 2", "input")
        if op.function in _SAME and not others:
            continue
        name = op.function.removesuffix("_")
        if name not in _SCALING:
            return None
        if factor is None and len(others) == 1 and others[0].source in ("constant", "buffer"):
            continue
        if factor is None and len(others) == 1:
            origin = _origin(forward, others[0].index)
            if name in ("mul", "div") and not centre and origin == source is not None:
                # Relative noise: its scale is the data that it is added to.
                continue
            meets = name in ("add", "sub") if not centre else name in ("mul", "add", "sub")
            sampled = _is_sample(forward, op, origin)
            return (op, scale) if meets and not sampled else None
        if factor is None:
            return None
        scale *= factor if name == "mul" else 1 / factor if name == "div" and factor else 1.0
        centre += factor if name in ("add", "rsub") else 0.0


def mask_of(forward: Traced, drawn: Op) -> Op | None:
    """Return the op in which what an op drew meets data as a mask."""
    if "dropout" in drawn.function or drawn.function == ATTENTION or drawn.within:
        return None
    waiting, seen = [drawn], {drawn.index}
    while waiting:
        op = waiting.pop(0)
        for user in forward.users[op.index]:
            dropping = user.mask is not None and user.mask.p > 0
            if dropping and "dropout" not in user.function and user.function not in HIDING:
                return None if _is_told_apart(forward, op) else user
            if user.index not in seen and not user.random and _stays_apart(user, op):
                seen.add(user.index)
                waiting.append(user)
    return None


def _stays_apart(op: Op, drawn: Op) -> bool:
    """Tell whether what was drawn has met no data in an op that takes it."""
    others = [link for link in op.inputs if link.index != drawn.index]
    compared = op.function in ("lt", "le", "gt", "ge", "eq", "ne")
    return compared or all(link.source in ("constant", "buffer") for link in others)


def _is_told_apart(forward: Traced, mask: Op) -> bool:
    """Tell whether a mask is an output too, or its opposite is used: what is hidden is a task."""
    opposite = {"logical_not", "bitwise_not", "invert", "rsub"}
    used = any(user.function in opposite for user in forward.users[mask.index])
    return used or mask.index in forward.capture.returned


def _is_sample(forward: Traced, op: Op, clean: int | None) -> bool:
    returned = set(forward.capture.returned)
    if clean in returned:
        return True
    while op.index not in returned:
        users = forward.users[op.index]
        if len(users) != 1 or not (users[0].view or users[0].function in _BOUNDING):
            return False
        op = users[0]
    return True


def _origin(forward: Traced, index: int | None) -> int | None:
    """Return the op that made what an op computes with, past scalings and views of it."""
    while index is not None:
        op = forward.ops[index]
        links = [link.index for link in op.inputs]
        scaled = op.function in _SCALING and number(op, "other", "argument 2") is not None
        if len(links) != 1 or not (op.function in _SAME or scaled):
            return index
        index = links[0]
    return None


def _several(forward: Traced) -> set[tuple[str, object]]:
    """Return the lines that drew several times for one and the same value."""
    drawn = Counter(
        (op.module, op.called, op.inputs[0].index, op.inputs[0].name)
        for op in forward.ops if op.random and op.inputs
    )  # fmt: skip
    return {(key[0], key[1]) for key, times in drawn.items() if times > 1}


def rows_repeat(forward: Traced) -> bool:
    """Tell whether half of a batch's rows or more repeat others, as Monte Carlo dropout has it."""
    repeats = forward.repeats
    return repeats is not None and repeats.rows >= 4 and repeats.distinct * 2 <= repeats.rows


def _stranger(strangers: dict[tuple[int, str], Stranger], op: Op) -> Stranger | None:
    return strangers.get((op.capture, op.module))
