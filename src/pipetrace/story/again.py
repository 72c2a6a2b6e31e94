"""What ran again because a reader asked for it: one stage and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from pipetrace.blocks import AnyBlock, Bar, Bars, Fact, Flow, Stage, Strip, Text
from pipetrace.probed import Draws, Outputs
from pipetrace.records import Capture, Dataset, Op, Prediction, Tensor
from pipetrace.records import Fact as Record
from pipetrace.story.figures import number, setting
from pipetrace.story.forwards import Forward, forwards, spots
from pipetrace.story.lab import shown
from pipetrace.story.sentences import argument
from pipetrace.story.stages import single, values
from pipetrace.tracefile import Recording

_MOST = 10


class Wish(NamedTuple):
    """What ran again, and how."""

    capture: int
    op: int
    p: float | None
    training: bool | None
    seed: int


def told(
    recording: Recording, wish: Wish, op: int, facts: Sequence[Record], shares: Outputs | None
) -> list[AnyBlock]:  # fmt: skip
    """Return the blocks that answer a rerun.

    Args:
        recording: The run that the page shows.
        wish: What ran, and how.
        op: Which of the new ops it is.
        facts: What it stated: a draw of a dropout op, or the ops and the capture of the forward.
        shares: The probabilities that came out, if the output means any.
    """
    before = next(item for item in forwards(recording) if item.capture.id == wish.capture)
    draws = next((fact for fact in facts if isinstance(fact, Draws)), None)
    if draws is not None:
        said = Text(text=_said(before, wish, dropping=True, rate=draws.rates[0]), tone="muted")
        return [shown(recording, before, draws), said]
    origin = [fact for fact in recording.facts if not isinstance(fact, (Op, Capture))]
    after = forwards(Recording([*origin, *facts], {}, None))[0]
    stage = replace(single(after, op), spots=spots(before, before.ops[wish.op]))
    made = _difference(before.ops[wish.op].outputs, after.ops[op].outputs)
    stage = replace(stage, facts=(*made, *stage.facts))
    flow = Flow(stages=(_beside(before, stage, wish.op), _output(before, after)))
    blocks: list[AnyBlock] = [Text(text=_said(before, wish), tone="muted"), flow]
    if shares is not None and shares.off:
        blocks.append(_bars(recording, wish, shares.off))
    return blocks


def _said(before: Forward, wish: Wish, *, dropping: bool = False, rate: float = 0.0) -> str:
    """Say what ran, in which mode, and with which weights."""
    op = before.ops[wish.op]
    mode = {True: "train mode", False: "eval mode", None: "the mode that it was recorded in"}
    training = _trained(op) if wish.training is None else wish.training
    name = f"`{op.module}`" if op.module and op.module not in before.around else f"`{op.function}`"
    p = f", p = {setting(rate if dropping else wish.p or 0.0)}"
    p = p if dropping or wish.p is not None else ""
    rest = "All else is in eval mode"
    if before.capture.purpose == "trace" and not dropping:
        rest = "All else is in the mode that it was called in"
    return (
        f"Run again with the weights that the model has now: {name} in {mode[training]}{p}, "
        f"seed {wish.seed}. {rest}."
    )


def _trained(op: Op) -> bool | None:
    """Return the mode that an operation was recorded in: what it was told, else its module's."""
    given = argument(op, "training") or argument(op, "train")
    return given == "True" if given in ("True", "False") else op.training


def _beside(before: Forward, stage: Stage, op: int) -> Stage:
    """Put the recorded output beside the new one."""
    made = before.ops[op].outputs
    old: tuple[Strip, ...] = ()
    if made and made[0].row:
        old = (values(before, "out, as recorded", made[0]),)
    return replace(stage, strips=(*stage.strips, *old), again="", rate=None)


def _difference(
    before: Sequence[Tensor], after: Sequence[Tensor]
) -> tuple[Fact, ...]:  # fmt: skip
    """Say by how much the values that are shown differ from the recorded ones."""
    if not before or not after or not before[0].row or len(before[0].row) != len(after[0].row):
        return ()
    pairs = list(zip(before[0].row, after[0].row, strict=True))
    gaps = [abs(new - old) for old, new in pairs if new - old == new - old]
    same = all(new == old or (new != new and old != old) for old, new in pairs)
    largest = number(max(gaps, default=0.0))
    value = "the same values" if same else f"differs by up to {largest}"
    note = f"over the {len(pairs)} values that are shown"
    return (Fact(label="beside the record", value=value, note=note),)


def _output(before: Forward, after: Forward) -> Stage:
    given = after.capture.outputs
    recorded = before.capture.outputs
    strips = [values(after, "output", tensor) for _, tensor in given[:1] if tensor.row]
    strips += [values(before, "as recorded", tensor) for _, tensor in recorded[:1] if tensor.row]
    return Stage(
        id="rerun-output", name="Output", words="What the model returned.", strips=tuple(strips),
        facts=_difference([t for _, t in recorded], [t for _, t in given]),
    )  # fmt: skip


def _bars(recording: Recording, wish: Wish, found: Sequence[float]) -> Bars:
    """Return the probabilities, each beside the recorded one."""
    told = next((p for p in recording.all(Prediction) if p.capture == wish.capture), None)
    recorded = () if told is None else told.probabilities
    if len(found) == 1:
        found = (1 - found[0], found[0])
        recorded = (1 - recorded[0], recorded[0]) if len(recorded) == 1 else ()
    names = next((data.classes for data in recording.all(Dataset) if data.classes), ())
    order = sorted(sorted(range(len(found)), key=lambda at: -found[at])[:_MOST])
    bars = []
    for at in order:
        label = names[at] if at < len(names) else f"class {at}"
        old = f" (recorded {recorded[at]:.3f})" if at < len(recorded) else ""
        bars.append(Bar(label=label, share=found[at], value=f"{found[at]:.3f}{old}"))
    return Bars(bars=tuple(bars), title="Probabilities")
