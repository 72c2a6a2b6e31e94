"""Challenges: what a short program with dropout prints, whatever its masks are."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, literal, number, result
from pipetrace.lessons.dropout.programs import guesses
from pipetrace.lessons.dropout.reading import rates
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D304", group="challenge", level="easy", needs="nothing", place="flow")
def largest(recording: Recording, random: Random) -> Draft | None:
    """The largest output of a layer in train mode."""
    p, value = rates(recording, random), random.choice((2.0, 3.0, 5.0, 6.0, 10.0, 12.0))
    share = literal(p)
    program = f"layer = nn.Dropout({share})\ny = layer(torch.full((4000,), {value}))\n"
    wrong = [
        (value, "Survivors are scaled.", "no-rescale"),
        (value * (1 - p), "Survivors grow.", "scale-inverted"),
        (value / p, "The factor is 1 / (1 - p).", "p-is-keep"),
        (value * (1 + p), "Survivors are divided by 1 - p.", "p-is-added"),
        (0.0, "Not every element is dropped.", "always-zero"),
    ]
    return Draft(
        text="What does the last line return?",
        code=f"{program}y.max()",
        options=(
            result(f"{program}y.max()", "The largest is a scaled survivor.", correct=True),
            *guesses(random, None, [(float(number(a)), b, c) for a, b, c in wrong]),
        ),
        given={"p": share, "value": number(value)},
        steps=(
            "A new layer is in train mode: each element becomes 0 or {value} / (1 - {p}).",
            "Among 4,000 elements some were kept, so the largest is {value} / (1 - {p}) = {key}.",
        ),
        answer="{letter}: {key}",
        check="{key} times (1 - {p}) is {value}.",
        hint="Which two values are in y?",
        mistakes=(
            "Leaving out the scale.",
            "Dividing by p.",
        ),
    )


@question(id="D305", group="challenge", level="easy", needs="nothing", place="flow")
def eval_sum(recording: Recording, random: Random) -> Draft | None:
    """The sum of what a layer in eval mode returns."""
    p, value = rates(recording, random), random.choice((0.5, 2.0, 3.0, 4.0))
    count, share = random.choice((8, 10, 20, 40)), literal(p)
    call = random.choice(("layer.eval()", "layer.train(False)"))
    program = f"layer = nn.Dropout({share})\n{call}\ny = layer(torch.full(({count},), {value}))\n"
    total = count * value
    wrong = [
        (total * (1 - p), "Eval mode scales nothing.", "scales-in-eval"),
        (total / (1 - p), "The scale goes with the mask.", "rescale-without-drop"),
        (value, "This is one element; they are summed.", "one-for-all"),
        (total * p, "Nothing is dropped in eval mode.", "drops-in-eval"),
    ]
    return Draft(
        text="What does the last line return?",
        code=f"{program}y.sum()",
        options=(
            result(f"{program}y.sum()", "y is what went in.", correct=True),
            *guesses(random, total, [(float(number(a)), b, c) for a, b, c in wrong]),
        ),
        given={"count": str(count), "value": number(value), "call": call},
        steps=(
            "`{call}` puts the layer into eval mode: y is its input.",
            "{count} times {value} is {key}.",
        ),
        answer="{letter}: {key}",
        check="Print y: it holds what went in.",
        hint="In which mode is the layer when it is used?",
        mistakes=(
            "Scaling in eval mode.",
            "Missing that the layer was switched to eval mode.",
        ),
    )


@question(id="D306", group="challenge", level="medium", needs="nothing", place="flow")
def equalities(recording: Recording, random: Random) -> Draft | None:
    """Which of several outputs are equal, with seeds and modes in play."""
    p, seed = literal(rates(recording, random)), random.randint(1, 99)
    again = random.choice((seed, seed, seed + 1))
    middle = random.choice(("c = layer(x)", "c = layer.eval()(x)", f"c = F.dropout(x, {p})"))
    program = (
        f"layer, x = nn.Dropout({p}), torch.ones(500)\n"
        f"torch.manual_seed({seed})\na = layer(x)\n"
        f"torch.manual_seed({again})\nb = layer(x)\n{middle}\n"
        "results = [torch.equal(a, b), torch.equal(b, c), torch.equal(c, x)]\n"
    )
    truth = [again == seed, False, "eval" in middle]
    found: list[tuple[object, str, str]] = [
        ([not truth[0], *truth[1:]], "A seed fixes the mask that is drawn next, and only equal "
         "seeds fix equal masks.", "seed-is-ignored"),
        ([truth[0], True, truth[2]], "The generator went on between the two.", "fixed-mask"),
        ([*truth[:2], not truth[2]], "c equals x in eval mode only.", "mode-mixed-up"),
        ([False] * 3, "Not each of the pairs is left to chance.", "always-random"),
        ([True] * 3, "Some of the pairs differ.", "fixed-mask"),
        ([not truth[0], True, truth[2]], "Look at where the seed is set.", "seed-is-ignored"),
    ]  # fmt: skip
    wrong = guesses(random, truth, found)
    return Draft(
        text="What is in `results`?",
        code=f"{program}results",
        options=(
            result(
                f"{program}results",
                "Equal seeds give equal masks; eval mode gives x.",
                correct=True,
            ),
            *wrong,
        ),
        given={"seeds": f"{seed} and {again}"},
        steps=(
            "a and b are drawn right after the seeds {seeds}: they are equal if the seeds are.",
            "c is computed without setting the seed anew, so it has another mask than b, or none.",
            "c is x only if it was computed in eval mode.",
        ),
        answer="{letter}: {key}",
        check="Run it twice: the results repeat.",
        hint="Where does the generator stand before each call?",
        mistakes=(
            "Expecting a seed to hold for all later masks: each draw moves the generator on.",
            "Overlooking a switch to eval mode.",
        ),
    )


@question(id="D307", group="challenge", level="medium", needs="nothing", place="flow")
def twice(recording: Recording, random: Random) -> Draft | None:
    """What two dropout layers in a row make of a survivor."""
    first, second = random.sample((0.1, 0.2, 0.25, 0.4, 0.5, 0.6), 2)
    program = (
        f"model = nn.Sequential(nn.Dropout({first}), nn.Dropout({second}))\n"
        "y = model(torch.ones(6000))\n"
    )
    truth = 1 / (1 - first) / (1 - second)
    wrong = [
        (1 / (1 - max(first, second)), "Both layers scale.", "larger-p-wins"),
        (1 / (1 - first) + 1 / (1 - second), "Factors are multiplied.", "scales-added"),
        (1 / (1 - (first + second) / 2), "Nothing takes the mean of two p.", "p-averaged"),
        (1 / (1 - first * second), "The chance to be kept by both is (1 - p)(1 - q).",
         "rates-multiplied"),
    ]  # fmt: skip
    if first + second < 0.95:
        wrong.append((1 / (1 - first - second), "Some are hit by both masks.", "rates-added"))
    return Draft(
        text="What does the last line return?",
        code=f"{program}y.max()",
        options=(
            result(f"{program}y.max()", "A survivor of both is scaled twice.", correct=True),
            *guesses(
                random, round(truth, 4), [(float(number(a)), b, c) for a, b, c in wrong]
            ),
        ),
        given={"first": literal(first), "second": literal(second)},
        experiments={"mean": f"{program}y.mean().item()", "zeros": f"{program}(y == 0).sum()"},
        steps=(
            "The first layer turns a survivor into 1 / (1 - {first}).",
            "The second divides what it keeps of that by 1 - {second}.",
            "The largest is {key}. {zeros} of 6,000 were zero, and the mean was {mean}.",
        ),
        answer="{letter}: {key}",
        check="One layer with 1 - p = (1 - {first})(1 - {second}) does the same.",
        hint="Follow one element that both layers keep.",
        mistakes=(
            "Adding the two p: elements may be hit by both masks.",
            "Adding the two factors.",
        ),
    )  # fmt: skip


@question(id="D308", group="challenge", level="medium", needs="nothing", place="flow")
def seeded_loop(recording: Recording, random: Random) -> Draft | None:
    """How many different masks a loop draws."""
    p, seed, count = literal(rates(recording, random)), random.randint(0, 99), random.choice(
        (3, 4, 5, 6, 8)
    )  # fmt: skip
    inside, outside, made, reason = random.choice(
        (
            (
                f"    torch.manual_seed({seed})\n",
                "",
                1,
                "Here each step sets the same seed, so each mask is the same.",
            ),
            (
                "",
                f"torch.manual_seed({seed})\n",
                count,
                "Here the seed is set once, and the generator goes on from there.",
            ),
            (
                f"    torch.manual_seed({seed} + step % 2)\n",
                "",
                2,
                "Here two seeds take turns, and so do two masks.",
            ),
            (
                "    layer.eval()\n",
                "",
                1,
                "In eval mode there is no mask: the output is x each time.",
            ),
            (
                "    layer.eval()\n    layer.train()\n",
                "",
                count,
                "Switching the mode there and back does not touch the generator.",
            ),
            (
                "    if step > 0:\n        layer.eval()\n",
                "",
                2,
                "Only the first step has a mask; from the second on the output is x.",
            ),
        )
    )
    program = (
        f"layer, x = nn.Dropout({p}), torch.ones(200)\noutputs = set()\n{outside}"
        f"for step in range({count}):\n{inside}"
        "    outputs.add(tuple(layer(x).tolist()))\n"
    )
    found: list[tuple[object, str, str]] = [
        (1, "Some outputs differ.", "fixed-mask"),
        (count, "Some outputs are equal.", "always-random"),
        (2, "There are not two kinds here.", "two-kinds"),
        (0, "A set holds what was added.", "two-kinds"),
        (count - 1, "Each step adds what the layer returned, the first one too.", "first-is-apart"),
        (200, "A mask covers 200 elements, and counts once.", "elements-are-masks"),
    ]
    return Draft(
        text="What does the last line return? (A set keeps equal things once.)",
        code=f"{program}len(outputs)",
        options=(
            result(
                f"{program}len(outputs)", reason, correct=True, expected=str(made)
            ),
            *guesses(random, made, found),
        ),
        steps=(
            "A mask is new unless the generator was set to a place where it stood before.",
            reason,
            "The number of different outputs is {key}.",
        ),
        answer="{letter}: {key}",
        check="Print the number of zeros of each output.",
        hint="What is the state of layer and generator at the start of each step?",
        mistakes=(
            "Setting a seed in each step, and wondering that nothing is random.",
            "Fearing that one seed before a loop makes all masks equal.",
        ),
    )  # fmt: skip


@question(id="D309", group="challenge", level="medium", needs="nothing", place="flow")
def which_drop(recording: Recording, random: Random) -> Draft | None:
    """Which of several calls drop anything."""
    p = literal(rates(recording, random))
    calls = {
        f"nn.Dropout({p})(x)": (True, "fresh-is-eval"),
        f"F.dropout(x, {p})": (True, "functional-is-eval"),
        f"nn.Dropout({p})(x.detach())": (True, "detach-is-eval"),
        f"nn.Dropout({p}).eval()(x)": (False, "drops-in-eval"),
        "nn.Dropout(0.0)(x)": (False, "p-is-keep"),
        f"F.dropout(x, {p}, False)": (False, "functional-sees-mode"),
        f"nn.Sequential(nn.Dropout({p})).eval()(x)": (False, "part-is-whole"),
        f"nn.Dropout({p}).eval().train()(x)": (True, "first-call-wins"),
        "nn.Dropout(1.0)(x)": (True, "p-is-keep"),
    }
    picked = random.sample(sorted(calls), 3)
    truth = [calls[call][0] for call in picked]
    program = "x = torch.ones(900)\noutputs = [\n" + "".join(f"    {c},\n" for c in picked) + "]\n"
    found: list[tuple[object, str, str]] = [
        (
            [not each if place == index else each for place, each in enumerate(truth)],
            f"`{picked[index]}` does the opposite.",
            calls[picked[index]][1],
        )
        for index in range(3)
    ]
    found.append(([not each for each in truth], "All three are the other way.", "mode-mixed-up"))
    return Draft(
        text="What does the last line return?",
        code=f"{program}[bool((y == 0).any()) for y in outputs]",
        options=(
            result(
                f"{program}[bool((y == 0).any()) for y in outputs]",
                "What counts is the mode at the call, and p.",
                correct=True,
                expected=str(truth),
            ),
            *guesses(random, truth, found),
        ),
        steps=(
            "A call drops if it trains and its p is above 0.",
            "New layers and F.dropout train unless told otherwise; the last switch counts.",
            "So the answers are {key}.",
        ),
        answer="{letter}: {key}",
        check="Count the zeros of each output.",
        hint="Ask of each call for its mode, then for its p.",
        mistakes=(
            "Taking a new layer for one in eval mode.",
            "Taking detach() for a switch.",
        ),
    )
