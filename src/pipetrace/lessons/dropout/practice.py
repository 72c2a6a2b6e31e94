"""Practice: the five subjects that every page about dropout asks, each rests on executed code."""

from __future__ import annotations

import textwrap
from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, number, result
from pipetrace.lessons.dropout.reading import rate
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording

_PURPOSE = """\
rows = torch.randn(512, 1).repeat(1, 2)  # one feature, given twice
layer, weight = nn.Dropout(0.5), torch.tensor([1.0, 0.0])
for step in range(20):
    seen = layer(rows)
    error = seen @ weight - rows[:, 0]
    weight = weight - 0.2 * 2 * (error @ seen) / 512  # the gradient of the mean squared error
"""
_PLAIN = _PURPOSE.replace("nn.Dropout(0.5)", "nn.Identity()")

_LOOP = """\
model = nn.Sequential(nn.Dropout({p}), nn.Linear(64, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
rows, seen = torch.ones(8, 64), {{"training": [], "evaluation": []}}
def drops():
    return "on" if (model[0](rows) == 0).any() else "off"
{start}
for epoch in range(3):
{before_training}
    model(rows).mean().backward()
    optimizer.step()
    seen["training"].append(drops())
{before_evaluation}
    with {context}:
        model(rows)
        seen["evaluation"].append(drops())
"; ".join(f"{{part}} {{', '.join(modes)}}" for part, modes in seen.items())
"""


