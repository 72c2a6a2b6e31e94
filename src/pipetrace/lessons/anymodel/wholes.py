"""Quiz questions about the whole model: which module holds most, what is frozen, what it weighs."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.anymodel.reading import LIMIT, holding, module, setting
from pipetrace.lessons.drafts import Draft, claim, literal, result
from pipetrace.lessons.registry import question
from pipetrace.records import Model, Training
from pipetrace.tracefile import Recording


@question(id="A415", group="quiz", level="easy", needs="run", place="network")
def largest(recording: Recording, random: Random) -> Draft | None:
    """Which module holds most of the parameters, or fewest."""
    model, parts = holding(recording)
    most = random.choice((True, False))
    parts = sorted(parts, key=lambda part: part.parameters, reverse=most)
    if model is None or len(parts) < 4 or parts[0].parameters == parts[1].parameters:
        return None
    shown = [parts[0], *random.sample(parts[1:], 3)]
    counts = [part.parameters for part in shown]
    names = {f"name{index}": module(part) for index, part in enumerate(shown)}
    if len(set(names.values())) < 4:
        return None
    pick = "argmax" if most else "argmin"
    return Draft(
        text="Which of these modules of `{type}` holds {most} parameters?",
        options=tuple(
            claim(
                f"{{name{index}}}",
                f"counts = torch.tensor({literal(counts)})\n(counts.{pick}() == {index}).item()",
                f"It holds {counts[index]} of {model.parameters} parameters.",
                correct=index == 0,
                misconception="" if index == 0 else "size-by-place",
            )
            for index in range(4)
        ),
        given=names
        | {
            "type": model.type,
            "count": str(counts[0]),
            "all": str(model.parameters),
            "most": "most" if most else "fewest",
        },
        steps=(
            "Look up the sizes that each works on, and multiply.",
            "{key} holds {count} of {all}.",
        ),
        answer="{letter}: {key}",
        check="The page lists the parameters of each module.",
        hint="Matrices and tables outweigh biases and scales.",
    )


@question(id="A416", group="quiz", level="medium", needs="run", place="network")
def share(recording: Recording, random: Random) -> Draft | None:
    """Which share of the parameters a module holds."""
    model, parts = holding(recording)
    if model is None or len(parts) < 2:
        return None
    found = [part for part in parts if 0.02 < part.parameters / model.parameters < 0.98]
    if not found:
        return None
    part = random.choice(found)
    count, whole = part.parameters, model.parameters

    def percent(value: float) -> float:
        return round(100 * value, 1)

    options = three(
        random,
        percent(count / whole),
        [
            Wrong(f"round(100 * (1 - {count} / {whole}), 1)", percent(1 - count / whole),
                  "This is the share of the rest.", "share-of-rest"),
            Wrong(f"round(100 / {len(parts)}, 1)", percent(1 / len(parts)),
                  "Modules are of different sizes.", "equal-shares"),
            Wrong(f"round(100 * {count} / ({whole} - {count}), 1)",
                  percent(count / (whole - count)),
                  "This compares with the rest and not with the whole.",
                  "share-against-rest"),
            Wrong(f"round(100 * {count} / ({whole} + {count}), 1)",
                  percent(count / (whole + count)),
                  "The whole has the module in it already.",
                  "share-counted-twice"),
            Wrong(f"round(50 * {count} / {whole}, 1)", percent(count / whole / 2),
                  "This is half of it.", "share-counted-twice"),
        ],
        text="{outcome} %",
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="{name} holds {count} of the {whole} parameters of `{type}`. Which share is that?",
        options=(
            result(
                f"round(100 * {count} / {whole}, 1)",
                "The part divided by the whole.",
                correct=True,
                text="{outcome} %",
            ),
            *options,
        ),
        given={
            "name": f"The module {module(part)}" if part.path else "The root itself",
            "count": str(count),
            "whole": str(whole),
            "type": model.type,
        },
        steps=("Divide {count} by {whole}.", "It is {key}."),
        answer="{letter}: {key}",
        check="The page lists the parameters of each module.",
        hint="Is it more or less than half?",
    )


@question(id="A417", group="quiz", level="easy", needs="run", place="provenance")
def frozen(recording: Recording, random: Random) -> Draft | None:
    """How many parameters of a model no step can change."""
    model = recording.first(Model)
    if model is None or not 0 < model.trainable < model.parameters < LIMIT:
        return None
    count, free = model.parameters, model.trainable
    options = three(
        random,
        count - free,
        [
            Wrong(f"{free}", free, "These can be trained.", "frozen-is-trainable"),
            Wrong(f"{count}", count, "These are all.", "frozen-is-all"),
            Wrong("0", 0, "Some have `requires_grad` False.", "nothing-frozen"),
            Wrong(f"{count} + {free}", count + free, "The trainable ones are among all.",
                  "sum-for-product"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="Of the {count} parameters of `{type}`, {free} have `requires_grad` True. How many "
        "does no step of an optimizer change?",
        options=(
            result(f"{count} - {free}", "A frozen parameter gets no gradient.", correct=True),
            *options,
        ),
        given={"count": str(count), "free": str(free), "type": model.type},
        steps=("Without a gradient there is no step.", "{count} - {free} = {key}."),
        answer="{letter}: {key}",
        check="`sum(each.numel() for each in model.parameters() if not each.requires_grad)`",
        hint="Which ones get a gradient?",
    )


@question(id="A418", group="quiz", level="hard", needs="run", place="training")
def memory_of_training(recording: Recording, random: Random) -> Draft | None:
    """How much memory weights, gradients and an optimizer's own numbers take."""
    model, training = recording.first(Model), recording.first(Training)
    if model is None or training is None or not 0 < model.trainable < LIMIT:
        return None
    count = model.trainable
    moving = training.optimizer == "SGD" and bool(setting(recording, "momentum"))
    more = ", momentum=0.9" if moving else ""
    name = training.optimizer
    told = {each.name: each.value for each in training.settings}
    if name not in ("SGD", "Adam", "AdamW", "Adagrad") or told.get("amsgrad") == "True":
        return None
    own = {"SGD": int(moving), "Adam": 2, "AdamW": 2, "Adagrad": 1}[name]
    measured = (
        "weight = nn.Parameter(torch.ones(1000))\n"
        f"optimizer = torch.optim.{name}([weight], lr=0.01{more})\n"
        "weight.sum().backward()\n"
        "optimizer.step()\n"
        "kept = [each for each in optimizer.state[weight].values()\n"
        "        if torch.is_tensor(each) and each.shape == weight.shape]\n"
    )
    words = {
        1: "These are the weights alone.",
        2: "These are weights and gradients.",
        3: "This is one number more for each parameter.",
        4: "These are two numbers more for each parameter.",
        5: "These are three numbers more for each parameter.",
        6: "These are four numbers more for each parameter.",
    }
    options = three(
        random,
        4 * (2 + own) * count,
        [
            Wrong(f"4 * {factor} * {count}", 4 * factor * count, words[factor],
                  "memory-of-weights" if factor == 1 else "optimizer-memory")
            for factor in words
        ],
        text="{outcome} bytes",
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="The run trained {count} parameters with {optimizer}{momentum}. How much memory do "
        "they, their gradients and what the optimizer keeps of their size take in float32?",
        options=(
            result(
                f"{measured}4 * (2 + len(kept)) * {count}",
                "A number each for weight and gradient, and what the optimizer was seen to keep.",
                correct=True,
                text="{outcome} bytes",
            ),
            *options,
        ),
        given={
            "count": str(count),
            "optimizer": name,
            "own": str(own),
            "momentum": " and momentum" if moving else "",
            "numbers": str(2 + own),
        },
        experiments={"kept": f"{measured}len(kept)"},
        steps=(
            "Each parameter has a weight and a gradient.",
            "Executed, a step left so many further numbers for each with the optimizer: {kept}.",
            "{numbers} numbers of 4 bytes for each of {count}: {key}.",
        ),
        answer="{letter}: {key}",
        check="Look at the shapes in `optimizer.state` after a step.",
        hint="How many running averages does this optimizer keep for each parameter?",
    )
