"""One observation per epoch: a rule with a permanent id that quotes its numbers and no cause."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pipetrace.blocks import Remark
from pipetrace.records import Score
from pipetrace.story.epochs import Row, Trace, finite
from pipetrace.story.figures import (
    accuracy,
    listing,
    loss,
    number,
    percent,
    plural,
    relative,
    setting,
)

PLATEAU = 0.01
"""A relative change of the loss below this is called none."""


@dataclass(frozen=True)
class Sight:
    """What a rule may look at: one epoch, the one before, and the best held-out loss until then."""

    trace: Trace
    row: Row
    before: Row | None
    best: float | None

    @property
    def loop(self) -> tuple[float, float] | None:
        """The loop's mean loss of the epoch before and of this one, where both are finite."""
        return _pair(self.before.loop if self.before else None, self.row.loop)

    @property
    def off(self) -> tuple[float, float] | None:
        """The loss with dropout off at the end of the epoch before and of this one."""
        before = self.before.probe if self.before else None
        return _pair(before.off if before else None, self.row.probe.off if self.row.probe else None)

    @property
    def held(self) -> tuple[float, float] | None:
        """The held-out loss after the epoch before and after this one."""
        before = self.before.scores if self.before else {}
        return _pair(before.get(self.trace.held), self.row.scores.get(self.trace.held))

    @property
    def name(self) -> str:
        """What the evaluation is called in a sentence."""
        return self.trace.held.partition(" (")[0]


Rule = Callable[[Sight], str]


@dataclass(frozen=True)
class Observation:
    """A registered rule; it returns a sentence, or nothing where it has nothing to say."""

    id: str
    tone: str
    rule: Rule


OBSERVATIONS: list[Observation] = []
"""The rules, the most important first."""


def observation(rule_id: str, tone: str = "plain") -> Callable[[Rule], Rule]:
    """Register a rule under its permanent id; rules that come first in this file win."""

    def register(rule: Rule) -> Rule:
        OBSERVATIONS.append(Observation(rule_id, tone, rule))
        return rule

    return register


def observe(trace: Trace) -> tuple[Remark, ...]:
    """Choose one observation for every epoch of a training.

    A rule that spoke for the epoch before gives way to another, unless the numbers are bad.
    """
    remarks: list[Remark] = []
    before: Row | None = None
    best: float | None = None
    for row in trace.rows:
        if row.epoch is not None:
            last = remarks[-1].id if remarks else ""
            remarks.append(_choose(Sight(trace, row, before, best), last))
            before = row
        score = row.scores.get(trace.held)
        value = finite(score.loss) if score else None
        best = value if best is None else min(best, value if value is not None else best)
    return tuple(remarks)


def _choose(sight: Sight, last: str) -> Remark:
    spare: Remark | None = None
    for entry in OBSERVATIONS:
        text = entry.rule(sight)
        if text and not (spare and entry.id == "OBS199"):
            remark = Remark(
                id=entry.id, where=f"epoch {sight.row.index}", text=text, tone=entry.tone
            )
            if entry.tone == "bad" or entry.id != last:
                return remark
            spare = spare or remark
    assert spare is not None  # the last rule always speaks
    return spare


def _pair(before: Score | None, now: Score | None) -> tuple[float, float] | None:
    first = finite(before.loss) if before else None
    second = finite(now.loss) if now else None
    return None if first is None or second is None else (first, second)


def _moved(pair: tuple[float, float]) -> str:
    """Write a change: `from 1.012 to 0.850 (16.0 % lower)`."""
    before, now = pair
    if loss(before) == loss(now):
        return f"from {number(before)} to {number(now)}"
    return f"from {loss(before)} to {loss(now)} ({relative(before, now)})"


def _change(pair: tuple[float, float] | None) -> float:
    """Return the relative change of a pair of losses; 0 where there is none."""
    if pair is None or pair[0] == 0:
        return 0.0
    return (pair[1] - pair[0]) / abs(pair[0])


def _with_accuracy(score: Score | None) -> str:
    return f", accuracy {accuracy(score.accuracy)}" if score and score.accuracy is not None else ""


@observation("OBS101", "bad")
def not_a_number(sight: Sight) -> str:
    """The loop's mean loss is NaN or infinite."""
    now = sight.row.loop.loss if sight.row.loop else None
    if now is None or math.isfinite(now):
        return ""
    past = sight.before.loop.loss if sight.before and sight.before.loop else None
    earlier = f"; it was {loss(past)} in the epoch before" if past is not None else ""
    return f"The loop's mean loss is {number(now)}{earlier}."


@observation("OBS102", "warning")
def diverging(sight: Sight) -> str:
    """The loop's mean loss at least doubled."""
    pair = sight.loop
    if pair is None or pair[0] <= 0 or pair[1] < 2 * pair[0]:
        return ""
    return f"The loop's mean loss rose {_moved(pair)}."


@observation("OBS103", "warning")
def apart(sight: Sight) -> str:
    """The held-out loss rose while the loss on training rows fell, both by over 1 %."""
    known = sight.off is not None
    training = sight.off or sight.loop
    held = sight.held
    if training is None or held is None or not sight.name.startswith("held-out"):
        return ""
    if _change(held) < PLATEAU or _change(training) > -PLATEAU:
        return ""
    which = "on training rows in eval mode" if known else "of the loop"
    return f"Held-out loss rose {_moved(held)} while the loss {which} fell {_moved(training)}."


