"""Challenges: at which line a program with dropout stops with an error."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, literal
from pipetrace.lessons.dropout.programs import numbered, stopped, stopping
from pipetrace.lessons.dropout.reading import rates
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D301", group="challenge", level="easy", needs="nothing", place="network")
def made(recording: Recording, random: Random) -> Draft | None:
    """Which of several dropout layers cannot be made."""
    p = rates(recording, random)
    share, percent = literal(p), f"{p * 100:g}"
    bad, reason = random.choice(
        (
            (f"nn.Dropout({percent})", "p is a probability and not a percentage"),
            (f"nn.Dropout(rate={share})", "the keyword is `p`"),
            (f"nn.Dropout(-{share})", "a probability cannot be negative"),
            (f"nn.Dropout(1 + {share})", "a probability cannot exceed 1"),
            (f"nn.Dropout({share}, training=False)", "the layer takes no mode when it is made"),
            (f"nn.Dropout('{share}')", "a text is no number"),
        )
    )
    good = [
        ("nn.Dropout(0)", "edge-is-illegal", "0 is a legal p: nothing is dropped."),
        ("nn.Dropout(1)", "edge-is-illegal", "1 is a legal p: everything is dropped."),
        ("nn.Dropout()", "p-is-required", "Without p the layer takes 0.5."),
        (f"nn.Dropout({share}, True)", "second-is-training", "The second argument is `inplace`."),
        (f"nn.Dropout(p={share})", "other-keyword", "The keyword is `p`."),
        (f"nn.Dropout(1 - {share})", "p-is-keep", "Any number from 0 to 1 will do."),
    ]
    picked = random.sample(good, 3)
    wrong = random.randint(1, 4)
    calls = [call for call, _, _ in picked]
    calls.insert(wrong - 1, bad)
    lines = [f"{name} = {call}" for name, call in zip("abcd", calls, strict=True)]
    others = [line for line in range(1, 5) if line != wrong]
    beliefs = {
        line: (belief, words) for line, (_, belief, words) in zip(others, picked, strict=True)
    }
    return Draft(
        text="This program stops with an error. At which line?",
        code=numbered(lines),
        options=tuple(stopping(lines, wrong, beliefs)),
        given={"reason": reason},
        experiments={"words": stopped(lines)},
        steps=(
            "The layer takes `p`, a number from 0 to 1, and `inplace`; both may be left out.",
            "Check each line for its number and its keyword.",
            "In {key} something is amiss: {reason}. It raises {words}.",
        ),
        answer="{letter}: {key}",
        check="Run the lines one by one.",
        hint="0 and 1 are legal. What is not?",
        mistakes=(
            "Suspecting 0, 1 or an empty call: all three are legal.",
            "Overlooking a wrong keyword because its number is right.",
        ),
    )


@question(id="D302", group="challenge", level="medium", needs="nothing", place="flow")
def used(recording: Recording, random: Random) -> Draft | None:
    """At which line a wrong setting comes to light."""
    p = literal(rates(recording, random))
    bad_p = random.choice((2, 30, -1))
    programs = [
        (
            [
                f"layer = nn.Dropout({p})",
                f"layer.p = {bad_p}",
                random.choice(("layer.eval()", "layer.train()")),
                "x = torch.ones(8)",
                "y = layer(x)",
            ],
            5,
            "p is checked when the layer is made and when it is used, not when it is set",
        ),
        (
            [
                f"layer = nn.Dropout({p})",
                "x = torch.arange(8)",
                "a = layer.eval()(x)",
                "b = layer.train()(x)",
                "c = a + b",
            ],
            4,
            "whole numbers cannot hold scaled survivors; in eval mode nothing is scaled",
        ),
        (
            [
                "x = torch.ones(4, 8)",
                f"a = F.dropout(x, {p}, training=False)",
                f"b = nn.Dropout({p})(x, training=False)",
                "c = a + b",
            ],
            3,
            "the function takes `training`, a layer has a mode instead",
        ),
        (
            [
                "x = torch.ones(8)",
                "a = nn.Dropout(1.0)(x)",
                f"b = nn.Dropout1d({p})(x)",
                "c = a + b",
            ],
            3,
            "one row alone has no channels that could be dropped as a whole",
        ),
        (
            [
                f"layer = nn.Dropout({p})",
                "y = layer(torch.ones(8))",
                "optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)",
                "optimizer.step()",
            ],
            3,
            "dropout has no parameters, and an optimizer must be given some",
        ),
        (
            [
                f"model = nn.Sequential(nn.Dropout({p}), nn.Linear(8, 2))",
                "model.eval()",
                "a = model(torch.ones(4, 8))",
                "b = model[0](torch.ones(4, 6))",
                "c = model(torch.ones(4, 6))",
            ],
            5,
            "dropout takes any shape, the linear stage wants 8 features",
        ),
    ]
    lines, wrong, reason = random.choice(programs)
    blamed = {
        1: ("error-at-making", "This line makes something sound."),
        2: ("error-at-setting", "Nothing is checked here, or nothing is amiss."),
        3: ("error-in-eval", "This line runs."),
        4: ("error-anywhere", "This line runs, or is never reached."),
        5: ("error-anywhere", "The program has stopped before it."),
    }
    others = random.sample([line for line in range(1, len(lines) + 1) if line != wrong], 3)
    return Draft(
        text="This program stops with an error. At which line?",
        code=numbered(lines),
        options=tuple(stopping(lines, wrong, {line: blamed[line] for line in others})),
        given={"reason": reason},
        experiments={"words": stopped(lines)},
        steps=(
            "Ask of each line what PyTorch can check there.",
            "It stops at {key}, with {words}.",
            "The reason: {reason}.",
        ),
        answer="{letter}: {key}",
        check="Run the lines one by one, and read the last line of the traceback.",
        hint="A mistake need not raise where it is written.",
        mistakes=(
            "Blaming the line with the slip instead of the one that raises.",
            "Thinking that dropout minds the shape or the value of its input.",
        ),
    )


@question(id="D303", group="challenge", level="hard", needs="nothing", place="flow")
def in_place(recording: Recording, random: Random) -> Draft | None:
    """At which line in-place dropout breaks a backward pass."""
    p, size = literal(rates(recording, random)), random.choice((6, 8, 10, 16))
    function = random.choice(("torch.sigmoid", "torch.tanh", "torch.exp", "F.relu"))
    start = f"x = torch.ones({size}, requires_grad=True)"
    later = [
        start,
        f"hidden = {function}(x)",
        f"y = F.dropout(hidden, {p}, inplace=True)",
        "loss = y.sum()",
        "loss.backward()",
    ]
    leaf = [
        start,
        f"layer = nn.Dropout({p}, inplace=True)",
        "y = layer(x)",
        f"loss = {function}(y).sum()",
        "loss.backward()",
    ]
    linear = [
        f"linear = nn.Linear({size}, {size})",
        f"hidden = linear(torch.ones({size}))",
        f"y = {function}(F.dropout(hidden, {p}, inplace=True))",
        f"z = F.dropout(y, {p}, inplace=True)",
        "z.sum().backward()",
    ]
    kind, lines, wrong, reason = random.choice(
        (
            ("later", later, 5, f"`{function}` kept its output for its gradient, and dropout "
             "wrote over it; this is found when the gradient is computed"),
            ("leaf", leaf, 3, "x is a leaf whose gradient is wanted, and in-place dropout would "
             "write over it; PyTorch refuses at once"),
            ("linear", linear, 5, f"the linear stage does not need its output again, but "
             f"`{function}` does, and the second dropout wrote over it"),
        )
    )  # fmt: skip
    blamed = {
        1: ("error-at-making", "This line makes something sound."),
        2: ("error-at-making", "Up to here nothing was written over."),
        3: ("inplace-is-refused", "Writing in place is allowed here, for the moment."),
        4: ("inplace-is-refused", "Nothing is checked here."),
        5: ("backward-finds-all", "The program has stopped before it."),
    }
    others = random.sample([line for line in range(1, 6) if line != wrong], 3)
    return Draft(
        text="This program stops with an error. At which line?",
        code=numbered(lines),
        options=tuple(stopping(lines, wrong, {line: blamed[line] for line in others})),
        given={"reason": reason},
        experiments={"words": stopped(lines)},
        steps=(
            "In-place dropout writes its result over its input.",
            "Ask who needs that input again: the user, or the gradient of the stage before.",
            "Here {reason}.",
            "{key} raises {words}.",
        ),
        answer="{letter}: {key}",
        check="Without `inplace=True` the program runs to its end.",
        hint="Is x itself written over here, or something that a gradient is computed from?"
        if kind != "leaf"
        else "What does PyTorch say to writing over a tensor whose gradient is wanted?",
        mistakes=(
            "Expecting every in-place call to be refused: most are allowed.",
            "Expecting the error always in backward, or never there.",
        ),
    )
