"""Practice with the layer itself: how it is made, what it shows, and what it takes."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, Option, literal, result
from pipetrace.lessons.dropout.reading import rates
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D206", group="practice", level="easy", needs="nothing", place="flow")
def fresh(recording: Recording, random: Random) -> Draft | None:
    """Which mode a new layer is in, and which calls change it."""
    p = literal(rates(recording, random))
    evaluating = [
        f"nn.Dropout({p}).eval()",
        f"nn.Dropout({p}).train(False)",
        f"nn.Dropout({p}).train().eval()",
        f"nn.Sequential(nn.Dropout({p})).eval()[0]",
    ]
    training = [
        (f"nn.Dropout({p})", "fresh-is-eval", "A new layer is in train mode."),
        (f"nn.Dropout({p}).eval().train()", "first-call-wins", "The last call counts."),
        (f"nn.Dropout({p}).requires_grad_(False)", "grad-is-switch", "Gradients are no mode."),
        (f"nn.Sequential(nn.Dropout({p})).train()[0]", "mode-mixed-up", "train() is train mode."),
        (f"nn.Dropout({p}, inplace=True)", "inplace-is-eval", "`inplace` is no mode."),
        (f"nn.Dropout({p}).to(torch.float64)", "grad-is-switch", "A type is no mode."),
    ]
    line = random.choice(evaluating)
    return Draft(
        text="Which of these layers is in eval mode?",
        options=(
            _mode(line, "It was put into eval mode, and `training` is {outcome}."),
            *(
                _mode(code, f"{words} `training` is {{outcome}}.", belief)
                for code, belief, words in random.sample(training, 3)
            ),
        ),
        experiments={"fresh": f"nn.Dropout({p}).training"},
        steps=(
            "A new layer is in train mode: its `training` is {fresh}.",
            "`eval()` and `train(False)` set it to False, for a layer and for all in it.",
            "Of several calls the last one counts. Nothing else changes the mode.",
        ),
        answer="{letter}: {key}",
        check="Print `layer.training`.",
        hint="Look for `eval()` or `train(False)`, and for what comes after it.",
        mistakes=(
            "Taking a new layer for one that does nothing yet.",
            "Taking `requires_grad_(False)` for a mode: it concerns parameters.",
        ),
    )


@question(id="D207", group="practice", level="easy", needs="nothing", place="network")
def shown(recording: Recording, random: Random) -> Draft | None:
    """What printing a dropout layer shows."""
    p = rates(recording, random)
    share, kept = literal(p), literal(round(1 - p, 4))
    made = random.choice((f"nn.Dropout({share})", f"nn.Dropout(p={share})"))
    wrong = [
        result(
            f"repr(nn.Dropout({kept}))",
            "This shows a layer that drops with probability 1 - p.",
            misconception="p-is-keep",
        ),
        result(
            f"repr(nn.Dropout({share}, inplace=True))",
            "By default the layer leaves its input alone: `inplace` is False.",
            misconception="inplace-by-default",
        ),
        result(
            f"repr(nn.Dropout1d({share}))",
            "This is another layer, which drops whole channels.",
            misconception="drops-channels",
        ),
        result(
            f"repr(nn.Dropout({share}).eval()).replace('inplace', 'training')",
            "The mode is not shown; ask `layer.training` for it.",
            misconception="repr-shows-mode",
        ),
    ]
    return Draft(
        text="What does this print?",
        code=f"layer = {made}\nprint(layer)",
        options=(
            result(f"repr({made})", "p and `inplace` are shown, not the mode.", correct=True),
            *random.sample(wrong, 3),
        ),
        steps=(
            "A layer shows its type and its settings.",
            "The settings of dropout are p, as it was given, and `inplace`, which is False unless "
            "asked for.",
        ),
        answer="{letter}: {key}",
        check="The same line stands in the print of a model that has the layer.",
        hint="Is p what is dropped or what is kept?",
        mistakes=(
            "Reading p as the share kept.",
            "Reading the mode off the print: it is the same in train and in eval mode.",
        ),
    )


@question(id="D208", group="practice", level="easy", needs="nothing", place="network")
def legal(recording: Recording, random: Random) -> Draft | None:
    """Which numbers p may be."""
    good, words = random.choice(
        (
            ("nn.Dropout(0)", "p = 0 drops nothing, and is legal."),
            ("nn.Dropout(1)", "p = 1 drops everything, and is legal."),
            ("nn.Dropout(p=1.0)", "p = 1 drops everything, and is legal."),
            ("nn.Dropout(p=0.0)", "p = 0 drops nothing, and is legal."),
            ("nn.Dropout(0.999)", "p is between 0 and 1."),
        )
    )
    tenths, percent = random.randint(1, 9), random.choice((2, 5, 10, 20, 30, 50))
    bad = [
        (f"nn.Dropout({percent})", "ValueError", "percent", "p is no percentage."),
        (f"nn.Dropout(-0.{tenths})", "ValueError", "negative-p", "A probability is not negative."),
        (f"nn.Dropout(1.{tenths})", "ValueError", "p-above-one", "No probability exceeds 1."),
        (f"nn.Dropout('0.{tenths}')", "TypeError", "text-is-number", "A text is no number."),
        (f"nn.Dropout(p={percent}.0)", "ValueError", "percent", "p is no percentage."),
        (f"nn.Dropout(rate=0.{tenths})", "TypeError", "other-keyword", "The keyword is `p`."),
        (f"nn.Dropout(keep_prob=0.{tenths})", "TypeError", "other-keyword", "There is only `p`."),
    ]
    return Draft(
        text="Three of these calls raise an error. Which one makes a layer?",
        options=(
            Option(text=f"`{good}`", code=f"{good}.p", feedback=words, correct=True),
            *(
                Option(
                    text=f"`{code}`",
                    code=code,
                    feedback=f"{reason} It raises {{outcome}}.",
                    misconception=belief,
                    raises=error,
                )
                for code, error, belief, reason in random.sample(bad, 3)
            ),
        ),
        experiments={"zero": "nn.Dropout(0).p", "one": "nn.Dropout(1).p"},
        steps=(
            "p is a probability, so it must be a number from 0 to 1.",
            "Both ends are legal: layers with p = {zero} and p = {one} were made.",
            "The number is checked when the layer is made.",
        ),
        answer="{letter}: {key}",
        check="The error says: dropout probability has to be between 0 and 1.",
        hint="Which of the numbers can be a probability?",
        mistakes=(
            "Writing percent.",
            "Holding 0 and 1 for illegal, or for integers that would not do.",
        ),
    )


@question(id="D209", group="practice", level="easy", needs="nothing", place="flow")
def edges(recording: Recording, random: Random) -> Draft | None:
    """What the two extreme values of p do."""
    p, size = random.choice((0.0, 1.0)), random.choice((2, 3, 4))
    value = random.choice((0.5, 1.0, 2.0, 3.0))
    x = f"torch.full(({size},), {value})"
    wrong = [
        result(f"{x} / torch.zeros({size})", "The layer never divides by zero: p = 1 is "
               "treated apart.", misconception="divides-by-zero"),
        result(f"torch.zeros({size}) / torch.zeros({size})", "Zero times infinity is not "
               "computed: p = 1 is treated apart.", misconception="divides-by-zero"),
        result(f"{x} / 2", "No number is a compromise between kept and dropped.",
               misconception="dropped-is-shrunk"),
        result(f"{x} * 2", "The factor 2 belongs to p = 0.5.", misconception="scale-is-fixed"),
        result(x, "At p = 1 each element is dropped.", misconception="p-is-keep")
        if p
        else result(f"torch.zeros({size})", "At p = 0 no element is dropped.",
                    misconception="p-is-keep"),
    ]  # fmt: skip
    return Draft(
        text="What does the last line return?",
        code=f"layer = nn.Dropout({p})\nlayer(torch.full(({size},), {value}))",
        options=(
            result(
                f"nn.Dropout({p})({x})",
                "p is the probability of being dropped: "
                + ("every element is." if p else "no element is, and the scale is 1."),
                correct=True,
            ),
            *random.sample(wrong[:-1], 2),
            wrong[-1],
        ),
        given={"p": literal(p)},
        steps=(
            "The layer is new, so it is in train mode.",
            "Each element is dropped with probability {p}"
            + (": always." if p else ": never, and survivors are multiplied by 1 / (1 - 0) = 1."),
            "The result is {key}.",
        ),
        answer="{letter}: {key}",
        check="Run it: at both ends nothing is left to chance.",
        hint="Is an element dropped with probability {p} ever dropped, ever kept?",
        mistakes=(
            "Reading p as the probability of keeping.",
            "Expecting an error or infinity at p = 1: the result is zero.",
        ),
    )


@question(id="D210", group="practice", level="easy", needs="nothing", place="network")
def loaded(recording: Recording, random: Random) -> Draft | None:
    """Which p a model has after weights of another one were loaded."""
    old, new = random.sample((0.1, 0.2, 0.3, 0.4, 0.65, 0.75), 2)
    made = (
        f"old = nn.Sequential(nn.Dropout({old}), nn.Linear(4, 2))\n"
        f"new = nn.Sequential(nn.Dropout({new}), nn.Linear(4, 2))\n"
        "new.load_state_dict(old.state_dict())\n"
    )
    wrong = [
        result(f"{made}old[0].p", "p is not among what is saved.", misconception="p-is-saved"),
        result(
            f"{made}round((old[0].p + new[0].p) / 2, 2)",
            "Nothing takes a mean here.",
            misconception="p-is-mixed",
        ),
        result(
            f"{made}nn.Dropout().p",
            "0.5 is the default of a layer made without p.",
            misconception="p-is-reset",
        ),
        result(
            f"{made}float(len(new[0].state_dict()))",
            "This is how many entries dropout has in a saved state; p stays.",
            misconception="p-is-reset",
        ),
    ]
    return Draft(
        text="What does the last line return?",
        code=f"{made}new[0].p",
        options=(
            result(
                f"{made}new[0].p",
                "A state holds parameters and buffers, and dropout has neither.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        experiments={
            "names": f"{made}', '.join(old.state_dict())",
            "count": f"len(nn.Dropout({old}).state_dict())",
        },
        steps=(
            "What is saved of the old model is: {names}. Dropout adds {count} entries.",
            "So loading changes the linear stage and leaves p as it was written: {key}.",
        ),
        answer="{letter}: {key}",
        check="`nn.Dropout(p).state_dict()` is empty.",
        hint="Print `old.state_dict().keys()`.",
        mistakes=(
            "Expecting p to travel with the weights: it stands in the code alone.",
            "Expecting an error because the two p differ: they are not compared.",
        ),
    )


@question(id="D211", group="practice", level="easy", needs="nothing", place="flow")
def coincidence(recording: Recording, random: Random) -> Draft | None:
    """The scale at another p than 0.5, where two formulas agree."""
    p = random.choice((0.1, 0.2, 0.25, 0.4, 0.6, 0.75, 0.8, 0.9))
    return Draft(
        text="At p = 0.5 survivors are doubled. Someone takes the rule from it that the factor is "
        "1 / p. By what are survivors multiplied at p = {p}?",
        options=(
            result(
                f"nn.Dropout({p})(torch.ones(3000)).max().item()",
                "The factor is 1 / (1 - p): one over the share kept on average.",
                correct=True,
            ),
            result(
                f"(torch.ones(1) / {p}).item()",
                "This is 1 / p, which agrees with the right factor at 0.5 only.",
                misconception="half-shows-rule",
            ),
            random.choice(
                (
                    result(
                        "nn.Dropout(0.5)(torch.ones(3000)).max().item()",
                        "The factor depends on p.",
                        misconception="scale-is-fixed",
                    ),
                    result(
                        f"(torch.ones(1) - {p}).item()",
                        "Survivors would shrink.",
                        misconception="scale-inverted",
                    ),
                )
            ),
            result(
                f"(torch.ones(1) + {p}).item()",
                "Adding p is not enough.",
                misconception="p-is-added",
            ),
        ),
        given={"p": literal(p)},
        experiments={"mean": f"nn.Dropout({p})(torch.ones(20000)).mean().item()"},
        steps=(
            "A share 1 - {p} of the elements is kept on average.",
            "To keep the mean, survivors are divided by it: 1 / (1 - {p}) = {key}.",
            "Executed: 20,000 ones came out with the mean {mean}.",
        ),
        answer="{letter}: {key}",
        check="{key} times (1 - {p}) is 1.",
        hint="Do survivors grow more or less if less is dropped?",
        mistakes=(
            "Learning a rule from p = 0.5, where 1 / p and 1 / (1 - p) are both 2.",
            "Adding p instead of dividing by 1 - p.",
        ),
    )


@question(id="D212", group="practice", level="medium", needs="nothing", place="flow")
def in_place(recording: Recording, random: Random) -> Draft | None:
    """Which call writes zeros into its own input."""
    p = literal(rates(recording, random))
    writing = [
        f"nn.Dropout({p}, inplace=True)(x)",
        f"F.dropout(x, {p}, inplace=True)",
        f"nn.Dropout({p}, True)(x)",
        f"nn.Dropout({p}, inplace=True)(x[:])",
    ]
    leaving = [
        (f"nn.Dropout({p})(x)", "input-is-changed", "A new tensor is returned."),
        (f"F.dropout(x, {p}, training=True)", "input-is-changed", "A new tensor is returned."),
        (f"nn.Dropout({p}, inplace=True).eval()(x)", "drops-in-eval", "Eval mode drops nothing."),
        (f"nn.Dropout({p}, inplace=True)(x.clone())", "clone-is-same", "Its copy was changed."),
        (f"y = nn.Dropout({p}).train()(x)", "input-is-changed", "Only y has zeros."),
    ]
    line = random.choice(writing)

    def option(code: str, feedback: str, belief: str = "") -> Option:
        return Option(
            text=f"`{code}`",
            code=f"x = torch.ones(500)\n{code}\nbool((x == 0).any())",
            feedback=feedback,
            correct=not belief,
            misconception=belief,
            expected=str(not belief),
        )

    return Draft(
        text="After which line does `x` itself hold zeros?",
        code="x = torch.ones(500)\n...  # one of the lines below\n(x == 0).any()",
        options=(
            option(line, "In-place dropout writes into the memory of its input."),
            *(option(code, words, belief) for code, belief, words in random.sample(leaving, 3)),
        ),
        steps=(
            "By default dropout returns a new tensor and leaves x alone.",
            "With `inplace=True` the result is written where x is stored, if a mask is drawn.",
            "In {letter} it is, and what is written to is x, not a copy of it.",
        ),
        answer="{letter}: {key}",
        check="Compare `x` before and after, or count its zeros.",
        hint="Which call writes, and into what?",
        mistakes=(
            "Expecting every call to change its input.",
            "Forgetting that a copy has memory of its own, and that eval mode writes nothing.",
        ),
    )


def _mode(code: str, feedback: str, belief: str = "") -> Option:
    return Option(
        text=f"`{code}`",
        code=f"{code}.training",
        feedback=feedback,
        correct=not belief,
        misconception=belief,
        expected=str(bool(belief)),
    )
