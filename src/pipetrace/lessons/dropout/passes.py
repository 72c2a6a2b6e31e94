"""Quiz questions about whole passes of this run: two of them, both modes, and their gradients."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, number, result
from pipetrace.lessons.dropout.reading import (
    Losses,
    chosen,
    epoch_losses,
    listed,
    told_apart,
    windows,
)
from pipetrace.lessons.reading import describe, droppings
from pipetrace.lessons.registry import question
from pipetrace.records import Op
from pipetrace.tracefile import Recording


@question(id="D114", group="quiz", level="easy", needs="subject", place="prediction")
def two_eval_passes(recording: Recording, random: Random) -> Draft | None:
    """What two passes in eval mode have in common."""
    prediction, found = chosen(recording), droppings(recording)
    if prediction is None or prediction.passes_equal is not True or not found:
        return None
    p, width = literal(found[0].mask.p), random.choice((6, 10, 20, 50))
    made = (
        f"model = nn.Sequential(nn.Dropout({p}), nn.Linear({width}, 3)).eval()\n"
        f"x = torch.randn(1, {width})\nfirst, second = model(x), model(x)\n"
    )
    wrong = [
        claim(
            "Scores that differ, as two masks do",
            f"{made}not torch.equal(first, second)",
            "No mask is drawn in eval mode, so nothing is left to chance.",
            misconception="drops-in-eval",
        ),
        claim(
            "The first scores, times 1 - p again",
            f"{made}torch.allclose(second, first * (1 - {p}))",
            "Eval mode scales nothing, once or twice.",
            misconception="scales-in-eval",
        ),
        claim(
            "Scores of which a part became zero",
            f"{made}bool((second == 0).any())",
            "Eval mode puts no zeros anywhere.",
            misconception="always-zero",
        ),
        claim(
            "The mean of the first ones and zero",
            f"{made}torch.allclose(second, first / 2)",
            "A pass knows nothing of the passes before it.",
            misconception="passes-remember",
        ),
    ]
    return Draft(
        text="One sample went through the trained model in eval mode twice. What did the second "
        "pass give? (The options are executed on a model of their own: a dropout with p = {p} "
        "before a linear layer with {width} inputs.)",
        options=(
            claim(
                random.choice(
                    (
                        "The same scores, to the last bit",
                        "Scores equal to the first, bit by bit",
                    )
                ),
                f"{made}torch.equal(first, second)",
                "In eval mode dropout is the identity. The run compared two passes of its own.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"p": number(found[0].mask.p), "width": str(width)},
        steps=(
            "In eval mode dropout draws no mask.",
            "So the same weights and the same sample give the same scores.",
            "The run made both passes: their bits were equal.",
        ),
        answer="{letter}: {key}",
        check="`torch.equal(model(x), model(x))` is True in eval mode.",
        hint="What could make two passes differ, if no mask is drawn?",
    )


@question(id="D115", group="quiz", level="medium", needs="subject", place="prediction")
def train_pass(recording: Recording, random: Random) -> Draft | None:
    """Why a pass in train mode gives a sample other scores than eval mode."""
    prediction, found = chosen(recording), droppings(recording)
    if prediction is None or not prediction.train_difference or not found:
        return None
    if (
        any("norm" in op.function for op in recording.all(Op))
        or not 0.02 <= found[0].mask.p <= 0.98
    ):
        return None  # a normalisation may differ between the modes, too
    p, width = literal(found[0].mask.p), random.choice((300, 400, 500))
    made = (
        f"drop, linear = nn.Dropout({p}), nn.Linear({width}, 3)\nmodel = nn.Sequential(drop, "
        f"linear)\nx = torch.ones(1, {width})\nevaluated = model.eval()(x)\n"
    )
    wrong = [
        claim(
            "The pass in train mode changed the weights a little",
            f"{made}before = linear.weight.clone()\nmodel.train()(x)\n"
            "not torch.equal(before, linear.weight)",
            "Only an optimizer's step changes weights, and none was made.",
            misconception="train-changes-weights",
        ),
        claim(
            "Train mode computes with fewer digits than eval mode",
            f"{made}model.train()(x).dtype != evaluated.dtype",
            "Both modes compute in the same type.",
            misconception="train-is-rough",
        ),
        claim(
            "Train mode multiplied all the scores by 1 / (1 - p)",
            f"{made}torch.allclose(model.train()(x), evaluated / (1 - {p}))",
            "The scale is applied to survivors of the mask, not to the scores.",
            misconception="scales-scores",
        ),
        claim(
            "Train mode left out the same share of scores as zeros",
            f"{made}bool((model.train()(x) == 0).any())",
            "The mask fell on the stage's input, and no score became zero.",
            misconception="drops-outputs",
        ),
    ]
    wrong += [
        claim(
            "Train mode adds a random number to each of the scores",
            f"{made}model.train()\nlinear.train()(x).ne(linear(x)).any().item()",
            "The linear stage alone gives the same in train mode, twice.",
            misconception="noise-is-added",
        ),
        claim(
            "In train mode the sample's row is shuffled at random",
            f"{made}bool((model.train()[0](x).sort().values == x.sort().values).all())",
            "The elements stay in their places; some become zero, the others grow.",
            misconception="train-shuffles",
        ),
    ]
    return Draft(
        text="The chosen sample was scored in eval mode, and then in train mode by the same "
        "weights. Some score moved by {difference}. What made the difference at {stage}, where "
        "p = {p}?",
        options=(
            claim(
                random.choice(
                    (
                        "A mask dropped some elements and scaled the others",
                        "A mask set some elements to zero and scaled all others",
                    )
                ),
                f"{made}seen = model.train()[0](x)\n"
                "bool((seen == 0).any() and (seen > 1).any() and (seen[seen > 0] > 1).all())",
                "Zeros and scaled survivors went on to the next stage.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(found[0]) | {"difference": number(prediction.train_difference)},
        steps=(
            "Sample and weights are the same in both passes: only the mode differs.",
            "In train mode the dropout stage draws a mask and scales what it keeps.",
            "What follows works on other numbers, and a score moved by {difference}.",
        ),
        answer="{letter}: {key}",
        check="The prediction says how far the train-mode pass was from the eval-mode one.",
        hint="Name everything that the mode of a dropout stage decides.",
    )


@question(id="D116", group="quiz", level="medium", needs="subject", place="training")
def price(recording: Recording, random: Random) -> Draft | None:
    """What dropout itself adds to the training loss, at equal weights and on equal rows."""
    losses = told_apart(recording)
    if not losses or not droppings(recording):
        return None
    now = random.choice(losses)
    others = [each for each in losses if each.epoch != now.epoch]
    wrong = _others(now, random.choice(others) if others else None)
    return _difference(
        recording,
        random,
        now,
        (now.on, now.off, "Only dropout differs between these two."),
        wrong,
        text="After epoch {epoch} the same weights were scored three ways: training rows with "
        "dropout on, {on}; the same rows with it off, {off}; {third}. By how much does dropout "
        "alone raise the loss?",
        steps=(
            "Take two losses that differ in dropout and in nothing else.",
            "These are {on} and {off}: the same weights, the same {rows} rows.",
            "{on} - {off} = {key}.",
        ),
        hint="Change one thing at a time.",
    )


@question(id="D117", group="quiz", level="hard", needs="subject", place="training")
def gap(recording: Recording, random: Random) -> Draft | None:
    """The gap between seen and unseen rows, without dropout in the comparison."""
    losses = [each for each in told_apart(recording) if each.heldout is not None]
    if not losses or not droppings(recording):
        return None
    now = random.choice(losses)
    heldout, loop = now.heldout or 0.0, epoch_losses(recording).get(now.epoch)
    wrong = [
        (heldout, now.on, "The rows differ, and dropout too.", "gap-of-modes"),
        (now.on, now.off, "This is the price of dropout on the same rows.", "gap-is-dropout"),
        (now.off, heldout, "The held-out loss comes first.", "gap-turned"),
    ]
    if loop is not None:
        wrong.append((heldout, loop, "The loop's loss has dropout on.", "train-loss-is-eval"))
    return _difference(
        recording,
        random,
        now,
        (heldout, now.off, "Dropout is off in both; only the rows differ."),
        wrong,
        text="The generalisation gap is how much larger a model's loss is on rows that it was not "
        "trained on. After epoch {epoch}: training rows with dropout on {on}, with dropout off "
        "{off}; {third}; the training loop itself had seen {loop}. How large is the gap?",
        steps=(
            "Rows are to be compared, so everything else must be equal: weights and mode.",
            "In eval mode the training rows gave {off}, the held-out rows {heldout}.",
            "{heldout} - {off} = {key}.",
        ),
        hint="Which two of the losses were measured in the same mode?",
    )


def _others(now: Losses, other: Losses | None) -> list[tuple[float, float, str, str]]:
    """Return differences of losses in which more than dropout differs, or something else."""
    wrong = [(now.on, 0.0, "This is the loss itself, not what was added to it.", "loss-is-price")]
    if now.heldout is not None:
        wrong += [
            (now.heldout, now.off, "Here the rows differ, and dropout is off.", "price-is-gap"),
            (now.heldout, now.on, "Here the rows differ as well as the mode.", "gap-of-modes"),
        ]
    if other is not None:
        wrong += [
            (now.on, other.off, "Here the weights differ as well.", "weights-mixed"),
            (other.on, now.off, "Here the weights differ as well.", "weights-mixed"),
        ]
    return wrong


def _difference(
    recording: Recording,
    random: Random,
    now: Losses,
    right: tuple[float, float, str],
    wrong: list[tuple[float, float, str, str]],
    *,
    text: str,
    steps: tuple[str, ...],
    hint: str,
) -> Draft | None:
    """Draft a question whose options are differences of two recorded losses."""
    first, second, feedback = round(right[0], 3), round(right[1], 3), right[2]
    seen = {round(first - second, 3)}
    picked: list[Option] = []
    for a, b, words, belief in random.sample(wrong, len(wrong)):
        left_over = round(round(a, 3) - round(b, 3), 3)
        if left_over not in seen and len(picked) < 3:
            seen.add(left_over)
            code = f"round({round(a, 3)} - {round(b, 3)}, 3)"
            picked.append(result(code, words, misconception=belief))
    if len(picked) < 3:
        return None
    loop = epoch_losses(recording).get(now.epoch)
    heldout = "not measured" if now.heldout is None else f"{now.heldout:.3f}"
    return Draft(
        text=text,
        options=(
            result(f"round({first} - {second}, 3)", feedback, correct=True),
            *picked,
        ),
        given={
            "epoch": str(now.epoch),
            "rows": str(now.rows),
            "on": f"{now.on:.3f}",
            "off": f"{now.off:.3f}",
            "heldout": heldout,
            "third": f"held-out rows in eval mode, {heldout}",
            "loop": "an unknown loss" if loop is None else f"{loop:.3f}",
        },
        steps=steps,
        answer="{letter}: {key}",
        check="The training trace lists these losses for each epoch.",
        hint=hint,
    )


@question(id="D118", group="quiz", level="medium", needs="subject", place="flow")
def same_seed(recording: Recording, random: Random) -> Draft | None:
    """What the seed decides about a mask."""
    found = [each for each in droppings(recording)[:4] if 0.05 <= each.mask.p <= 0.95]
    if not found:
        return None
    dropping, seed = random.choice(found), random.randrange(2, 1000)
    made = (
        f"layer, x = nn.Dropout({literal(dropping.mask.p)}), torch.ones(400)\n"
        f"torch.manual_seed({seed})\nfirst = layer(x)\n"
        f"torch.manual_seed({seed})\nsecond = layer(x)\n"
    )
    wrong = [
        claim(
            "Other elements, since masks are always random",
            f"{made}not torch.equal(first, second)",
            "The draws come from a generator, and the seed sets its start.",
            misconception="seed-is-ignored",
        ),
        claim(
            "As many elements, but at other positions",
            f"{made}bool((first == 0).sum() == (second == 0).sum()) "
            "and not torch.equal(first, second)",
            "The seed fixes each draw, not only how many there are.",
            misconception="seed-fixes-share",
        ),
        claim(
            "Those elements that were kept the first time",
            f"{made}torch.equal(first == 0, second != 0)",
            "Masks take no turns: each draw stands for itself.",
            misconception="masks-take-turns",
        ),
        claim(
            "No element, since these draws are used up",
            f"{made}bool((second != 0).all())",
            "A generator can be set back as often as one likes.",
            misconception="draws-are-used-up",
        ),
    ]
    return Draft(
        text="In {forward}, the mask of {stage} with p = {p} kept {kept} of {total} elements. "
        "`torch.manual_seed({seed})` is called right before such a forward, and once more right "
        "before another one on the same rows. What does the second mask drop?",
        options=(
            claim(
                random.choice(
                    (
                        "The same elements as the first mask did",
                        "Exactly those elements that the first one dropped",
                    )
                ),
                f"{made}torch.equal(first, second)",
                "Same generator, same start, same number of draws: same mask.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(dropping)
        | {
            "kept": str(dropping.mask.kept),
            "total": str(dropping.mask.total),
            "seed": str(seed),
        },
        steps=(
            "A mask is drawn from PyTorch's generator, a long fixed sequence of numbers.",
            "`torch.manual_seed({seed})` sets it to the same place both times.",
            "So both forwards draw the same numbers, and the same mask.",
        ),
        answer="{letter}: {key}",
        check="This is how the recorder can show the mask of a forward that is long over.",
        hint="Where do random numbers in a computer come from?",
    )


@question(id="D122", group="quiz", level="hard", needs="subject", place="flow")
def gradient(recording: Recording, random: Random) -> Draft | None:
    """The gradient that comes back through a mask."""
    places = windows(recording, 4) or windows(recording, 3)
    if not places:
        return None
    window = random.choice(places)
    p, mask = literal(window.dropping.mask.p), [int(kept) for kept in window.kept]
    weight = random.choice((1, 2, 3))
    made = (
        f"x = torch.tensor({literal(window.before)}, requires_grad=True)\n"
        f"mask = torch.tensor({mask})\ny = x * mask / (1 - {p})\n({weight} * y).sum().backward()\n"
    )
    wrong = [
        result(
            f"{made}{weight}.0 * mask",
            "The scale 1 / (1 - p) multiplies gradients too.",
            misconception="gradient-unscaled",
        ),
        result(
            f"{made}{weight} * torch.ones_like(x)",
            "The mask multiplies gradients as it multiplied elements.",
            misconception="gradient-ignores-mask",
        ),
        result(
            f"{made}{weight} * torch.ones_like(x) / (1 - {p})",
            "A dropped element has no influence on the loss: its gradient is zero.",
            misconception="gradient-ignores-mask",
        ),
        result(
            f"{made}{weight} * y",
            "These are outputs; the gradient does not depend on them.",
            misconception="gradient-is-output",
        ),
        result(
            f"{made}{weight} * (1.0 - mask) / (1 - {p})",
            "Here the gradient goes to those that were dropped.",
            misconception="mask-marks-dropped",
        ),
    ]
    return Draft(
        text="The elements {before} of a sample's row went through {stage} with p = {p} and the "
        "mask {mask}, where 1 means kept. The gradient of the loss at each output of theirs is "
        "{weight}. Which gradients reach the inputs?",
        options=(
            result(
                f"{made}x.grad",
                "Each gradient is multiplied by what its element was multiplied by.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given=describe(window.dropping)
        | {"before": listed(window.before), "mask": str(mask), "weight": number(float(weight))},
        steps=(
            "In this forward the stage is a multiplication: by 0 where dropped, by {scale} where "
            "kept.",
            "The derivative of a multiplication by a number is that number.",
            "So {weight} becomes 0 or {weight} times {scale}: {key}.",
        ),
        answer="{letter}: {key}",
        check="The values of the elements play no part, only the mask and p.",
        hint="Write the stage as y = c x, with c of each element. What is dy/dx?",
    )
