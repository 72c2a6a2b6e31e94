"""Quiz questions about which mean and variance a stage of the run used, and what came of it."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.batchnorm.norms import argument, describe, linked, normings
from pipetrace.lessons.drafts import Draft, claim, literal, number, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="B104", group="quiz", level="medium", needs="subject", place="flow")
def spread(recording: Recording, random: Random) -> Draft | None:
    """What deviation a stage's output has before anything is learned."""
    found = [
        (norming, norming.incoming.std, norming.op.outputs[0].std)
        for norming in normings(recording)
        if norming.by_batch and norming.capture.step == 0 and norming.values >= 8
        if norming.incoming is not None and norming.op.outputs
    ]
    known = [
        (norming, before, after)
        for norming, before, after in found
        if before is not None and after is not None and math.isfinite(before) and before > 0.01
    ]
    if not known:
        return None
    norming, before, after = random.choice(known)
    x = (
        f"x = torch.randn({norming.values}, {norming.channels})\n"
        f"x = (x - x.mean()) / x.std(correction=0) * {literal(before)}\n"
    )
    wrong = [
        result(
            f"{x}x.std(correction=0).item()",
            "This is the deviation of what came in. The stage divides each channel by its own.",
            misconception="bn-keeps-its-input",
        ),
        result(
            f"{x}((x - x.min()) / (x.max() - x.min())).std(correction=0).item()",
            "This is what bringing the numbers between 0 and 1 would give.",
            misconception="bn-min-max",
        ),
        result(
            f"{x}F.normalize(x).std(correction=0).item()",
            "This is what bringing each row to the length 1 would give.",
            misconception="bn-unit-length",
        ),
        result(
            f"{x}nn.BatchNorm1d({norming.channels})(x).mean().abs().item()",
            "This is the mean of the output. Its spread is what was divided by.",
            misconception="bn-only-centres",
        ),
    ]
    if abs(before - 1) < 0.1:
        wrong.pop(0)
    return Draft(
        text="In the first training forward, before any step of the optimizer, what came into "
        "{stage} had a standard deviation of {before} over all of its numbers. What is the "
        "deviation of what came out?",
        options=(
            result(
                f"{x}nn.BatchNorm1d({norming.channels})(x).std(correction=0).item()",
                "Each channel was divided by its own deviation, and weight and bias begin at 1 "
                "and 0.",
                correct=True,
                expected=number(after),
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(norming) | {"before": number(before)},
        steps=(
            "In train mode each channel loses its mean over the batch and is divided by its "
            "deviation.",
            "Weight is 1 and bias 0 before the first step, so they change nothing yet.",
            "Every channel has mean 0 and deviation 1, and so have all together: {key}.",
        ),
        answer="{letter}: {key}",
        check="The deviation that comes in does not matter: multiply the input by 10, and the "
        "output stays.",
        hint="What are weight and bias before the first step?",
        place=f"flow/{norming.op.module}" if norming.op.module else "",
    )


@question(id="B105", group="quiz", level="easy", needs="subject", place="prediction")
def in_eval(recording: Recording, random: Random) -> Draft | None:
    """Which mean a stage subtracts in eval mode."""
    found = [
        norming
        for norming in normings(recording)
        if not norming.by_batch and linked(norming.op, "running_mean") is not None
    ]
    if not found:
        return None
    norming = random.choice(found)
    width, rows = norming.channels, max(2, min(norming.shape[0], 64))
    setup = (
        f"layer = nn.BatchNorm1d({width})\nlayer(5 + torch.randn(64, {width}))\nlayer.eval()\n"
        f"x = torch.randn({rows}, {width})\n"
        "def same(mean, variance):\n"
        "    return torch.allclose(layer(x), (x - mean) / (variance + 1e-5).sqrt(), atol=1e-4)\n"
    )
    wrong = [
        claim(
            "The mean of this forward's own rows, channel by channel",
            f"{setup}same(x.mean(0), x.var(0, correction=0))",
            "In eval mode the batch is not asked: a row comes out the same in any company.",
            misconception="bn-eval-uses-batch",
        ),
        claim(
            "The mean of each row over its own features",
            f"{setup}same(x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0))",
            "This is what layer norm does.",
            misconception="bn-over-features",
        ),
        claim(
            "Nothing: in eval mode the stage returns what it is given",
            f"{setup}torch.equal(layer(x), x)",
            "Dropout does that. Batch norm goes on normalising, with other numbers.",
            misconception="bn-eval-does-nothing",
        ),
        claim(
            "The mean of this forward's rows, averaged with the running mean",
            f"{setup}same((layer.running_mean + x.mean(0)) / 2, layer.running_var)",
            "The rows of the forward have no say in eval mode.",
            misconception="bn-eval-mixes",
        ),
    ]
    key = random.choice(
        (
            "The running mean that forwards in train mode left behind",
            "The running mean of each channel, as training left it",
            "The running mean of each channel, which forwards in train mode gathered",
        )
    )
    return Draft(
        text="In {forward} {stage} was in eval mode and met a tensor of shape {shape}. What did it "
        "subtract?",
        options=(
            claim(
                key,
                f"{setup}same(layer.running_mean, layer.running_var)",
                "It was gathered in train mode, a tenth of each batch's mean at a time.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(norming),
        steps=(
            "In train mode a batch norm keeps books: a running mean and a running variance.",
            "In eval mode it subtracts that mean and divides by the root of that variance.",
            "Executed on a layer that had seen rows around 5 and then met rows around 0: {letter} "
            "is what it computed.",
        ),
        answer="{letter}: {key}.",
        check="The op's recorded argument `training` is False in this forward.",
        hint="A single row must come out as it would among others. Which numbers allow that?",
        place="prediction" if norming.capture.purpose == "prediction" else "flow",
    )


@question(id="B106", group="quiz", level="easy", needs="subject", place="flow")
def one_row(recording: Recording, random: Random) -> Draft | None:
    """What a stage does with a batch of one row in train mode."""
    found = [
        norming
        for norming in normings(recording)
        if norming.by_batch and len(norming.shape) == 2 and argument(norming.op, "momentum")
    ]
    if not found:
        return None
    norming = random.choice(found)
    setup = (
        f"layer = nn.BatchNorm1d({norming.channels})\nx = 3 * torch.randn(1, {norming.channels})"
    )
    attempt = "try:\n    y = layer(x)\nexcept ValueError:\n    y = None\n"
    wrong = [
        claim(
            "Zeros come out: the row is its own mean",
            f"{setup}\n{attempt}y is not None and bool((y == 0).all())",
            "It would be so, and useless; PyTorch refuses instead.",
            misconception="bn-one-row-zero",
        ),
        claim(
            "The row comes out just as it went in",
            f"{setup}\n{attempt}y is not None and torch.equal(y, x)",
            "Nothing comes out: a ValueError is raised.",
            misconception="bn-one-row-same",
        ),
        claim(
            "The running statistics step in for it",
            f"{setup}\n{attempt}y is not None and torch.allclose(y, layer.eval()(x))",
            "They are for eval mode. In train mode the batch is asked, whatever its size.",
            misconception="bn-one-row-running",
        ),
        claim(
            "It is normalised over its own features",
            f"{setup}\n{attempt}y is not None and torch.allclose(y, F.layer_norm(x, x.shape[1:]))",
            "Layer norm does so. Batch norm has one number for each channel here.",
            misconception="bn-over-features",
        ),
    ]
    return Draft(
        text="In {forward} {stage} met {rows} rows of {channels} features. What if a batch of one "
        "row came along in train mode, the rest of a data set for example?",
        options=(
            claim(
                random.choice(
                    (
                        "The forward raises a ValueError",
                        "A ValueError: one row has no spread",
                        "It raises a ValueError: one row has no spread",
                    )
                ),
                f"{setup}\n{attempt}y is None",
                "`{message}`",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(norming),
        experiments={
            "message": f"{setup}\ntry:\n    layer(x)\nexcept ValueError as error:\n"
            "    text = str(error)\ntext",
            "fine": f"{setup}\ntuple(layer.eval()(x).shape)",
        },
        steps=(
            "In train mode mean and variance are taken over the rows of the batch.",
            "Of one row the variance is 0, and normalising would make every number 0.",
            "PyTorch refuses: `{message}`",
            "In eval mode the same row goes through, and the shape {fine} comes out.",
        ),
        answer="{letter}: {key}.",
        check="`drop_last=True` in a DataLoader leaves such a rest out.",
        hint="What is the variance of a single number?",
        place=f"flow/{norming.op.module}" if norming.op.module else "",
    )
