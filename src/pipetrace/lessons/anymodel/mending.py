"""Challenges: which line of a program raises, and which replacement mends a wrong one."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.anymodel.choosing import numbered, raising_line
from pipetrace.lessons.drafts import Draft, Option, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="A611", group="challenge", level="medium", needs="nothing", place="flow")
def shapes_that_clash(recording: Recording, random: Random) -> Draft | None:
    """Which line of a forward meets a shape that it cannot take."""
    rows, inputs, hidden, classes = random.sample(range(2, 12), 4)
    wrong = random.choice(("second", "first", "loss"))
    first = inputs + 1 if wrong == "first" else inputs
    second = hidden + 1 if wrong == "second" else hidden
    targets = rows + 1 if wrong == "loss" else rows
    lines = [
        f"rows = torch.randn({rows}, {inputs})",
        f"first, second = nn.Linear({first}, {hidden}), nn.Linear({second}, {classes})",
        f"targets = torch.zeros({targets}, dtype=torch.long)",
        "hidden = F.relu(first(rows))",
        "scores = second(hidden)",
        "loss = F.cross_entropy(scores, targets)",
    ]
    key = {"first": 4, "second": 5, "loss": 6}[wrong]
    words = {
        2: "Layers of any sizes can be made; nothing is multiplied yet.",
        3: "Targets of any number can be made; they meet no scores yet.",
        4: "The first layer takes rows of as many numbers as there are.",
        5: "The second layer takes rows of as many numbers as the first gives.",
        6: "There is one target for each row of scores.",
    }
    if key == 4:
        words |= {5: "It is never reached.", 6: "It is never reached."}
    elif key == 5:
        words |= {6: "It is never reached."}
    reason = {
        4: f"The rows have {inputs} numbers, and the first layer wants {first}.",
        5: f"The first layer gives {hidden} numbers a row, and the second wants {second}.",
        6: f"There are {rows} rows of scores, and {targets} targets.",
    }[key]
    beliefs = {2: "layers-checked-early", 3: "layers-checked-early"}
    others = random.sample([line for line in words if line != key], 3)
    return Draft(
        text="Which is the first line that raises an exception?",
        code=numbered(lines),
        options=(
            raising_line(lines, key, reason),
            *(
                raising_line(lines, line, words[line], beliefs.get(line, "error-elsewhere"))
                for line in others
            ),
        ),
        steps=(
            "Making layers and tensors checks nothing: sizes are compared when they meet.",
            f"Follow the shape from line 4 on. {reason}",
            "So {key} raises.",
        ),
        answer="{letter}: {key}",
        check="Print the `shape` before each of the lines.",
        hint="A layer compares sizes only when it is called.",
        mistakes=(
            "Looking for the error where the wrong size is written: it is raised where it is met.",
            "Comparing the numbers of rows where the numbers per row count.",
        ),
    )


@question(id="A612", group="challenge", level="hard", needs="nothing", place="training")
def gradients_that_fail(recording: Recording, random: Random) -> Draft | None:
    """Which line autograd refuses."""
    size, factor = random.randint(2, 5), random.randint(2, 9)
    programs: list[tuple[list[str], int, str]] = [
        (
            [
                f"weight = torch.ones({size}, requires_grad=True)",
                f"hidden = (weight * {factor}).exp()",
                "hidden += 1",
                "loss = hidden.sum()",
                "loss.backward()",
            ],
            5,
            "`exp` needs its own output to compute its gradient, and line 3 has changed it; "
            "backward finds out.",
        ),
        (
            [
                f"weight = torch.ones({size}, requires_grad=True)",
                f"loss = (weight * weight * {factor}).sum()",
                "loss.backward()",
                "first = weight.grad.clone()",
                "loss.backward()",
            ],
            5,
            "The first backward pass has let go of what the second one would need.",
        ),
        (
            [
                f"weight = torch.ones({size}, requires_grad=True)",
                f"loss = (weight * {factor}).sum()",
                "loss.backward()",
                "weight -= 0.1 * weight.grad",
                "total = weight.sum()",
            ],
            4,
            "A tensor that autograd starts from may be changed in place only under `no_grad()`.",
        ),
        (
            [
                f"weight = torch.ones({size}, requires_grad=True)",
                f"hidden = weight * {factor}",
                "losses = hidden - 1",
                "losses.backward()",
                "weight.grad.zero_()",
            ],
            4,
            "backward() wants a single number, or to be told how to weigh several.",
        ),
        (
            [
                f"weight = torch.ones({size}, requires_grad=True)",
                f"loss = (weight * {factor}).sum()",
                "value = loss.item()",
                "values = weight.numpy()",
                "loss.backward()",
            ],
            4,
            "A tensor that asks for gradients becomes a NumPy array only after `detach()`.",
        ),
        (
            [
                f"weight = torch.ones({size}, requires_grad=True)",
                f"hidden = (weight * {factor}).detach()",
                "loss = hidden.sum()",
                "loss.backward()",
                "weight.grad.zero_()",
            ],
            4,
            "`detach()` has cut the way back: the loss has no gradient to send.",
        ),
    ]
    lines, key, reason = random.choice(programs)
    others = random.sample([line for line in (2, 3, 4, 5) if line != key], 3)

    def words(line: int) -> str:
        return "It is never reached." if line > key else "Executed, it raised nothing."

    return Draft(
        text="Which is the first line that raises an exception?",
        code=numbered(lines),
        options=(
            raising_line(lines, key, reason),
            *(raising_line(lines, line, words(line), "autograd-elsewhere") for line in others),
        ),
        steps=(
            "The forward records what backward will need; most faults show only there.",
            reason,
            "So {key} raises.",
        ),
        answer="{letter}: {key}",
        check="Run the lines one by one.",
        hint="What does each line need from those before, and is it still there?",
        mistakes=(
            "Looking for the fault where it is made: autograd often finds it at backward().",
            "Taking every in-place change for forbidden: what counts is who still needs the old "
            "numbers.",
        ),
    )


@question(id="A613", group="challenge", level="medium", needs="nothing", place="training")
def mend_the_loop(recording: Recording, random: Random) -> Draft | None:
    """Which line mends a loop whose gradients grow."""
    slope, steps = random.randint(1, 5), random.choice((2, 3, 4))
    made = (
        "weight = nn.Parameter(torch.tensor(0.0))\n"
        "optimizer = torch.optim.SGD([weight], lr=0.1)\n"
        f"for step in range({steps}):\n"
    )

    def loop(line: str) -> str:
        return (
            f"{made}    (weight * {slope}).backward()\n    optimizer.step()\n    {line}\n"
            "round(weight.item(), 4)"
        )

    wanted = round(-0.1 * slope * steps, 4)
    right = random.choice(("optimizer.zero_grad()", "weight.grad = None", "weight.grad.zero_()"))
    wrong = [
        ("weight.requires_grad_(True)", "requires-clears"),
        ("weight.grad.clone().zero_()", "copy-is-original"),
        ("optimizer.step()", "step-clears"),
        ("weight.grad.clamp_(-1000, 1000)", "clamp-clears"),
        ("optimizer.state.clear()", "state-is-grad"),
        ("weight.detach().zero_()", "weight-is-grad"),
    ]
    drawn = random.sample(wrong, 3)

    def option(line: str, belief: str = "") -> Option:
        return Option(
            text=f"`{line}`",
            code=loop(line),
            feedback="With it the weight ends at {outcome}; " + f"{wanted} is what {steps} equal "
            "steps give.",
            correct=not belief,
            misconception=belief,
            expected="" if belief else str(wanted),
        )

    return Draft(
        text="The slope of the loss is {slope} everywhere, so {steps} steps should take the weight "
        "to {wanted}. They take it to {seen}. Which line in the place of `...` mends the loop?",
        code=f"{made}    (weight * {slope}).backward()\n    optimizer.step()\n    ...",
        options=(option(right), *(option(line, belief) for line, belief in drawn)),
        given={"slope": str(slope), "steps": str(steps), "wanted": str(wanted)},
        experiments={"seen": loop("pass")},
        steps=(
            "Without the line, each backward pass adds to the gradient of the last.",
            "The gradient itself must be cleared between the passes.",
            "Executed with each of the four lines, only {key} gives {wanted}.",
        ),
        answer="{letter}: {key}",
        check="Print `weight.grad` at the start of each pass.",
        hint="Which line leaves no gradient behind?",
        mistakes=(
            "Clearing a copy of the gradient.",
            "Clearing the weight or the optimizer's memory in place of the gradient.",
        ),
    )


@question(id="A614", group="challenge", level="easy", needs="nothing", place="prediction")
def mend_the_shape(recording: Recording, random: Random) -> Draft | None:
    """Which replacement lets a linear layer follow a convolution."""
    channels, size, rows = random.choice((2, 4)), random.choice((3, 4, 5)), random.choice((6, 7, 8))
    features = channels * size * size
    made = (
        f"maps = torch.randn({rows}, {channels}, {size}, {size})  # of a convolution\n"
        f"layer = nn.Linear({features}, 3)\n"
    )
    right = random.choice(
        ("layer(maps.flatten(1))", f"layer(maps.view({rows}, -1))", "layer(nn.Flatten()(maps))")
    )
    wrong = [
        ("layer(maps.squeeze())", "squeeze-flattens", "`squeeze` takes sizes of 1 out."),
        ("layer(maps.mean((2, 3)))", "mean-flattens", "One number a channel is left."),
        ("layer(maps.flatten(2))", "flatten-late", "This keeps the channels apart."),
        ("layer(maps.permute(0, 2, 3, 1))", "permute-flattens", "This only orders dimensions."),
        (f"layer(maps.view({size}, -1))", "view-any", "The rows are cut anew."),
    ]
    return Draft(
        text="A linear layer shall take every map of a convolution, and give three scores to each "
        "of {rows} rows. Calling `layer(maps)` raises an error. Which call works?",
        code=made.rstrip(),
        options=(
            result(
                f"{made}{right}.shape",
                "Each row becomes one list of {features} numbers; the scores have shape {outcome}.",
                correct=True,
                expected=str((rows, 3)),
                text=f"`{right}`",
            ),
            *(
                Option(
                    text=f"`{call}`",
                    code=f"{made}{call}",
                    feedback=f"{words} Executed: {{outcome}}.",
                    misconception=belief,
                    raises="RuntimeError",
                )
                for call, belief, words in random.sample(wrong, 3)
            ),
        ),
        given={"rows": str(rows), "features": str(features)},
        steps=(
            "The layer wants {features} numbers along the last dimension.",
            "Each row has just as many, spread over three dimensions; they are joined, and the "
            "rows are kept.",
            "{key} does it.",
        ),
        answer="{letter}: {key}",
        check="Print the shape that goes into the layer.",
        hint="Which dimension must be kept, and which are joined?",
        mistakes=(
            "Joining from the wrong dimension on.",
            "Reordering dimensions where they should be joined.",
        ),
    )


@question(id="A615", group="challenge", level="hard", needs="nothing", place="training")
def mend_the_update(recording: Recording, random: Random) -> Draft | None:
    """Which line makes a step by hand that autograd can go on from."""
    start, rate, factor = random.randint(2, 6), random.choice((0.1, 0.2)), random.randint(1, 3)
    made = f"weight = torch.tensor({float(start)}, requires_grad=True)\n"

    def loop(line: str) -> str:
        body = "".join(f"    {part}\n" for part in line.split("\n"))
        return (
            f"{made}for step in range(2):\n"
            f"    loss = {factor} * weight ** 2\n"
            "    loss.backward()\n"
            f"{body}"
            "    weight.grad = None\n"
            "round(weight.item(), 4)"
        )

    wanted = round(start * (1 - 2 * rate * factor) ** 2, 4)
    right = random.choice(
        (
            f"with torch.no_grad(): weight -= {rate} * weight.grad",
            f"weight.data -= {rate} * weight.grad",
            f"weight.detach().sub_({rate} * weight.grad)",
        )
    )
    wrong = [
        (f"weight -= {rate} * weight.grad", "leaf-in-place", "RuntimeError",
         "Autograd refuses to change its own starting point in place"),
        (f"weight = weight - {rate} * weight.grad", "leaf-replaced", "TypeError",
         "The new `weight` is a result, and results keep no gradient"),
        (f"weight = weight.detach() - {rate} * weight.grad", "detach-keeps-asking",
         "RuntimeError", "The new `weight` asks for no gradient"),
        (f"with torch.no_grad(): weight = weight - {rate} * weight.grad", "detach-keeps-asking",
         "RuntimeError", "The new `weight` asks for no gradient"),
        (f"with torch.no_grad(): weight += {rate} * weight.grad", "step-uphill", "",
         "This goes up the slope"),
        (f"weight.grad -= {rate} * weight.grad", "grad-is-weight", "",
         "This shrinks the gradient and leaves the weight"),
    ]  # fmt: skip

    def option(line: str, feedback: str, belief: str = "", raises: str = "") -> Option:
        return Option(
            text=f"`{line}`",
            code=loop(line),
            feedback=f"{feedback}. Executed: {{outcome}}.",
            correct=not belief,
            misconception=belief,
            raises=raises,
            expected="" if belief else str(wanted),
        )

    drawn = random.sample(wrong, 3)
    return Draft(
        text="Two steps of gradient descent are made by hand, with learning rate {rate}. Which "
        "line in the place of `...` takes the weight from {start} to {wanted}?",
        code=loop("..."),
        options=(
            option(right, "The weight changes in place, and autograd does not record it"),
            *(option(line, words, belief, error) for line, belief, error, words in drawn),
        ),
        given={"rate": str(rate), "start": str(float(start)), "wanted": str(wanted)},
        steps=(
            "The step must change this very tensor: only it asks for gradients and keeps them.",
            "Autograd must not record the change.",
            "Executed with each of the four lines, only {key} gives {wanted}.",
        ),
        answer="{letter}: {key}",
        check="Print `weight.requires_grad` and `weight.is_leaf` at the end of each pass.",
        hint="Is `weight` still the tensor that keeps gradients, in the second pass?",
        mistakes=(
            "Replacing the weight by a result: the second pass finds no gradient in it.",
            "Changing it in place without `no_grad()`.",
        ),
    )
