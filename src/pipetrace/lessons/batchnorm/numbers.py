"""Practice and challenges: numbers that come out of the layer, and those that it keeps."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="B210", group="practice", level="easy", needs="nothing")
def momentum_of_one(recording: Recording, random: Random) -> Draft | None:
    """What momentum 1 makes of the running mean."""
    low, first, second = random.randint(2, 9), 3 * random.randint(1, 4), 3 * random.randint(5, 8)
    x = f"x = torch.tensor([[{low}.0], [{low + first}.0], [{low + second}.0]])\n"
    read = "layer(x)\nlayer.running_mean[0]"
    wrong = [
        result(
            f"{x}layer = nn.BatchNorm1d(1)\n{read}",
            "So it is with the default momentum, 0.1.",
            misconception="bn-adds-up",
        ),
        result(
            f"{x}layer = nn.BatchNorm1d(1, momentum=0.0)\n{read}",
            "So it is with momentum 0: momentum is the weight of the new value.",
            misconception="bn-momentum-keeps",
        ),
        result(
            f"{x}x.sum()",
            "This is the sum; a mean is divided by the number of rows.",
            misconception="bn-counts-rows",
        ),
        result(
            f"{x}layer = nn.BatchNorm1d(1, momentum=1.0)\nlayer(x)\nlayer.running_var[0]",
            "This is the running variance.",
            misconception="bn-one-pair",
        ),
    ]
    return Draft(
        text="What does the last line return?",
        code=f"{x}layer = nn.BatchNorm1d(1, momentum=1.0)\n{read}",
        options=(
            result(
                f"{x}layer = nn.BatchNorm1d(1, momentum=1.0)\n{read}",
                "The old value got the weight 0, the mean of the batch the weight 1.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        experiments={"mean": f"{x}x.mean()"},
        steps=(
            "New value = (1 - momentum) x old value + momentum x mean of the batch.",
            "With momentum 1 the old value gets the weight 0.",
            "The mean of the batch is {mean}, and so is the running mean: {key}.",
        ),
        answer="{letter}: {key}",
        check="`x.mean()` is {mean}.",
        hint="Which weight has the old value, if the new one has the weight 1?",
        mistakes=(
            "Taking momentum for the weight of the old value.",
            "Using the default of 0.1 where another one is given.",
            "Adding the rows up without dividing by their number.",
        ),
    )


@question(id="B211", group="practice", level="medium", needs="nothing")
def constant(recording: Recording, random: Random) -> Draft | None:
    """What a feature without any spread becomes in train mode."""
    value, shift, scale = (
        random.randint(3, 9),
        random.choice((1.5, 2.0, 2.5)),
        random.choice((4, 6)),
    )
    rows = random.choice((3, 4, 5))
    made = (
        f"x = torch.full(({rows}, 1), {value}.0)\nlayer = nn.BatchNorm1d(1)\n"
        f"nn.init.constant_(layer.weight, {scale})\nnn.init.constant_(layer.bias, {shift})\n"
    )
    wrong = [
        result(
            f"{made}nn.init.zeros_(layer.bias)\nlayer(x)[0, 0]",
            "Zero comes out of normalising; the learned shift is added to it.",
            misconception="bn-scale-only",
        ),
        result(
            f"{made}x[0, 0]",
            "The mean of the batch was subtracted: the number that all rows share is gone.",
            misconception="bn-keeps-its-input",
        ),
        result(
            f"{made}x[0, 0] * layer.weight[0] + layer.bias[0]",
            "Scale and shift come after the mean was subtracted.",
            misconception="bn-weights",
        ),
        result(
            f"{made}(x[0, 0] - x.mean()) / x.std(correction=0)",
            "0 divided by 0 would be no number. The layer adds eps = 0.00001 to the variance.",
            misconception="bn-divides-by-zero",
        ),
    ]
    return Draft(
        text="Every row has the same number. The layer is in train mode. What does the last line "
        "return?",
        code=f"{made}layer(x)[0, 0]",
        options=(
            result(
                f"{made}layer(x)[0, 0]",
                "The number minus the mean is 0, whatever it is divided by; the shift is left.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"value": str(value), "shift": str(shift), "scale": str(scale)},
        experiments={"eps": "nn.BatchNorm1d(1).eps * 100_000"},
        steps=(
            "The mean of the batch is {value}, so that 0 is left of every row.",
            "The variance is 0, but eps, {eps} in 100,000, is added to it: 0 is divided by a "
            "small number and stays 0.",
            "0 x {scale} + {shift} = {key}.",
        ),
        answer="{letter}: {key}",
        check="Change {value} to any other number, and the same comes out.",
        hint="What is left of each row when the mean of the batch is subtracted?",
        mistakes=(
            "Expecting a division by zero: eps is there to prevent it.",
            "Forgetting the learned shift.",
            "Thinking that the scale could bring the number back.",
        ),
    )


@question(id="B212", group="practice", level="medium", needs="nothing")
def by_the_books(recording: Recording, random: Random) -> Draft | None:
    """What eval mode makes of one number, by running mean and variance."""
    mean, deviation = random.choice((2, 3, 5)), random.choice((2, 4, 5))
    steps = random.choice((0.5, 1.5, 2.0, 3.0))
    value = mean + steps * deviation
    made = (
        "layer = nn.BatchNorm1d(1)\n"
        f"layer.running_mean.fill_({mean})\nlayer.running_var.fill_({deviation**2})\n"
        f"layer.eval()\nx = torch.tensor([[{value}]])\n"
    )
    wrong = [
        result(
            f"{made}(x - layer.running_mean)[0, 0] / layer.running_var[0]",
            "This divides by the variance; the layer divides by its root.",
            misconception="bn-divides-by-variance",
        ),
        result(
            f"{made}(x - layer.running_mean)[0, 0]",
            "The mean is subtracted; the deviation is still to be divided by.",
            misconception="bn-only-centres",
        ),
        result(
            f"{made}x[0, 0]",
            "Dropout hands its input on in eval mode. Batch norm goes on normalising.",
            misconception="bn-eval-does-nothing",
        ),
        result(
            f"{made}(x - x.mean())[0, 0]",
            "This subtracts the mean of the batch, which is one row here. Eval mode does not "
            "ask the batch.",
            misconception="bn-eval-uses-batch",
        ),
    ]
    return Draft(
        text="What does the last line return?",
        code=f"{made}layer(x)[0, 0]",
        options=(
            result(
                f"{made}layer(x)[0, 0]",
                "The running mean was subtracted, and the root of the running variance divided by.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"value": str(value), "mean": str(mean), "deviation": str(deviation),
               "variance": str(deviation**2), "rest": str(steps * deviation)},
        steps=(
            "Eval mode subtracts the running mean: {value} - {mean} = {rest}.",
            "It divides by the root of the running variance {variance}: by {deviation}.",
            "{rest} / {deviation} = {key}, to four decimals.",
        ),
        answer="{letter}: {key}",
        check="{key} x {deviation} + {mean} is {value} again.",
        hint="A variance is a square. Of what?",
        mistakes=(
            "Dividing by the variance.",
            "Taking the mean of the batch in eval mode.",
            "Believing that eval mode switches the layer off, as it does with dropout.",
        ),
    )  # fmt: skip


@question(id="B310", group="challenge", level="medium", needs="nothing")
def scaled_and_shifted(recording: Recording, random: Random) -> Draft | None:
    """Which mean and deviation come out of a layer with a learned scale and shift."""
    scale, shift = random.choice((2.0, 3.0, 4.0)), random.choice((0.5, 5.0, 7.0))
    mean, spread = random.choice((10, 20, 30)), random.choice((6, 8, 9))
    made = (
        f"x = {mean} + {spread} * torch.randn(512, 1)\nlayer = nn.BatchNorm1d(1)\n"
        f"nn.init.constant_(layer.weight, {scale})\nnn.init.constant_(layer.bias, {shift})\n"
    )
    read = "[round(y.mean().item(), 1), round(y.std(correction=0).item(), 1)]"
    wrong = [
        result(
            f"{made}y = nn.BatchNorm1d(1)(x)\n{read}",
            "So it is in a new layer, where the scale is 1 and the shift 0.",
            misconception="bn-nothing-learned",
        ),
        result(
            f"{made}y = layer(x)\n{read}[::-1]",
            "The two are exchanged: the shift moves the mean, the scale the deviation.",
            misconception="bn-one-pair",
        ),
        result(
            f"{made}y = x * layer.weight + layer.bias\n{read}",
            "This leaves normalising out; scale and shift come behind it.",
            misconception="bn-weights",
        ),
        result(
            f"{made}y = layer(x) * x.std()\n{read}",
            "This has the spread of the input in it, which was divided out.",
            misconception="bn-keeps-its-input",
        ),
        result(
            f"{made}nn.init.zeros_(layer.bias)\ny = layer(x)\n{read}",
            "This leaves the shift out.",
            misconception="bn-scale-only",
        ),
    ]
    return Draft(
        text="Mean and deviation of the output are rounded to one decimal. What does the last line "
        "return?",
        code=f"{made}y = layer(x)\n{read}",
        options=(
            result(
                f"{made}y = layer(x)\n{read}",
                "Behind normalising the mean is 0 and the deviation 1; shift and scale follow.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"scale": str(scale), "shift": str(shift)},
        experiments={"plain": f"{made}y = nn.BatchNorm1d(1)(x)\n{read}"},
        steps=(
            "Normalised, the batch has mean and deviation {plain}.",
            "The weight multiplies: the deviation becomes {scale}.",
            "The bias is added: the mean becomes {shift}. Together: {key}.",
        ),
        answer="{letter}: {key}",
        check="Other numbers for the mean and the spread of x change nothing.",
        hint="Which of the two moves a mean of 0, and which a deviation of 1?",
        mistakes=(
            "Expecting mean 0 and deviation 1 behind a trained layer.",
            "Applying scale and shift to the input instead of to what was normalised.",
            "Exchanging the parts of weight and bias.",
        ),
    )


@question(id="B312", group="challenge", level="hard", needs="nothing")
def two_batches(recording: Recording, random: Random) -> Draft | None:
    """Where the running mean stands after two different batches."""
    first, second = random.sample((4, 8, 12, 20, 40), 2)
    momentum = random.choice((0.2, 0.25, 0.4))
    made = f"layer = nn.BatchNorm1d(1, momentum={momentum})\n"
    other = f"layer = nn.BatchNorm1d(1, momentum={1 - momentum})\n"
    batches = (
        f"for mean in ({first}.0, {second}.0):\n    layer(torch.tensor([[mean - 1], [mean + 1]]))\n"
    )
    turned = batches.replace(f"({first}.0, {second}.0)", f"({second}.0, {first}.0)")
    read = "layer.running_mean[0]"
    wrong = [
        result(
            f"{other}{batches}{read}",
            "Here {momentum} was taken for the weight of the old value.",
            misconception="bn-momentum-keeps",
        ),
        result(
            f"{made}layer.running_mean.fill_({first}.0)\n{batches}{read}",
            "The running mean begins at 0, not at the mean of the first batch.",
            misconception="bn-starts-from-batch",
        ),
        result(
            f"{made}{turned}{read}",
            "Here the batches came the other way round: the later one weighs more.",
            misconception="bn-adds-up",
        ),
        result(
            f"layer = nn.BatchNorm1d(1, momentum=None)\n{batches}{read}",
            "This is the plain mean of both, which `momentum=None` keeps.",
            misconception="bn-zero-counts",
        ),
    ]
    return Draft(
        text="One batch has the mean {first}, the next one {second}. What does the last line "
        "return?",
        code=f"{made}{batches}{read}",
        options=(
            result(
                f"{made}{batches}{read}",
                "From 0 it took the share {momentum} of the way to each batch's mean in turn.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"first": str(first), "second": str(second), "momentum": str(momentum)},
        experiments={
            "one": f"{made}layer(torch.tensor([[{first - 1}.0], [{first + 1}.0]]))\n{read}",
            "keep": f"1 - {momentum}",
        },
        steps=(
            "The running mean begins at 0. After the first batch it is {momentum} x {first} = "
            "{one}.",
            "Of this {keep} is kept, and {momentum} x {second} is added.",
            "{keep} x {one} + {momentum} x {second} = {key}.",
        ),
        answer="{letter}: {key}",
        check="Exchange the batches: another number comes out, so the order counts.",
        hint="Compute the value after the first batch before you look at the second.",
        mistakes=(
            "Taking the plain mean of the two batches.",
            "Letting the running mean begin at the first batch.",
            "Reading momentum as the weight of the old value.",
        ),
    )
