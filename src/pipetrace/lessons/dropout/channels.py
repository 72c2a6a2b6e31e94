"""Practice with what is dropped together, and with dropout that keeps mean and variance."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, result
from pipetrace.lessons.dropout.reading import rates
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D213", group="practice", level="easy", needs="nothing", place="flow")
def decisions(recording: Recording, random: Random) -> Draft | None:
    """How many elements a layer decides on in one forward."""
    rows, features = random.choice((8, 16, 32, 50)), random.choice((5, 10, 12, 20))
    p = literal(rates(recording, random))
    made = f"rows = torch.ones({rows}, {features})\n"
    wrong = [
        result(
            f"{made}rows.shape[1]",
            "The mask differs from row to row, it is not one for all.",
            misconception="one-mask-for-rows",
        ),
        result(
            f"{made}rows.shape[0]",
            "Rows are not dropped as a whole.",
            misconception="drops-rows",
        ),
        result(
            f"{made}sum(rows.shape)",
            "Rows times features, not plus.",
            misconception="counts-added",
        ),
        result(
            f"{made}2 * rows.numel()",
            "One mask is drawn in a forward, and none on the way back.",
            misconception="counts-in-and-out",
        ),
        result(
            f"{made}rows.numel() * rows.shape[1]",
            "Rows times features, once.",
            misconception="counts-in-and-out",
        ),
    ]
    return Draft(
        text="A batch of {rows} rows with {features} features goes through `nn.Dropout({p})` in "
        "train mode. On how many elements does the mask decide, each on its own?",
        options=(
            result(
                f"{made}nn.Dropout({p})(rows).numel()",
                "Each number of each row has a draw of its own.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"rows": str(rows), "features": str(features), "p": p},
        experiments={"differ": f"len(set((nn.Dropout(0.5)(torch.ones({rows}, 20))).sum(1).tolist()"
                     "))"},
        steps=(
            "The mask has the shape of the batch: {rows} times {features}.",
            "Each element has a draw of its own, so there are {key} decisions.",
            "Executed on rows of 20 ones: their sums behind dropout had {differ} different values.",
        ),
        answer="{letter}: {key}",
        check="`layer(rows).numel()`",
        hint="Does each row get the same mask?",
        mistakes=(
            "Speaking of dropped neurons: what is dropped are elements, anew in each row.",
            "Drawing one mask for the whole batch in one's head.",
        ),
    )  # fmt: skip


@question(id="D214", group="practice", level="medium", needs="nothing", place="flow")
def whole_channels(recording: Recording, random: Random) -> Draft | None:
    """Which layer drops whole channels of its input."""
    p = random.choice((0.25, 0.3, 0.4, 0.5, 0.6))
    batch, channels = random.choice((4, 5, 6)), random.choice((8, 10, 12))
    layer, rest, what = random.choice(
        (
            ("Dropout1d", "9", "sequences of 9 steps"),
            ("Dropout2d", "5, 4", "maps of 5 by 4"),
            ("Dropout3d", "3, 3, 2", "volumes of 3 by 3 by 2"),
        )
    )

    def option(call: str, feedback: str, belief: str = "") -> Option:
        return Option(
            text=f"`{call}`",
            code=f"x = torch.ones({batch}, {channels}, {rest})\n"
            f"zero = ({call}(x) == 0).flatten(2)\n"
            "bool(zero.any() and torch.equal(zero.all(2), zero.any(2)))",
            feedback=feedback,
            correct=not belief,
            misconception=belief,
            expected=str(not belief),
        )

    wrong = [
        (f"nn.Dropout({p})", "It drops single elements.", "drops-channels"),
        (f"nn.Dropout(p={p}).train()", "It drops single elements.", "drops-channels"),
        (f"nn.AlphaDropout({p})", "It puts no zeros, and spares channels.", "alpha-is-channels"),
        (f"nn.{layer}({p}).eval()", "In eval mode nothing is dropped.", "drops-in-eval"),
        (f"nn.Dropout({p}, inplace=True)", "`inplace` says where to write.", "inplace-is-whole"),
    ]
    return Draft(
        text="A batch of {batch} has {channels} channels, which are {what}. Which layer drops "
        "channels as a whole, so that each is zero throughout or kept throughout?",
        options=(
            option(f"nn.{layer}({p})", "One draw decides on all elements of a channel."),
            *(option(*each) for each in random.sample(wrong, 3)),
        ),
        given={"batch": str(batch), "channels": str(channels), "what": what},
        steps=(
            "Neighbours in a channel are alike, so dropping single ones hides little.",
            "`Dropout1d`, `2d` and `3d` make one draw for each channel of each sample.",
            "The number says how many dimensions a channel has: here they are {what}.",
        ),
        answer="{letter}: {key}",
        check="Count channels with some zeros, and channels with zeros only: both numbers agree.",
        hint="How many dimensions has one channel?",
        mistakes=(
            "Taking the number in the name for that of the whole batch's dimensions.",
            "Expecting channels to be dropped because the input has some.",
        ),
    )


@question(id="D215", group="practice", level="medium", needs="nothing", place="flow")
def channel_draws(recording: Recording, random: Random) -> Draft | None:
    """How many independent draws a layer makes that drops channels."""
    batch, channels = random.choice((2, 3, 5, 6)), random.choice((4, 7, 8))
    height, width = random.choice(((3, 4), (5, 5), (6, 3)))
    p = literal(rates(recording, random))
    made = f"x = torch.ones({batch}, {channels}, {height}, {width})\n"
    return Draft(
        text="Images of shape {shape} (samples, channels, height, width) go through "
        "`nn.Dropout2d({p})` in train mode. How many independent draws decide what is dropped?",
        options=(
            result(
                f"{made}nn.Dropout2d({p})(x).flatten(2).amax(2).numel()",
                "One for each channel of each sample.",
                correct=True,
            ),
            result(
                f"{made}x.numel()",
                "This is what `nn.Dropout` does: one draw for each element.",
                misconception="drops-elements",
            ),
            result(
                f"{made}x.shape[1]",
                "Samples have masks of their own.",
                misconception="one-mask-for-rows",
            ),
            random.choice(
                (
                    result(
                        f"{made}x.shape[0]",
                        "Samples are not dropped as a whole.",
                        misconception="drops-rows",
                    ),
                    result(
                        f"{made}x[0, 0].numel()",
                        "Elements of a channel share one draw.",
                        misconception="drops-pixels",
                    ),
                )
            ),
        ),
        given={
            "shape": str((batch, channels, height, width)),
            "p": p,
            "batch": str(batch),
            "channels": str(channels),
        },
        steps=(
            "A channel of a sample is dropped or kept as a whole: one draw.",
            "There are {batch} samples with {channels} channels each.",
            "Together {key} draws, whatever height and width.",
        ),
        answer="{letter}: {key}",
        check="Make the images larger: the number of draws stays.",
        hint="What shares its fate here?",
        mistakes=(
            "Counting elements: height and width play no part.",
            "Forgetting that each sample of the batch has draws of its own.",
        ),
    )


@question(id="D216", group="practice", level="hard", needs="nothing", place="flow")
def alpha(recording: Recording, random: Random) -> Draft | None:
    """Which layer keeps the variance of its input as well as the mean."""
    p = random.choice((0.2, 0.25, 0.3, 0.4, 0.5))
    size = random.choice((16000, 20000, 24000))

    def option(call: str, feedback: str, belief: str = "") -> Option:
        return claim(
            f"`{call}`",
            f"y = {call}(torch.randn({size}))\n"
            "bool(abs(y.mean()) < 0.05 and abs(y.var() - 1) < 0.06)",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    wrong = [
        (f"nn.Dropout({p})", "The variance grows to 1 / (1 - p).", "mean-is-all"),
        (f"nn.Sequential(nn.Dropout({p}), nn.ReLU())", "ReLU cuts one side off.", "relu-keeps"),
        (f"nn.Sequential(nn.Dropout({p}), nn.Tanh())", "tanh makes all smaller.", "relu-keeps"),
        (f"nn.Sequential(nn.ReLU(), nn.AlphaDropout({p}))", "ReLU cuts a side off.", "relu-keeps"),
        (f"nn.Dropout(p={p}).train()", "The variance grows to 1 / (1 - p).", "mean-is-all"),
    ]
    return Draft(
        text="Numbers with mean 0 and variance 1 go in, in train mode. Out of which do numbers "
        "come with mean 0 and variance 1 again?",
        options=(
            option(
                random.choice((f"nn.AlphaDropout({p})", f"nn.AlphaDropout(p={p}).train()")),
                "It sets dropped elements to a negative number and corrects both.",
            ),
            *(option(*each) for each in random.sample(wrong, 3)),
        ),
        given={"p": literal(p)},
        experiments={
            "plain": f"nn.Dropout({p})(torch.randn({size})).var().item()",
            "alpha": f"nn.AlphaDropout({p})(torch.randn({size})).var().item()",
            "zeros": f"(nn.AlphaDropout({p})(torch.randn({size})) == 0).sum().item()",
        },
        steps=(
            "Plain dropout keeps the mean only: measured, the variance became {plain}.",
            "Alpha dropout does not set elements to zero ({zeros} zeros were found) but to the "
            "lowest value of the SELU activation, then scales and shifts.",
            "Measured, its output had the variance {alpha}.",
        ),
        answer="{letter}: {key}",
        check="`y.mean()` and `y.var()` of many random numbers.",
        hint="Survivors of plain dropout grow. What does that do to the variance?",
        mistakes=(
            "Taking an equal mean for an equal distribution.",
            "Using alpha dropout behind ReLU: it is made for SELU, which keeps mean 0 and "
            "variance 1.",
        ),
    )
