"""Practice: how the running statistics move, when they do not, and what eval mode makes of them."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, claim, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="B203", group="practice", level="medium", needs="nothing")
def running_mean(recording: Recording, random: Random) -> Draft | None:
    """Where the running mean stands after one batch."""
    low = random.choice((2, 4, 6))
    gaps = random.choice(((2, 10), (4, 8), (1, 8), (3, 9)))
    numbers = [float(low), *(float(low + gap) for gap in gaps)]
    given = random.choice((0.1, 0.2, 0.25))
    x = f"x = torch.tensor([[{numbers[0]}], [{numbers[1]}], [{numbers[2]}]])\n"
    made = "nn.BatchNorm1d(1)" if given == 0.1 else f"nn.BatchNorm1d(1, momentum={given})"
    return Draft(
        text="What does the last line return?",
        code=f"{x}layer = {made}\ny = layer(x)\nlayer.running_mean[0]",
        options=(
            result(
                f"{x}layer = {made}\nlayer(x)\nlayer.running_mean[0]",
                "It went from 0 towards the batch's mean {mean}, by the share {momentum}.",
                correct=True,
            ),
            result(
                f"{x}layer = nn.BatchNorm1d(1, momentum={1 - given})\nlayer(x)\n"
                "layer.running_mean[0]",
                "Here {momentum} was taken for the weight of the old value. In PyTorch momentum "
                "is the weight of the new one.",
                misconception="bn-momentum-keeps",
            ),
            result(
                f"{x}layer = nn.BatchNorm1d(1, momentum=1.0)\nlayer(x)\nlayer.running_mean[0]",
                "This is the mean of the batch, which the layer subtracted. The running mean takes "
                "a share of it.",
                misconception="bn-momentum-replaces",
            ),
            result(
                f"{x}layer = {made}.eval()\nlayer(x)\nlayer.running_mean[0]",
                "So it stays in eval mode. A forward in train mode moves it, without an optimizer.",
                misconception="bn-statistics-stand-still",
            ),
        ),
        given={"momentum": str(given)},
        experiments={"mean": f"{x}x.mean()", "old": f"{made}.running_mean[0]"},
        steps=(
            "The running mean of a new layer is {old}.",
            "The batch has the mean {mean}.",
            "New value = (1 - {momentum}) x {old} + {momentum} x {mean} = {key}.",
        ),
        answer="{letter}: {key}",
        check="A second forward with the same batch brings it closer to {mean}.",
        hint="Momentum is {momentum}. Is it the weight of the old or of the new value?",
        mistakes=(
            "Reading momentum as in an optimizer, where it is the weight of the old value.",
            "Taking the running mean for the mean of the last batch.",
            "Waiting for an optimizer: the forward itself moves the buffer.",
        ),
    )


@question(id="B204", group="practice", level="medium", needs="nothing")
def fresh_eval(recording: Recording, random: Random) -> Draft | None:
    """What a new layer in eval mode returns."""
    start, gap = random.choice((2, 3, 4, 6, 10, 15)), random.choice((2, 3, 4))
    x = f"x = torch.tensor([[{start}.0], [{start + gap}.0], [{start + 2 * gap}.0]])\n"
    return Draft(
        text="The layer has never seen a batch. What does the last line return?",
        code=f"{x}layer = nn.BatchNorm1d(1)\nlayer.eval()\nlayer(x)[:, 0]",
        options=(
            result(
                f"{x}layer = nn.BatchNorm1d(1)\nlayer.eval()\nlayer(x)[:, 0]",
                "Running mean 0 and running variance 1, where they begin, change next to nothing.",
                correct=True,
            ),
            result(
                f"{x}nn.BatchNorm1d(1)(x)[:, 0]",
                "This is train mode, which normalises with the batch.",
                misconception="bn-eval-uses-batch",
            ),
            result(
                f"{x}layer = nn.BatchNorm1d(1)\nlayer(x)\nlayer.eval()(x)[:, 0]",
                "This is what comes out after one forward in train mode; there was none.",
                misconception="bn-counts-in-eval",
            ),
            result(
                f"{x}(x - x.mean())[:, 0]",
                "This takes out the mean of the batch, which eval mode does not ask for.",
                misconception="bn-only-centres",
            ),
        ),
        experiments={
            "state": "layer = nn.BatchNorm1d(1)\n(layer.running_mean[0], layer.running_var[0])",
        },
        steps=(
            "Eval mode normalises with running mean and running variance.",
            "In a new layer they are {state}.",
            "Subtracting 0 and dividing by the root of 1 + 0.00001 leaves {key} to four decimals.",
        ),
        answer="{letter}: {key}",
        check="Call the layer on a batch in train mode first, and the same line returns others.",
        hint="Where do the running statistics begin?",
        mistakes=(
            "Expecting mean 0 and deviation 1 in eval mode too: they hold for batches in training.",
            "Concluding that eval mode does nothing: here the statistics were still at 0 and 1.",
            "Evaluating before any training: the statistics are then worth nothing.",
        ),
    )


@question(id="B205", group="practice", level="medium", needs="nothing")
def standing_still(recording: Recording, random: Random) -> Draft | None:
    """Which line leaves the running statistics where they are."""
    still = {
        "layer.eval(); y = layer(x)": "eval mode reads the statistics and leaves them alone",
        "layer.train(False); y = layer(x)": "train(False) is eval()",
        "y = F.batch_norm(x, mean, variance)": (
            "the functional form is not in train mode unless told so"
        ),
        "layer.momentum = 0.0; y = layer(x)": "a momentum of 0 gives the new value no weight",
    }
    moving = {
        "with torch.no_grad(): y = layer(x)": "bn-no-grad-is-eval",
        "layer.requires_grad_(False); y = layer(x)": "bn-frozen-is-eval",
        "y = layer(x.detach())": "bn-detach-is-eval",
        "layer.weight.requires_grad = False; y = layer(x)": "bn-frozen-is-eval",
        "with torch.inference_mode(): y = layer(x)": "bn-no-grad-is-eval",
        "y = layer(x)  # no optimizer, no backward": "bn-statistics-stand-still",
    }
    width, mean = random.choice((3, 4, 8)), random.choice((2, 5, 9))
    setup = (
        f"layer, x = nn.BatchNorm1d({width}), {mean} + torch.randn(32, {width})\n"
        "mean, variance = layer.running_mean, layer.running_var\n"
    )
    test = "old = mean.clone()\n{0}\ntorch.equal(layer.running_mean, old)"
    line = random.choice(list(still))
    key = claim(
        f"`{line}`",
        f"{setup}{test.format(line)}",
        f"The running mean stood still: {still[line]}.",
        correct=True,
    )
    return Draft(
        text="The layer is in train mode. Which line leaves its running mean as it was?",
        code=f"{setup}old = mean.clone()\n...  # one of the lines below\n"
        "torch.equal(layer.running_mean, old)",
        options=(
            key,
            *(
                claim(
                    f"`{other}`",
                    f"{setup}{test.format(other)}",
                    "The running mean moved: the layer was in train mode, and that decides.",
                    misconception=moving[other],
                )
                for other in random.sample(list(moving), 3)
            ),
        ),
        given={"reason": still[line]},
        experiments={
            "moved": f"{setup}with torch.no_grad():\n    layer(x)\nlayer.running_mean[0]",
        },
        steps=(
            "Running statistics are buffers: the forward itself writes them, in train mode.",
            "So gradients have no say: under no_grad() the first of them went from 0.0 to {moved}.",
            "In line {letter} {reason}.",
        ),
        answer="{letter}: {key}",
        check="Print `layer.running_mean` before and after.",
        hint="Gradients, parameters, mode: which of them do buffers follow?",
        mistakes=(
            "Taking torch.no_grad() for eval mode.",
            "Freezing weight and bias and forgetting the buffers.",
            "Believing that without an optimizer's step nothing in a model can change.",
        ),
    )


@question(id="B208", group="practice", level="hard", needs="nothing")
def running_variance(recording: Recording, random: Random) -> Draft | None:
    """Where the running variance stands after one batch."""
    start, gap = random.choice((1, 3, 5)), random.choice((2, 3, 4, 5))
    x = f"x = torch.tensor([[{start}.0], [{start + gap}.0]])\n"
    return Draft(
        text="What does the last line return?",
        code=f"{x}layer = nn.BatchNorm1d(1)\ny = layer(x)\nlayer.running_var[0]",
        options=(
            result(
                f"{x}layer = nn.BatchNorm1d(1)\nlayer(x)\nlayer.running_var[0]",
                "Nine tenths of 1, where it begins, and a tenth of the unbiased variance.",
                correct=True,
            ),
            result(
                f"{x}0.9 + 0.1 * x.var(correction=0)",
                "This gathers the variance divided by n. The layer divides its output by that "
                "one, but gathers the one divided by n - 1.",
                misconception="bn-biased-running",
            ),
            result(
                f"{x}layer = nn.BatchNorm1d(1, momentum=0.9)\nlayer(x)\nlayer.running_var[0]",
                "Here 0.1 was taken for the weight of the old value.",
                misconception="bn-momentum-keeps",
            ),
            result(
                f"{x}0.1 * x.var()",
                "The running variance begins at 1, not at 0.",
                misconception="bn-starts-from-batch",
            )
            if random.random() < 0.5
            else result(
                f"{x}layer = nn.BatchNorm1d(1, momentum=1.0)\nlayer(x)\nlayer.running_var[0]",
                "This is the batch's own variance; momentum 0.1 takes a tenth of it.",
                misconception="bn-momentum-replaces",
            ),
        ),
        experiments={
            "biased": f"{x}x.var(correction=0)",
            "unbiased": f"{x}x.var()",
            "old": "nn.BatchNorm1d(1).running_var[0]",
        },
        steps=(
            "The two numbers have the variance {biased} if one divides by n = 2, and {unbiased} "
            "if one divides by n - 1 = 1.",
            "The output is made with the first (biased), the running variance takes the second.",
            "It begins at {old}: 0.9 x {old} + 0.1 x {unbiased} = {key}.",
        ),
        answer="{letter}: {key}",
        check="With `momentum=1.0` the running variance is `x.var()` itself: {unbiased}.",
        hint="There are two variances, with n and with n - 1, and the layer uses both.",
        mistakes=(
            "Using the same variance for the output and for the running statistics.",
            "Letting it begin at 0: only the running mean does.",
            "Expecting a large difference in practice: with 32 rows it is 1 in 32.",
        ),
    )
