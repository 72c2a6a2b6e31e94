"""Challenges: code that fails or goes wrong, and which line or number mends it."""

from __future__ import annotations

import textwrap
from random import Random

from pipetrace.lessons.drafts import Draft, claim, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="B302", group="challenge", level="easy", needs="nothing")
def last_batch(recording: Recording, random: Random) -> Draft | None:
    """Which batch size does not leave a last batch of one row."""
    rows = random.choice((97, 121, 241))
    failing = [size for size in range(8, 61) if rows % size == 1]
    passing = [size for size in range(8, 61) if rows % size > 1 and size not in (10,)]
    size = random.choice(passing)
    loop = f"rows = torch.randn({rows}, 4)\nlayer = nn.BatchNorm1d(4)\n"
    attempt = (
        "def trains(size):\n"
        "    try:\n"
        "        for batch in rows.split(size):\n"
        "            layer(batch)\n"
        "    except ValueError:\n"
        "        return False\n"
        "    return True\n"
    )

    def last(each: int) -> str:
        return f"The last batch has {rows % each or each} row{'s' * (rows % each != 1)}."

    return Draft(
        text="{rows} rows are cut into batches. With which batch size does the loop run through?",
        code=f"{loop}for batch in rows.split(batch_size):\n    layer(batch)",
        options=(
            claim(
                str(size),
                f"{loop}{attempt}trains({size})",
                f"{last(size)} That is enough for a variance.",
                correct=True,
            ),
            *(
                claim(
                    str(each),
                    f"{loop}{attempt}trains({each})",
                    f"{last(each)} In train mode this raises a ValueError.",
                    misconception="bn-any-batch-size",
                )
                for each in random.sample(failing, 3)
            ),
        ),
        given={"rows": str(rows), "size": str(size), "rest": str(rows % size or size)},
        experiments={
            "error": "try:\n    nn.BatchNorm1d(4)(torch.randn(1, 4))\n"
            "except ValueError as error:\n    text = str(error)\ntext",
        },
        steps=(
            "The last batch holds what is left over: {rows} modulo the batch size.",
            "With one row left, train mode raises: `{error}`",
            "{rows} modulo {key} is {rest}, so its last batch has {rest} rows.",
        ),
        answer="{letter}: {key}",
        check="`len(rows.split({key})[-1])` is the size of the last batch.",
        hint="How many rows are left for the last batch?",
        mistakes=(
            "Looking at the first batches only: the error comes at the end of the epoch.",
            "Thinking that small batches fail and large ones do not: the remainder decides.",
            "Mending it with eval(): training would go on without the batch's statistics.",
        ),
    )


