"""Quiz questions about single elements of this run's rows, and about how many there are."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.drafts import Draft, literal, number, result
from pipetrace.lessons.dropout.reading import listed, windows
from pipetrace.lessons.reading import describe, droppings, shape_text, speaking
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording

_LARGE = 100_000
"""Elements up to which a tensor of the run's shape is made for a question."""


@question(id="D108", group="quiz", level="easy", needs="subject", place="flow")
def dropped(recording: Recording, random: Random) -> Draft | None:
    """What becomes of an element that the mask dropped, and of one that it kept."""
    places = [
        (dropping, gone, kept)
        for dropping in droppings(recording)[:4]
        if 0.001 < dropping.mask.p < 0.999
        for seen in [
            [index for index in speaking(dropping.before)
             if index < min(len(dropping.mask.row), len(dropping.after))]
        ]
        for gone in seen if not dropping.mask.row[gone]
        for kept in seen if dropping.mask.row[kept]
    ]  # fmt: skip
    if not places:
        return None
    dropping, gone, kept = random.choice(places)
    turned, p = kept < gone, literal(dropping.mask.p)
    made = (
        f"a, b, p = {literal(dropping.before[gone])}, {literal(dropping.before[kept])}, {p}\n"
        "outputs = nn.Dropout(p)(torch.full((20000,), a))\n"
        "none, scaled = outputs[outputs == 0][0], outputs[outputs != 0][0]\n"
        "outputs = nn.Dropout(p)(torch.full((20000,), b))\n"
        "kept = outputs[outputs != 0][0]\n"
    )

    def pair(first: str, second: str) -> str:
        both = f"{second}, {first}" if turned else f"{first}, {second}"
        return f"{made}torch.tensor([{both}])"

    wrong = [
        result(pair("scaled", "kept"), "Both are shown as if the mask had kept both.",
               misconception="dropped-is-scaled"),
        result(pair("a * (1 - p)", "kept"),
               "A dropped element is not made smaller, it is gone for this forward.",
               misconception="dropped-is-shrunk"),
        result(pair("a * p", "kept"), "p is the chance of being dropped, not a factor.",
               misconception="p-is-factor"),
        result(pair("-a", "kept"), "Nothing in dropout changes a sign.",
               misconception="dropped-is-flipped"),
        result(pair("a", "b"), "This is what eval mode returns; here the stage was in train mode.",
               misconception="mode-mixed-up"),
        result(pair("none", "b"), "The one that was kept is multiplied by 1 / (1 - p).",
               misconception="no-rescale"),
        result(pair("none", "b * (1 - p)"), "Survivors grow, to make up for what is dropped.",
               misconception="scale-inverted"),
    ]  # fmt: skip
    if dropping.mask.p < 0.02:
        wrong = wrong[2:5]
    elif math.isclose(dropping.mask.p, 0.5, abs_tol=0.02):
        wrong.pop(2)
    first, second = (kept, gone) if turned else (gone, kept)
    return Draft(
        text="In {forward}, {stage} with p = {p} met the elements {before} at positions {first} "
        "and {second} of the sample's row (the first one is at 0). Its mask dropped the one at "
        "{gone} and kept the one at {kept}. What came out?",
        options=(
            result(
                pair("none", "kept"),
                "To drop an element is to put zero in its place; the other one is scaled.",
                correct=True,
                expected=listed((dropping.after[first], dropping.after[second])),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(dropping)
        | {"before": listed((dropping.before[first], dropping.before[second])),
           "first": str(first), "second": str(second), "gone": str(gone), "kept": str(kept)},
        steps=(
            "The mask holds a 0 where it drops and a 1 where it keeps.",
            "The element at {gone} is multiplied by its 0, and no scale can change that.",
            "The one at {kept} is multiplied by {scale}: {key}.",
        ),
        answer="{letter}: {key}",
        check="The data flow shows the row behind the stage: look at these positions.",
        hint="What is any number times zero, and what makes up for it?",
    )  # fmt: skip


@question(id="D109", group="quiz", level="easy", needs="subject", place="flow")
def share(recording: Recording, random: Random) -> Draft | None:
    """The share of elements that one recorded mask kept or dropped."""
    counts = []
    for dropping in droppings(recording)[:4]:
        if not 0.02 <= dropping.mask.p <= 0.98:
            continue  # the two parts would hardly differ from the whole
        row = dropping.mask.row
        counts.append((dropping, "", dropping.mask.kept, dropping.mask.total))
        if len(row) >= 4:
            counts.append((dropping, " in the sample's row", sum(row), len(row)))
    found = [
        each
        for each in counts
        if 0 < each[2] < each[3] and abs(each[2] / each[3] - 0.5) > 0.001
        and abs(1 - each[0].mask.p - each[2] / each[3]) > 0.0001
    ]  # fmt: skip
    if not found:
        return None
    dropping, where, kept, total = random.choice(found)
    p, made = literal(dropping.mask.p), f"mask = torch.arange({total}) < {kept}\n"
    verb, share_of = random.choice((("keep", "mask"), ("drop", "~mask")))
    other = "~mask" if share_of == "mask" else "mask"
    wrong = [
        result(
            f"{made}({other}).double().mean()",
            "This is the other part of the elements.",
            misconception="p-is-keep",
        ),
        result(
            f"{p} if {verb == 'drop'} else 1 - {p}",
            "This is the share to expect. One mask seldom hits it.",
            misconception="fixed-share",
        ),
        result(
            f"1 - {p} if {verb == 'drop'} else {p}",
            "This is expected of the other part, and is not what the mask did.",
            misconception="p-is-keep",
        ),
        result(
            f"{made}(({share_of}).sum() / ({other}).sum()).item()",
            "This divides one part by the other, not by the whole.",
            misconception="part-of-part",
        ),
    ]
    if abs(dropping.mask.p - 0.5) < 0.02:
        wrong.pop(2)
    return Draft(
        text="The mask of {stage} with p = {p} kept {kept} and dropped {dropped} elements{where}. "
        "Which share did it {verb}?",
        options=(
            result(
                f"{made}({share_of}).double().mean()",
                "Counted: the part divided by the whole.",
                correct=True,
                expected=number((kept if verb == "keep" else total - kept) / total),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(dropping)
        | {"kept": str(kept), "dropped": str(total - kept), "where": where, "verb": verb},
        steps=(
            "Together there are {kept} + {dropped} elements.",
            "Divide the part in question by the whole: {key}.",
            "p = {p} is a probability: the share of one mask lies near what p says, not on it.",
        ),
        answer="{letter}: {key}",
        check="The share kept and the share dropped add up to 1.",
        hint="Count what happened; p only says what was to be expected.",
    )


@question(id="D111", group="quiz", level="medium", needs="subject", place="flow")
def row_behind(recording: Recording, random: Random) -> Draft | None:
    """The elements behind a dropout stage, from those before it and the mask."""
    places = windows(recording, 4) or windows(recording, 3)
    if not places:
        return None
    window = random.choice(places)
    p = literal(window.dropping.mask.p)
    made = (
        f"row = torch.tensor({literal(window.before)})\n"
        f"mask = torch.tensor({[int(kept) for kept in window.kept]})\n"
    )
    wrong = [
        result(
            f"{made}row * mask",
            "The zeros are right, but survivors are divided by 1 - p.",
            misconception="no-rescale",
        ),
        result(
            f"{made}row * mask * (1 - {p})",
            "The zeros are right, but survivors grow.",
            misconception="scale-inverted",
        ),
        result(
            f"{made}row * (1 - mask) / (1 - {p})",
            "Here the kept ones were dropped: a 1 in the mask means kept.",
            misconception="mask-marks-dropped",
        ),
        result(
            f"{made}row / (1 - {p})",
            "This scales every element and drops none.",
            misconception="scales-all",
        ),
        result(
            f"{made}row * torch.where(mask == 1, 1 / (1 - {p}), 1 - {p})",
            "Dropped elements become zero, they are not made smaller.",
            misconception="dropped-is-shrunk",
        ),
    ]
    return Draft(
        text="In {forward}, these elements of the sample's row went into {stage} with p = {p}: "
        "{before}. Its mask there was {mask}, where 1 means kept. What came out?",
        options=(
            result(
                f"{made}row * mask * (1 / (1 - {p}))",
                "Zero where dropped, divided by 1 - p where kept.",
                correct=True,
                expected=listed(window.after),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(window.dropping)
        | {
            "before": listed(window.before),
            "mask": str([int(kept) for kept in window.kept]),
        },
        steps=(
            "Multiply element by element: where the mask is 0, zero comes out.",
            "Where it is 1, multiply by 1 / (1 - {p}) = {scale}.",
            "Together: {key}.",
        ),
        answer="{letter}: {key}",
        check="The data flow shows these elements from position "
        f"{window.start} of the row behind the stage on.",
        hint="Two things happen to an element: mask, then scale.",
    )


@question(id="D119", group="quiz", level="easy", needs="subject", place="flow")
def another_rate(recording: Recording, random: Random) -> Draft | None:
    """The scale of survivors if the run's p were changed."""
    found = droppings(recording)[:4]
    if not found:
        return None
    dropping = random.choice(found)
    p = dropping.mask.p
    q = random.choice(
        [
            q
            for q in (0.1, 0.2, 0.25, 0.4, 0.6, 0.7, 0.75, 0.8, 0.9)
            if abs(q - p) > 0.02 and abs(q - (1 - p)) > 0.02
        ]
    )
    wrong = [
        result(
            f"nn.Dropout({literal(p)})(torch.ones(5000)).max().item()",
            "This is the scale at the old p.",
            misconception="scale-is-fixed",
        ),
        result(
            f"(torch.ones(1) * (1 - {q})).item()",
            "Survivors are divided by 1 - p, not multiplied by it.",
            misconception="scale-inverted",
        ),
        result(
            f"(torch.ones(1) / {q}).item()",
            "This would fit if p were the probability of keeping.",
            misconception="p-is-keep",
        ),
        result(
            f"(torch.ones(1) + {q}).item()",
            "Dividing by 1 - p gives more than adding p.",
            misconception="p-is-added",
        ),
    ]
    return Draft(
        text="{stage_first} has p = {p} and multiplies survivors by {scale}. Somebody sets p to "
        "{q}. By what number are survivors multiplied then?",
        options=(
            result(
                f"layer = nn.Dropout({literal(p)})\nlayer.p = {q}\n"
                "layer(torch.ones(5000)).max().item()",
                "The layer reads its p in each forward: 1 / (1 - p) with the new p.",
                correct=True,
                expected=number(1 / (1 - q)),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(dropping) | {"q": number(q)},
        steps=(
            "The scale makes up for what is lost on average, so it follows p.",
            "1 / (1 - {q}) = {key}.",
        ),
        answer="{letter}: {key}",
        check="{key} times (1 - {q}) is 1.",
        hint="The more is dropped, the more must the rest make up for.",
    )


@question(id="D121", group="quiz", level="easy", needs="subject", place="flow")
def same_shape(recording: Recording, random: Random) -> Draft | None:
    """The shape of what leaves a dropout stage."""
    found = [
        (dropping, dropping.op.outputs[0].shape)
        for dropping in droppings(recording)[:4]
        if dropping.op.outputs
        and len(dropping.op.outputs[0].shape) >= 2
        and math.prod(dropping.op.outputs[0].shape) <= _LARGE
    ]
    if not found:
        return None
    dropping, shape = random.choice(found)
    p, made = dropping.mask.p, f"rows = torch.ones{shape}\n"
    first = max(1, round(shape[0] * (1 - p)))
    last = max(1, round(shape[-1] * (1 - p)))
    cut = [
        (f"rows[..., :{last}].shape", (*shape[:-1], last), "dropped elements cut off each row"),
        (f"rows[:{first}].shape", (first, *shape[1:]), "a part of the rows gone"),
        (f"rows[:{first}, ..., :{last}].shape", (first, *shape[1:-1], last), "less of both"),
        ("rows.transpose(0, -1).shape", (shape[-1], *shape[1:-1], shape[0]), "rows and columns "
         "exchanged"),
        ("rows[0].shape", shape[1:], "one row alone"),
    ]  # fmt: skip
    different = {each[1]: each for each in cut if each[1] != shape}
    if len(different) < 3:
        return None
    wrong = [
        result(f"{made}{code}", f"This would be {words}.", misconception=belief)
        for code, made_shape, words in different.values()
        for belief in ["removes-for-good" if made_shape[-1] == last else "shape-changes"]
    ]
    return Draft(
        text="A tensor of shape {shape} went into {stage} with p = {p}, in train mode. Which shape "
        "came out?",
        options=(
            result(
                f"{made}nn.Dropout({literal(p)})(rows).shape",
                "Dropped elements stay in their places, as zeros.",
                correct=True,
                expected=shape_text(shape),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(dropping) | {"shape": shape_text(shape)},
        steps=(
            "Dropping puts zeros in the places of elements and takes no place away.",
            "So the shape stays {key}.",
        ),
        answer="{letter}: {key}",
        check="The data flow shows the shape before and behind the stage.",
        hint="The next layer has a fixed number of inputs. What would it say to fewer?",
    )
