"""Observations on one epoch, the most important first: the first that speaks is shown."""

from __future__ import annotations

import math

from pipetrace.story.epochs import finite
from pipetrace.story.figures import (
    accuracy,
    learning_rate,
    listing,
    loss,
    number,
    percent,
    plural,
    relative,
    setting,
    whole,
)
from pipetrace.story.observations.rules import (
    PLATEAU,
    Sight,
    change,
    moved,
    noise,
    observation,
    with_accuracy,
)
from pipetrace.story.observations.rules import pair as pair_of

SHORTEST = 0.5
"""Seconds of an epoch from which its speed is compared: shorter ones tell of the machine."""
SPIKE = 6
"""Standard deviations above the mean of an epoch's other steps from which a loss is a spike."""


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
    return f"The loop's mean loss rose {moved(pair)}."


@observation("OBS103", "warning")
def apart(sight: Sight) -> str:
    """The held-out loss rose, over twice its noise, while training loss fell, both by over 1 %."""
    known = sight.off is not None
    training = sight.off or sight.loop
    held = sight.held
    if training is None or held is None or not sight.name.startswith("held-out"):
        return ""
    if change(held) < PLATEAU or change(training) > -PLATEAU:
        return ""
    scores = (row.scores.get(sight.trace.held) for row in sight.trace.epochs)
    scatter = noise([value for score in scores if score and (value := finite(score.loss))])
    if scatter is not None and held[1] - held[0] <= 2 * scatter:
        return ""
    which = "on training rows in eval mode" if known else "of the loop"
    return f"Held-out loss rose {moved(held)} while the loss {which} fell {moved(training)}."


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


@observation("OBS113", "warning")
def spike(sight: Sight) -> str:
    """One step's loss lies over twice, and over six standard deviations, above the epoch's mean."""
    losses = [value for value in sight.row.losses if math.isfinite(value)]
    if len(losses) < 8:
        return ""
    top = max(losses)
    count = len(losses) - 1
    mean = (math.fsum(losses) - top) / count
    at = sight.row.losses.index(top)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in losses) - (top - mean) ** 2)
    spread /= math.sqrt(count)
    if mean <= 0 or top < 2 * mean or top < mean + SPIKE * spread:
        return ""
    return (
        f"Step {at + 1} of {len(sight.row.losses)} has loss {loss(top)}; the other steps have "
        f"{loss(mean)} on average, with a standard deviation of {number(spread)}."
    )


@observation("OBS105")
def rate(sight: Sight) -> str:
    """The learning rate changed by at least a tenth."""
    before = sight.before.epoch.rates if sight.before and sight.before.epoch else ()
    now = sight.row.epoch.rates if sight.row.epoch else ()
    if not before or not now or before[0] == now[0] or abs(now[0] - before[0]) < before[0] / 10:
        return ""
    after = f"; the loop's mean loss went {moved(sight.loop)}" if sight.loop else ""
    was, is_now = learning_rate(before[0]), learning_rate(now[0])
    return f"The learning rate went from {was} to {is_now}{after}."


@observation("OBS112")
def decay(sight: Sight) -> str:
    """The weight decay of a parameter group changed."""
    before = sight.before.epoch.decays if sight.before and sight.before.epoch else ()
    now = sight.row.epoch.decays if sight.row.epoch else ()
    if len(before) != len(now):
        return ""
    moves = [(index, old, new) for index, (old, new) in enumerate(zip(before, now, strict=True))
             if old != new]  # fmt: skip
    if not moves:
        return ""
    index, old, new = moves[0]
    group = f" of parameter group {index}" if len(now) > 1 else ""
    after = f"; the loop's mean loss went {moved(sight.loop)}" if sight.loop else ""
    return f"The weight decay{group} went from {setting(old)} to {setting(new)}{after}."


@observation("OBS114", "warning")
def slower(sight: Sight) -> str:
    """Under half as many examples per second as in the median epoch before, for half a second."""
    speeds = sorted(sight.speeds)
    now = sight.row.speed
    took = sight.row.epoch.seconds if sight.row.epoch else 0.0
    if len(speeds) < 3 or not now or now >= speeds[len(speeds) // 2] / 2 or took < SHORTEST:
        return ""
    return (
        f"{whole(round(now))} examples per second; the median of the {len(speeds)} epochs before "
        f"is {whole(round(speeds[len(speeds) // 2]))}."
    )


@observation("OBS106")
def first(sight: Sight) -> str:
    """The first epoch: against guessing evenly, where the loss is a cross entropy."""
    now = sight.row.loop
    if sight.before is not None or now is None or now.loss is None:
        return ""
    known = sight.trace.classes
    steps = sight.row.epoch.steps if sight.row.epoch else 0
    over = f"over {plural(steps, 'step')} of the first epoch"
    if "cross_entropy" in sight.trace.training.loss and known and not sight.trace.terms:
        return (
            f"Mean loss {loss(now.loss)}{with_accuracy(now)} {over}; guessing evenly among "
            f"{known} classes has loss ln {known} = {math.log(known):.3f}."
        )
    return f"Mean loss {loss(now.loss)} {over}: the start to compare with."


@observation("OBS107")
def on_and_off(sight: Sight) -> str:
    """At equal weights on equal rows, the loss with dropout on lies above the loss without."""
    probe = sight.row.probe
    if probe is None or not probe.masks or not sight.trace.drops or sight.trace.staying:
        return ""
    pair = pair_of(probe.off, probe.on)
    if pair is None or change(pair) < PLATEAU:
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
        f"{sight.name.capitalize()} loss {loss(now)}{with_accuracy(score)}: the lowest so far "
        f"(before: {loss(sight.best)})."
    )


@observation("OBS109")
def plateau(sight: Sight) -> str:
    """The loop's mean loss changed by under 1 %."""
    pair = sight.loop
    if pair is None or abs(change(pair)) >= PLATEAU:
        return ""
    size = percent(abs(change(pair)))
    return f"The loop's mean loss changed by {size}: from {number(pair[0])} to {number(pair[1])}."


@observation("OBS118")
def by_chance(sight: Sight) -> str:
    """The loop's mean loss changed by over 1 %, within twice the standard error of that change."""
    pair, error = sight.loop, sight.chance
    if pair is None or error is None or abs(change(pair)) < PLATEAU:
        return ""
    way = "rose" if pair[1] > pair[0] else "fell"
    return (
        f"The loop's mean loss {way} {moved(pair)}: less than twice the standard error of that "
        f"change (twice it is {number(2 * error)})."
    )


@observation("OBS110", "warning")
def rising(sight: Sight) -> str:
    """The loop's mean loss rose by over 1 %, and over twice the standard error of that change."""
    pair = sight.loop
    if pair is None or change(pair) < PLATEAU or sight.chance is not None:
        return ""
    return f"The loop's mean loss rose {moved(pair)}."


@observation("OBS111")
def falling(sight: Sight) -> str:
    """The loop's mean loss fell by over 1 %, and over twice the standard error of that change."""
    pair = sight.loop
    if pair is None or change(pair) > -PLATEAU or sight.chance is not None:
        return ""
    past = sight.before.loop if sight.before else None
    now = sight.row.loop
    right = ""
    if past and now and past.accuracy is not None and now.accuracy is not None:
        right = f"; its accuracy went from {accuracy(past.accuracy)} to {accuracy(now.accuracy)}"
    return f"The loop's mean loss fell {moved(pair)}{right}."


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
