"""Quiz questions about what the stage does to numbers, and what it holds."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.drafts import Draft, literal, number, result
from pipetrace.lessons.reading import describe, droppings, shape_text, speaking
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D101", group="quiz", level="easy", needs="subject", place="flow")
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
        f"outputs = nn.Dropout({p})(torch.full((20000,), {value}))\noutputs[outputs != 0][0].item()"
    )
    wrong = [
        result(
            f"outputs = nn.Dropout({p})(torch.full((20000,), {value}))\n"
            f"kept = outputs != 0\ntorch.full((20000,), {value})[kept][0].item()",
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
    # at p = 0.5 two wrong roads lead to x / (1 - p) or to each other, near 0 another one does
    if math.isclose(dropping.mask.p, 0.5, abs_tol=0.02):
        wrong.pop(2)
    if dropping.mask.p < 0.02:
        wrong.pop(3)
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
        given=describe(dropping) | {"value": number(dropping.before[index])},
        steps=(
            "The mask kept the element, so it is not zero.",
            "Survivors are multiplied by 1 / (1 - {p}) = {scale}.",
            "{value} becomes {key}.",
        ),
        answer="{letter}: {key}",
        check="{key} times (1 - {p}) must give {value} again.",
        hint="A share p of the elements is lost. What keeps the expected sum as it was?",
    )


@question(id="D105", group="quiz", level="easy", needs="subject", place="flow")
def scale(recording: Recording, random: Random) -> Draft | None:
    """What number survivors are multiplied with."""
    found = droppings(recording)[:4]
    if not found:
        return None
    dropping = random.choice(found)
    p = literal(dropping.mask.p)
    wrong = [
        result(
            f"outputs = nn.Dropout({p})(torch.ones(20000))\n(outputs != 0).float().max().item()",
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
        result(
            f"(torch.ones(1) / (1 - {p}) ** 0.5).item()",
            "This factor would keep the mean square. Dropout keeps the mean.",
            misconception="scale-is-root",
        ),
    ]
    if math.isclose(dropping.mask.p, 0.5, abs_tol=0.02):
        wrong.pop(2)
    if dropping.mask.p < 0.02:
        wrong = [each for each in wrong if each.misconception != "p-is-added"]
    return Draft(
        text="In train mode {stage} has p = {p}. By what number does it multiply the elements that "
        "its mask keeps?",
        options=(
            result(
                f"nn.Dropout({p})(torch.ones(20000)).max().item()",
                "Dividing by the share kept on average leaves the expected value as it was.",
                correct=True,
                expected=number(dropping.mask.scale),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(dropping),
        steps=(
            "An element is kept with probability 1 - {p}.",
            "Its expected value stays the same if survivors are multiplied by 1 / (1 - {p}).",
            "1 / (1 - {p}) = {key}.",
        ),
        answer="{letter}: {key}",
        check="{key} times (1 - {p}) is 1.",
        hint="Which factor makes up for a share p of lost elements?",
    )


@question(id="D106", group="quiz", level="easy", needs="subject", place="network")
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
    wrong = [
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
        result(
            f"layer = nn.LayerNorm({width})\n{count}",
            f"A layer with a factor and a shift per feature is `nn.LayerNorm({width})`.",
            misconception="normalises",
        ),
        result(
            f"layer = nn.Linear({width}, {width})\n{count}",
            f"This is what `nn.Linear({width}, {width})` holds.",
            misconception="has-matrix",
        ),
    ]
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
            *random.sample(wrong, 3),
        ),
        given=describe(dropping) | {"shape": shape_text(dropping.op.outputs[0].shape)},
        steps=(
            "The mask is drawn anew in each forward and not trained.",
            "p is set by hand, so it is no parameter either.",
            "Nothing is left to count: {key}.",
        ),
        answer="{letter}: {key}",
        check="`list(nn.Dropout({p}).parameters())` is empty.",
        hint="What could gradient descent change in this layer?",
    )
