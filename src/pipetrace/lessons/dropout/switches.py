"""Practice with what switches dropout on and off, and with leaving it on for a purpose."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, number, result
from pipetrace.lessons.dropout.reading import rates
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D217", group="practice", level="medium", needs="nothing", place="flow")
def functional(recording: Recording, random: Random) -> Draft | None:
    """How functional dropout learns of the model's mode."""
    p = literal(rates(recording, random))
    name = random.choice(("x", "rows", "hidden"))

    def option(call: str, feedback: str, belief: str = "") -> Option:
        code = (
            "class Net(nn.Module):\n"
            f"    def forward(self, {name}):\n        return {call}\n"
            "net, ones = Net(), torch.ones(400)\ntrained = net.train()(ones)\n"
            "evaluated = net.eval()(ones)\n"
            "0 < (trained == 0).sum().item() < 400 and torch.equal(evaluated, ones)"
        )
        return claim(f"`{call}`", code, feedback, correct=not belief, misconception=belief)

    wrong = [
        (f"F.dropout({name}, p={p})", "Its default is training=True, always.",
         "functional-sees-mode"),
        (f"F.dropout({name}, {p}, training=True)", "It drops in eval mode, too.",
         "functional-sees-mode"),
        (f"F.dropout({name}, {p}, training=self.training is None)",
         "It never drops: `training` is True or False.", "mode-is-none"),
        (f"F.dropout({name}, self.training)", "The mode stands in the place of p: all dropped.",
         "mode-as-p"),
        (f"F.dropout({name}, {p}, training=not self.training)", "The two modes are exchanged.",
         "mode-mixed-up"),
        (f"F.dropout({name}, {p}, inplace=self.training)", "`inplace` is not the mode.",
         "inplace-is-whole"),
    ]  # fmt: skip
    key = random.choice(
        (
            f"F.dropout({name}, {p}, self.training)",
            f"F.dropout({name}, {p}, training=self.training)",
        )
    )
    return Draft(
        text="Which line makes `forward` drop after `net.train()` and not after `net.eval()`?",
        code="class Net(nn.Module):\n"
        f"    def forward(self, {name}):\n        return ...  # one of the lines below",
        options=(
            option(key, "The function is told the mode of the model each time."),
            *(option(*each) for each in random.sample(wrong, 3)),
        ),
        experiments={"zeros": f"(F.dropout(torch.ones(400), {p}) == 0).sum().item()"},
        steps=(
            "A function belongs to no model: it cannot see what `eval()` has set.",
            "Unless told otherwise it drops: of 400 ones, {zeros} became zero.",
            "`self.training` is the mode of the model, and must be handed over.",
        ),
        answer="{letter}: {key}",
        check="Two passes after `net.eval()` must be equal, and two after `net.train()` differ.",
        hint="How would a function get to know the mode?",
        mistakes=(
            "Leaving `training` out: its default is True.",
            "Writing the mode in the place of p.",
        ),
    )


