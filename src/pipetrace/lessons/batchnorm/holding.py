"""Quiz questions about what a batch norm stage of the run holds, and how much it looks at."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.batchnorm.norms import describe, learned, linked, normings
from pipetrace.lessons.drafts import Draft, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording

_COUNT = "sum(each.numel() for each in layer.parameters())"
_STATE = "sum(each.numel() for each in layer.state_dict().values())"


@question(id="B101", group="quiz", level="easy", needs="subject", place="flow")
def parameters(recording: Recording, random: Random) -> Draft | None:
    """How many parameters a batch norm stage has."""
    found = [
        (norming, count)
        for norming in normings(recording)
        if (count := learned(recording, norming)) == 2 * norming.channels
    ]
    if not found:
        return None
    norming, count = random.choice(found)
    width = norming.channels
    wrong = [
        result(
            f"layer = nn.BatchNorm1d({width})\n"
            "sum(each.numel() for each in layer.state_dict().values()) - 1",
            "This counts running mean and running variance too: they are buffers, which the "
            "forward moves and no gradient reaches.",
            misconception="bn-statistics-learned",
        ),
        result(
            f"layer = nn.BatchNorm1d({width})\nlayer.weight.numel()",
            "This counts the scale alone; there is a shift for each channel as well.",
            misconception="bn-scale-only",
        ),
        result(
            f"layer = nn.BatchNorm1d({width}, affine=False)\n{_COUNT}",
            "That is a layer with `affine=False`, which was not asked for here.",
            misconception="bn-nothing-learned",
        ),
        result(
            f"layer = nn.Linear({width}, {width})\n{_COUNT}",
            f"A layer with so many is `nn.Linear({width}, {width})`.",
            misconception="bn-has-matrix",
        ),
        result(
            f"layer = nn.Linear(1, 1)\n{_COUNT}",
            "This would be one scale and one shift for the whole tensor.",
            misconception="bn-one-pair",
        ),
    ]
    return Draft(
        text="{stage_first} normalises {channels} channels (features). How many parameters does it "
        "hold, numbers that the optimizer may change?",
        options=(
            result(
                f"layer = nn.BatchNorm1d({width})\n{_COUNT}",
                "One scale (`weight`) and one shift (`bias`) for each channel.",
                correct=True,
                expected=str(count),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(norming),
        steps=(
            "After normalising, each channel is multiplied by its own weight and shifted by its "
            "own bias.",
            "That makes 2 numbers for each of {channels} channels: {key}.",
            "Running mean and variance are counted elsewhere: they are buffers.",
        ),
        answer="{letter}: {key}",
        check="The run's model table says so: twice the number of channels.",
        hint="Which numbers of the layer does a gradient reach?",
        place=f"flow/{norming.op.module}" if norming.op.module else "",
    )


@question(id="B102", group="quiz", level="hard", needs="subject", place="flow")
def state(recording: Recording, random: Random) -> Draft | None:
    """How many numbers of a batch norm stage must be saved with the model."""
    names = ("weight", "bias", "running_mean", "running_var")
    found = [
        norming
        for norming in normings(recording)
        if all(linked(norming.op, name) == (norming.channels,) for name in names)
    ]
    if not found:
        return None
    norming = random.choice(found)
    width = norming.channels
    wrong = [
        result(
            f"layer = nn.BatchNorm1d({width})\n{_COUNT}",
            "These are the parameters alone. Without the running statistics a loaded model could "
            "not predict as the saved one did.",
            misconception="bn-buffers-forgotten",
        ),
        result(
            f"layer = nn.BatchNorm1d({width})\n"
            "sum(each.numel() for name, each in layer.state_dict().items() "
            "if 'num' not in name)",
            "The counter `num_batches_tracked` is missing.",
            misconception="bn-counter-forgotten",
        ),
        result(
            f"layer = nn.BatchNorm1d({width}, affine=False)\n{_STATE}",
            "This is what a layer without weight and bias has: statistics and counter.",
            misconception="bn-nothing-learned",
        ),
        result(
            f"layer = nn.Linear({width}, {width})\n{_STATE}",
            "There is no matrix: channels are not mixed with one another.",
            misconception="bn-has-matrix",
        ),
        result(
            f"layer = nn.BatchNorm1d(1)\n{_STATE}",
            "This is the state of a layer with one channel.",
            misconception="bn-one-pair",
        ),
    ]
    return Draft(
        text="{stage_first} was given weight, bias, running mean and running variance, each of "
        "shape ({channels},). How many numbers does it add to the model's `state_dict()`, which "
        "is what one saves?",
        options=(
            result(
                f"layer = nn.BatchNorm1d({width})\n{_STATE}",
                "Four numbers for each channel, and the counter of batches.",
                correct=True,
                expected=str(4 * width + 1),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(norming),
        steps=(
            "Weight and bias: 2 numbers for each of {channels} channels.",
            "Running mean and running variance: 2 more, in buffers that are saved, too.",
            "`num_batches_tracked` is one number for the whole layer.",
            "4 x {channels} + 1 = {key}.",
        ),
        answer="{letter}: {key}",
        check="Print `list(nn.BatchNorm1d({channels}).state_dict())`: it has five names.",
        hint="A state dict holds buffers as well as parameters, and one of them is a counter.",
        place=f"flow/{norming.op.module}" if norming.op.module else "",
    )


@question(id="B103", group="quiz", level="medium", needs="subject", place="flow")
def values(recording: Recording, random: Random) -> Draft | None:
    """Over how many numbers the mean of one channel is taken."""
    found = [
        norming
        for norming in normings(recording)
        if norming.by_batch
        and len({norming.values, norming.channels, norming.values * norming.channels, 1}) == 4
    ]
    if not found:
        return None
    norming = random.choice(found)
    kind = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}.get(len(norming.shape))
    if kind is None:
        return None
    setup = (
        f"x = torch.randn{norming.shape}\n"
        f"layer = nn.BatchNorm{kind}({norming.channels}, momentum=1.0)\n"
        "layer(x)\nmean = layer.running_mean\n"
    )
    wrong = [
        result(
            f"{setup}x[0].reshape({norming.channels}, -1)[:, 0].numel()",
            "These are the channels of one place: layer norm takes its mean over features, batch "
            "norm does not.",
            misconception="bn-over-features",
        ),
        result(
            f"{setup}x.numel()",
            "One mean of everything would leave channels with large numbers large.",
            misconception="bn-over-everything",
        ),
        result(
            f"{setup}mean[0].numel()",
            "This is how many means a channel gets, not what they are taken over.",
            misconception="bn-rows-apart",
        ),
        result(
            f"{setup}layer.weight.numel() + layer.bias.numel()",
            "These are the learned numbers, which come after the mean.",
            misconception="bn-statistics-learned",
        ),
    ]
    return Draft(
        text="In {forward} a tensor of shape {shape} went into {stage}. Over how many numbers is "
        "the mean of one channel taken?",
        options=(
            result(
                f"{setup}column = x.transpose(0, 1)[0]\n"
                "column.numel() if torch.allclose(column.mean(), mean[0], atol=1e-5) else 0",
                "All that the batch holds of the channel, and nothing else.",
                correct=True,
                expected=str(norming.values),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(norming),
        steps=(
            "The second number of {shape} counts the channels: {channels}.",
            "Each has a mean of its own, over everything else: {values} numbers.",
            "Executed: with momentum 1 the running mean is the batch's mean, and it equals the "
            "mean of these {key} numbers.",
        ),
        answer="{letter}: {key}",
        check="{key} numbers for each of {channels} channels make up the whole tensor.",
        hint="Take one channel out of the batch. What is left?",
        place=f"flow/{norming.op.module}" if norming.op.module else "",
    )
