"""Quiz questions about what is left to chance: counts, spreads, sums and whole rows."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, number, result
from pipetrace.lessons.dropout.reading import apart, listed
from pipetrace.lessons.reading import describe, droppings, speaking
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording

_MANY = 4000
"""Draws that a claim about chances is checked with, or elements of them."""


@question(id="D110", group="quiz", level="hard", needs="subject", place="flow")
def spread(recording: Recording, random: Random) -> Draft | None:
    """How far the number of dropped elements strays from mask to mask."""
    found = []
    for dropping in droppings(recording)[:4]:
        p, row = dropping.mask.p, len(dropping.mask.row)
        sizes = [dropping.mask.total] + [row * rows for rows in (4, 5, 8, 10)]
        found += [
            (dropping, size)
            for size in sizes
            if 20 <= size <= 5000 and size * p * (1 - p) >= 4 and size <= dropping.mask.total
        ]
    if not found:
        return None
    dropping, size = random.choice(found)
    p = dropping.mask.p
    deviation = math.sqrt(size * p * (1 - p))
    draws = max(60, min(400, 30_000 // size))
    drawn = f"drops = (nn.Dropout({literal(p)})(torch.ones({draws}, {size})) == 0).sum(1).float()\n"

    def option(value: float, feedback: str, belief: str = "") -> Option:
        return claim(
            f"{value:.1f}",
            f"{drawn}bool(abs(drops.std() - {value:.1f}) < {0.25 * value + 0.01:.3f})",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    wrong = {
        deviation**2: ("This is the variance; its root is the spread.", "variance-is-spread"),
        size * p: ("This is how many are dropped on average.", "mean-is-spread"),
        size * (1 - p): ("This is how many are kept on average.", "p-is-keep"),
        0.0: ("The number dropped is not the same in each mask.", "fixed-share"),
        deviation / 4: ("Four times less than was measured.", "spread-too-small"),
    }
    usable = [value for value in wrong if abs(value - deviation) > 0.6 * deviation]
    picked = random.sample(usable, min(3, len(usable)))
    if len(picked) < 3 or len({f"{value:.1f}" for value in picked}) < 3:
        return None
    return Draft(
        text="{stage_first} drops each element with p = {p}. If many masks over {size} elements "
        "are drawn, about how large is the standard deviation of the number dropped, its typical "
        "distance from the mean?",
        options=(
            option(deviation, "The number dropped is binomial: its variance is n p (1 - p)."),
            *(option(value, *wrong[value]) for value in picked),
        ),
        given=describe(dropping)
        | {"size": str(size), "mean": number(round(size * p, 2)), "draws": str(draws)},
        experiments={"measured": f"{drawn}drops.std().item()"},
        steps=(
            "Each of {size} elements is dropped on its own: the mean is {size} times {p} = {mean}.",
            "The variance is {size} times {p} times (1 - {p}), and its square root is {key}.",
            "Executed: {draws} masks gave a standard deviation of {measured}.",
        ),
        answer="{letter}: {key}",
        check="Some 95 % of masks lie within two standard deviations of the mean.",
        hint="A sum of independent yes-or-no draws: take the root of n p (1 - p).",
    )


@question(id="D112", group="quiz", level="medium", needs="subject", place="flow")
def expected_sum(recording: Recording, random: Random) -> Draft | None:
    """The sum of a row behind dropout, on average over many masks."""
    found = []
    for dropping in droppings(recording)[:4]:
        places = [i for i in speaking(dropping.before) if abs(dropping.before[i]) <= 50]
        for sign in (1, -1):
            alike = [i for i in places if sign * dropping.before[i] > 0]
            if len(alike) >= 3 and 0.1 <= dropping.mask.p <= 0.8:
                found.append((dropping, alike))
    if not found:
        return None
    dropping, alike = random.choice(found)
    p = dropping.mask.p
    size = random.randint(3, min(6, len(alike)))
    values = [round(dropping.before[i], 2) for i in sorted(random.sample(alike, size))]
    total = sum(values)
    error = math.sqrt(sum(value**2 for value in values) * p / (1 - p) / _MANY)
    drawn = f"rows = torch.tensor({literal(values)}).repeat({_MANY}, 1)\n"

    def option(value: float, feedback: str, belief: str = "") -> Option:
        near = f"abs(sums.mean() - {number(value)}) < {number(4.5 * error + 0.0005)}"
        return claim(
            f"{value:.2f}",
            f"{drawn}sums = nn.Dropout({literal(p)})(rows).sum(1)\nbool({near})",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    wrong = [
        (total * (1 - p), "Survivors are scaled up, which makes up for this.", "no-rescale"),
        (total / (1 - p), "The scale is made up for by what is dropped.", "scales-all"),
        (total * (1 - p) ** 2, "Survivors grow, they do not shrink.", "scale-inverted"),
        (total * p, "This is what the dropped ones amount to on average.", "p-is-keep"),
        (0.0, "Zero comes out only where every element is dropped.", "always-zero"),
    ]
    wrong = [each for each in wrong if abs(each[0] - total) > 10 * error + 0.02]
    picked = random.sample(wrong, min(3, len(wrong)))
    if len(picked) < 3 or len({f"{each[0]:.2f}" for each in picked}) < 3:
        return None
    return Draft(
        text="Some elements of the sample's row before {stage} with p = {p} are {values}. If very "
        "many masks were drawn for them, what would their sum be behind the stage on average?",
        options=(
            option(total, "Dropping and scaling cancel on average: the sum stays."),
            *(option(*each) for each in picked),
        ),
        given=describe(dropping) | {"values": listed(values), "many": f"{_MANY:,}"},
        experiments={
            "mean": f"{drawn}nn.Dropout({literal(p)})(rows).sum(1).mean().item()",
            "plain": f"torch.tensor({literal(values)}).sum()",
        },
        steps=(
            "An element x is kept with probability 1 - {p} and is then x / (1 - {p}).",
            "Its mean is (1 - {p}) times x / (1 - {p}), which is x.",
            "So the sum keeps its mean, {plain}. Executed: {many} masks gave {mean} on average.",
        ),
        answer="{letter}: {key}",
        check="Add up {values}.",
        hint="What do survivors make up for?",
    )


@question(id="D113", group="quiz", level="hard", needs="subject", place="flow")
def variance(recording: Recording, random: Random) -> Draft | None:
    """How much one element varies behind dropout, from mask to mask."""
    found = [
        (dropping, index)
        for dropping in droppings(recording)[:4]
        for index in speaking(dropping.before)
        if 0.08 <= dropping.mask.p <= 0.9 and 0.2 <= abs(dropping.before[index]) <= 50
    ]
    if not found:
        return None
    dropping, index = random.choice(found)
    p, value = dropping.mask.p, round(dropping.before[index], 2)
    square = value**2
    right = square * p / (1 - p)
    drawn = f"outputs = nn.Dropout({literal(p)})(torch.full(({_MANY * 5},), {value}))\n"

    def option(guess: float, feedback: str, belief: str = "") -> Option:
        near = f"abs(outputs.var() - {number(guess)}) < {number(0.09 * right)}"
        return claim(
            number(guess),
            f"{drawn}bool({near})",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    wrong = [
        (square * p * (1 - p), "This forgets that survivors are scaled.", "no-rescale"),
        (0.0, "The mean stays, but single outputs differ: zero or scaled.", "mean-is-all"),
        (square / (1 - p), "This is the mean square; the squared mean is missing.", "square-only"),
        (square * (1 - p) / p, "p and 1 - p are exchanged.", "p-is-keep"),
        (abs(value) * p / (1 - p), "The element counts by its square.", "variance-linear"),
    ]
    wrong = [each for each in wrong if abs(each[0] - right) > 0.2 * right]
    picked = random.sample(wrong, min(3, len(wrong)))
    if len(picked) < 3 or len({number(each[0]) for each in picked}) < 3:
        return None
    return Draft(
        text="An element {value} of the sample's row goes into {stage} with p = {p}, in train mode "
        "and very often. What is the variance of what comes out, the mean squared distance from "
        "the mean?",
        options=(
            option(right, "x squared times p / (1 - p): dropout is noise of that size."),
            *(option(*each) for each in picked),
        ),
        given=describe(dropping) | {"value": number(value), "square": number(square)},
        experiments={"measured": f"{drawn}outputs.var().item()"},
        steps=(
            "The output is 0 with probability {p}, and {value} / (1 - {p}) otherwise.",
            "Its mean is {value}; its mean square is {square} / (1 - {p}).",
            "Mean square minus squared mean is {square} times {p} / (1 - {p}) = {key}.",
            "Executed: 20,000 draws had a variance of {measured}.",
        ),
        answer="{letter}: {key}",
        check="At p = 0 the formula gives 0, and it grows without bound as p nears 1.",
        hint="Take the mean of the square, and subtract the square of the mean.",
    )


@question(id="D120", group="quiz", level="medium", needs="subject", place="flow")
def all_kept(recording: Recording, random: Random) -> Draft | None:
    """The chance that several elements come through together."""
    found = [each for each in droppings(recording)[:4] if 0.1 <= each.mask.p <= 0.8]
    if not found:
        return None
    dropping = random.choice(found)
    p, count = dropping.mask.p, random.choice((2, 3, 4))
    together, one = random.choice((("kept", 1 - p), ("dropped", p)))
    right = one**count
    sign = "!=" if together == "kept" else "=="
    drawn = f"hit = (nn.Dropout({literal(p)})(torch.ones(7000, {count})) {sign} 0).all(1)\n"

    def option(guess: float, feedback: str, belief: str = "") -> Option:
        near = f"abs(hit.float().mean() - {number(guess)}) < 0.02"
        return claim(
            number(guess),
            f"{drawn}bool({near})",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    wrong = [
        (one, "This is the chance of one element alone.", "one-draw-for-all"),
        (1 - one**count, "This is the chance that not all of them are.", "complement"),
        ((1 - one) ** count, "This is the chance that none of them is.", "p-is-keep"),
        (one / count, "Chances of independent draws are multiplied.", "chance-is-shared"),
    ]
    wrong = [each for each in wrong if abs(each[0] - right) > 0.04]
    picked = random.sample(wrong, min(3, len(wrong)))
    if len(picked) < 3 or not apart([each[0] for each in picked], 0.001):
        return None
    return Draft(
        text="{stage_first} drops each element with p = {p}. What is the probability that all of "
        "the first {count} elements of the sample's row are {together} in one forward?",
        options=(
            option(right, "Independent draws: their probabilities are multiplied."),
            *(option(*each) for each in picked),
        ),
        given=describe(dropping) | {"count": str(count), "together": together, "one": number(one)},
        experiments={"measured": f"{drawn}hit.float().mean().item()"},
        steps=(
            "One element is {together} with probability {one}.",
            "Each has a draw of its own, so they are multiplied: {count} factors of {one}.",
            "The product is {key}. Executed: in 7,000 forwards the share was {measured}.",
        ),
        answer="{letter}: {key}",
        check="The result must be smaller than {one}.",
        hint="Are the draws of two elements linked?",
    )


@question(id="D123", group="quiz", level="medium", needs="subject", place="flow")
def thinned(recording: Recording, random: Random) -> Draft | None:
    """How many different masks a few elements can get, each a thinned network of its own."""
    found = [each for each in droppings(recording)[:4] if 0.2 <= each.mask.p <= 0.8]
    if not found:
        return None
    dropping = random.choice(found)
    rare = min(dropping.mask.p, 1 - dropping.mask.p)
    count = random.choice((3, 5)) if rare > 0.28 else 3
    wrong = [
        result(
            f"2 * {count}",
            "Choices of several elements are multiplied.",
            misconception="sum-of-choices",
        ),
        result(
            f"{count} ** 2",
            "Each element has two choices, not as many as there are elements.",
            misconception="square-of-count",
        ),
        result(
            f"{count} + 1",
            "This counts how many can be kept, not which.",
            misconception="counts-are-masks",
        ),
        result(
            "len({tuple(row) for row in (nn.Dropout(1.0)(torch.ones(9, 9)) != 0).tolist()})",
            "A single mask would make no randomness.",
            misconception="fixed-mask",
        ),
    ]
    return Draft(
        text="{stage_first} has p = {p}. Each mask leaves another thinned network, one without the "
        "dropped elements. How many different masks can the first {count} elements of a row get?",
        options=(
            result(
                f"masks = nn.Dropout({literal(dropping.mask.p)})(torch.ones(3000, {count})) != 0\n"
                f"codes = masks.long() @ torch.tensor({[2**i for i in range(count)]})\n"
                "len(set(codes.tolist()))",
                "Each element has two choices, kept or dropped.",
                correct=True,
                expected=str(2**count),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(dropping) | {"count": str(count)},
        steps=(
            "Each element is kept or dropped: two choices.",
            "Choices of different elements combine freely: multiply {count} twos.",
            "That is {key}. Executed: among 3,000 masks there were {key} different ones.",
        ),
        answer="{letter}: {key}",
        check="With one element there are 2 masks, with two there are 4.",
        hint="Write down all masks of two elements first.",
    )