@question(id="D201", group="practice", level="easy", needs="nothing", place="flow")
def purpose(recording: Recording, random: Random) -> Draft | None:
    """What dropout is for."""
    p = literal(rate(recording))
    wrong = [
        claim(
            "To make the network smaller by removing weak units",
            f"layer = nn.Dropout({p})\nlayer(torch.ones(1000))\n"
            "bool((layer.eval()(torch.ones(1000)) == 0).any())",
            "After a forward in train mode, eval mode had all 1000 elements back.",
            misconception="removes-for-good",
        ),
        claim(
            "To make each step cheaper by skipping some units",
            f"rows = torch.ones(32, 20)\nnn.Dropout({p})(rows).numel() < rows.numel()",
            "The output has as many elements as the input, and the next layer multiplies the "
            "zeros too.",
            misconception="skips-work",
        ),
        claim(
            "To bring all of the features to the same scale",
            "rows = torch.randn(1000, 2) * torch.tensor([1.0, 100.0])\n"
            f"small, large = nn.Dropout({p})(rows).std(0)\nbool(large < 2 * small)",
            "Two features whose spreads differ a hundredfold still did so behind the layer.",
            misconception="normalises",
        ),
        claim(
            "To draw new weights for some units in each step",
            f"drop, linear = nn.Dropout({p}), nn.Linear(20, 3)\n"
            "before = linear.weight.clone()\nlinear(drop(torch.ones(50, 20)))\n"
            "not torch.equal(before, linear.weight)",
            "A forward with a mask left every weight as it was.",
            misconception="train-changes-weights",
        ),
        claim(
            "To get several different answers from eval mode",
            f"layer = nn.Dropout({p}).eval()\nrows = torch.ones(1000)\n"
            "not torch.equal(layer(rows), layer(rows))",
            "Two passes in eval mode were equal. Who wants several answers leaves it on.",
            misconception="drops-in-eval",
        ),
    ]
    return Draft(
        text="What does one put dropout between the layers of a network for?",
        options=(
            claim(
                "To keep the model from relying on any single unit",
                f"{_PURPOSE}bool((weight > 0.25).all())",
                "Two copies of one feature were given, and all weight started on the first. With "
                "dropout, training spread it to {with_dropout}; without, it stayed at {without}.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        experiments={
            "with_dropout": f"{_PURPOSE}weight",
            "without": f"{_PLAIN}weight",
        },
        steps=(
            "In training, any unit may be missing in the next forward, so a weight that stands on "
            "one unit alone costs loss.",
            "Executed: one feature given twice, all weight on the first copy, [1.0, 0.0], and 20 "
            "steps of gradient descent.",
            "Without dropout the weights stay at {without}: the loss is zero already.",
            "With dropout at p = 0.5 they end at {with_dropout}: both copies are used.",
        ),
        answer="{letter}: {key}.",
        check="Ask of each option whether anything is left of it in eval mode. What stays is the "
        "weights that training with dropout found.",
        hint="What happens to a model whose answer hangs on one unit when this unit is dropped?",
        mistakes=(
            "Taking dropped units for removed ones: the next forward draws a new mask.",
            "Expecting less work: zeros are multiplied like other numbers.",
            "Denying that it is noise: random zeros and a scale multiply the input as noise does.",
        ),
    )


@question(id="D202", group="practice", level="easy", needs="nothing", place="network")
def call(recording: Recording, random: Random) -> Draft | None:
    """Which call makes a layer that drops with the run's p."""
    p = rate(recording)
    share, percent = literal(p), f"{p * 100:g}"
    kept = literal(round(1 - rate(recording), 4))
    wrong = [
        _raising(f"nn.Dropout({percent})", "ValueError", "percent", "p must lie in [0, 1]."),
        _raising(
            f"nn.Dropout(p={percent})",
            "ValueError",
            "percent",
            "The keyword is right, the number is not: p must lie in [0, 1].",
        ),
        _raising(
            f"nn.Dropout(rate={share})",
            "TypeError",
            "other-keyword",
            "The keyword is `p`; `rate` is what Keras calls it.",
        ),
        _raising(
            f"nn.Dropout(keep_prob={kept})",
            "TypeError",
            "other-keyword",
            "The keyword is `p`, and it says what is dropped.",
        ),
        _raising(f"nn.Dropout(-{share})", "ValueError", "negative-p", "p must lie in [0, 1]."),
    ]
    if kept != share:
        wrong.append(
            result(
                f"nn.Dropout({kept}).p",
                "This layer keeps with probability {share}; its p is {outcome}.",
                misconception="p-is-keep",
                text=f"`nn.Dropout({kept})`",
            )
        )
    return Draft(
        text="Which call makes a layer that drops each element with probability {share}?",
        options=(
            result(
                f"nn.Dropout({share}).p",
                "The layer was made, and its p is {outcome}.",
                correct=True,
                expected=share,
                text="`nn.Dropout({share})`",
            ),
            *random.sample(wrong, 3),
        ),
        given={"share": share, "percent": percent},
        experiments={"zero": "nn.Dropout(0).p", "one": "nn.Dropout(1).p"},
        steps=(
            "The first argument of nn.Dropout is p, the probability of dropping, from 0 to 1.",
            "{percent} percent is p = {share}.",
            "Executed: p = {percent} is a ValueError and `rate=` a TypeError.",
            "{key} was made.",
        ),
        answer="{letter}: {key}",
        check="`nn.Dropout({share}).p` gives {share}.",
        hint="Is p a percentage or a probability, and what is the argument called?",
        mistakes=(
            "Writing percent: p is checked against [0, 1].",
            "Blaming the integer: `nn.Dropout(0)` and `nn.Dropout(1)` are legal, and their p is "
            "{zero} and {one}. Only the range counts.",
            "Carrying `rate=` over from another library.",
        ),
    )


@question(id="D203", group="practice", level="medium", needs="nothing", place="prediction")
def eval_output(recording: Recording, random: Random) -> Draft | None:
    """What a layer in eval mode returns for ones."""
    p, count = random.choice((0.2, 0.25, 0.4, 0.5, 0.6)), random.choice((4, 5))
    ones = f"torch.ones({count})"
    return Draft(
        text="What does the last line return?",
        code=f"layer = nn.Dropout({p})\nlayer.eval()\nlayer({ones})",
        options=(
            result(
                f"layer = nn.Dropout({p})\nlayer.eval()\nlayer({ones})",
                "Eval mode hands the input on, neither dropped nor scaled.",
                correct=True,
            ),
            result(
                f"rows = nn.Dropout({p})(torch.ones(1000, {count}))\n"
                "rows[(rows == 0).sum(1) == 2][0]",
                "This is a row that the layer returned in train mode.",
                misconception="drops-in-eval",
            ),
            result(
                f"{ones} * (1 - {p})",
                "Nothing is to be made up for: survivors were scaled in training.",
                misconception="scales-in-eval",
            ),
            result(
                f"{ones} / (1 - {p})",
                "The scale 1 / (1 - p) goes with the mask, and eval mode has neither.",
                misconception="rescale-without-drop",
            ),
        ),
        given={"p": number(p)},
        experiments={"mean": f"nn.Dropout({p})(torch.ones(10000)).mean()"},
        steps=(
            "`layer.eval()` puts the layer into eval mode.",
            "In train mode elements are dropped and survivors divided by 1 - {p}, which keeps the "
            "mean: 10,000 ones came out with mean {mean}.",
            "So eval mode has nothing to correct, and returns its input.",
        ),
        answer="{letter}: {key}",
        check="`torch.equal(layer(x), x)` is True for every x in eval mode.",
        hint="Which of the two modes does the scaling?",
        mistakes=(
            "Scaling by 1 - p in eval mode: the paper that introduced dropout did so; "
            "PyTorch scales in training.",
            "Expecting zeros: a mask is drawn in train mode only.",
        ),
    )


@question(id="D204", group="practice", level="medium", needs="nothing", place="flow")
def no_effect(recording: Recording, random: Random) -> Draft | None:
    """Why a dropout layer shows no effect."""
    p = literal(rate(recording, least=0.05))
    silent = {
        f"layer = nn.Dropout({p}).eval(); y = layer(x)": "the layer was in eval mode",
        f"layer = nn.Dropout({p}); layer(x); y = x": "the output of the layer was never used",
        f"y = F.dropout(x, {p}, training=False)": "the functional form was told not to train",
        "layer = nn.Dropout(0.0).train(); y = layer(x)": "p was 0",
        f"layer = nn.Dropout({p}).train(False); y = layer(x)": "train(False) is eval()",
    }
    loud = {
        f"layer = nn.Dropout({p}); y = layer(x)": (
            "fresh-is-eval",
            "A fresh layer is in train mode.",
        ),
        f"with torch.no_grad(): y = nn.Dropout({p})(x)": (
            "no-grad-is-eval",
            "no_grad() concerns gradients, not modes.",
        ),
        f"layer = nn.Dropout({p}); y = layer(x.detach())": (
            "detach-is-eval",
            "detach() concerns gradients, not modes.",
        ),
        f"y = F.dropout(x, p={p}, inplace=False)": (
            "functional-is-eval",
            "The default of `training` is True.",
        ),
    }
    line = random.choice(sorted(silent))

    def option(code: str, feedback: str, belief: str = "") -> Option:
        return Option(
            text=f"`{code}`",
            code=f"x = torch.ones(1000)\n{code}\n(y == 0).sum().item()",
            feedback=feedback,
            correct=not belief,
            misconception=belief,
            expected="" if belief else "0",
        )

    others = random.sample(sorted(loud), 3)
    return Draft(
        text="Somebody finds no zero among the 1000 elements of y, and says that dropout has no "
        "effect. Which line makes such a y?",
        code="x = torch.ones(1000)\n...  # one of the lines below\n(y == 0).sum()",
        options=(
            option(line, f"No zero: {silent[line]}."),
            *(
                option(other, f"{loud[other][1]} {{outcome}} of 1000 were zero.", loud[other][0])
                for other in others
            ),
        ),
        given={"p": p, "reason": silent[line]},
        experiments={"fresh": f"nn.Dropout({p}).training"},
        steps=(
            "Look for what decides: the mode of the layer, its p, and whether its output is used.",
            "A fresh layer is in train mode: `nn.Dropout({p}).training` is {fresh}.",
            "Gradients have no say: no_grad() and detach() leave the mode as it is.",
            "In line {letter} {reason}.",
        ),
        answer="{letter}: {key}",
        check="Print `layer.training`, `layer.p` and the number of zeros in its output.",
        hint="Three things can silence the layer: its mode, its p, or an unused output.",
        mistakes=(
            "Holding a fresh layer for switched off.",
            "Taking torch.no_grad() for eval mode.",
            "Forgetting that the layer returns its output and leaves x alone.",
        ),
    )


@question(id="D205", group="practice", level="hard", needs="nothing", place="training")
def discipline(recording: Recording, random: Random) -> Draft | None:
    """Where train() and eval() belong in a loop that trains and evaluates."""
    p = literal(rate(recording, least=0.05))
    train, switch_off = "model.train()", "model.eval()"
    wrong = [
        _loop(
            "`model.train()` once before all epochs, `model.eval()` before each evaluation",
            (p, train, "", switch_off, "torch.no_grad()"),
            "From the second epoch on the model trains in eval mode",
            "train-once",
        ),
        _loop(
            "`model.train()` before each epoch, `torch.no_grad()` around each evaluation",
            (p, "", train, "", "torch.no_grad()"),
            "Evaluation draws masks: no_grad() leaves the mode alone",
            "no-grad-is-eval",
        ),
        _loop(
            "`model.eval()` before each epoch, `model.train()` before each evaluation",
            (p, "", switch_off, train, "torch.no_grad()"),
            "The modes are exchanged",
            "mode-mixed-up",
        ),
        _loop(
            "`model.eval()` once before all epochs, `torch.no_grad()` around each evaluation",
            (p, switch_off, "", "", "torch.no_grad()"),
            "Nothing is ever dropped",
            "train-once",
        ),
        _loop(
            "`model.train()` before each epoch, and no call besides",
            (p, "", train, "", "torch.enable_grad()"),
            "Evaluation draws masks: nothing switched them off",
            "drops-never-in-eval",
        ),
        _loop(
            "`model.eval()` before each evaluation, and no call besides",
            (p, "", "", switch_off, "torch.no_grad()"),
            "From the second epoch on the model trains in eval mode",
            "train-once",
        ),
    ]
    return Draft(
        text="A script trains for three epochs and evaluates after each. Which calls give training "
        "with dropout in every epoch, and an evaluation of the whole model without?",
        options=(
            _loop(
                "`model.train()` before each epoch, `model.eval()` before each evaluation",
                (p, "", train, switch_off, "torch.no_grad()"),
                "Each part sets the mode that it needs",
                "",
            ),
            *random.sample(wrong, 3),
        ),
        given={"p": p},
        steps=(
            "The mode stays as it was last set, across epochs.",
            "So whatever evaluation sets, the next epoch has to set back.",
            "torch.no_grad() saves memory in evaluation, but leaves the mode alone.",
            "Executed on a loop of three epochs, the calls of {letter} gave dropout on in each "
            "epoch and off in each evaluation.",
        ),
        answer="{letter}: {key}.",
        check="Print `model.training` first thing in both parts, over two epochs at least: the "
        "first epoch alone does not show a model that never left eval mode.",
        hint="Follow `model.training` into the second epoch.",
        mistakes=(
            "Calling train() once: the first eval() ends it.",
            "Trusting no_grad() to switch dropout off.",
            "Calling every evaluation with dropout on a bug: averaging many such passes on purpose "
            "(MC dropout) measures uncertainty.",
        ),
    )


def _loop(text: str, calls: tuple[str, str, str, str, str], feedback: str, belief: str) -> Option:
    p, start, before_training, before_evaluation, context = calls
    code = _LOOP.format(
        p=p,
        start=start,
        before_training=textwrap.indent(before_training, "    "),
        before_evaluation=textwrap.indent(before_evaluation, "    "),
        context=context,
    )
    return Option(
        text=text,
        code="\n".join(line for line in code.splitlines() if line.strip()),
        feedback=f"{feedback}. Dropout over three epochs: {{outcome}}.",
        correct=not belief,
        misconception=belief,
        expected="" if belief else "training on, on, on; evaluation off, off, off",
    )


def _raising(code: str, error: str, misconception: str, feedback: str) -> Option:
    return Option(
        text=f"`{code}`", code=code, feedback=feedback, misconception=misconception, raises=error
    )
