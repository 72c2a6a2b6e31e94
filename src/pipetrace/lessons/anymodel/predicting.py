"""Challenges: what a few lines of PyTorch return, where the obvious answer is a trap."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.drafts import Draft, number, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="A601", group="challenge", level="easy", needs="nothing", place="flow")
def broadcast_shape(recording: Recording, random: Random) -> Draft | None:
    """Which shape the sum of two tensors of different shapes has."""
    a, b, c = random.sample(range(2, 10), 3)
    left, right, key = random.choice(
        (
            ((a, 1), (b,), (a, b)),
            ((a, 1, c), (b, 1), (a, b, c)),
            ((a, b), (c, 1, 1), (c, a, b)),
            ((a, b, c), (c,), (a, b, c)),
            ((a, b, c), (b, 1), (a, b, c)),
        )
    )
    made = f"a = torch.zeros{_shape(left)}\nb = torch.zeros{_shape(right)}\n"
    wrong = [
        Wrong(f"{made}a.shape", left, "This is the shape of `a` alone.", "left-shape-wins"),
        Wrong(f"{made}b.shape", right, "This is the shape of `b` alone.", "right-shape-wins"),
        Wrong(f"{made}(a + b).flatten(0, 1).shape", (key[0] * key[1], *key[2:]),
              "No dimensions are joined.", "broadcast-joins"),
        Wrong(f"{made}(a + b)[None].shape", (1, *key), "No dimension is added.",
              "broadcast-adds"),
        Wrong(f"{made}(a + b).transpose(0, 1).shape", (key[1], key[0], *key[2:]),
              "Dimensions are matched from the right and keep their order.", "broadcast-turns"),
        Wrong(f"{made}(a + b)[0].shape", key[1:], "No dimension is lost.", "broadcast-drops"),
    ]  # fmt: skip
    options = three(random, key, wrong)
    if options is None:
        return None
    return Draft(
        text="What does the last line return?",
        code=f"{made}(a + b).shape",
        options=(
            result(
                f"{made}(a + b).shape",
                "Sizes are matched from the right; where one is 1 or missing, the other counts.",
                correct=True,
                expected=str(key),
            ),
            *options,
        ),
        given={"left": str(left), "right": str(right)},
        steps=(
            "Write {left} and {right} one below the other, flush right.",
            "Where a size is 1 or missing, that tensor is repeated along the dimension.",
            "The result has shape {key}.",
        ),
        answer="{letter}: {key}",
        check="`torch.broadcast_shapes` takes the two shapes and returns the same.",
        hint="Compare the last sizes first.",
        mistakes=(
            "Matching from the left.",
            "Expecting an error: sizes of 1 are stretched without a word.",
        ),
    )


@question(id="A602", group="challenge", level="easy", needs="nothing", place="flow")
def shared_storage(recording: Recording, random: Random) -> Draft | None:
    """What writing into a part of a tensor does to the whole."""
    values = random.sample(range(1, 10), 4)
    new = random.randint(20, 99)
    ways = {
        "x[:2]": True, "x[1:]": True, "x.view(2, 2)[0]": True, "x.detach()": True,
        "x[:2].clone()": False, "x[[0, 1]]": False, "x[x > 0]": False, "x + 0": False,
    }  # fmt: skip
    way = random.choice(sorted(ways))
    at = 1 if way == "x[1:]" else 0
    made = f"x = torch.tensor({values})\n"
    lines = f"y = {way}\ny[0] = {new}\n"
    other = "x.clone()[:2]" if ways[way] else "x[1:]" if way == "x[1:]" else "x[:2]"

    def held(place: int) -> list[int]:
        return [new if index == place else value for index, value in enumerate(values)]

    key = held(at) if ways[way] else values
    wrong = [
        Wrong(
            f"{made}y = {other}\ny[0] = {new}\nx.tolist()",
            values if ways[way] else held(0),
            f"This is what `y = {other}` leads to.",
            "slice-copies" if ways[way] else "always-shared",
        ),
        Wrong(f"{made}x[-1] = {new}\nx.tolist()", held(3), "The last number was not touched.",
              "slice-shifts"),
        Wrong(f"{made}x[:] = {new}\nx.tolist()", [new] * 4, "One number was written.",
              "write-fills"),
        Wrong(f"{made}{lines}y.flatten()[:2].tolist()", [new, "?"], "This is `y`, not `x`.",
              "slice-replaces"),
    ]  # fmt: skip
    options = three(random, key, wrong)
    if options is None:
        return None
    reason = (
        f"`{way}` is a view: it shares its memory with `x`."
        if ways[way]
        else f"`{way}` makes a new tensor with memory of its own."
    )
    return Draft(
        text="What does the last line return?",
        code=f"{made}{lines}x.tolist()",
        options=(
            result(f"{made}{lines}x.tolist()", reason, correct=True, expected=str(key)),
            *options,
        ),
        experiments={"shared": f"{made}y = {way}\ny.data_ptr() in [each.data_ptr() for each in x]"},
        steps=(
            "Ask whether `y` has memory of its own.",
            reason,
            "Executed, whether `y` begins in the memory of `x`: {shared}. So x is {key}.",
        ),
        answer="{letter}: {key}",
        check="Compare `y.data_ptr()` with the addresses of the numbers in `x`.",
        hint="A view, or a copy?",
        mistakes=(
            "Taking every part for a copy: slices, `view` and `detach` share memory.",
            "Taking every part for a view: picking by a list or by a condition copies.",
        ),
    )


@question(id="A603", group="challenge", level="medium", needs="nothing", place="training")
def loop_without_clearing(recording: Recording, random: Random) -> Draft | None:
    """Where a loop ends that never clears its gradients."""
    rate, slope, steps = 0.1, random.randint(1, 5), random.choice((3, 4))
    made = "weight = nn.Parameter(torch.tensor(0.0))\n"
    made += f"optimizer = torch.optim.SGD([weight], lr={rate})\n"

    def loop(before: str = "", after: str = "", count: int = steps) -> str:
        body = (before, f"(weight * {slope}).backward()", "optimizer.step()", after)
        lines = "".join(f"    {line}\n" for line in body if line)
        return f"for step in range({count}):\n{lines}"

    total = steps * (steps + 1) // 2
    wrong = [
        Wrong(f"{made}{loop('optimizer.zero_grad()')}weight.item()", -rate * slope * steps,
              "This is what the loop leads to with `zero_grad()` in it.", "step-clears"),
        Wrong(f"{made}{loop(count=1)}weight.item()", -rate * slope,
              "This is after the first step.", "one-step"),
        Wrong(f"{made}{loop(count=steps - 1)}weight.item()", -rate * slope * (total - steps),
              "This is one step short.", "one-step-short"),
        Wrong(f"{made}{loop()}-weight.item()", rate * slope * total,
              "A step goes against the gradient.", "step-uphill"),
        Wrong(f"{made}{loop()}weight.item() * {rate}", -rate * rate * slope * total,
              "The learning rate is applied once in each step.", "rate-twice"),
    ]  # fmt: skip
    options = three(random, -rate * slope * total, wrong)
    if options is None:
        return None
    return Draft(
        text="Where is the weight after this loop?",
        code=f"{made}{loop()}weight.item()",
        options=(
            result(
                f"{made}{loop()}weight.item()",
                "Each backward pass adds to the gradient, so that each step is longer than the "
                "last.",
                correct=True,
            ),
            *options,
        ),
        given={
            "slope": str(slope),
            "rate": str(rate),
            "total": str(total),
            "grads": ", ".join(str(slope * (index + 1)) for index in range(steps)),
        },
        steps=(
            "Nothing clears the gradient, so each pass adds {slope} to it.",
            "The steps use the gradients {grads}.",
            "Their sum is {total} times {slope}; times -{rate} it gives {key}.",
        ),
        answer="{letter}: {key}",
        check="Print `weight.grad` in the loop.",
        hint="What is in `weight.grad` at the second step?",
        mistakes=(
            "Believing that `step()` clears gradients: it only reads them.",
            "Counting one step less or one more.",
        ),
    )


@question(id="A604", group="challenge", level="medium", needs="nothing", place="training")
def train_thaws(recording: Recording, random: Random) -> Draft | None:
    """Which modes the parts of a model have after several calls."""
    calls = random.choice(
        (
            ("model[1].eval()", "model.train()"),
            ("model.eval()", "model[1].train()"),
            ("model.train()", "model[1].eval()"),
            ("model[0].eval()", "model.train(False)"),
            ("model.eval()", "model.requires_grad_(True)"),
            ("model[0].eval()", "model[1].eval()"),
            ("model.eval()", "model[0].train()"),
        )
    )
    made = "model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))\n"
    modes = "[part.training for part in (model, *model)]"
    found = _modes(calls)
    texts: list[list[bool]] = [
        [a, b, c] for a in (True, False) for b in (True, False) for c in (True, False)
    ]
    others = [each for each in texts if each != found]
    near = [each for each in others if sum(x != y for x, y in zip(each, found, strict=True)) == 1]
    shown = random.sample(near, 2) + random.sample([e for e in others if e not in near], 1)

    def lines(modes: list[bool]) -> str:
        model, first, second = modes
        return (
            f"model.train({model})\nmodel[0].train({first})\nmodel[1].train({second})\n"
            "[part.training for part in (model, *model)]"
        )

    return Draft(
        text="`part.training` is True in train mode and False in eval mode. What does the last "
        "line return?",
        code=f"{made}{calls[0]}\n{calls[1]}\n{modes}",
        options=(
            result(
                f"{made}{calls[0]}\n{calls[1]}\n{modes}",
                "A call on the model reaches all of its parts; a call on a part reaches that part.",
                correct=True,
                expected=str(found),
            ),
            *(
                result(
                    f"{made}{lines(each)}",
                    "These modes take a call on each part.",
                    misconception=random.choice(("mode-sticks", "mode-climbs")),
                )
                for each in shown
            ),
        ),
        given={"first": calls[0], "second": calls[1]},
        steps=(
            "A new model is in train mode, with all of its parts.",
            "`{first}` comes first, then `{second}`. A call on the model goes down to each part; "
            "a call on a part never goes up.",
            "So the modes of the model and its two parts are {key}.",
        ),
        answer="{letter}: {key}",
        check="Print the list after each of the calls.",
        hint="Down to the parts, or up to the model?",
        mistakes=(
            "Freezing a batch normalisation with `eval()` before the loop: the next "
            "`model.train()` thaws it.",
            "Thinking that `requires_grad_` sets a mode.",
        ),
    )


@question(id="A605", group="challenge", level="hard", needs="nothing", place="training")
def silent_broadcast(recording: Recording, random: Random) -> Draft | None:
    """Which loss comes of a column of predictions against a row of targets."""
    values = sorted(random.sample(range(10), 3))
    made = (
        f"predictions = torch.tensor({[[float(each)] for each in values]})\n"
        f"targets = torch.tensor({[float(each) for each in values]})\n"
    )
    pairs = [(p - t) ** 2 for p in values for t in values]
    key = sum(pairs) / 9
    wrong = [
        Wrong(f"{made}F.mse_loss(predictions[:, 0], targets).item()", 0.0,
              "Each prediction would have to meet its own target; shapes {shape} do not pair them.",
              "rows-are-paired"),
        Wrong(f"{made}F.mse_loss(predictions, targets, reduction='sum').item()", sum(pairs),
              "This is the sum over all pairs.", "mean-is-sum"),
        Wrong(f"{made}F.mse_loss(predictions, targets, reduction='none').max().item()", max(pairs),
              "This is the worst pair.", "loss-is-worst"),
        Wrong(f"{made}F.mse_loss(predictions[:, 0], targets.flip(0)).item()",
              sum((p - t) ** 2 for p, t in zip(values, reversed(values), strict=True)) / 3,
              "This pairs the first with the last.", "rows-are-reversed"),
        Wrong(f"{made}F.l1_loss(predictions, targets).item()",
              sum(abs(p - t) for p in values for t in values) / 9,
              "This is the mean without squaring.", "square-forgotten"),
    ]  # fmt: skip
    options = three(random, key, wrong)
    if options is None:
        return None
    return Draft(
        text="Every prediction equals the target of its row. What does the last line return?",
        code=f"{made}F.mse_loss(predictions, targets).item()",
        options=(
            result(
                f"{made}F.mse_loss(predictions, targets).item()",
                "A column of three against a row of three makes a table of nine pairs.",
                correct=True,
            ),
            *options,
        ),
        given={"pairs": str(pairs)},
        experiments={"shape": f"{made}(predictions - targets).shape"},
        steps=(
            "The predictions have shape (3, 1), the targets (3,). Their difference has {shape}: "
            "each prediction meets each target.",
            "The nine squares are {pairs}.",
            "Their mean is {key}, although every prediction is right.",
        ),
        answer="{letter}: {key}",
        check="`predictions.squeeze(1)` or `targets[:, None]` gives a loss of 0.",
        hint="Print the shape of the difference.",
        mistakes=(
            "Overlooking the warning: nothing is raised, and training goes towards the mean.",
            "Expecting that rows are paired by their place whatever the shapes.",
        ),
    )


@question(id="A606", group="challenge", level="hard", needs="nothing", place="training")
def scheduled_steps(recording: Recording, random: Random) -> Draft | None:
    """Where a weight ends whose learning rate shrinks on the way."""
    rate, every, slope = random.choice((0.4, 0.8)), random.choice((1, 2)), random.randint(1, 4)
    shrink, steps = random.choice((0.5, 0.25)), 3

    def program(*, lr: float = rate, gamma: float = shrink, size: int = every, first: str = "",
                count: int = steps) -> str:  # fmt: skip
        return (
            "weight = nn.Parameter(torch.tensor(0.0))\n"
            f"optimizer = torch.optim.SGD([weight], lr={lr})\n"
            f"schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size={size}, "
            f"gamma={gamma})\n"
            f"for epoch in range({count}):\n"
            "    optimizer.zero_grad()\n"
            f"    (weight * {slope}).backward()\n"
            f"{first}"
            "    optimizer.step()\n"
            "    schedule.step()\n"
        )

    def end(lr: float, gamma: float, size: int, count: int, ahead: int = 0) -> float:
        return -slope * sum(lr * gamma ** ((step + ahead) // size) for step in range(count))

    key = end(rate, shrink, every, steps)
    wrong = [
        Wrong(f"{program(gamma=1.0)}weight.item()", end(rate, 1, every, steps),
              "This is without a schedule.", "schedule-ignored"),
        Wrong(f"{program(lr=rate * shrink)}weight.item()", end(rate * shrink, shrink, every, steps),
              "Here the rate had shrunk before the first step.", "schedule-first"),
        Wrong(f"{program(size=3 - every)}weight.item()", end(rate, shrink, 3 - every, steps),
              f"This is with `step_size={3 - every}`.", "schedule-pace"),
        Wrong(f"{program(count=2)}weight.item()", end(rate, shrink, every, 2),
              "This is after two epochs.", "one-step-short"),
        Wrong(f"{program(count=1)}weight.item()", end(rate, shrink, every, 1),
              "This is after the first epoch.", "one-step"),
    ]  # fmt: skip
    options = three(random, key, wrong)
    if options is None:
        return None
    rates = [rate * shrink ** (step // every) for step in range(steps)]
    return Draft(
        text="A schedule multiplies the learning rate by `gamma` after every `step_size` epochs. "
        "Where is the weight after this loop?",
        code=program().rstrip(),
        options=(
            result(
                f"{program()}weight.item()",
                "Each step uses the learning rate of its epoch, against the gradient.",
                correct=True,
            ),
            *options,
        ),
        given={
            "rates": ", ".join(number(each) for each in rates),
            "sum": number(sum(rates)),
            "slope": str(slope),
        },
        steps=(
            "The gradient is {slope} in each epoch.",
            "The learning rates are {rates}: the schedule acts after the step.",
            "Their sum {sum} times -{slope} is {key}.",
        ),
        answer="{letter}: {key}",
        check="Print `optimizer.param_groups[0]['lr']` in the loop.",
        hint="Which learning rate has the first step?",
        mistakes=(
            "Shrinking the rate before the first step.",
            "Adding where a step subtracts.",
        ),
    )


def _modes(calls: tuple[str, str]) -> list[bool]:
    """Return the modes of a model and its two parts after calls on them."""
    modes = [True, True, True]
    for call in calls:
        whom, _, what = call.partition(".")
        if what.startswith("requires_grad_"):
            continue
        wanted = what == "train()"
        places = {"model": (0, 1, 2), "model[0]": (1,), "model[1]": (2,)}[whom]
        for place in places:
            modes[place] = wanted
    return modes


def _shape(shape: tuple[int, ...]) -> str:
    """Write a shape as the argument of a call."""
    return f"({', '.join(map(str, shape))})"
