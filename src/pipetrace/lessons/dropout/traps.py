"""Challenges: what longer programs come to, with a trap on the way."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, literal, number, result
from pipetrace.lessons.dropout.programs import guesses
from pipetrace.lessons.dropout.reading import rates
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D310", group="challenge", level="hard", needs="nothing", place="flow")
def parts(recording: Recording, random: Random) -> Draft | None:
    """Which dropout stages are on after several switches."""
    p = literal(rates(recording, random))
    block = f"nn.Sequential(nn.Dropout({p}), nn.Dropout({p}))"
    calls = {
        "model.eval()": (False, False, False),
        "model.train()": (True, True, True),
        "model[1].train()": (None, True, True),
        "model[1].eval()": (None, False, False),
        "model[1][1].train()": (None, None, True),
        "model[1][0].eval()": (None, False, None),
        "model[0].train()": (True, None, None),
        "model[0].eval()": (False, None, None),
        "model.training = True": (None, None, None),
        "model[1].training = False": (None, None, None),
    }
    flags = [name for name in calls if "=" in name]
    whole = [name for name in calls if name.startswith(("model.eval", "model.train("))]
    part = [name for name in calls if name not in (*flags, *whole)]

    def after(names: list[str], spread: bool = False) -> list[bool]:
        state = [True, True, True]
        for name in names:
            new = calls[name]
            if spread and name in flags:
                value = name.endswith("True")
                new = (value,) * 3 if name.startswith("model.") else (None, value, value)
            state = [old if each is None else each for old, each in zip(state, new, strict=True)]
        return state

    steps: list[str] = []
    while not steps or len(set(after(steps))) == 1:
        steps = [random.choice(whole), *random.sample(part, 2)]
        steps.insert(random.randint(1, 3), random.choice(flags))
    truth = after(steps)
    program = f"model = nn.Sequential(nn.Dropout({p}), {block})\n" + "".join(
        f"{each}\n" for each in steps
    )
    stages = "[model[0], model[1][0], model[1][1]]"
    found: list[tuple[object, str, str]] = [
        (after(steps, spread=True), "Setting a flag reaches no stage inside.", "flag-is-eval"),
        (after(steps[:1]), "Later switches count, too.", "first-call-wins"),
        (after(steps[::-1]), "The order of the lines counts.", "order-is-free"),
        ([not each for each in truth], "The two modes are exchanged.", "mode-mixed-up"),
        ([truth[0], truth[1], not truth[2]], "Follow the last stage again.", "part-is-whole"),
        ([truth[0], not truth[1], truth[2]], "Follow the middle stage again.", "part-is-whole"),
        ([not truth[0], *truth[1:]], "Follow the first stage again.", "part-is-whole"),
    ]
    return Draft(
        text="Which stages drop at the end? The last line asks each of the three for its mode.",
        code=f"{program}[stage.training for stage in {stages}]",
        options=(
            result(
                f"{program}[stage.training for stage in {stages}]",
                "Followed line by line.",
                correct=True,
                expected=str(truth),
            ),
            *guesses(random, truth, found),
        ),
        steps=(
            "All three start in train mode.",
            "train() and eval() of a part reach that part and all inside it, and nothing else.",
            "Setting `training` by hand reaches the one object only, and no dropout stage here.",
            "Line by line the modes end at {key}.",
        ),
        answer="{letter}: {key}",
        check="Print the three modes after each line.",
        hint="Keep a table of three columns, and change it line by line.",
        mistakes=(
            "Letting a flag that was set by hand reach the stages inside.",
            "Forgetting that a later eval() of the whole undoes train() of a part.",
        ),
    )


@question(id="D311", group="challenge", level="hard", needs="nothing", place="training")
def epochs(recording: Recording, random: Random) -> Draft | None:
    """In which epochs dropout was on, in a loop that evaluates."""
    p, count = literal(rates(recording, random)), random.choice((4, 5))
    every = random.choice((1, 2, 3))
    place = random.choice(("before", "before", "in evaluation", "each"))
    program = (
        f"model = nn.Sequential(nn.Dropout({p}), nn.Linear(4, 1))\n"
        "def evaluate():\n    model.eval()\n"
        + ("    model.train()\n" if place == "in evaluation" else "")
        + "modes = []\n"
        + ("model.train()\n" if place == "before" else "")
        + f"for epoch in range({count}):\n"
        + ("    model.train()\n" if place == "each" else "")
        + "    modes.append(model[0].training)\n"
        + f"    if epoch % {every} == {every - 1}:\n        evaluate()\n"
    )
    truth = [epoch < every or place != "before" for epoch in range(count)]
    found: list[tuple[object, str, str]] = [
        ([True] * count, "Evaluation left the model in eval mode.", "train-once"),
        ([False] * count, "The model starts in train mode.", "fresh-is-eval"),
        ([True, *[False] * (count - 1)], "Look at when evaluation comes, and what follows it.",
         "eval-stays"),
        ([epoch < every for epoch in range(count)], "train() is called again after it.",
         "eval-stays"),
        ([epoch % every != 0 or epoch == 0 for epoch in range(count)],
         "A mode stays until it is set anew.", "mode-toggles"),
        ([epoch <= every for epoch in range(count)], "Evaluation comes at the end of an epoch.",
         "mode-lags"),
        ([epoch % 2 == 0 for epoch in range(count)], "A mode stays until it is set anew.",
         "mode-toggles"),
    ]  # fmt: skip
    wrong = guesses(random, truth, found)
    if len(wrong) < 3:
        return None
    return Draft(
        text="The modes of the dropout stage during training are noted, epoch by epoch. What is in "
        "`modes`?",
        code=f"{program}modes",
        options=(
            result(
                f"{program}modes",
                "What counts is the last call before each note.",
                correct=True,
                expected=str(truth),
            ),
            *wrong,
        ),
        given={"every": str(every)},
        steps=(
            "The model is new, so it starts in train mode.",
            "evaluate() runs at the end of an epoch, for the first time after {every}.",
            "What it leaves behind lasts until something calls train() again."
            if place == "before"
            else "train() is called again before the next note is taken.",
            "So the list is {key}.",
        ),
        answer="{letter}: {key}",
        check="Print `model.training` at the start of each epoch.",
        hint="Find each call of train(): how often does it run?",
        mistakes=(
            "Looking at the first epoch only.",
            "Taking a mode for something that ends with a function.",
        ),
    )


@question(id="D312", group="challenge", level="hard", needs="nothing", place="training")
def two_backwards(recording: Recording, random: Random) -> Draft | None:
    """The gradients after two backward passes with a mask each."""
    p, factor = random.choice((0.2, 0.25, 0.4, 0.5, 0.6)), random.choice((1, 2, 3, 4))
    clear = random.choice((False, False, True))
    program = (
        f"layer, w = nn.Dropout({p}), torch.ones(2000, requires_grad=True)\n"
        "for step in range(2):\n"
        + ("    w.grad = None\n" if clear else "")
        + f"    layer(w * {factor}).sum().backward()\n"
    )
    scaled = float(number(factor / (1 - p)))
    twice = float(number(2 * factor / (1 - p)))
    sums, one = [0.0, scaled, twice], [0.0, scaled]
    truth = one if clear else sums
    found: list[tuple[object, str, str]] = [
        (one, "Nothing cleared the gradients between the two.", "last-pass-counts"),
        (sums, "The gradients were cleared before the second pass.", "grad-never-cleared"),
        ([0.0, twice], "The two masks differ: some elements were kept once.", "fixed-mask"),
        ([0.0, float(factor), 2.0 * factor] if not clear else [0.0, float(factor)],
         "Gradients are scaled like elements.", "gradient-unscaled"),
        ([twice] if not clear else [scaled], "Some were dropped, and have no gradient.",
         "gradient-ignores-mask"),
        ([scaled, twice], "Some were dropped both times.", "gradient-ignores-mask"),
        ([float(number(each * (1 - p) ** 2)) for each in truth],
         "Gradients are divided by 1 - p, as elements are.", "scale-inverted"),
        ([float(number(each * (1 - p) / p)) for each in truth],
         "The factor is 1 / (1 - p), not 1 / p.", "p-is-keep"),
    ]  # fmt: skip
    return Draft(
        text="Which different values are in `w.grad` at the end?",
        code=f"{program}w.grad.unique()",
        options=(
            result(
                f"{program}w.grad.unique()",
                "Each pass has a mask of its own.",
                correct=True,
                expected=str(truth),
            ),
            *guesses(random, truth, found),
        ),
        given={"factor": str(factor), "p": literal(p), "scaled": number(scaled)},
        steps=(
            "In a pass an element has the gradient 0 if dropped, else {factor} / (1 - {p}) = "
            "{scaled}.",
            "The gradient is cleared before each pass, so the second one alone is left."
            if clear
            else "The passes have masks of their own and their gradients add up: an element was "
            "kept never, once, or twice.",
            "So the values are {key}.",
        ),
        answer="{letter}: {key}",
        check="Look for what clears gradients between the passes.",
        hint="Two masks, two passes: what can happen to one element?",
        mistakes=(
            "Using one mask for both passes.",
            "Forgetting that gradients add up unless they are cleared.",
        ),
    )  # fmt: skip


@question(id="D313", group="challenge", level="hard", needs="nothing", place="flow")
def alias(recording: Recording, random: Random) -> Draft | None:
    """What is left of x in a sum with in-place dropout of it."""
    value = random.choice((1.0, 2.0, 3.0, 4.0))
    p = random.choice((1.0, 1.0, 0.0))
    line = random.choice(
        (
            "y = x + drop(x)",
            "y = drop(x) + x",
            "y = x + drop(x.clone())",
            "y = x.clone() + drop(x)",
            "y = drop(x)\ny = y + x",
        )
    )
    inplace = random.choice((True, True, False))
    program = f"drop = nn.Dropout({p}, inplace={inplace})\nx = torch.full((2,), {value})\n{line}\n"
    gone = inplace and p == 1.0 and "clone" not in line
    truth = [0.0 if gone else value + (0.0 if p else value)] * 2
    found: list[tuple[object, str, str]] = [
        ([0.0, 0.0], "x itself was not written over, or nothing was dropped.", "input-is-changed"),
        ([value] * 2, "In place, x itself becomes what dropout returns."
         if gone else "At p = 0 dropout returns x.", "inplace-spares-input"),
        ([2 * value] * 2, "Dropout at p = 1 returns zeros.", "p-is-keep"),
        ([value / 2] * 2, "A sum is no mean.", "sum-is-mean"),
        ([0.0, value], "At p = 0 and p = 1 nothing is left to chance.", "edges-are-random"),
    ]  # fmt: skip
    return Draft(
        text="What is y at the end?",
        code=f"{program}y",
        options=(
            result(
                f"{program}y",
                "Ask what is written over, and when.",
                correct=True,
                expected=str(truth),
            ),
            *guesses(random, truth, found),
        ),
        given={"p": literal(p), "inplace": str(inplace)},
        steps=(
            "At p = {p} dropout returns " + ("zeros." if p else "its input as it is."),
            "With inplace={inplace} "
            + ("the result is written over the tensor that went in." if inplace
               else "its input stays as it was."),
            "Ask whether that tensor is x itself or a copy, and what is added to it: {key}.",
        ),
        answer="{letter}: {key}",
        check="Print x after the program.",
        hint="How many tensors are there in memory: is `drop(x)` x itself?",
        mistakes=(
            "Taking `x + drop(x)` with in-place dropout for a sum of two different tensors.",
            "Overlooking a copy, or that nothing works in place here.",
        ),
    )  # fmt: skip