@observation("OBS104", "warning")
def chance(sight: Sight) -> str:
    """After the first epoch, the accuracy is one that guessing evenly gives too."""
    score = sight.row.scores.get(sight.trace.held) or sight.row.loop
    known = sight.trace.classes
    if sight.before is None or score is None or score.accuracy is None or not known or known < 2:
        return ""
    share = 1 / known
    width = 1.96 * math.sqrt(share * (1 - share) / score.rows) if score.rows else 0.0
    if not share - width <= score.accuracy <= share + width:
        return ""
    where = f"on {plural(score.rows, sight.name + ' row')}" if sight.name else "of the loop"
    return (
        f"Accuracy {accuracy(score.accuracy)} {where} is what guessing evenly among {known} "
        f"classes gives as well (95 %: {max(0.0, share - width):.3f} to {share + width:.3f})."
    )


@observation("OBS105")
def rate(sight: Sight) -> str:
    """The learning rate changed by at least a tenth."""
    before = sight.before.epoch.rates if sight.before and sight.before.epoch else ()
    now = sight.row.epoch.rates if sight.row.epoch else ()
    if not before or not now or before[0] == now[0] or abs(now[0] - before[0]) < before[0] / 10:
        return ""
    moved = f"; the loop's mean loss went {_moved(sight.loop)}" if sight.loop else ""
    return f"The learning rate went from {setting(before[0])} to {setting(now[0])}{moved}."


@observation("OBS106")
def first(sight: Sight) -> str:
    """The first epoch: against guessing evenly, where the loss is a cross entropy."""
    now = sight.row.loop
    if sight.before is not None or now is None or now.loss is None:
        return ""
    known = sight.trace.classes
    steps = sight.row.epoch.steps if sight.row.epoch else 0
    over = f"over {plural(steps, 'step')} of the first epoch"
    if "cross_entropy" in sight.trace.training.loss and known:
        return (
            f"Mean loss {loss(now.loss)}{_with_accuracy(now)} {over}; guessing evenly among "
            f"{known} classes has loss ln {known} = {math.log(known):.3f}."
        )
    return f"Mean loss {loss(now.loss)} {over}: the start to compare with."


@observation("OBS107")
def on_and_off(sight: Sight) -> str:
    """At equal weights on equal rows, the loss with dropout on lies above the loss without."""
    probe = sight.row.probe
    if probe is None or not probe.masks or not sight.trace.drops or sight.trace.staying:
        return ""
    pair = _pair(probe.off, probe.on)
    if pair is None or _change(pair) < PLATEAU:
        return ""
    return (
        f"Same weights, same {plural(probe.on.rows, 'row')}: loss {loss(pair[0])} with dropout "
        f"off, {loss(pair[1])} with it on ({plural(probe.masks, 'mask')}; {relative(*pair)})."
    )


@observation("OBS108", "good")
def best(sight: Sight) -> str:
    """The lowest held-out loss so far, after at least one other, by over 1 %."""
    score = sight.row.scores.get(sight.trace.held)
    now = finite(score.loss) if score else None
    if now is None or sight.best is None or now >= sight.best * (1 - PLATEAU):
        return ""
    return (
        f"{sight.name.capitalize()} loss {loss(now)}{_with_accuracy(score)}: the lowest so far "
        f"(before: {loss(sight.best)})."
    )


@observation("OBS109")
def plateau(sight: Sight) -> str:
    """The loop's mean loss changed by under 1 %."""
    pair = sight.loop
    if pair is None or abs(_change(pair)) >= PLATEAU:
        return ""
    size = percent(abs(_change(pair)))
    return f"The loop's mean loss changed by {size}: from {number(pair[0])} to {number(pair[1])}."


@observation("OBS110", "warning")
def rising(sight: Sight) -> str:
    """The loop's mean loss rose by over 1 %."""
    pair = sight.loop
    if pair is None or _change(pair) < PLATEAU:
        return ""
    return f"The loop's mean loss rose {_moved(pair)}."


@observation("OBS111")
def falling(sight: Sight) -> str:
    """The loop's mean loss fell by over 1 %."""
    pair = sight.loop
    if pair is None or _change(pair) > -PLATEAU:
        return ""
    past = sight.before.loop if sight.before else None
    now = sight.row.loop
    moved = ""
    if past and now and past.accuracy is not None and now.accuracy is not None:
        moved = f"; its accuracy went from {accuracy(past.accuracy)} to {accuracy(now.accuracy)}"
    return f"The loop's mean loss fell {_moved(pair)}{moved}."


@observation("OBS199")
def measured(sight: Sight) -> str:
    """Where no other rule speaks: what was measured in this epoch, without comparison."""
    row = sight.row
    steps = plural(row.epoch.steps if row.epoch else 0, "step")
    found = []
    if row.loop and row.loop.loss is not None:
        found.append(f"the loop's mean loss {loss(row.loop.loss)}")
    score = row.scores.get(sight.trace.held)
    if score and score.loss is not None:
        found.append(f"{sight.name} loss {loss(score.loss)}")
    return f"{steps}: {listing(found)}." if found else f"{steps}; no loss was measured."
