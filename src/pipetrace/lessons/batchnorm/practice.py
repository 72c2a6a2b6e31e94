"""Practice: what the layer computes, which call makes it, and which layers need no batch."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="B201", group="practice", level="easy", needs="nothing")
def purpose(recording: Recording, random: Random) -> Draft | None:
    """What batch norm does to a batch in train mode."""
    rows, width, scale = (
        random.choice((16, 32, 64)),
        random.choice((3, 4, 6)),
        random.choice((5, 9)),
    )
    setup = f"x = {scale} * torch.randn({rows}, {width}) + 2\ny = nn.BatchNorm1d({width})(x)\n"
    spread = "torch.allclose(y.std({0}, correction=0), torch.ones(y.shape[{1}]), atol=1e-3)"
    centred = "torch.allclose(y.mean({0}), torch.zeros(y.shape[{1}]), atol=1e-5)"
    wrong = [
        claim(
            "Each row gets mean 0 and deviation 1 over its own features",
            f"{setup}{centred.format(1, 0)} and {spread.format(1, 0)}",
            "That is layer norm. The rows of this output do not have mean 0.",
            misconception="bn-over-features",
        ),
        claim(
            "Each feature is brought into the range 0 to 1 over the batch",
            f"{setup}bool(y.min() >= 0 and y.max() <= 1)",
            "The output has negative numbers: mean 0 leaves numbers on both sides.",
            misconception="bn-min-max",
        ),
        claim(
            "Each feature gets mean 0 over the batch and keeps its spread",
            f"{setup}torch.allclose(y.std(0), x.std(0), rtol=0.01)",
            "The spread is divided out, too: {was} became {now}.",
            misconception="bn-only-centres",
        ),
        claim(
            "The weights of the layer before get mean 0 and deviation 1",
            f"before = nn.Linear({width}, {width})\nold = before.weight.clone()\n"
            f"nn.BatchNorm1d({width})(before(torch.randn({rows}, {width})))\n"
            "not torch.equal(before.weight, old)",
            "Weights stay as they are. What a layer hands on is normalised.",
            misconception="bn-weights",
        ),
        claim(
            "Each row is divided by its length, so that all are equally long",
            f"{setup}torch.allclose(y.norm(dim=1), torch.ones(len(y)), atol=1e-3)",
            "The rows of the output have different lengths.",
            misconception="bn-unit-length",
        ),
    ]
    return Draft(
        text="A new `nn.BatchNorm1d({width})` is in train mode, and a batch of {rows} rows goes "
        "through it. What does it do?",
        options=(
            claim(
                "Each feature gets mean 0 and deviation 1 over the batch"
                + random.choice(("", "", "'s rows")),
                f"{setup}{centred.format(0, 1)} and {spread.format(0, 1)}",
                "Executed: deviations {was} before, {now} behind the layer.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"rows": str(rows), "width": str(width)},
        experiments={
            "was": f"{setup}x.std(0, correction=0)",
            "now": f"{setup}y.std(0, correction=0)",
        },
        steps=(
            "The layer takes mean and variance of each feature over the rows of the batch.",
            "It subtracts the mean and divides by the root of the variance.",
            "A learned scale and shift follow; in a new layer they are 1 and 0.",
            "Deviations before: {was}. Behind it: {now}.",
        ),
        answer="{letter}: {key}.",
        check="`y.mean(0)` and `y.std(0, correction=0)` tell it for any input.",
        hint="The name says over what the mean is taken.",
        mistakes=(
            "Taking the mean over a row's features: that is layer norm.",
            "Expecting numbers between 0 and 1: normalising is no squeezing.",
            "Expecting mean 0 and deviation 1 for good: training moves the scale and the shift.",
        ),
    )


@question(id="B202", group="practice", level="easy", needs="nothing")
def call(recording: Recording, random: Random) -> Draft | None:
    """Which call makes a layer that fits a tensor of a given shape."""
    channels, rows, side = random.choice((3, 6, 12)), random.choice((16, 32, 64)), 8
    images = random.random() < 0.5
    shape = (rows, channels, side, side) if images else (rows, channels)
    kind, other = ("2d", "1d") if images else ("1d", "2d")
    x = f"x = torch.randn{(4, *shape[1:])}\n"

    def option(made: str, feedback: str, error: str = "", belief: str = "") -> Option:
        return Option(
            text=f"`{made}`",
            code=f"{x}layer = {made}\ntuple(layer(x).shape)",
            feedback=feedback,
            correct=not belief,
            misconception=belief,
            raises=error,
        )

    wrong = [
        option(
            f"nn.BatchNorm{kind}({rows})",
            "The layer holds numbers for each channel, and is not told how many rows come.",
            "RuntimeError",
            "bn-first-size",
        ),
        option(
            f"nn.BatchNorm{other}({channels})",
            f"`BatchNorm{other}` is for tensors of another number of dimensions.",
            "ValueError",
            "bn-wrong-dimension",
        ),
        option(
            f"nn.BatchNorm{kind}()",
            "The number of channels must be given: weight, bias and statistics have that size.",
            "TypeError",
            "bn-one-pair",
        ),
        option(
            f"nn.BatchNorm{kind}(channels={channels})",
            "The argument is called `num_features`, for images too.",
            "TypeError",
            "bn-other-keyword",
        ),
        option(
            f"nn.BatchNorm{kind}({channels * side * side if images else channels * rows})",
            "This counts every number; the layer needs the channels alone.",
            "RuntimeError",
            "bn-over-everything",
        ),
    ]
    return Draft(
        text="Which layer takes tensors of shape {shape}: {words}?",
        options=(
            option(
                f"nn.BatchNorm{kind}({channels})",
                "The number of channels, which is the second of the shape, is all that it needs.",
            ),
            *random.sample(wrong, 3),
        ),
        given={
            "shape": str(shape),
            "words": f"{rows} images of {channels} channels, {side} by {side} places each"
            if images
            else f"{rows} rows of {channels} features each",
            "channels": str(channels),
            "kind": kind,
        },
        steps=(
            "The first number of the shape counts the rows, the second the channels.",
            "Weight, bias and both running statistics have one number for each channel.",
            "1d is for (rows, channels) or (rows, channels, length), 2d for images.",
            "So it is {key}.",
        ),
        answer="{letter}: {key}",
        check="`nn.BatchNorm{kind}({channels}).weight.shape` is ({channels},).",
        hint="Which number of the shape stays when the batch gets larger?",
        mistakes=(
            "Giving the batch size: it may change from batch to batch.",
            "Giving 1d layers images or 2d layers rows: the number of dimensions is checked.",
            "Multiplying the channels by the places: all places of a channel share its numbers.",
        ),
    )


@question(id="B207", group="practice", level="hard", needs="nothing")
def company(recording: Recording, random: Random) -> Draft | None:
    """Which layer gives a row the same output in any company."""
    width = random.choice((4, 6, 8))
    apart = {
        f"nn.LayerNorm({width})": "Layer norm takes its mean over the features of the one row.",
        f"nn.GroupNorm(2, {width})": "Group norm looks at groups of one row's features.",
        f"nn.GroupNorm(2, {width}, affine=False)": "Group norm looks at one row at a time.",
        f"nn.LayerNorm({width}, bias=False)": "Layer norm looks at one row only.",
        f"nn.BatchNorm1d({width}, affine=False).eval()": "Eval mode uses running statistics.",
        f"nn.BatchNorm1d({width}, momentum=0.5).eval()": "Eval mode uses running statistics.",
    }
    together = {
        f"nn.BatchNorm1d({width})": "A new layer is in train mode: the batch is asked.",
        f"nn.BatchNorm1d({width}, affine=False)": "Without weight and bias it asks the batch, too.",
        f"nn.BatchNorm1d({width}, momentum=0.0)": "The statistics stand still, but train mode does "
        "not use them.",
        f"nn.BatchNorm1d({width}, momentum=None)": "momentum concerns the running statistics only.",
        f"nn.BatchNorm1d({width}).requires_grad_(False)": "Freezing does not change the mode.",
        f"nn.BatchNorm1d({width}, track_running_stats=False).eval()": "Without running statistics "
        "eval mode has to ask the batch as well.",
    }
    beliefs = dict(
        zip(
            together,
            (
                "bn-rows-apart",
                "bn-rows-apart",
                "bn-statistics-stand-still",
                "bn-momentum-replaces",
                "bn-frozen-is-eval",
                "bn-eval-does-nothing",
            ),
            strict=True,
        )
    )
    test = "x = torch.randn(16, {0})\nlayer = {1}\ntorch.allclose(layer(x)[0], layer(x[:8])[0])"
    moved = f"x = torch.randn(16, {width})\nlayer = nn.BatchNorm1d({width})\n"
    line = random.choice(list(apart))
    return Draft(
        text="Half of the batch is taken away. Which layer still gives the first row the same "
        "output?",
        code=f"x = torch.randn(16, {width})\nlayer = ...  # one of the lines below\n"
        "torch.allclose(layer(x)[0], layer(x[:8])[0])",
        options=(
            claim(f"`{line}`", test.format(width, line), apart[line], correct=True),
            *(
                claim(
                    f"`{other}`",
                    test.format(width, other),
                    f"{together[other]} The first row came out otherwise.",
                    misconception=beliefs[other],
                )
                for other in random.sample(list(together), 3)
            ),
        ),
        given={"reason": apart[line]},
        experiments={
            "difference": f"{moved}(layer(x)[0] - layer(x[:8])[0]).abs().max()",
        },
        steps=(
            "In train mode batch norm takes mean and variance from the batch, so every row has a "
            "part in the output of every other.",
            "Executed for a new layer: without half of the batch, the first row's output moved by "
            "up to {difference}.",
            "Layer norm and group norm look at one row only. So does batch norm in eval mode, "
            "if it has running statistics.",
            "{reason}",
        ),
        answer="{letter}: {key}",
        check="Compare `layer(x)[0]` with `layer(x[:8])[0]`.",
        hint="From which numbers does each layer take its mean?",
        mistakes=(
            "Trusting eval() alone: with `track_running_stats=False` there is nothing to use.",
            "Thinking that frozen parameters or a momentum of 0 keep the batch out.",
            "Taking each row for independent, as it is in a linear layer.",
        ),
    )


@question(id="B206", group="practice", level="hard", needs="nothing")
def redundant(recording: Recording, random: Random) -> Draft | None:
    """What becomes of a bias or scale in front of batch norm."""
    shift, factor = random.choice((2, 3, 5, 7)), random.choice((4, 10, 20))
    kinds = {
        f"raise each bias of `linear` by {shift}": f"linear.bias += {shift}",
        f"multiply weight and bias of `linear` by {factor}": f"linear.weight *= {factor}; "
        f"linear.bias *= {factor}",
        f"multiply weight and bias of `linear` by {factor}, then raise each bias by {shift}": (
            f"linear.weight *= {factor}; linear.bias *= {factor}; linear.bias += {shift}"
        ),
    }
    words = random.choice(list(kinds))
    setup = (
        "linear, norm = nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=1.0)\n"
        "x = 5 * torch.randn(64, 4)\n"
        "{mode}\nbefore = {output}\nwith torch.no_grad():\n    {change}\n"
        "({output} - before).abs().max()"
    )

    def moved(mode: str, output: str) -> str:
        return setup.format(mode=mode, output=output, change=kinds[words])

    whole = "norm(linear(x))"
    trains = random.random() < 0.5
    in_train, in_eval = moved("norm.train()", whole), moved("norm(linear(x)); norm.eval()", whole)
    key = (
        result(
            in_train,
            "What a channel is shifted by goes into its mean, and a factor into its deviation: "
            "both are taken out again.",
            correct=True,
        )
        if trains
        else result(
            in_eval,
            "Eval mode still subtracts and divides by what was gathered before the change.",
            correct=True,
        )
    )
    other = (
        result(
            in_eval,
            "So much it would be in eval mode, where the statistics were gathered before the "
            "change.",
            misconception="bn-scale-passes",
        )
        if trains
        else result(
            in_train,
            "So it is in train mode, where the batch's own mean and deviation are taken out.",
            misconception="bn-eval-uses-batch",
        )
    )
    return Draft(
        text="`linear` is followed by `norm`, a batch norm with momentum 1 that has seen this very "
        "batch in train mode and is {mode} now. Somebody proposes to {words}. By how much does the "
        "output for the batch change at most?",
        code="linear, norm = nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=1.0)\n"
        "x = 5 * torch.randn(64, 4)\nnorm(linear(x))\n"
        f"norm.{'train' if trains else 'eval'}()\n"
        "before = norm(linear(x))\n...  # the change\n(norm(linear(x)) - before).abs().max()",
        options=(
            key,
            result(
                moved("norm.train()", "linear(x)"),
                "So much does the output of the linear layer change, in front of the norm.",
                misconception="bn-bias-needed",
            ),
            other,
            result(
                moved("norm.momentum = 0.1; norm(linear(x)); norm.eval()", whole),
                "So much it would be in eval mode after a single batch with the usual momentum.",
                misconception="bn-bias-needed",
            ),
        ),
        given={
            "words": words,
            "mode": "in train mode" if trains else "in eval mode",
        },
        experiments={"bias": "nn.Linear(4, 3, bias=False).bias"},
        steps=(
            "A shift of a channel moves its mean by as much, and the mean is subtracted.",
            "A factor multiplies its deviation, and the output is divided by that.",
            "So nothing of it is left in train mode: {key}."
            if trains
            else "In train mode nothing of it would be left. Eval mode takes out what was gathered "
            "before the change, so that it shows: {key}.",
            "That is why `bias=False` is usual in front of batch norm: its own bias shifts.",
        ),
        answer="{letter}: {key}",
        check="`nn.Linear(4, 3, bias=False).bias` is {bias}, and nothing is missed in front of a "
        "norm.",
        hint="What happens to the mean and to the deviation of each channel?",
        mistakes=(
            "Believing that the bias of the layer before still shifts the output.",
            "Forgetting eval mode: there the statistics stand still, and the change shows.",
            "Taking it for harmless: weights that grow get smaller steps relative to their size.",
        ),
    )
