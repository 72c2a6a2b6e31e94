"""Practice about gradients and steps of an optimizer, as PyTorch itself computes them."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.drafts import Draft, Option, number, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording

_PLACES = ("both of them", "the first only", "the second only", "neither of them")


@question(id="A501", group="practice", level="easy", needs="nothing", place="training")
def cleared_gradient(recording: Recording, random: Random) -> Draft | None:
    """What zero_grad() leaves in place of a gradient."""
    factor = random.randint(11, 29)
    made = (
        "weight = nn.Parameter(torch.tensor(1.0))\n"
        "optimizer = torch.optim.SGD([weight], lr=0.1)\n"
        f"(weight * {factor}).backward()\n"
    )
    zeros = random.choice((True, False))
    call, other = "optimizer.zero_grad()", "optimizer.zero_grad(set_to_none=False)"
    call, other = (other, call) if zeros else (call, other)
    wrong = [
        Wrong(
            f"{made}{other}\nweight.grad",
            "None" if zeros else 0.0,
            f"This is what `{other}` leaves.",
            "zeros-become-none" if zeros else "grad-is-zeroed",
        ),
        Wrong(
            f"{made}weight.grad",
            factor,
            "This is the gradient before the call.",
            "zero-grad-late",
        ),
        Wrong(
            f"{made}(weight * {factor}).backward()\nweight.grad",
            2 * factor,
            "This is what a second backward pass without the call would leave.",
            "zero-grad-late",
        ),
        Wrong(
            f"{made}optimizer.step()\nweight",
            1 - 0.1 * factor,
            "This is the weight after a step: the call makes no step.",
            "zero-grad-steps",
        ),
    ]
    options = three(random, 0.0 if zeros else "None", wrong)
    if options is None:
        return None
    reason = (
        "With `set_to_none=False` the call writes zeros into the gradient."
        if zeros
        else "The call lets go of the gradient: nothing is left, not even a zero."
    )
    return Draft(
        text="A gradient is how fast the loss changes with a weight; PyTorch keeps it in "
        "`weight.grad`. What is there after the last line?",
        code=f"{made}{call}",
        options=(
            result(
                f"{made}{call}\nweight.grad",
                reason,
                correct=True,
                expected="0.0" if zeros else "None",
            ),
            *options,
        ),
        given={"factor": str(factor)},
        steps=(
            "The backward pass puts {factor} into `weight.grad`.",
            reason,
            "So the place holds {key} until the next backward pass.",
        ),
        answer="{letter}: {key}",
        check="Print `weight.grad` before and after the call.",
        hint="Is a zero stored, or nothing?",
        mistakes=(
            "Reading `weight.grad` right after the plain call and computing with it: it is None.",
            "Taking `zero_grad()` for a step: the weight stays as it was.",
        ),
    )


@question(id="A502", group="practice", level="medium", needs="nothing", place="training")
def who_gets_gradients(recording: Recording, random: Random) -> Draft | None:
    """Which of two layers got a gradient."""
    start = "first, second = nn.Linear(4, 3), nn.Linear(3, 1)\nrows = torch.ones(5, 4)\n"
    ways = {
        "second(first(rows).detach()).mean().backward()": "the second only",
        "first.requires_grad_(False)\nsecond(first(rows)).mean().backward()": "the second only",
        "second.requires_grad_(False)\nsecond(first(rows)).mean().backward()": "the first only",
        "first.eval(), second.eval()\nsecond(first(rows)).mean().backward()": "both of them",
        "first(rows).mean().backward()": "the first only",
        "second(first(rows.detach())).mean().backward()": "both of them",
        "second(rows[:, :3]).mean().backward()": "the second only",
        "with torch.no_grad():\n    hidden = first(rows)\nsecond(hidden).mean().backward()": (
            "the second only"
        ),
    }
    way = random.choice(sorted(ways))
    seen = f"{start}{way}\n(first.weight.grad is not None, second.weight.grad is not None)"
    found = {"both of them": (True, True), "the first only": (True, False),
             "the second only": (False, True), "neither of them": (False, False)}  # fmt: skip
    beliefs = {
        "both of them": "gradients-everywhere",
        "the first only": "gradients-stop-behind",
        "the second only": "gradients-stop-before",
        "neither of them": "gradients-need-permission",
    }

    def option(place: str) -> Option:
        correct = place == ways[way]
        return Option(
            text=place.capitalize(),
            code=f"{seen} == {found[place]}",
            feedback="In the executed lines `.grad is not None` was {gradients} for the first and "
            "the second.",
            correct=correct,
            misconception="" if correct else beliefs[place],
            expected=str(correct),
        )

    return Draft(
        text="Two layers are called, and a loss is sent backward. Which layer's weight has a "
        "gradient after it?",
        code=f"{start}{way}",
        options=tuple(option(place) for place in _PLACES),
        experiments={"gradients": seen},
        steps=(
            "Go back from the loss, step by step, through whatever the forward recorded.",
            "A weight gets a gradient if the way reaches it and if its `requires_grad` is True. "
            "`detach()` and `no_grad()` end the way; `eval()` does not touch it.",
            "Executed, having one was {gradients} for the first and the second.",
        ),
        answer="{letter}: {key}",
        check="Print `layer.weight.grad` of both layers after the backward pass.",
        hint="Where does the way back from the loss end?",
        mistakes=(
            "Thinking that a frozen layer ends the way: gradients pass through it to what came "
            "before.",
            "Thinking that eval mode or detached rows take gradients from the weights.",
        ),
    )


@question(id="A503", group="practice", level="hard", needs="nothing", place="training")
def accumulation(recording: Recording, random: Random) -> Draft | None:
    """What gradients of several small batches add up to."""
    parts, size = random.choice((2, 4)), random.choice((2, 3))
    values = [float(random.randint(1, 9)) for _ in range(parts * size)]
    made = f"rows = torch.tensor({values})\nweight = torch.tensor(1.0, requires_grad=True)\n"
    loop = f"for part in rows.chunk({parts}):\n    (weight * part).mean().backward()\n"
    mean = sum(values) / len(values)
    chunks = [sum(values[i : i + size]) / size for i in range(0, len(values), size)]
    wrong = [
        Wrong(
            f"{made}(weight * rows).mean().backward()\nweight.grad.item()",
            mean,
            "This is the gradient of one mean over all rows; here means are added.",
            "accumulation-is-mean",
        ),
        Wrong(
            f"{made}(weight * rows).sum().backward()\nweight.grad.item()",
            sum(values),
            "This is the gradient of the sum over all rows; here each part takes a mean first.",
            "mean-is-sum",
        ),
        Wrong(
            f"{made}(weight * rows.chunk({parts})[-1]).mean().backward()\nweight.grad.item()",
            chunks[-1],
            "This is the gradient of the last part alone.",
            "grad-replaced",
        ),
        Wrong(
            f"{made}(weight * rows.chunk({parts})[0]).mean().backward()\nweight.grad.item()",
            chunks[0],
            "This is the gradient of the first part alone.",
            "grad-kept-first",
        ),
        Wrong(
            f"{made}{loop}(weight.grad / rows.numel()).item()",
            parts * mean / len(values),
            "Nothing divides by the number of rows a second time.",
            "accumulation-is-mean",
        ),
    ]
    options = three(random, parts * mean, wrong)
    if options is None:
        return None
    return Draft(
        text="A batch is too large for the memory and is cut into {parts} parts. What is "
        "`weight.grad` after the loop?",
        code=f"{made}{loop}".rstrip(),
        options=(
            result(
                f"{made}{loop}weight.grad.item()",
                "The means of {parts} parts are added: {parts} times the mean of the batch.",
                correct=True,
            ),
            *options,
        ),
        given={"parts": str(parts), "size": str(size), "mean": number(mean)},
        steps=(
            "The gradient of the mean of `weight * part` is the mean of the part.",
            "Each backward pass adds to `weight.grad`: the means of {parts} parts are summed.",
            "The mean of the whole batch is {mean}; the loop leaves {parts} times as much, {key}.",
            "To get the whole batch's gradient, divide each loss by {parts}.",
        ),
        answer="{letter}: {key}",
        check="With `(weight * part).mean() / {parts}` the loop leaves {mean}.",
        hint="A mean for each part, and then?",
        mistakes=(
            "Expecting the gradient of the whole batch: nobody divided by the number of parts.",
            "Expecting the last part alone: a backward pass adds and does not replace.",
        ),
    )


@question(id="A504", group="practice", level="hard", needs="nothing", place="training")
def momentum(recording: Recording, random: Random) -> Draft | None:
    """Where two steps with momentum take a weight."""
    rate, kept = random.choice((0.1, 0.2, 0.5)), random.choice((0.5, 0.8, 0.9))
    slope, start = float(random.randint(1, 4)), round(random.uniform(5, 15), 3)
    steps = (
        "for step in range(2):\n"
        "    optimizer.zero_grad()\n"
        f"    (weight * {slope}).backward()\n"
        "    optimizer.step()\n"
    )

    def made(*, lr: float = rate, momentum: float = kept, more: str = "") -> str:
        return (
            f"weight = nn.Parameter(torch.tensor({start}))\n"
            f"optimizer = torch.optim.SGD([weight], lr={lr}, momentum={momentum}{more})\n"
        )

    key = start - rate * slope * (2 + kept)
    wrong = [
        Wrong(
            f"{made(momentum=0)}{steps}weight.item()",
            start - 2 * rate * slope,
            "This is SGD without momentum.",
            "momentum-ignored",
        ),
        Wrong(
            f"{made(more=f', dampening={kept}')}{steps}weight.item()",
            start - rate * slope * (2 + kept - kept),
            "Here the new gradient is shrunk too; that takes the argument `dampening`.",
            "momentum-is-average",
        ),
        Wrong(
            f"{made(momentum=1)}{steps}weight.item()",
            start - 3 * rate * slope,
            "Here the old step is kept whole; momentum keeps a share of it.",
            "momentum-keeps-all",
        ),
        Wrong(
            f"{made(lr=rate * kept, momentum=0)}{steps}weight.item()",
            start - 2 * rate * kept * slope,
            "Momentum does not scale the learning rate of a new gradient.",
            "momentum-scales-rate",
        ),
        Wrong(
            f"{made()}{steps.replace('range(2)', 'range(1)')}weight.item()",
            start - rate * slope,
            "This is the weight after the first step.",
            "momentum-one-step",
        ),
    ]
    options = three(random, key, wrong)
    if options is None:
        return None
    return Draft(
        text="With momentum, SGD keeps a running sum of the gradients and steps along it. Where "
        "is the weight after these lines?",
        code=f"{made()}{steps}".rstrip(),
        options=(
            result(
                f"{made()}{steps}weight.item()",
                "The second step is longer, by {kept} of the first.",
                correct=True,
            ),
            *options,
        ),
        given={
            "rate": number(rate),
            "start": number(start),
            "kept": number(kept),
            "slope": number(slope),
            "sum": number(slope * (1 + kept)),
            "once": number(start - rate * slope),
        },
        steps=(
            "The gradient is {slope} each time. First step: {start} - {rate} times {slope} = "
            "{once}.",
            "The running sum is then {kept} times {slope} plus {slope}, that is {sum}.",
            "Second step: {once} - {rate} times {sum} = {key}.",
        ),
        answer="{letter}: {key}",
        check="`optimizer.state[weight]['momentum_buffer']` is {sum} after the two steps.",
        hint="How much of the first gradient is left in the second step?",
        mistakes=(
            "Leaving momentum out of the second step.",
            "Taking a weighted mean of old and new: PyTorch's SGD adds the new gradient whole.",
        ),
    )
