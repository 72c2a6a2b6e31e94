"""Quiz questions about the masks that this run really drew."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, number
from pipetrace.lessons.reading import Dropping, describe, droppings
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording

_MANY = 5000
"""Elements up to which a question draws many masks: the cost must stay under a millisecond."""


@question(id="D102", group="quiz", level="medium", needs="subject", place="flow")
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
    draws = min(200, max(20, 25_000 // count))
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

    wrong = [
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
        option(
            0.5,
            varies=True,
            feedback="This would be the mean at p = 0.5.",
            belief="half-is-dropped",
        ),
        option(
            p / 2,
            varies=False,
            feedback="This is half of what is dropped on average, and the number varies.",
            belief="fixed-share",
        ),
    ]
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
            *random.sample(wrong, 3),
        ),
        given=describe(dropping)
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


@question(id="D107", group="quiz", level="medium", needs="subject", place="flow")
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
    wrong = [
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
        claim(
            "Those kept before would be dropped",
            f"{drawn}torch.equal(layer(rows) == 0, layer(rows) != 0)",
            "Masks take no turns: each draw stands for itself.",
            misconception="masks-take-turns",
        ),
        claim(
            "As many would be dropped as before",
            f"{drawn}bool((layer(rows) == 0).sum() == (layer(rows) == 0).sum())",
            "The number dropped varies from mask to mask.",
            misconception="fixed-share",
        ),
    ]
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
            *random.sample(wrong, 3),
        ),
        given=describe(dropping)
        | {"kept": str(dropping.mask.kept), "total": str(dropping.mask.total)},
        steps=(
            "The layer keeps no mask: it has no buffer to keep one in.",
            "Each forward in train mode draws again, each element on its own.",
        ),
        answer="{letter}: {key}",
        check="`layer(rows)` twice in train mode, compared with `torch.equal`, gives False.",
        hint="Where could the layer remember a mask?",
    )


def _count(dropping: Dropping) -> tuple[int, int]:
    """Return elements and dropped ones: of the whole mask, of the row where that is too large."""
    mask = dropping.mask
    if 10 <= mask.total <= _MANY:
        return mask.total, mask.total - mask.kept
    if 10 <= len(mask.row) <= _MANY:
        return len(mask.row), mask.row.count(False)
    return 0, 0
