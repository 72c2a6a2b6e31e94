"""Practice and challenges: what a layer for images holds, which shapes pass, and how to fold it."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, claim, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="B209", group="practice", level="easy", needs="nothing")
def learned_for_images(recording: Recording, random: Random) -> Draft | None:
    """How many numbers a batch norm layer for images learns."""
    channels, side = random.choice((6, 8, 16, 32, 64)), random.choice((7, 14, 28))
    count = "sum(each.numel() for each in layer.parameters())"
    made = f"layer = nn.BatchNorm2d({channels})\n"
    wrong = [
        result(
            f"{made}layer.weight.numel()",
            "This is the scale alone; there is a shift for each channel as well.",
            misconception="bn-scale-only",
        ),
        result(
            f"{made}sum(each.numel() for each in layer.state_dict().values()) - 1",
            "This counts running mean and running variance, which no gradient reaches.",
            misconception="bn-statistics-learned",
        ),
        result(
            f"layer = nn.LayerNorm(({channels}, {side}, {side}))\n{count}",
            "This is what layer norm learns: a pair for each channel at each place.",
            misconception="bn-over-features",
        ),
        result(
            f"layer = nn.Conv2d({channels}, {channels}, 1)\n{count}",
            "This is a convolution of 1 x 1, which mixes channels. The norm does not.",
            misconception="bn-has-matrix",
        ),
        result(
            f"layer = nn.BatchNorm2d(1)\n{count}",
            "This would be one pair for all channels.",
            misconception="bn-one-pair",
        ),
    ]
    return Draft(
        text="`nn.BatchNorm2d({channels})` is put behind a convolution whose output has "
        "{channels} channels of {side} x {side} places. How many parameters does it have?",
        options=(
            result(f"{made}{count}", "A scale and a shift for each channel.", correct=True),
            *random.sample(wrong, 3),
        ),
        given={"channels": str(channels), "side": str(side)},
        steps=(
            "All places of a channel share one scale and one shift.",
            "The size of the images does not matter.",
            "2 x {channels} = {key}.",
        ),
        answer="{letter}: {key}",
        check="`list(nn.BatchNorm2d({channels}).parameters())` holds two tensors.",
        hint="What is the layer told when it is made?",
        mistakes=(
            "Giving each place of an image numbers of its own.",
            "Counting the running statistics: they are buffers.",
            "Forgetting the shift.",
        ),
    )


@question(id="B309", group="challenge", level="easy", needs="nothing")
def same_shape(recording: Recording, random: Random) -> Draft | None:
    """Which shape comes out of batch norm."""
    rows, channels = random.choice((4, 8)), random.choice((3, 5, 6))
    high, wide = random.choice((7, 9)), random.choice((7, 9))
    x = f"x = torch.randn({rows}, {channels}, {high}, {wide})\n"
    made = f"{x}layer = nn.BatchNorm2d({channels})\n"
    wrong = [
        result(
            f"{made}tuple(layer(x).mean((0, 2, 3), keepdim=True).shape)",
            "So many means are taken, one for each channel. The output keeps every number.",
            misconception="bn-one-output",
        ),
        result(
            f"{made}tuple(layer(x).mean((2, 3), keepdim=True).shape)",
            "This is one number for each image and channel, as pooling over all places gives.",
            misconception="bn-over-image",
        ),
        result(
            f"{made}tuple(layer(x).mean(0, keepdim=True).shape)",
            "Here the rows were averaged away. Each row keeps its own output.",
            misconception="bn-over-rows-only",
        ),
        result(
            f"{made}tuple(layer(x).mean(1, keepdim=True).shape)",
            "Here the channels were averaged away. The layer does not mix them.",
            misconception="bn-over-features",
        ),
    ]
    return Draft(
        text="What does the last line return?",
        code=f"{made}tuple(layer(x).shape)",
        options=(
            result(
                f"{made}tuple(layer(x).shape)",
                "Each number is moved and scaled; none is added, none is lost.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        experiments={"means": f"{made}layer(x)\ntuple(layer.running_mean.shape)"},
        steps=(
            "The layer takes a mean for each channel: their shape is {means}.",
            "It subtracts each from all numbers of its channel, and divides.",
            "As many numbers come out as went in, in the same places: {key}.",
        ),
        answer="{letter}: {key}",
        check="`layer(x).numel() == x.numel()` is True.",
        hint="Is a number left out, or is every number changed?",
        mistakes=(
            "Taking the layer for a pooling: means are taken, but the numbers stay.",
            "Expecting one output for each channel.",
            "Confusing the shape of its statistics with that of its output.",
        ),
    )


@question(id="B311", group="challenge", level="medium", needs="nothing")
def refused(recording: Recording, random: Random) -> Draft | None:
    """Which call batch norm refuses in train mode."""
    width, side = random.choice((3, 4, 8)), random.choice((2, 5, 7))
    raising = {
        f"nn.BatchNorm1d({width})(torch.randn(1, {width}))": "one row of features",
        f"nn.BatchNorm1d({width})(torch.randn(1, {width}, 1))": "one row, one place",
        f"nn.BatchNorm2d({width})(torch.randn(1, {width}, 1, 1))": "one image of one place",
        f"nn.BatchNorm1d({width}, affine=False)(torch.randn(1, {width}))": "one row of features",
    }
    passing = {
        f"nn.BatchNorm2d({width})(torch.randn(1, {width}, {side}, {side}))": (
            "One image has many places, and each channel's mean is taken over them.",
            "bn-one-row-zero",
        ),
        f"nn.BatchNorm1d({width})(torch.randn(1, {width}, {side}))": (
            "One row, but several places for each channel.",
            "bn-over-rows-only",
        ),
        f"nn.BatchNorm1d({width})(torch.randn(2, {width}))": (
            "Two rows are few, but they have a variance.",
            "bn-any-batch-size",
        ),
        f"nn.BatchNorm1d({width}).eval()(torch.randn(1, {width}))": (
            "In eval mode the running statistics serve one row as well as many.",
            "bn-eval-uses-batch",
        ),
        f"nn.LayerNorm({width})(torch.randn(1, {width}))": (
            "Layer norm takes its mean over the features of the row.",
            "bn-over-features",
        ),
    }
    test = "try:\n    {0}\n    raised = False\nexcept ValueError:\n    raised = True\nraised"
    line = random.choice(list(raising))
    return Draft(
        text="A new layer is in train mode unless told otherwise. Which line raises a ValueError?",
        options=(
            claim(
                f"`{line}`",
                test.format(line),
                "Each channel has a single number here, which has no spread.",
                correct=True,
            ),
            *(
                claim(
                    f"`{other}`",
                    test.format(other),
                    f"This runs through. {passing[other][0]}",
                    misconception=passing[other][1],
                )
                for other in random.sample(list(passing), 3)
            ),
        ),
        given={"what": raising[line]},
        experiments={
            "message": f"try:\n    {line}\nexcept ValueError as error:\n    text = str(error)\n"
            "text",
        },
        steps=(
            "In train mode the variance of each channel is taken over all rows and places.",
            "It needs more than one number for each channel.",
            "{letter} gives it {what}: `{message}`",
        ),
        answer="{letter}: {key}",
        check="Count rows times places for one channel: 1 is too few.",
        hint="How many numbers does each channel have in each line?",
        mistakes=(
            "Looking at the rows alone: places count, too.",
            "Forgetting that eval mode asks no batch.",
            "Thinking that weight and bias are what is missing.",
        ),
    )


@question(id="B213", group="practice", level="hard", needs="nothing")
def folded(recording: Recording, random: Random) -> Draft | None:
    """Which bias one linear layer needs to stand for a linear layer and its batch norm."""
    bias, mean, deviation, scale = random.choice(
        [
            (bias, mean, deviation, scale)
            for bias in (4, 5, 6) for mean in (1, 2) for deviation in (2, 4, 5)
            for scale in (3, 6, 7)
            if (bias - mean) * scale != bias * deviation
        ]
    )  # fmt: skip
    shift = random.choice((0.5, 1.5, 10.0))
    made = (
        "linear, norm = nn.Linear(1, 1), nn.BatchNorm1d(1)\n"
        f"nn.init.constant_(linear.weight, 2)\nnn.init.constant_(linear.bias, {bias})\n"
        f"nn.init.constant_(norm.weight, {scale})\nnn.init.constant_(norm.bias, {shift})\n"
        f"norm.running_mean.fill_({mean})\nnorm.running_var.fill_({deviation**2})\n"
    )
    run = "norm.eval()\nnorm(linear(torch.zeros(1, 1)))[0, 0]"
    wrong = [
        result(
            f"{made}norm.running_mean.zero_()\n{run}",
            "This forgets the running mean, which is subtracted from the bias.",
            misconception="bn-eval-unscaled",
        ),
        result(
            f"{made}linear.bias[0] + norm.bias[0]",
            "The bias of the linear layer is normalised and scaled before the shift is added.",
            misconception="bn-bias-needed",
        ),
        result(
            f"{made}norm.bias[0]",
            "So it is in train mode, where the bias goes into the batch's mean. The running mean "
            "does not follow it.",
            misconception="bn-eval-uses-batch",
        ),
        result(
            f"{made}norm.running_var.square_()\n{run}",
            "This divides by the variance; the layer divides by its root.",
            misconception="bn-divides-by-variance",
        ),
        result(
            f"{made}nn.init.ones_(norm.weight)\n{run}",
            "This forgets the learned scale.",
            misconception="bn-eval-unscaled",
        ),
    ]
    return Draft(
        text="In eval mode `norm(linear(x))` is a linear function of x, so that one linear layer "
        "can stand for both (folding, done for speed). Which bias must it have?",
        code=made.rstrip(),
        options=(
            result(
                f"{made}{run}",
                "The bias is what comes out for x = 0.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"bias": str(bias), "mean": str(mean), "deviation": str(deviation),
               "scale": str(scale), "shift": str(shift)},
        experiments={
            "same": f"{made}norm.eval()\nx = torch.randn(8, 1)\none = nn.Linear(1, 1)\n"
            f"nn.init.constant_(one.weight, 2 * {scale} / {deviation})\n"
            f"nn.init.constant_(one.bias, ({bias} - {mean}) / {deviation} * {scale} + {shift})\n"
            "torch.allclose(one(x), norm(linear(x)), atol=1e-3)",
        },
        steps=(
            "For x = 0 the linear layer returns its bias, {bias}.",
            "Eval mode subtracts the running mean and divides by the root of the running "
            "variance: ({bias} - {mean}) / {deviation}.",
            "Then come scale and shift: x {scale}, + {shift}. That is {key}, to the eps.",
            "Executed, a linear layer with this bias and the weight 2 x {scale} / {deviation} "
            "gives the same as both: {same}.",
        ),
        answer="{letter}: {key}",
        check="Put x = 0 into both layers.",
        hint="The bias of a linear function is its value at 0.",
        mistakes=(
            "Adding the two biases without normalising the first.",
            "Dividing by the running variance instead of its root.",
            "Folding in train mode: there the output depends on the batch.",
        ),
    )  # fmt: skip
