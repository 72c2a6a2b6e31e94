"""Challenges: code to follow, whose output is to be predicted."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="B301", group="challenge", level="easy", needs="nothing")
def counted(recording: Recording, random: Random) -> Draft | None:
    """How many batches a layer has counted after some epochs with evaluations."""
    epochs, batches, tests = (
        random.choice((2, 3, 4)),
        random.choice((5, 6, 7)),
        random.choice((1, 2)),
    )
    rows = 8
    loop = (
        "layer = nn.BatchNorm1d(2)\n"
        f"for epoch in range({epochs}):\n"
        "    layer.train()\n"
        f"    for batch in range({batches}):\n"
        f"        layer(torch.randn({rows}, 2))\n"
        "    layer.eval()\n"
        f"    for batch in range({tests}):\n"
        f"        layer(torch.randn({rows}, 2))\n"
    )
    read = "layer.num_batches_tracked"
    wrong = [
        result(
            f"{loop.replace('    layer.eval()' + chr(10), '')}{read}",
            "Here eval() is missing, and the batches of the evaluations are counted, too.",
            misconception="bn-counts-in-eval",
        ),
        result(
            f"{loop}torch.tensor({epochs}) if {read} else 0",
            "This is the number of epochs. Each forward in train mode counts.",
            misconception="bn-counts-epochs",
        ),
        result(
            f"{loop}{read} * {rows}",
            "These are the rows. The layer counts batches, whatever their size.",
            misconception="bn-counts-rows",
        ),
        result(
            f"layer = nn.BatchNorm1d(2)\n{read}",
            "Without an optimizer the count moves as well: the forward itself writes it.",
            misconception="bn-statistics-stand-still",
        ),
    ]
    return Draft(
        text="What does the last line return?",
        code=f"{loop}{read}",
        options=(
            result(
                f"{loop}{read}",
                "Only the forwards in train mode were counted.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"epochs": str(epochs), "batches": str(batches), "tests": str(tests)},
        steps=(
            "In each epoch {batches} batches go through in train mode and are counted.",
            "The {tests} of the evaluation go through in eval mode, which leaves the count alone.",
            "{epochs} x {batches} = {key}.",
        ),
        answer="{letter}: {key}",
        check="Print `layer.num_batches_tracked` after each part of the loop.",
        hint="In which mode does the layer write its buffers?",
        mistakes=(
            "Counting the evaluations as well.",
            "Counting epochs or rows.",
            "Looking for an optimizer: buffers need none.",
        ),
    )


@question(id="B303", group="challenge", level="medium", needs="nothing")
def two_rows(recording: Recording, random: Random) -> Draft | None:
    """What two rows become in train mode."""
    low, gap = random.choice((1, 3, 10, 200)), random.choice((4, 6, 8, 20, 50))
    numbers = random.choice((f"[{low}.0], [{low + gap}.0]", f"[{low + gap}.0], [{low}.0]"))
    scale = random.choice((1, 2, 3, 5))
    x = f"x = torch.tensor([{numbers}])\n"
    made = f"{x}layer = nn.BatchNorm1d(1)\nnn.init.constant_(layer.weight, {scale})\n"
    return Draft(
        text="What does the last line return?",
        code=f"{made}layer(x)[:, 0]",
        options=(
            result(
                f"{made}layer(x)[:, 0]",
                "Two numbers are one deviation away from their mean, whatever they are; the "
                "learned weight multiplies that.",
                correct=True,
            ),
            result(
                f"{x}({scale} * (x - x.mean()) / x.std())[:, 0]",
                "This divides by the deviation with n - 1. The layer divides with n.",
                misconception="bn-unbiased-output",
            ),
            result(
                f"{x}({scale} * (x - x.mean()))[:, 0]",
                "The mean was taken out; the deviation is still to be divided by.",
                misconception="bn-only-centres",
            ),
            result(
                f"{x}({scale} * (x - x.min()) / (x.max() - x.min()))[:, 0]",
                "This brings the numbers into the range 0 to 1; normalised, their mean is 0.",
                misconception="bn-min-max",
            ),
        ),
        given={"scale": str(scale)},
        experiments={
            "mean": f"{x}x.mean()",
            "deviation": f"{x}x.std(correction=0)",
            "centred": f"{x}(x - x.mean())[:, 0]",
        },
        steps=(
            "The mean is {mean}; without it {centred} is left.",
            "The variance divides by n = 2, so the deviation is {deviation}.",
            "{centred} divided by {deviation}, times the weight {scale}, is {key}.",
            "So it is for every pair: of two rows nothing is left but which one is larger.",
        ),
        answer="{letter}: {key}",
        check="Change one of the numbers, but not which one is larger: the output stays.",
        hint="How far is each of two numbers from their mean, in deviations?",
        mistakes=(
            "Dividing by n - 1 in the variance of the output.",
            "Stopping after the mean.",
            "Training with two rows in a batch and wondering why it learns little.",
        ),
    )


@question(id="B304", group="challenge", level="medium", needs="nothing")
def cumulative(recording: Recording, random: Random) -> Draft | None:
    """What a running mean without momentum gathers."""
    first, second = random.choice((1, 2, 3)), random.choice((5, 6, 7))
    third = 3 * random.choice((7, 8, 9)) - first - second + random.choice((0, 0, 1))
    loop = (
        "layer = nn.BatchNorm1d(1, momentum={0})\n"
        f"for mean in ({first}.0, {second}.0, {third}.0):\n"
        "    layer(torch.tensor([[mean - 1], [mean + 1]]))\n"
    )
    read = "layer.running_mean[0]"
    return Draft(
        text="What does the last line return?",
        code=f"{loop.format(None)}{read}",
        options=(
            result(
                f"{loop.format(None)}{read}",
                "Without momentum the running mean is the plain average over the batches.",
                correct=True,
            ),
            result(
                f"{loop.format(0.1)}{read}",
                "This is the usual momentum of 0.1. None stands for a plain average.",
                misconception="bn-adds-up",
            ),
            result(
                f"{loop.format(1.0)}{read}",
                "This is the mean of the last batch alone.",
                misconception="bn-momentum-replaces",
            ),
            result(
                f"{loop.format(None)}{read} * 3 / 4",
                "This counts the 0 at the start as a fourth batch.",
                misconception="bn-zero-counts",
            )
            if random.random() < 0.5
            else result(
                f"{loop.format(None).replace('layer(torch', 'layer.eval()(torch')}{read}",
                "So it stays in eval mode. This layer is in train mode.",
                misconception="bn-statistics-stand-still",
            ),
        ),
        given={"means": f"{first}, {second} and {third}"},
        experiments={"count": f"{loop.format(None)}layer.num_batches_tracked"},
        steps=(
            "The batches have the means {means}.",
            "With `momentum=None` the new value has the weight 1 / number of batches so far, and "
            "the count came to {count}.",
            "So the 0 of the start drops out, and ({means}) have equal weights: {key}.",
        ),
        answer="{letter}: {key}",
        check="Add the means and divide by {count}.",
        hint="Which weights would three batches get in a plain average?",
        mistakes=(
            "Taking None for the default of 0.1.",
            "Giving the starting value a weight.",
            "Expecting that the last batch replaces what was gathered.",
        ),
    )


@question(id="B308", group="challenge", level="medium", needs="nothing")
def images(recording: Recording, random: Random) -> Draft | None:
    """Over how many numbers batch norm of images takes each mean."""
    rows, channels, side = (
        random.choice((4, 8, 16)),
        random.choice((3, 5, 6)),
        random.choice((7, 9)),
    )
    setup = (
        f"x = torch.randn({rows}, {channels}, {side}, {side})\n"
        f"layer = nn.BatchNorm2d({channels}, momentum=1.0)\nlayer(x)\n"
    )
    test = "{0}.numel() if {1} else 0"
    wrong = [
        result(
            f"{setup}x[:, 0, 0, 0].numel()",
            "This is one place of each image. All places of a channel share one mean.",
            misconception="bn-over-rows-only",
        ),
        result(
            f"{setup}x[0, 0].numel()",
            "This is one image's channel: instance norm takes its mean over that.",
            misconception="bn-over-image",
        ),
        result(
            f"{setup}x[0].numel()",
            "This is one whole image: layer norm may be told to take its mean over that.",
            misconception="bn-over-features",
        ),
        result(
            f"{setup}x.numel()",
            "This is everything; the layer has a mean for each channel.",
            misconception="bn-over-everything",
        ),
    ]
    return Draft(
        text="A batch of images goes through batch norm in train mode. Over how many numbers is "
        "each of its means taken?",
        code=f"x = torch.randn({rows}, {channels}, {side}, {side})\n"
        f"layer = nn.BatchNorm2d({channels})\nlayer(x)",
        options=(
            result(
                f"{setup}"
                + test.format(
                    "x[:, 0]", "torch.allclose(layer.running_mean, x.mean((0, 2, 3)), atol=1e-5)"
                ),
                "All images and all places, for each channel on its own.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"rows": str(rows), "channels": str(channels), "side": str(side)},
        experiments={"means": f"{setup}tuple(layer.running_mean.shape)"},
        steps=(
            "The running mean has the shape {means}: one number for each channel.",
            "Each is taken over {rows} images and {side} x {side} places.",
            "{rows} x {side} x {side} = {key}, which was executed and compared.",
        ),
        answer="{letter}: {key}",
        check="With momentum 1, `layer.running_mean` equals `x.mean((0, 2, 3))`.",
        hint="How many means are there, and how many numbers in the whole tensor?",
        mistakes=(
            "Taking places apart: a pattern may be anywhere in an image.",
            "Taking images apart, as instance norm does.",
            "Thinking that a batch of one image must fail: it has many places.",
        ),
    )


@question(id="B306", group="challenge", level="hard", needs="nothing")
def behind_dropout(recording: Recording, random: Random) -> Draft | None:
    """What batch norm behind dropout makes of rows in eval mode."""
    p = random.choice((0.19, 0.2, 0.3, 0.36, 0.4, 0.5, 0.6, 0.64, 0.75, 0.84))
    loop = (
        "x = torch.randn(8192, 1)\n"
        "model = nn.Sequential({0})\n"
        "model.train()\nmodel(x)\nmodel.eval()\n"
        "round(model(x).std().item(), 1)"
    )
    norm = "nn.BatchNorm1d(1, momentum=1.0)"
    drop = f"nn.Dropout({p})"
    return Draft(
        text="x has mean 0 and deviation 1. Momentum 1 makes the running statistics those of the "
        "one batch in train mode. What does the last line return?",
        code=loop.format(f"{drop}, {norm}"),
        options=(
            result(
                loop.format(f"{drop}, {norm}"),
                "Train mode met numbers that dropout had spread; eval mode divides by that spread, "
                "and dropout is off.",
                correct=True,
            ),
            result(
                loop.format(f"{norm}, {drop}"),
                "This is batch norm in front of dropout, where both modes meet the same numbers.",
                misconception="bn-order-free",
            ),
            result(
                f"x = torch.randn(8192, 1)\nround({drop}(x).std().item(), 1)",
                "This is the deviation behind dropout in train mode. Eval mode divides by it.",
                misconception="bn-variance-grows",
            ),
            result(
                f"x = torch.randn(8192, 1)\nround(((1 - {p}) * x).std().item(), 2)",
                "Eval mode does not multiply by 1 - p: survivors were scaled in training.",
                misconception="bn-shrinks-by-p",
            ),
        ),
        given={"p": str(p)},
        experiments={
            "variance": f"x = torch.randn(8192, 1)\nround({drop}(x).var().item(), 1)",
            "scale": f"round(1 / (1 - {p}), 2)",
        },
        steps=(
            "Dropout with p = {p} multiplies survivors by {scale}, which leaves the mean and "
            "raises the variance, here to {variance}.",
            "Batch norm gathers this variance in train mode.",
            "In eval mode dropout is off, the variance is 1 again, and it is divided by "
            "the gathered one.",
            "The deviation is the root of 1 - {p}, about {key}: not the 1 that training saw.",
        ),
        answer="{letter}: {key}",
        check="Put batch norm in front of dropout, and the deviation is 1.0.",
        hint="Which variance does batch norm gather while dropout is on?",
        mistakes=(
            "Thinking that the order of the two does not matter.",
            "Forgetting that dropout keeps the mean but not the variance.",
            "Believing that both modes of a model meet the same numbers.",
        ),
    )
