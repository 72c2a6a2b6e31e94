"""Quiz questions about the dropout that this run really did."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, number, result
from pipetrace.lessons.reading import (
    Dropping,
    droppings,
    name_forward,
    name_stage,
    passings,
    shape_text,
    speaking,
    told_apart,
)
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording

_MANY = 5000
"""Elements up to which a question draws many masks: the cost must stay under a millisecond."""


@question(id="D101", group="quiz", level="easy", needs="dropout")
def survivor(recording: Recording, random: Random) -> Draft | None:
    """What a dropout stage makes of one real element that its mask kept."""
    places = [
        (dropping, index)
        for dropping in droppings(recording)[:4]
        for index in speaking(dropping.before)
        if index < min(len(dropping.mask.row), len(dropping.after)) and dropping.mask.row[index]
    ]
    if not places:
        return None
    dropping, index = random.choice(places)
    p, value = literal(dropping.mask.p), literal(dropping.before[index])
    real = (
        f"outputs = nn.Dropout({p})(torch.full((1000,), {value}))\noutputs[outputs != 0][0].item()"
    )
    wrong = [
        result(
            f"outputs = nn.Dropout({p})(torch.full((1000,), {value}))\n"
            f"kept = outputs != 0\ntorch.full((1000,), {value})[kept][0].item()",
            "This is the element before the stage.",
            misconception="no-rescale",
        ),
        result(
            f"(torch.tensor({value}) * (1 - {p})).item()",
            "This makes survivors smaller; the mean of the output would shrink twice.",
            misconception="scale-inverted",
        ),
        result(
            f"(torch.tensor({value}) / {p}).item()",
            "This divides by the probability of dropping.",
            misconception="p-is-keep",
        ),
        result(
            f"(torch.tensor({value}) * (1 + {p})).item()",
            "This adds the share p; the factor is 1 / (1 - p).",
            misconception="p-is-added",
        ),
        result(
            f"nn.Dropout(1.0)(torch.tensor([{value}]))[0].item()",
            "Zero is what a dropped element becomes; only p = 1 drops every one.",
            misconception="always-zero",
        ),
    ]
    # at p = 0.5 two wrong roads lead to x / (1 - p) or to each other: leave one of them out
    keep = dropping.mask.p
    if math.isclose(keep, 0.5, abs_tol=0.02):
        wrong.pop(2)
    key = result(
        real,
        "Survivors are divided by 1 - p, so that the expected value stays what it was.",
        correct=True,
        expected=number(dropping.after[index]),
    )
    return Draft(
        text="In {forward}, {stage} met the element {value} of the sample's row, and its mask kept "
        "it. With p = {p}, what came out?",
        options=(key, *random.sample(wrong, 3)),
        given=_given(dropping) | {"value": number(dropping.before[index])},
        steps=(
            "The mask kept the element, so it is not zero.",
            "Survivors are multiplied by 1 / (1 - {p}) = {scale}.",
            "{value} becomes {key}.",
        ),
        answer="{letter}: {key}",
        check="{key} times (1 - {p}) must give {value} again.",
        hint="A share p of the elements is lost. What keeps the expected sum as it was?",
    )


@question(id="D102", group="quiz", level="medium", needs="dropout")
def expected_drops(recording: Recording, random: Random) -> Draft | None:
    """How many elements a mask is expected to drop, and whether it must hit that number."""
    found = [
        (dropping, count, dropped)
        for dropping in droppings(recording)[:4]
        for count, dropped in [_count(dropping)]
        if count
    ]
    if not found:
        return None
    dropping, count, dropped = random.choice(found)
    p = dropping.mask.p
    draws = min(200, max(20, 50_000 // count))
    away = 4 * math.sqrt(p * (1 - p) / count / draws)
    if abs(1 - 2 * p) < 3 * away:
        return None  # the two shares could not be told apart by so few draws
    drawn = f"drops = (nn.Dropout({literal(p)})(torch.ones({draws}, {count})) == 0).sum(1).float()"

    def option(share: float, *, varies: bool, feedback: str, belief: str = "") -> Option:
        near = f"abs(drops.mean() - {number(count * share)}) < {number(count * away + 0.001)}"
        spread = "drops.std() > 0" if varies else "drops.std() == 0"
        words = "on average, with masks that differ" if varies else "in each mask, without fail"
        return claim(
            f"{round(count * share, 2):g} {words}",
            f"{drawn}\nbool({near} and {spread})",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    return Draft(
        text="In {forward}, the mask of {stage} covered {count} elements{where} with p = {p}. How "
        "many of {count} does such a mask drop?",
        options=(
            option(
                p,
                varies=True,
                feedback="Each element is dropped on its own with probability p: the number varies "
                f"around {round(count * p, 2):g}. This mask dropped {dropped}.",
            ),
            option(
                p,
                varies=False,
                feedback=f"{draws} masks were drawn, and their numbers differed.",
                belief="fixed-share",
            ),
            option(
                1 - p,
                varies=True,
                feedback="This is how many are kept on average.",
                belief="p-is-keep",
            ),
            option(
                1 - p,
                varies=False,
                feedback="This is how many are kept on average, and the number varies.",
                belief="p-is-keep",
            ),
        ),
        given=_given(dropping)
        | {
            "count": str(count),
            "dropped": str(dropped),
            "where": "" if count == dropping.mask.total else " of the sample's row",
        },
        steps=(
            "Each of {count} elements is dropped with probability {p}, on its own.",
            "The number dropped is binomial, with mean {count} times {p}.",
            "The mask of this run dropped {dropped}.",
        ),
        answer="{letter}: {key}",
        check="The page shows how many this run's mask kept, with its binomial interval.",
        hint="Is one coin thrown for the whole mask, or one for each element?",
    )


@question(id="D103", group="quiz", level="medium", needs="dropout")
def loss_of_modes(recording: Recording, random: Random) -> Draft | None:
    """Which of two losses of the same weights was measured with dropout on."""
    probe = told_apart(recording)
    if probe is None or not droppings(recording):
        return None
    on, off = round(probe.on.loss or 0.0, 3), round(probe.off.loss or 0.0, 3)
    recorded = f"measured = torch.tensor([{on}, {off}])  # dropout on, dropout off\n"

    def option(first: float, second: float, feedback: str, belief: str = "") -> Option:
        return claim(
            f"{first:.3f} with dropout on and {second:.3f} with it off",
            f"{recorded}torch.equal(measured, torch.tensor([{first}, {second}]))",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    return Draft(
        text="After epoch {epoch} the same weights were scored on the same {rows} training rows "
        "twice, once in each mode of dropout. The losses {low} and {high} came up. Which "
        "measurement gave which?",
        options=(
            option(on, off, "With part of its input missing, the model did worse on these rows."),
            option(off, on, "The losses are exchanged.", "mode-mixed-up"),
            option(on, on, "The two losses differed.", "mode-is-harmless"),
            option(off, off, "The two losses differed.", "mode-is-harmless"),
        ),
        given={
            "epoch": str(probe.epoch),
            "rows": str(probe.off.rows),
            "low": f"{off:.3f}",
            "high": f"{on:.3f}",
            "masks": str(probe.masks),
        },
        steps=(
            "Weights and rows are the same, so only dropout can make the difference.",
            "With dropout on, the model has to predict from what the mask leaves it.",
            "Measured: {high} with dropout on ({masks} masks), {low} with it off.",
        ),
        answer="{letter}: {key}",
        check="The training trace lists both losses for each epoch.",
        hint="In which measurement does the model see all of its input?",
    )


@question(id="D104", group="quiz", level="easy", needs="dropout")
def in_eval(recording: Recording, random: Random) -> Draft | None:
    """What the same stage returns for one real element in eval mode."""
    places = [
        (passing, index)
        for passing in passings(recording)[:4]
        for index in speaking(passing.before)
        if index < len(passing.after)
    ]
    if not places:
        return None
    passing, index = random.choice(places)
    p, value = literal(passing.p), literal(passing.before[index])
    return Draft(
        text="In a forward in eval mode, {stage} with p = {p} met the element {value} of the "
        "sample's row. What came out?",
        options=(
            result(
                f"nn.Dropout({p}).eval()(torch.tensor([{value}]))[0].item()",
                "In eval mode dropout hands its input on as it is.",
                correct=True,
                expected=number(passing.after[index]),
            ),
            result(
                f"outputs = nn.Dropout({p})(torch.full((1000,), {value}))\n"
                "outputs[outputs != 0][0].item()",
                "This is a survivor in train mode.",
                misconception="rescale-without-drop",
            ),
            result(
                f"outputs = nn.Dropout({p})(torch.full((1000,), {value}))\n"
                "outputs[outputs == 0][0].item()",
                "This is a dropped element in train mode.",
                misconception="drops-in-eval",
            ),
            result(
                f"(torch.tensor({value}) * (1 - {p})).item()",
                "PyTorch scales in training, so that nothing is left to do here.",
                misconception="scales-in-eval",
            ),
        ),
        given={
            "stage": name_stage(passing.op),
            "p": number(passing.p),
            "value": number(passing.before[index]),
        },
        steps=(
            "In eval mode no mask is drawn, so the element cannot be dropped.",
            "The scale 1 / (1 - p) belongs to the mask: it is not applied either.",
            "{value} stays {key}.",
        ),
        answer="{letter}: {key}",
        check="The prediction trace shows the stage's row before and after.",
        hint="Which mode does the scaling, if the expected value is right already in training?",
    )


@question(id="D105", group="quiz", level="easy", needs="dropout")
def scale(recording: Recording, random: Random) -> Draft | None:
    """What number survivors are multiplied with."""
    found = droppings(recording)[:4]
    if not found:
        return None
    dropping = random.choice(found)
    p = literal(dropping.mask.p)
    wrong = [
        result(
            f"outputs = nn.Dropout({p})(torch.ones(1000))\n(outputs != 0).float().max().item()",
            "The mask of zeros and ones is then scaled.",
            misconception="no-rescale",
        ),
        result(
            f"(torch.ones(1) * (1 - {p})).item()",
            "This would make the loss of elements worse.",
            misconception="scale-inverted",
        ),
        result(
            f"(torch.ones(1) / {p}).item()",
            "This would fit if p were the probability of keeping.",
            misconception="p-is-keep",
        ),
        result(
            f"(torch.ones(1) + {p}).item()",
            "This adds what was lost, as if nothing else changed.",
            misconception="p-is-added",
        ),
    ]
    if math.isclose(dropping.mask.p, 0.5, abs_tol=0.02):
        wrong.pop(2)
    return Draft(
        text="In train mode {stage} has p = {p}. By what number does it multiply the elements that "
        "its mask keeps?",
        options=(
            result(
                f"nn.Dropout({p})(torch.ones(1000)).max().item()",
                "Dividing by the share kept on average leaves the expected value as it was.",
                correct=True,
                expected=number(dropping.mask.scale),
            ),
            *random.sample(wrong, 3),
        ),
        given=_given(dropping),
        steps=(
            "An element is kept with probability 1 - {p}.",
            "Its expected value stays the same if survivors are multiplied by 1 / (1 - {p}).",
            "1 / (1 - {p}) = {key}.",
        ),
        answer="{letter}: {key}",
        check="{key} times (1 - {p}) is 1.",
        hint="Which factor makes up for a share p of lost elements?",
    )


@question(id="D106", group="quiz", level="easy", needs="dropout")
def parameters(recording: Recording, random: Random) -> Draft | None:
    """How many parameters a dropout stage has."""
    wide = [
        (dropping, dropping.op.outputs[0].shape[-1])
        for dropping in droppings(recording)[:4]
        if dropping.op.outputs and dropping.op.outputs[0].shape
    ]
    wide = [(dropping, width) for dropping, width in wide if 2 <= width <= 256]
    if not wide:
        return None
    dropping, width = random.choice(wide)
    count = "sum(each.numel() for each in layer.parameters())"
    return Draft(
        text="{stage_first} has p = {p} and works on tensors of shape {shape}. How many parameters "
        "does it hold?",
        options=(
            result(
                f"layer = nn.Dropout({literal(dropping.mask.p)})\n{count}",
                "p is a plain number of the layer: an optimizer has nothing to train here.",
                correct=True,
                expected="0",
            ),
            result(
                f"layer = nn.PReLU()\n{count}",
                "A layer with one trained number is `nn.PReLU()`.",
                misconception="p-is-learned",
            ),
            result(
                f"layer = nn.PReLU({width})\n{count}",
                f"A layer with a trained number per feature is `nn.PReLU({width})`.",
                misconception="has-weights",
            ),
            result(
                f"layer = nn.Linear({width}, {width}, bias=False)\n{count}",
                f"A layer with such a matrix is `nn.Linear({width}, {width}, bias=False)`.",
                misconception="has-matrix",
            ),
        ),
        given=_given(dropping) | {"shape": shape_text(dropping.op.outputs[0].shape)},
        steps=(
            "The mask is drawn anew in each forward and not trained.",
            "p is set by hand, so it is no parameter either.",
            "Nothing is left to count: {key}.",
        ),
        answer="{letter}: {key}",
        check="`list(nn.Dropout({p}).parameters())` is empty.",
        hint="What could gradient descent change in this layer?",
    )


@question(id="D107", group="quiz", level="medium", needs="dropout")
def two_masks(recording: Recording, random: Random) -> Draft | None:
    """What two forwards of the same rows have in common."""
    found = [
        (dropping, len(dropping.mask.row))
        for dropping in droppings(recording)[:4]
        if len(dropping.mask.row) >= 4
    ]
    if not found:
        return None
    dropping, width = random.choice(found)
    p, height = literal(dropping.mask.p), 4000 // width + 10
    drawn = f"layer = nn.Dropout({p})\nrows = torch.ones({height}, {width})\n"
    return Draft(
        text="In {forward}, the mask of {stage} with p = {p} kept {kept} of {total} elements. If "
        "the same rows went through the stage again in train mode, what would hold?",
        options=(
            claim(
                "A new mask would be drawn for them",
                f"{drawn}not torch.equal(layer(rows), layer(rows))",
                "A mask is drawn in each forward.",
                correct=True,
            ),
            claim(
                "The same elements would be dropped",
                f"{drawn}torch.equal(layer(rows), layer(rows))",
                "Two forwards of the same rows gave different zeros.",
                misconception="fixed-mask",
            ),
            claim(
                "Each row would lose equally many",
                f"{drawn}lost = (layer(rows) == 0).sum(1)\nbool((lost == lost[0]).all())",
                "Rows of the same forward lost different numbers.",
                misconception="one-draw-per-row",
            ),
            claim(
                "The kept ones would pass unchanged",
                f"{drawn}outputs = layer(rows)\nbool((outputs[outputs != 0] == 1).all())",
                "Survivors are multiplied by 1 / (1 - p).",
                misconception="no-rescale",
            ),
        ),
        given=_given(dropping)
        | {"kept": str(dropping.mask.kept), "total": str(dropping.mask.total)},
        steps=(
            "The layer keeps no mask: it has no buffer to keep one in.",
            "Each forward in train mode draws again, each element on its own.",
        ),
        answer="{letter}: {key}",
        check="`layer(rows)` twice in train mode, compared with `torch.equal`, gives False.",
        hint="Where could the layer remember a mask?",
    )


def _given(dropping: Dropping) -> dict[str, str]:
    stage = name_stage(dropping.op)
    return {
        "stage": stage,
        "stage_first": stage[0].upper() + stage[1:],
        "forward": name_forward(dropping.capture),
        "p": number(dropping.mask.p),
        "scale": number(dropping.mask.scale),
    }


def _count(dropping: Dropping) -> tuple[int, int]:
    """Return elements and dropped ones: of the whole mask, of the row where that is too large."""
    mask = dropping.mask
    if 10 <= mask.total <= _MANY:
        return mask.total, mask.total - mask.kept
    if 10 <= len(mask.row) <= _MANY:
        return len(mask.row), mask.row.count(False)
    return 0, 0
