"""Quiz questions about the optimizer's steps and gradients, as this run had them."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.anymodel.reading import batches, rate, setting
from pipetrace.lessons.drafts import Draft, literal, number, result
from pipetrace.lessons.registry import question
from pipetrace.records import Epoch, Layers, Training
from pipetrace.tracefile import Recording


@question(id="A431", group="quiz", level="easy", needs="run", place="training")
def steps_of_epoch(recording: Recording, random: Random) -> Draft | None:
    """How many steps one pass over the rows takes."""
    found = batches(recording)
    if found is None:
        return None
    rows, size, steps = found
    options = three(
        random,
        steps,
        [
            Wrong(f"{rows} // {size}", rows // size, "The rest of the rows makes one more batch.",
                  "last-batch-dropped"),
            Wrong(f"{rows}", rows, "A step takes a whole batch.", "step-per-row"),
            Wrong(f"{size}", size, "This is the size of a batch.", "steps-are-batch-size"),
            Wrong(f"{rows} - {size}", rows - size, "Rows are shared out among batches.",
                  "rows-minus-batch"),
            Wrong(f"{rows} * {size}", rows * size, "Rows are shared out among batches.",
                  "sum-for-product"),
            Wrong(f"-(-{rows} // {size}) + 1", steps + 1, "No further batch is left.",
                  "one-step-more"),
            Wrong("1", 1, "There is a step for each batch, not for each epoch.",
                  "step-per-epoch"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    loader = f"len(torch.utils.data.DataLoader(range({rows}), batch_size={size}))"
    return Draft(
        text="There were {rows} training rows, in batches of {size}, and the optimizer made a "
        "step for each batch. How many steps was one epoch?",
        options=(
            result(
                loader,
                "Rows divided by batch size, rounded up.",
                correct=True,
                expected=str(steps),
            ),
            *options,
        ),
        given={"rows": str(rows), "size": str(size), "last": str(rows - (steps - 1) * size)},
        steps=(
            "Divide {rows} by {size}, and round up: the last batch has {last} rows.",
            "That is {key}.",
        ),
        answer="{letter}: {key}",
        check="`len(loader)` tells.",
        hint="How many batches hold all the rows?",
    )


@question(id="A432", group="quiz", level="easy", needs="run", place="training")
def steps_of_run(recording: Recording, random: Random) -> Draft | None:
    """How many steps a whole training made."""
    found = recording.all(Epoch)
    counts = {epoch.steps for epoch in found}
    once = len({epoch.training for epoch in found}) == 1
    if len(found) < 2 or len(counts) != 1 or not once or not all(e.complete for e in found):
        return None
    (steps,), count = counts, len(found)
    rows = found[0].score.rows
    if steps < 2:
        return None
    options = three(
        random,
        steps * count,
        [
            Wrong(f"{steps} + {count}", steps + count, "Each epoch makes all of its steps.",
                  "sum-for-product"),
            Wrong(f"{steps}", steps, "This is one epoch.", "steps-of-one-epoch"),
            Wrong(f"{count}", count, "An epoch makes a step for each batch.", "step-per-epoch"),
            Wrong(f"{rows} * {count}", rows * count, "A step takes a whole batch.",
                  "step-per-row"),
            Wrong(f"{steps} * ({count} - 1)", steps * (count - 1), "The first epoch counts, too.",
                  "one-step-short"),
            Wrong(f"{steps} ** {count}" if count < 5 else f"{steps} * {count + 1}",
                  steps**count if count < 5 else steps * (count + 1),
                  "Steps of the epochs are added up.", "sum-for-product"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="The run trained for {count} epochs, with {steps} steps of the optimizer in each. How "
        "many steps is that in all?",
        options=(
            result(
                f"made = 0\nfor epoch in range({count}):\n    made += {steps}\nmade",
                "Steps of an epoch times epochs.",
                correct=True,
                expected=str(sum(epoch.steps for epoch in found)),
            ),
            *options,
        ),
        given={"count": str(count), "steps": str(steps)},
        steps=("Each of {count} epochs makes {steps} steps.", "The product is {key}."),
        answer="{letter}: {key}",
        check="The training trace counts the steps of each epoch.",
        hint="How many steps has one epoch?",
    )


@question(id="A433", group="quiz", level="medium", needs="run", place="training")
def step_by_hand(recording: Recording, random: Random) -> Draft | None:
    """Where one plain step takes a weight, with this run's learning rate."""
    lr = rate(recording)
    if lr is None or not 0.001 <= lr <= 1:
        return None
    weight = round(random.uniform(0.5, 2), 2)
    slope = random.choice((-1, 1)) * random.randint(2, 9) * (10 if lr < 0.01 else 1)
    made = (
        f"weight = nn.Parameter(torch.tensor({weight}))\n"
        f"optimizer = torch.optim.SGD([weight], lr={literal(lr)})\n"
        f"weight.grad = torch.tensor({float(slope)})\n"
        "optimizer.step()\n"
    )
    value = literal(lr)
    options = three(
        random,
        weight - lr * slope,
        [
            Wrong(f"{weight} + {value} * {slope}", weight + lr * slope,
                  "A step goes against the gradient.", "step-uphill"),
            Wrong(f"{weight} - {slope}", weight - slope,
                  "The gradient is multiplied by the learning rate.", "rate-ignored"),
            Wrong(f"{weight} * (1 - {value})", weight * (1 - lr),
                  "This shrinks the weight, as weight decay does.", "step-shrinks"),
            Wrong(f"-{value} * {slope}", -lr * slope, "This is the step, not where it leads.",
                  "step-is-weight"),
            Wrong(f"{weight} * (1 - {value} * {slope})", weight * (1 - lr * slope),
                  "The step is the same for every weight.", "step-times-weight"),
            Wrong(f"{weight} - {value}", weight - lr, "The size of the gradient counts.",
                  "step-is-rate"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="This run used a learning rate of {lr}. With it, plain SGD, without momentum, "
        "meets a weight of {weight} whose gradient is {slope}. Where does one step take the "
        "weight?",
        options=(
            result(
                f"{made}weight.item()", "Weight minus learning rate times gradient.", correct=True
            ),
            *options,
        ),
        given={
            "lr": f"{lr:g}",
            "weight": number(weight),
            "slope": number(slope),
            "product": number(lr * slope),
        },
        steps=("Learning rate times gradient is {product}.", "{weight} minus that is {key}."),
        answer="{letter}: {key}",
        check="A positive gradient must make the weight smaller.",
        hint="With the gradient, or against it?",
    )


@question(id="A434", group="quiz", level="hard", needs="run", place="training")
def first_step_of_adam(recording: Recording, random: Random) -> Draft | None:
    """How far Adam's first step goes."""
    training, lr = recording.first(Training), rate(recording)
    if training is None or training.optimizer not in ("Adam", "AdamW") or lr is None:
        return None
    if not 0.0005 <= lr <= 1:
        return None
    slope, value = random.randint(2, 60), literal(lr)
    name = training.optimizer
    made = (
        "weight = nn.Parameter(torch.tensor(0.0))\n"
        f"optimizer = torch.optim.{name}([weight], lr={value})\n"
        f"weight.grad = torch.tensor({float(slope)})\n"
        "optimizer.step()\n"
    )
    options = three(
        random,
        lr,
        [
            Wrong(f"{value} * {slope}", lr * slope, "This is plain SGD's step.", "adam-is-sgd"),
            Wrong(f"{value} * 0.1 * {slope}", lr * 0.1 * slope,
                  "The running mean starts at 0, and Adam corrects for it.", "adam-uncorrected"),
            Wrong(f"{value} * {slope} ** 0.5", lr * slope**0.5,
                  "The gradient is divided by its own size.", "adam-root"),
            Wrong(f"{value} * 0.1", lr * 0.1,
                  "The running mean starts at 0, and Adam corrects for it.", "adam-uncorrected"),
            Wrong(f"{value} * 10", lr * 10, "Both running means are corrected.",
                  "adam-uncorrected"),
            Wrong(f"{value} / {slope}", lr / slope, "Gradient and size cancel.",
                  "adam-divides"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="The run trained with {name} and used a learning rate of {lr}. With it, a weight of 0 "
        "has the gradient {slope} at the very first step. By how much does it change?",
        options=(
            result(
                f"{made}abs(weight.item())",
                "The first step divides the gradient by its own size.",
                correct=True,
                expected=number(lr),
            ),
            *options,
        ),
        given={"name": name, "lr": f"{lr:g}", "slope": str(slope)},
        steps=(
            "Adam divides a running mean of gradients by the root of a running mean of their "
            "squares.",
            "At the first step, corrected for their start at 0, these are {slope} and the root of "
            "{slope} squared: the quotient is 1.",
            "So the weight moves by the learning rate: {key}.",
        ),
        answer="{letter}: {key}",
        check="Try another gradient: the first step stays as long.",
        hint="What is left of a number that is divided by its own size?",
    )


@question(id="A435", group="quiz", level="medium", needs="run", place="training")
def norm_of_gradients(recording: Recording, random: Random) -> Draft | None:
    """How the norm of all gradients follows from those of the layers."""
    whole = {(e.training, e.index): e.gradient_norm for e in recording.all(Epoch)}
    found = []
    for each in recording.all(Layers):
        known = [layer.gradient for layer in each.layers]
        finite = [norm for norm in known if norm is not None and math.isfinite(norm)]
        total = whole.get((each.training, each.epoch))
        if 2 <= len(finite) == len(known) <= 6 and total is not None and 0.01 < total < 1e4:
            rounded = [round(norm, 4) for norm in finite]
            if math.isclose(math.hypot(*rounded), total, rel_tol=5e-4):
                found.append((each.epoch, rounded, total))
    if not found:
        return None
    epoch, norms, total = random.choice(found)
    made = f"norms = torch.tensor({literal(norms)})\n"
    mean = sum(norms) / len(norms)
    options = three(
        random,
        total,
        [
            Wrong(f"{made}norms.sum().item()", sum(norms), "Squares are added, not norms.",
                  "norms-add"),
            Wrong(f"{made}norms.max().item()", max(norms), "The others count, too.",
                  "norm-is-largest"),
            Wrong(f"{made}norms.mean().item()", mean, "Nothing is averaged.", "norm-is-mean"),
            Wrong(f"{made}norms.square().sum().item()", sum(norm**2 for norm in norms),
                  "The root is still to be taken.", "root-forgotten"),
            Wrong(f"{made}norms.sum().sqrt().item()", math.sqrt(sum(norms)),
                  "Norms are squared before they are added.", "square-forgotten"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="At a step of epoch {epoch} the gradients of the model's layers had the L2 norms "
        "{norms}: each the root of the sum of its squared numbers. Which norm had all of them "
        "together?",
        options=(
            result(
                f"{made}norms.norm().item()",
                "The root of the sum of the squared norms.",
                correct=True,
                expected=number(total),
            ),
            *options,
        ),
        given={
            "epoch": str(epoch),
            "norms": str(norms),
            "squares": number(sum(norm**2 for norm in norms)),
        },
        steps=("The squares of the norms add up to {squares}.", "The root of it is {key}."),
        answer="{letter}: {key}",
        check="It is at least as large as the largest, and at most their sum.",
        hint="What adds up: the norms, or their squares?",
    )


@question(id="A436", group="quiz", level="medium", needs="run", place="training")
def size_of_step(recording: Recording, random: Random) -> Draft | None:
    """How long a step was, told by its share of a layer's weights."""
    found = [
        (each.epoch, layer.path or layer.type, layer.weight, layer.update)
        for each in recording.all(Layers)
        for layer in each.layers
        if each.exact
        and layer.weight is not None
        and layer.update is not None
        and 0.05 < layer.weight < 1e4
        and 0.002 < layer.update < 1
    ]
    if not found:
        return None
    epoch, path, norm, update = random.choice(found)
    weight, part = round(norm, 4), round(update, 4)
    options = three(
        random,
        weight * part,
        [
            Wrong(f"{part} / {weight}", part / weight, "The share is taken of the norm.",
                  "share-divided"),
            Wrong(f"{weight} / {part}", weight / part, "The share is taken of the norm.",
                  "share-divided"),
            Wrong(f"{weight} * (1 - {part})", weight * (1 - part),
                  "This takes the step off the norm; a step need not point to 0.",
                  "step-shrinks"),
            Wrong(f"{weight} + {part}", weight + part, "A share is multiplied.",
                  "sum-for-product"),
            Wrong(f"({weight} * {part}) ** 2", (weight * part) ** 2, "Nothing is squared.",
                  "root-forgotten"),
            Wrong(f"{weight} * {part} / 100", weight * part / 100,
                  "The share is given as a number, not in percent.", "share-in-percent"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="At a step of epoch {epoch}, the parameters of `{path}` had the L2 norm {weight}, and "
        "the step changed them by a share of {part} of it. Which norm had the step itself?",
        options=(
            result(
                f"{weight} * {part}", "The share times the norm of the parameters.", correct=True
            ),
            *options,
        ),
        given={"epoch": str(epoch), "path": path, "weight": number(weight), "part": number(part)},
        steps=(
            "The share is the norm of the change divided by the norm of the parameters.",
            "So the norm of the change is {weight} times {part}, that is {key}.",
        ),
        answer="{letter}: {key}",
        check="Divide {key} by {weight}: it gives {part} again.",
        hint="A share of what?",
    )


@question(id="A437", group="quiz", level="hard", needs="run", place="training")
def momentum_of_run(recording: Recording, random: Random) -> Draft | None:
    """How far a second step goes with this run's momentum."""
    training, lr, kept = recording.first(Training), rate(recording), setting(recording, "momentum")
    if training is None or training.optimizer != "SGD" or lr is None or kept is None:
        return None
    told = {each.name: each.value for each in training.settings}
    plain = told.get("nesterov", "False") == "False" and not setting(recording, "dampening")
    if not (plain and 0.001 <= lr <= 1 and 0.2 <= kept <= 0.95):
        return None
    slope, value = random.randint(1, 9), literal(lr)
    made = (
        "weight = nn.Parameter(torch.tensor(0.0))\n"
        f"optimizer = torch.optim.SGD([weight], lr={value}, momentum={literal(kept)})\n"
        "for step in range(2):\n"
        "    before = weight.item()\n"
        f"    weight.grad = torch.tensor({float(slope)})\n"
        "    optimizer.step()\n"
    )
    options = three(
        random,
        lr * slope * (1 + kept),
        [
            Wrong(f"{value} * {slope}", lr * slope, "This is the first step.",
                  "momentum-ignored"),
            Wrong(f"2 * {value} * {slope}", 2 * lr * slope, "A share of the old step is kept.",
                  "momentum-keeps-all"),
            Wrong(f"{value} * {slope} * {literal(kept)}", lr * slope * kept,
                  "The new gradient is added to what was kept.", "momentum-scales-rate"),
            Wrong(f"{value} * {slope} * (1 - {literal(kept)})", lr * slope * (1 - kept),
                  "PyTorch's SGD adds the new gradient whole.", "momentum-is-average"),
            Wrong(f"{value} * {slope} * (2 + {literal(kept)})", lr * slope * (2 + kept),
                  "These are both steps together.", "momentum-both-steps"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="The run trained with SGD, momentum {kept}, and used a learning rate of {lr}. If a "
        "weight had the gradient {slope} at the first step and again at the second, how long would "
        "the second step be?",
        options=(
            result(
                f"{made}before - weight.item()",
                "A share of the first gradient is kept, and the second is added.",
                correct=True,
            ),
            *options,
        ),
        given={
            "lr": f"{lr:g}",
            "kept": f"{kept:g}",
            "slope": str(slope),
            "sum": number(slope * (1 + kept)),
        },
        steps=(
            "Kept of the first gradient: {kept} times {slope}. With the second: {sum}.",
            "Times the learning rate: {key}.",
        ),
        answer="{letter}: {key}",
        check="The first step is {lr} times {slope}.",
        hint="Which share of the first gradient is left?",
    )