@question(id="D218", group="practice", level="medium", needs="nothing", place="flow")
def whole_model(recording: Recording, random: Random) -> Draft | None:
    """What switches dropout off in every stage of a model."""
    p = literal(rates(recording, random))
    inside = random.choice(
        ("nn.Sequential(nn.Dropout({p}))", "nn.ModuleList([nn.Dropout({p})])[0]")
    )
    made = f"model = nn.Sequential(nn.Identity(), {inside.format(p=p)})\n"

    def option(line: str, feedback: str, belief: str = "") -> Option:
        return claim(
            f"`{line}`",
            f"{made}{line}\ntorch.equal(model(torch.ones(300)), torch.ones(300))",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    right = random.choice(("model.eval()", "model.train(False)", "model.train(mode=False)"))
    wrong = [
        ("model.training = False", "Only the outermost flag was set.", "flag-is-eval"),
        ("model[0].eval()", "This reaches the first stage alone.", "part-is-whole"),
        ("model.requires_grad_(False)", "Gradients are not modes.", "grad-is-switch"),
        ("torch.set_grad_enabled(False)", "Gradients are not modes.", "no-grad-is-eval"),
        ("model.zero_grad()", "This clears gradients.", "grad-is-switch"),
        ("model.eval", "The method is named, but not called.", "named-is-called"),
    ]
    return Draft(
        text="After which line does the model hand its input on unchanged?",
        code=f"{made}...  # one of the lines below\nmodel(torch.ones(300))",
        options=(
            option(right, "The mode is passed on to each stage inside."),
            *(option(*each) for each in random.sample(wrong, 3)),
        ),
        experiments={
            "flags": f"{made}model.training = False\n[each.training for each in model.modules()]"
        },
        steps=(
            "Each stage has a mode of its own, and dropout looks at its own.",
            "`eval()` and `train(False)` go through all stages inside.",
            "Setting `model.training` by hand does not: the modes were then {flags}.",
        ),
        answer="{letter}: {key}",
        check="`[each.training for each in model.modules()]` shows every mode.",
        hint="Whose mode does the dropout stage look at?",
        mistakes=(
            "Setting the flag of the model alone.",
            "Taking a switch for gradients for a mode.",
        ),
    )


@question(id="D219", group="practice", level="medium", needs="nothing", place="flow")
def sequence(recording: Recording, random: Random) -> Draft | None:
    """Which mode a layer is in after each of several calls."""
    calls = [
        random.choice(("eval()", "eval()", "train()", "train(False)", "train(True)"))
        for _ in range(4)
    ]
    if len(set(calls)) < 2:
        calls[0], calls[3] = "eval()", "train()"
    p = literal(rates(recording, random))
    start = f"layer, modes = nn.Dropout({p}), []\n"
    shown = start + "".join(f"layer.{each}\nmodes.append(layer.training)\n" for each in calls)
    truth = [each in ("train()", "train(True)") for each in calls]
    toggled, mode = [], True
    for each in calls:
        mode = not mode if each == "eval()" else True
        toggled.append(mode)
    named = [each.startswith("train") for each in calls]
    guesses = [
        (toggled, "A second `eval()` changes nothing: it sets a mode, it does not toggle.",
         "mode-toggles"),
        (named, "`train(False)` is `eval()`.", "train-false-trains"),
        ([not each for each in truth], "The two modes are exchanged.", "mode-mixed-up"),
        ([truth[0]] * 4, "Each call sets the mode again.", "first-call-wins"),
        ([True, *truth[:3]], "The mode is looked at after the call.", "mode-lags"),
        ([True] * 4, "`eval()` ends train mode.", "fresh-forever"),
    ]  # fmt: skip
    wrong: dict[str, Option] = {}
    for guess, words, belief in random.sample(guesses, len(guesses)):
        if guess != truth and str(guess) not in wrong:
            wrong[str(guess)] = result(f"{guess}", words, misconception=belief)
    if len(wrong) < 3:
        return None
    return Draft(
        text="What is in `modes` at the end?",
        code=f"{shown}modes",
        options=(
            result(f"{shown}modes", "Each call sets the mode anew.", correct=True),
            *list(wrong.values())[:3],
        ),
        steps=(
            "`train()` and `train(True)` set train mode, `eval()` and `train(False)` eval mode.",
            "What was set before plays no part.",
            "So the modes are {key}.",
        ),
        answer="{letter}: {key}",
        check="Call `eval()` twice: the second call changes nothing.",
        hint="Does a call set the mode, or turn it over?",
        mistakes=(
            "Reading `train(False)` as train mode.",
            "Taking `eval()` for a switch that turns back at the second press.",
        ),
    )


@question(id="D220", group="practice", level="hard", needs="nothing", place="prediction")
def two_switches(recording: Recording, random: Random) -> Draft | None:
    """What eval mode and no_grad each do for a prediction."""
    p = literal(rates(recording, random))
    width = random.choice((50, 80, 100))
    repeats, graph = random.choice(((True, False), (True, True), (False, False)))
    ways = {
        (True, False): ("model.eval()", "torch.no_grad()"),
        (True, True): ("model.eval()", "torch.enable_grad()"),
        (False, False): ("model.train()", "torch.no_grad()"),
        (False, True): ("model.train()", "torch.enable_grad()"),
    }
    beliefs = {
        (True, False): "eval-is-no-grad",
        (True, True): "eval-is-no-grad",
        (False, False): "no-grad-is-eval",
        (False, True): "no-grad-is-eval",
    }

    def option(way: tuple[bool, bool]) -> Option:
        mode, context = ways[way]
        code = (
            f"model, x = nn.Sequential(nn.Dropout({p}), nn.Linear({width}, 2)), torch.ones({width})"
            f"\n{mode}\nwith {context}:\n    first, second = model(x), model(x)\n"
            f"(torch.equal(first, second), first.requires_grad) == {(repeats, graph)}"
        )
        return claim(
            f"`{mode}`, then `with {context}:`",
            code,
            f"Passes that repeat: {'yes' if way[0] else 'no'}. Gradients kept ready: "
            f"{'yes' if way[1] else 'no'}.",
            correct=way == (repeats, graph),
            misconception="" if way == (repeats, graph) else beliefs[way],
        )

    order = [(repeats, graph), *(way for way in ways if way != (repeats, graph))]
    return Draft(
        text="Two passes of the same input shall {first}, and PyTorch shall {second} what a "
        "backward pass would need. Which lines do that?",
        code=f"model = nn.Sequential(nn.Dropout({p}), nn.Linear({width}, 2))\n"
        f"x = torch.ones({width})\n"
        "...  # the mode: first line of a pair below\n"
        "with ...:  # second line of the pair\n    first, second = model(x), model(x)",
        options=tuple(option(way) for way in order),
        given={
            "first": "give the same" if repeats else "differ, each with a mask of its own",
            "second": "keep" if graph else "not keep",
        },
        steps=(
            "The mode decides about masks: in eval mode none is drawn, so passes repeat.",
            "`torch.no_grad()` decides about gradients: nothing is kept for a backward pass.",
            "The two are independent, so all four combinations exist.",
        ),
        answer="{letter}: {key}",
        check="`torch.equal(first, second)` and `first.requires_grad` tell the two apart.",
        hint="Ask for each of the two lines what it switches.",
        mistakes=(
            "Using no_grad() to switch dropout off.",
            "Using eval() to save the memory of a backward pass.",
        ),
    )


@question(id="D221", group="practice", level="hard", needs="nothing", place="prediction")
def averaged(recording: Recording, random: Random) -> Draft | None:
    """How steady a mean over several passes with dropout on is."""
    p = random.choice((0.2, 0.25, 0.3, 0.4, 0.5, 0.6))
    passes = random.choice((4, 9, 16, 25))
    single = math.sqrt(p / (1 - p))
    right = single / math.sqrt(passes)
    drawn = f"means = nn.Dropout({p})(torch.ones({24000 // passes}, {passes})).mean(1)\n"

    def option(value: float, feedback: str, belief: str = "") -> Option:
        return claim(
            number(round(value, 3)),
            f"{drawn}bool(abs(means.std() - {number(value)}) < {number(0.12 * right)})",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    wrong = [
        (single / passes, "The spread shrinks with the root of the number.", "spread-by-count"),
        (single, "A mean of several passes is steadier than one.", "mean-as-noisy"),
        (0.0, "Some chance is left in every finite mean.", "mean-is-all"),
        (single * math.sqrt(passes), "This is the spread of the sum.", "sum-for-mean"),
    ]
    return Draft(
        text="In Monte Carlo dropout the layer is left on for predictions on purpose, and several "
        "passes are averaged. One pass of an input 1 through `nn.Dropout({p})` has a standard "
        "deviation of {single}. What has the mean of {passes} passes?",
        options=(
            option(right, "Independent draws: divide by the root of their number."),
            *(option(*each) for each in random.sample(wrong, 3)),
        ),
        given={"p": literal(p), "passes": str(passes), "single": number(round(single, 3))},
        experiments={"measured": f"{drawn}means.std().item()"},
        steps=(
            "The variance of a mean of {passes} independent passes is a {passes}th of that of one.",
            "So the standard deviation is {single} divided by the root of {passes}: {key}.",
            "Executed: means of {passes} passes had a standard deviation of {measured}.",
        ),
        answer="{letter}: {key}",
        check="Four times as many passes halve the standard deviation.",
        hint="What happens to the variance of a mean, and what to its root?",
        mistakes=(
            "Dividing by the number of passes instead of its root.",
            "Calling dropout in evaluation a bug in every case: here it is meant, and the spread "
            "over passes is the result.",
        ),
    )


@question(id="D222", group="practice", level="hard", needs="nothing", place="prediction")
def dropout_alone(recording: Recording, random: Random) -> Draft | None:
    """How dropout is left on while everything else evaluates."""
    p = literal(rates(recording, random))
    before = random.choice(("nn.Linear(6, 6)", "nn.Identity()", "nn.Linear(4, 6)"))
    made = f"model = nn.Sequential({before}, nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout({p}))\n"
    right = random.choice(
        (
            "model.eval(); model[3].train()",
            "model.train(); model[1].eval()",
            "model.eval(); model[-1].train()",
        )
    )
    wrong = [
        ("model[3].train(); model.eval()", "The last call takes every stage along.",
         "order-is-free"),
        ("model.train(); model[3].eval()", "Just the other way round.", "mode-mixed-up"),
        ("model.train(); model[2].eval()", "ReLU has no use for a mode.", "part-is-whole"),
        ("model.eval(); model[1].train()", "Now batch normalisation trains.", "part-is-whole"),
        ("model.eval(); model.train()", "The last call takes every stage along.",
         "order-is-free"),
        ("model.eval(); model.training = True", "Only the outermost flag is set.", "flag-is-eval"),
    ]  # fmt: skip

    def option(line: str, feedback: str, belief: str = "") -> Option:
        return claim(
            f"`{line}`",
            f"{made}{line}\nmodel[3].training and not model[1].training",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    return Draft(
        text="For Monte Carlo dropout a model shall draw masks, while its batch normalisation goes "
        "on using what it has learned in training. Which line sets the modes so?",
        code=f"{made}...  # one of the lines below",
        options=(
            option(right, "Dropout is in train mode, batch normalisation in eval mode."),
            *(option(*each) for each in random.sample(wrong, 3)),
        ),
        experiments={
            "modes": f"{made}{right.replace('; ', chr(10))}\n"
            "', '.join(f'{type(each).__name__} {each.training}' for each in model)"
        },
        steps=(
            "In train mode batch normalisation uses the batch at hand, and changes its statistics.",
            "So the whole model in train mode is too much: set a mode, then change one stage.",
            "After {letter} `training` is: {modes}.",
        ),
        answer="{letter}: {key}",
        check="Print `[each.training for each in model]`.",
        hint="The later call overwrites the earlier one, for all stages that it reaches.",
        mistakes=(
            "Putting the whole model into train mode, and batch normalisation with it.",
            "Calling eval() last: it reaches dropout, too.",
        ),
    )
