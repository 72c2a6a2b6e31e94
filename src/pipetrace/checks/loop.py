"""The loop around a model: clearing, accumulating, clipping, schedules, and steps in validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pipetrace.checks import modes
from pipetrace.checks.evidence import Evidence
from pipetrace.checks.findings import Found
from pipetrace.checks.registry import rule
from pipetrace.observed import Clipped, LearningRates, Stepped
from pipetrace.records import Epoch

_COLLAPSE = 100
"""A learning rate this many times smaller than its largest moves next to nothing."""


@rule("PTR701", "gradients-never-cleared", "warning")
def gradients_never_cleared(evidence: Evidence) -> Iterator[Found]:
    """Gradients that are not cleared between steps.

    Every step uses the sum of all gradients so far, most of them of weights that are long gone:
    training goes astray with ever larger steps, and nothing raises.

    Whether the gradient that a step has used is still there when the next backward begins, is not
    0, was not written to by anybody, is added to by a backward, and is there at the next step. Of
    several optimizers each is asked for its own parameters, so `zero_grad` of another one, or of a
    model that has not all of them, is found as well.

    Accumulating over several batches, clearing after the step, filling with zeros, and another
    network's backward that runs through this one on its way are meant, and stay silent.
    """
    for optimizer in evidence.optimizers.values():
        if optimizer.kept >= max(2, (optimizer.steps - 1) / 2):
            yield Found(
                message=f"{optimizer.type} steps on gradients that still contain those of earlier "
                "steps: nobody clears them.",
                evidence=f"At {optimizer.kept} of {optimizer.steps} steps the gradients of "
                f"{optimizer.kept_parameters} of {optimizer.parameters} parameters still held "
                f"those of the step before: at the last, norm {optimizer.kept_norm:.3g} was left, "
                f"and {optimizer.norm:.3g} was stepped on.",
                fix="optimizer.zero_grad()\nloss.backward()\noptimizer.step()",
                place=optimizer.place,
            )  # fmt: skip


@rule("PTR702", "learning-rate-collapse", "warning")
def learning_rate_collapse(evidence: Evidence) -> Iterator[Found]:
    """A schedule meant for epochs is stepped at every batch.

    The learning rate is next to nothing before the first epoch is over, and all the training after
    it changes nothing.

    The learning rate of every step: it falls to less than a hundredth within the first epoch,
    changed or scheduled at nearly every step on the way, and stays there for at least half of all
    steps. A schedule that ends at exactly 0 has to stay there for four fifths of them.

    One-cycle, cosine and warm-up schedules over all steps, which get so low at the very end only,
    and an epoch that is one step are meant. Step a schedule of epochs after the epoch's last batch.
    """
    lengths = {epoch.training: epoch.steps for epoch in evidence.all(Epoch) if epoch.index == 1}
    for course in evidence.all(LearningRates):
        rates = course.rates
        peak = max(range(len(rates)), key=lambda i: rates[i])
        low = rates[peak] / _COLLAPSE
        dead = next((i for i in range(peak, len(rates)) if max(rates[i:]) < low), len(rates))
        share, length = (len(rates) - dead) / len(rates), max(lengths.values(), default=0)
        if share < (0.5 if dead < len(rates) and rates[dead] else 0.8) or dead > length:
            continue
        way = range(peak + 1, dead + 1)
        changes = sum(rates[i] != rates[i - 1] for i in way)
        asked = sum(peak < step <= dead for step in course.scheduled)
        if max(changes, asked) >= 0.8 * len(way) and len(way) > 1:
            yield Found(
                message=f"The learning rate falls from {rates[peak]:.3g} to {rates[dead]:.3g} "
                f"within {len(way)} steps: {course.scheduler or 'the schedule'} is stepped for "
                "every batch.",
                evidence=f"{len(rates) - dead} of {len(rates)} steps ran with less than 1/"
                f"{_COLLAPSE} of the largest learning rate; together they make up "
                f"{sum(rates[dead:]) / sum(rates):.2%} of the sum of all learning rates.",
                fix="for batch in loader:\n    ...\n    optimizer.step()\nscheduler.step()",
                place=course.place,
            )  # fmt: skip


@rule("PTR703", "clipping-at-the-wrong-moment", "warning")
def clipping_at_the_wrong_moment(evidence: Evidence) -> Iterator[Found]:
    """Gradients are clipped where it does nothing: after the step, before the backward, or scaled.

    The clipping that keeps training stable is not there, though its line runs at every step.

    Which gradients PyTorch's `clip_grad_norm_` and `clip_grad_value_` have clipped, and whether a
    step uses these or others that a backward made after; and whether a `GradScaler` divided them
    only after they were clipped, so that the limit was compared with the scaled norm.

    Clipping after each of several accumulated backwards, clipping one of several networks, noise
    that is added after, and a limit without end, to read the norm, are meant. Clip between
    `backward` (with a scaler: `scaler.unscale_(optimizer)`) and `step`.
    """
    for clips in evidence.all(Clipped):
        optimizer = evidence.optimizers.get(clips.optimizer)
        if optimizer is None:
            continue
        if clips.steps >= 2 and clips.missed == clips.steps:
            above = (clips.norm or 0) > clips.limit
            yield Found(
                message=f"`{clips.function}` clips gradients that no step uses: a backward makes "
                "others before the step.",
                evidence=f"At {clips.missed} of {clips.steps} steps of {optimizer.type} the "
                f"gradients were not the clipped ones; their norm was up to {clips.norm or 0:.3g}, "
                f"with a limit of {clips.limit:g}.",
                fix="loss.backward()\ntorch.nn.utils.clip_grad_norm_(model.parameters(), "
                f"{clips.limit:g})\noptimizer.step()",
                place=clips.place, severity="" if above else "advice",
            )  # fmt: skip
        elif clips.scaled >= max(2, clips.steps / 2):
            yield Found(
                message=f"`{clips.function}` clips gradients that are still multiplied with the "
                "loss scale.",
                evidence=f"At {clips.scaled} of {clips.steps} steps they were divided by "
                f"{clips.scale or 0:g} only after they were clipped to {clips.limit:g}.",
                fix="scaler.unscale_(optimizer)\ntorch.nn.utils.clip_grad_norm_(model.parameters(),"
                f" {clips.limit:g})\nscaler.step(optimizer)",
                place=clips.place,
            )  # fmt: skip


@rule("PTR704", "validation-that-trains", "warning")
def validation_that_trains(evidence: Evidence) -> Iterator[Found]:
    """An optimizer steps in validation.

    The model is trained on the rows that should tell how it does on new ones: the validation score
    means nothing any more.

    The mode in which the calls ran that an optimizer's step got its gradients from. Between steps
    from calls in train mode there are steps from calls that were made in eval mode only.

    A model that is always trained in eval mode, or from some moment on, and inputs that are
    changed with the help of a backward in eval mode, are meant; an epoch that goes on in eval mode
    after a validation lacks `model.train()`, which PTR305 says. Validate under `torch.no_grad()`,
    and without `backward` and `step`.
    """
    calls = {each.id: each for each in evidence.calls}
    left = {each.id for each, _ in modes.left_in_eval(evidence)}
    owned = {(o, w.model) for each in evidence.wired.values() for w in each for o in w.optimizers}
    for optimizer in evidence.optimizers.values():
        fed = [
            {kind for kind in kinds if kind in calls and (optimizer.id, calls[kind].model) in owned}
            for kinds in optimizer.sources
        ]
        quiet = [
            bool(kinds - left)
            and not any(calls[k].training or calls[k].odd_count for k in kinds - left)
            for kinds in fed
        ]
        trained = [i for i, kinds in enumerate(fed) if kinds and not quiet[i]]
        if not trained:
            continue
        between = [i for i in range(trained[0], trained[-1]) if quiet[i]]
        for kind in {kind for i in between for kind in fed[i]}:
            count = sum(kind in fed[i] for i in between)
            yield Found(
                message=f"{optimizer.type} steps on gradients of calls in eval mode, between "
                "epochs of training.",
                evidence=f"{count} of {optimizer.steps} steps got their gradients from "
                f"{calls[kind].count} calls of this line in eval mode; {len(trained)} steps got "
                "theirs in train mode, before and after.",
                fix="model.eval()\nwith torch.no_grad():\n    loss = loss_fn(model(x), y)",
                place=calls[kind].place,
            )  # fmt: skip


@rule("PTR705", "uneven-accumulation", "advice")
def uneven_accumulation(evidence: Evidence) -> Iterator[Found]:
    """Gradients are accumulated, and some batches count differently, or not at all.

    The last batches of an epoch are lost or weigh on the next epoch's first step; a loss that is
    not divided by the number of batches makes steps as many times larger.

    How many backwards, each of a call of its own, came before each step, whether gradients were
    cleared that no step had used, and whether the backward began at a quotient.

    Step once more after the last batch, and divide by the number of batches that were summed.
    """
    for optimizer in evidence.optimizers.values():
        counts = _accumulated(optimizer)
        usual, often = Counter(counts).most_common(1)[0] if counts else (0, 0)
        if usual < 2 or often < len(counts) / 2:
            continue
        fix = f"(loss / {usual}).backward()\nif (i + 1) % {usual} == 0 or i + 1 == len(loader):\n" \
              "    optimizer.step()\n    optimizer.zero_grad()"  # fmt: skip
        odd = [count for count in counts if count > usual]
        if optimizer.unused or odd:
            lost = f"{optimizer.unused} times gradients were cleared that no step had used" if (
                optimizer.unused) else f"before {len(odd)} steps it was {max(odd)}"  # fmt: skip
            yield Found(
                message=f"{optimizer.type} accumulates gradients over batches, and those of some "
                "batches are lost or count in another step.",
                evidence=f"{usual} backwards came before most of {optimizer.steps} steps; {lost}.",
                fix=fix, place=optimizer.place,
            )  # fmt: skip
        if not optimizer.divided:
            yield Found(
                message=f"{optimizer.type} steps on the sum of {usual} batches' gradients: no "
                "loss was divided.",
                evidence=f"{sum(counts)} backwards and {optimizer.steps} steps; none of the "
                "backwards began at a quotient or a product.",
                fix=fix, place=optimizer.place, severity="note",
            )  # fmt: skip


@rule("PTR706", "gradients-cleared-before-the-step", "warning")
def gradients_cleared_before_the_step(evidence: Evidence) -> Iterator[Found]:
    """Gradients are cleared between the backward and the step.

    The step finds nothing: the model stays as it was made, whatever the loss.

    Whether a call that clears gradients threw away some that no step had used, after the last
    backward, and whether the step that came then found any that is not 0.

    A single step that is left out, for a gradient that is not finite, is meant, and stays silent.
    Clear after the step, or before the backward.
    """
    for optimizer in evidence.optimizers.values():
        if optimizer.emptied >= max(2, optimizer.steps / 2):
            yield Found(
                message=f"{optimizer.type} steps when its gradients have just been cleared.",
                evidence=f"At {optimizer.emptied} of {optimizer.steps} steps the gradients of all "
                f"{optimizer.parameters} parameters were gone: they were cleared after the "
                "backward.",
                fix="optimizer.zero_grad()\nloss.backward()\noptimizer.step()",
                place=optimizer.cleared or optimizer.place,
            )  # fmt: skip


@rule("PTR707", "scheduler-not-in-step", "note")
def scheduler_not_in_step(evidence: Evidence) -> Iterator[Found]:
    """A scheduler that never steps, or that steps before the optimizer.

    The learning rate never changes though a schedule was chosen, or its first value is skipped.

    Every step of PyTorch's schedulers, and the optimizer's steps before it.

    A schedule that would not have changed anything yet looks the same: this is a note. Call
    `scheduler.step()` after `optimizer.step()`.
    """
    for course in evidence.all(LearningRates):
        optimizer = evidence.optimizers.get(course.optimizer)
        if optimizer is None:
            continue
        fix, place = "optimizer.step()\nscheduler.step()", course.place or optimizer.place
        if course.attached and not course.scheduled and len(set(course.rates)) == 1:
            yield Found(
                message=f"A scheduler was made for {optimizer.type}, and none has stepped.",
                evidence=f"The learning rate was {course.rates[0]:.3g} at all {len(course.rates)} "
                "steps.", fix=fix, place=place,
            )  # fmt: skip
        elif course.scheduled and course.scheduled[0] == 0:
            early = sum(step == 0 for step in course.scheduled)
            yield Found(
                message=f"{course.scheduler} steps before {optimizer.type} does.",
                evidence=f"It stepped {early} time{'' if early == 1 else 's'} before the first of "
                f"{len(course.rates)} steps of the optimizer, whose learning rate was "
                f"{course.rates[0]:.3g}.",
                fix=fix, place=place,
            )  # fmt: skip


def _accumulated(optimizer: Stepped) -> list[int]:
    """Return how many backwards were summed up for each step, where each had a call of its own."""
    pairs = zip(optimizer.sources, optimizer.backwards, strict=False)
    counts = [len(kinds) if len(set(kinds)) == 1 else 0 for kinds, _ in pairs]
    alike = all(count == ran for count, ran in zip(counts, optimizer.backwards, strict=False))
    return counts if alike and not optimizer.closures else []
