"""Quiz questions about dropout on and dropout off, as this run measured both."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, number, result
from pipetrace.lessons.dropout.reading import told_apart
from pipetrace.lessons.reading import droppings, name_stage, passings, speaking
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D103", group="quiz", level="medium", needs="subject", place="training")
def loss_of_modes(recording: Recording, random: Random) -> Draft | None:
    """Which of two losses of the same weights was measured with dropout on."""
    measured = told_apart(recording)
    if not measured or not droppings(recording):
        return None
    now = random.choice(measured)
    on, off = round(now.on, 3), round(now.off, 3)
    recorded = f"measured = torch.tensor([{on}, {off}])  # dropout on, dropout off\n"

    def option(first: float, second: float, feedback: str, belief: str = "") -> Option:
        return claim(
            f"{first:.3f} with dropout on and {second:.3f} with it off",
            f"{recorded}torch.equal(measured, torch.tensor([{first}, {second}]))",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    return Draft(
        text="After epoch {epoch} the same weights were scored on the same {rows} training rows "
        "twice, once in each mode of dropout. The losses {low} and {high} came up. Which "
        "measurement gave which?",
        options=(
            option(on, off, "With part of its input missing, the model did worse on these rows."),
            option(off, on, "The losses are exchanged.", "mode-mixed-up"),
            option(on, on, "The two losses differed.", "mode-is-harmless"),
            option(off, off, "The two losses differed.", "mode-is-harmless"),
        ),
        given={
            "epoch": str(now.epoch),
            "rows": str(now.rows),
            "low": f"{off:.3f}",
            "high": f"{on:.3f}",
            "masks": str(now.masks),
        },
        steps=(
            "Weights and rows are the same, so only dropout can make the difference.",
            "With dropout on, the model has to predict from what the mask leaves it.",
            "Measured: {high} with dropout on ({masks} masks), {low} with it off.",
        ),
        answer="{letter}: {key}",
        check="The training trace lists both losses for each epoch.",
        hint="In which measurement does the model see all of its input?",
    )


@question(id="D104", group="quiz", level="easy", needs="subject", place="prediction")
def in_eval(recording: Recording, random: Random) -> Draft | None:
    """What the same stage returns for one real element in eval mode."""
    places = [
        (passing, index)
        for passing in passings(recording)[:4]
        for index in speaking(passing.before)
        if index < len(passing.after)
    ]
    if not places:
        return None
    passing, index = random.choice(places)
    p, value = literal(passing.p), literal(passing.before[index])
    return Draft(
        text="In a forward in eval mode, {stage} with p = {p} met the element {value} of the "
        "sample's row. What came out?",
        options=(
            result(
                f"nn.Dropout({p}).eval()(torch.tensor([{value}]))[0].item()",
                "In eval mode dropout hands its input on as it is.",
                correct=True,
                expected=number(passing.after[index]),
            ),
            result(
                f"outputs = nn.Dropout({p})(torch.full((20000,), {value}))\n"
                "outputs[outputs != 0][0].item()",
                "This is a survivor in train mode.",
                misconception="rescale-without-drop",
            ),
            result(
                f"outputs = nn.Dropout({p})(torch.full((20000,), {value}))\n"
                "outputs[outputs == 0][0].item()",
                "This is a dropped element in train mode.",
                misconception="drops-in-eval",
            ),
            result(
                f"(torch.tensor({value}) * (1 - {p})).item()",
                "PyTorch scales in training, so that nothing is left to do here.",
                misconception="scales-in-eval",
            ),
        ),
        given={
            "stage": name_stage(passing.op),
            "p": number(passing.p),
            "value": number(passing.before[index]),
        },
        steps=(
            "In eval mode no mask is drawn, so the element cannot be dropped.",
            "The scale 1 / (1 - p) belongs to the mask: it is not applied either.",
            "{value} stays {key}.",
        ),
        answer="{letter}: {key}",
        check="The prediction trace shows the stage's row before and after.",
        hint="Which mode does the scaling, if the expected value is right already in training?",
    )