@question(id="B305", group="challenge", level="hard", needs="nothing")
def frozen(recording: Recording, random: Random) -> Draft | None:
    """Which change keeps a frozen batch norm from moving in fine-tuning."""
    mean, epochs, width = random.choice((3, 8, 20)), random.choice((2, 3)), random.choice((3, 5))
    program = (
        f"norm, head = nn.BatchNorm1d({width}), nn.Linear({width}, 1)\n"
        "model = nn.Sequential(norm, head)\n"
        "optimizer = torch.optim.SGD(head.parameters(), lr=0.01)\n"
        "{start}\n"
        f"for epoch in range({epochs}):\n"
        "    model.train()\n"
        "{after}\n"
        f"    model({mean} + torch.randn(16, {width})).mean().backward()\n"
        "    optimizer.step()\n"
    )

    def whole(start: str = "", after: str = "") -> str:
        text = program.format(start=start, after=textwrap.indent(after, "    "))
        return "\n".join(line for line in text.splitlines() if line.strip()) + "\n"

    stood = "bool((norm.running_mean == 0).all())"
    keys = {
        "`norm.eval()` right after `model.train()`": ("", "norm.eval()"),
        "`norm.train(False)` right after `model.train()`": ("", "norm.train(False)"),
        "`model[0].eval()` right after `model.train()`": ("", "model[0].eval()"),
        "`norm.eval()` in every epoch, right after `model.train()`": ("", "norm.eval()"),
    }
    wrong = {
        "`norm.eval()` once, before the loop": ("norm.eval()", "", "bn-train-keeps-eval"),
        "`norm.requires_grad_(False)` before the loop": (
            "norm.requires_grad_(False)",
            "",
            "bn-frozen-is-eval",
        ),
        "`norm.requires_grad_(False)` right after `model.train()`": (
            "",
            "norm.requires_grad_(False)",
            "bn-frozen-is-eval",
        ),
        "`norm.weight.requires_grad = False` before the loop": (
            "norm.weight.requires_grad = False",
            "",
            "bn-frozen-is-eval",
        ),
        "`model.eval()` once, before the loop": ("model.eval()", "", "bn-train-keeps-eval"),
    }
    why = {
        "bn-train-keeps-eval": "The next `model.train()` puts every layer back into train mode.",
        "bn-frozen-is-eval": "That stops gradients. In train mode the forward moves buffers.",
    }
    key = random.choice(list(keys))
    return Draft(
        text="Only `head` is to be trained; `norm` came with a pretrained model and must stay as "
        "it is. Yet its running mean moves. Which addition stops that?",
        code=whole().rstrip(),
        options=(
            claim(
                key,
                f"{whole(*keys[key])}{stood}",
                "The norm is in eval mode in each step, whatever the rest of the model does.",
                correct=True,
            ),
            *(
                claim(
                    text,
                    f"{whole(*wrong[text][:2])}{stood}",
                    why[wrong[text][2]],
                    misconception=wrong[text][2],
                )
                for text in random.sample(list(wrong), 3)
            ),
        ),
        experiments={"moved": f"{whole()}norm.running_mean[0]"},
        steps=(
            "As it stands, the first running mean goes from 0.0 to {moved}, although the optimizer "
            "knows nothing of `norm`.",
            "The forward moves buffers in train mode; gradients and optimizers have no part in it.",
            "`model.train()` sets the mode of every layer, in each epoch anew.",
            "So the norm has to be put into eval mode after it: {key}.",
        ),
        answer="{letter}: {key}.",
        check="Compare `norm.running_mean` before and after the loop.",
        hint="Who writes the running mean, and what does `model.train()` do to the layers inside?",
        mistakes=(
            "Taking frozen parameters for a frozen layer.",
            "Setting eval mode once, before a call of train() that ends it.",
            "Leaving the norm out of the optimizer and thinking that nothing else can change it.",
        ),
    )


@question(id="B307", group="challenge", level="hard", needs="nothing")
def too_few(recording: Recording, random: Random) -> Draft | None:
    """How far eval mode is off after a few batches."""
    mean, batches = random.choice((10, 15, 20, 25, 30, 40, 50)), random.choice((2, 3, 4))
    loop = (
        "layer = nn.BatchNorm1d(1{0})\n"
        f"x = torch.tensor([[{mean - 1}.0], [{mean + 1}.0]])\n"
        f"for step in range({batches}):\n"
        "    layer(x)\n"
    )
    read = "layer.eval()\n(x.mean() - layer.running_mean)[0]"
    return Draft(
        text="Every batch has the mean {mean}. How far is the mean that eval mode subtracts from "
        "it after {batches} batches?",
        code=f"{loop.format('')}{read}",
        options=(
            result(
                f"{loop.format('')}{read}",
                "With each batch a tenth of the distance goes.",
                correct=True,
            ),
            result(
                f"{loop.format(', momentum=1.0')}{read}",
                "So it is where the last batch replaces the statistics: with momentum 1.",
                misconception="bn-momentum-replaces",
            ),
            result(
                f"{loop.format(', momentum=0.9')}{read}",
                "Here 0.1 was taken for the weight of the old value.",
                misconception="bn-momentum-keeps",
            ),
            result(
                f"{loop.format('')}layer.eval()\nx.mean() * (1 - 0.1 * layer.num_batches_tracked)",
                "This takes the same step with each batch. The steps get smaller, as the distance "
                "does.",
                misconception="bn-adds-up",
            ),
        ),
        given={"mean": str(mean), "batches": str(batches)},
        experiments={
            "running": f"{loop.format('')}layer.running_mean[0]",
            "later": f"{loop.format('').replace(f'range({batches})', 'range(40)')}{read}",
        },
        steps=(
            "The running mean begins at 0, so the distance begins at {mean}.",
            "Each batch leaves 0.9 of the distance: {mean} x 0.9 to the power of {batches}.",
            "The running mean is {running}, and {key} is missing.",
            "After 40 batches {later} would be missing.",
        ),
        answer="{letter}: {key}",
        check="Running mean and distance add up to {mean}.",
        hint="Which share of the distance is left after one batch?",
        mistakes=(
            "Evaluating after a handful of batches and blaming the model.",
            "Taking momentum for the weight of the old value.",
            "Adding equal steps: each is a tenth of what is left.",
        ),
    )
