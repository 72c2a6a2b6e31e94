"""Practice with dropout as noise: its gradients, its means, and what it is not."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, number, result
from pipetrace.lessons.dropout.reading import rates
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D227", group="practice", level="medium", needs="nothing", place="flow")
def gradients(recording: Recording, random: Random) -> Draft | None:
    """Which gradients come back through dropout, in each mode."""
    p, weight = rates(recording, random), random.choice((1, 2, 4))
    mode = random.choice(("train", "train", "eval"))
    made = (
        f"layer = nn.Dropout({literal(p)}).{mode}()\nx = torch.ones(1000, requires_grad=True)\n"
        f"({weight} * layer(x)).sum().backward()\n"
    )
    scaled = f"{weight} * torch.tensor([0.0, 1 / (1 - {literal(p)})])"
    plain, masked = f"[{weight}.0]", f"[0.0, {weight}.0]"
    candidates = {
        "scaled": (scaled, "Survivors pass gradients on scaled; the others pass none.",
                   "drops-in-eval"),
        "plain": (plain, "In train mode gradients are masked and scaled, too.",
                  "gradient-ignores-mask"),
        "masked": (masked, "Where a mask is drawn, the scale multiplies gradients too.",
                   "gradient-unscaled"),
        "shrunk": (f"{weight} * torch.tensor([0.0, 1 - {literal(p)}])",
                   "Gradients are multiplied by 1 / (1 - p), as elements are.", "scale-inverted"),
        "turned": (f"{weight} * torch.tensor([0.0, 1 / {literal(p)}])",
                   "The factor is 1 / (1 - p).", "p-is-keep"),
        "none": ("[0.0]", "Dropout does not cut the path of gradients.", "cuts-gradients"),
    }  # fmt: skip
    right = "plain" if mode == "eval" else "scaled"
    picked = random.sample([name for name in candidates if name != right], 3)
    return Draft(
        text="Which different values are in `x.grad`?",
        code=f"{made}x.grad.unique()",
        options=(
            result(
                f"{made}x.grad.unique()",
                "Each gradient is multiplied by what its element was multiplied by.",
                correct=True,
            ),
            *(
                result(candidates[name][0], candidates[name][1], misconception=candidates[name][2])
                for name in picked
            ),
        ),
        given={"mode": mode, "weight": f"{weight}", "p": literal(p)},
        steps=(
            "Behind the layer each element has the gradient {weight}.",
            "In {mode} mode the layer multiplied elements by "
            + ("1." if mode == "eval" else "0 or by 1 / (1 - {p})."),
            "Gradients are multiplied by the same: {key}.",
        ),
        answer="{letter}: {key}",
        check="Print `x.grad` beside `layer(x)` of the same forward.",
        hint="In this forward the layer is a multiplication. By which numbers?",
        mistakes=(
            "Forgetting the scale on the way back.",
            "Expecting zeros in eval mode.",
        ),
    )


@question(id="D228", group="practice", level="hard", needs="nothing", place="network")
def paper(recording: Recording, random: Random) -> Draft | None:
    """How weights move from the dropout of the first paper to PyTorch's."""
    p = rates(recording, random)
    kept = round(1 - p, 4)
    made = f"x, w = torch.rand(50), torch.rand(50)\nold = (x * {kept}) @ w  # at test time\n"
    values = [
        (kept, "Then eval mode, which scales nothing, gives the old predictions.", ""),
        (round(1 / kept, 4), "This would make them even larger.", "factor-turned"),
        (1.0, "The old weights were trained on unscaled survivors.", "scale-is-free"),
        (round(p, 4), "p is the share dropped, not kept.", "p-is-keep"),
        (round(kept**2, 4), "The factor is needed once.", "factor-twice"),
        (round(1 + p, 4), "Adding p is not dividing by 1 - p.", "p-is-added"),
    ]

    def option(factor: float, feedback: str, belief: str) -> Option:
        return claim(
            f"{factor:.2f}" if round(factor, 2) == factor else number(factor),
            f"{made}new = nn.Dropout({literal(p)}).eval()(x) @ (w * {factor})\n"
            "torch.allclose(new, old, rtol=1e-3)",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    others = [each for each in values[1:] if abs(each[0] - kept) > 0.01]
    picked = random.sample(others, 3)
    if len({round(each[0], 3) for each in picked}) < 3:
        return None
    return Draft(
        text="The first paper on dropout leaves survivors unscaled in training, and at test time "
        "multiplies by the probability of keeping. A layer was trained so with p = {p} as the "
        "probability of dropping. Its weights go into PyTorch, where eval mode scales nothing. By "
        "what must they be multiplied to predict the same?",
        options=tuple(option(*each) for each in (values[0], *picked)),
        given={"p": literal(p), "kept": number(kept)},
        steps=(
            "At test time the paper computes ({kept} x) times w.",
            "PyTorch's eval mode hands on x itself.",
            "So w must take the factor: x times ({kept} w). It is 1 - {p} = {key}.",
        ),
        answer="{letter}: {key}",
        check="At p = 0 the factor is 1.",
        hint="Which of x and w can take the factor that eval mode does not apply?",
        mistakes=(
            "Scaling up: the old weights are too large for PyTorch, not too small.",
            "Thinking of two kinds of dropout: only the place of the scale differs.",
        ),
    )


@question(id="D229", group="practice", level="hard", needs="nothing", place="contrast")
def through_relu(recording: Recording, random: Random) -> Draft | None:
    """Why eval mode is not the average of train mode behind a nonlinear stage."""
    p, size = random.choice((0.2, 0.3, 0.4, 0.6)), random.choice((1.0, 2.0, 3.0, 5.0))
    made = (
        f"pairs = nn.Dropout({p})(torch.full((12000, 2), {size}))\n"
        "out = F.relu(pairs[:, 0] - pairs[:, 1])\n"
    )
    right = p * size
    values = [
        (0.0, "This is eval mode: the two cancel. Train mode is not the same on average.",
         "mean-through-relu"),
        (size, "Not every mask leaves the first element and drops the second.", "one-mask-only"),
        (p * (1 - p) * size, "The survivor is scaled.", "no-rescale"),
        (size * (1 - p), "p and 1 - p are exchanged.", "p-is-keep"),
        (2 * p * size, "The other half is negative, and ReLU makes it 0.", "relu-is-abs"),
    ]  # fmt: skip
    usable = [each for each in values if abs(each[0] - right) > 0.15 * size]

    def option(value: float, feedback: str, belief: str = "") -> Option:
        return claim(
            number(round(value, 3)),
            f"{made}bool(abs(out.mean() - {number(value)}) < {0.04 * size:.3f})",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    picked = random.sample(usable, min(3, len(usable)))
    if len(picked) < 3 or len({round(each[0], 3) for each in picked}) < 3:
        return None
    return Draft(
        text="Two inputs are {size} each. They go through `nn.Dropout({p})`, and a unit returns "
        "ReLU(first - second). In eval mode that is 0. What is it in train mode, on average over "
        "many masks?",
        options=(
            option(right, "Only one of the four possible masks lets something through."),
            *(option(*each) for each in picked),
        ),
        given={"p": literal(p), "size": number(size)},
        experiments={"measured": f"{made}out.mean().item()"},
        steps=(
            "Something comes out only if the first is kept and the second dropped: probability "
            "(1 - {p}) times {p}.",
            "Then it is the scaled survivor, {size} / (1 - {p}).",
            "The product is {p} times {size} = {key}. Executed: {measured} on average.",
            "Scaling keeps means of inputs; behind ReLU eval mode is an approximation of them.",
        ),
        answer="{letter}: {key}",
        check="Go through all four masks of two elements, each with its probability.",
        hint="For which of the four masks is the difference positive?",
        mistakes=(
            "Taking eval mode for the exact mean of train mode: it is exact for linear stages.",
            "Forgetting the scale of the survivor.",
        ),
    )


@question(id="D230", group="practice", level="easy", needs="nothing", place="flow")
def input_noise(recording: Recording, random: Random) -> Draft | None:
    """What dropout on the input is, seen as noise on the data."""
    p, value = rates(recording, random), random.choice((2.0, 3.0, 4.0, 10.0, 20.0))
    share = literal(p)
    right = f"[0.0, {number(value / (1 - p))}]"
    made = f"seen = nn.Dropout({share})(torch.full((2000,), {value}))\n"
    wrong = [
        result(
            f"(torch.tensor([-{share}, {share}]) + {value})",
            "Noise that is added would do that. Dropout multiplies.",
            misconception="noise-is-added",
        ),
        result(
            f"torch.tensor([0.0, {value}])",
            "The survivors are scaled.",
            misconception="no-rescale",
        ),
        result(
            f"torch.tensor([1 - {share}, 1.0]) * {value}",
            "A dropped element is zero, not smaller.",
            misconception="dropped-is-shrunk",
        ),
        result(
            f"torch.tensor([0.0, (1 - {share}) * {value}])",
            "Survivors grow.",
            misconception="scale-inverted",
        ),
        result(
            f"torch.tensor([0.0, {value} / {share}])",
            "The factor is 1 / (1 - p).",
            misconception="p-is-keep",
        ),
        result(
            f"torch.tensor([{value}, {value} / (1 - {share})])",
            "What is not kept becomes zero.",
            misconception="scales-all",
        ),
    ]
    return Draft(
        text="Dropout as the first stage makes noise on the data: it multiplies each number by a "
        "random one. Which different values does `nn.Dropout({p})` make of the input {value}, in "
        "train mode?",
        options=(
            result(
                f"{made}seen.unique()",
                "The random factor is 0 or 1 / (1 - p).",
                correct=True,
                expected=right,
            ),
            *random.sample(wrong, 3),
        ),
        given={"p": share, "value": number(value)},
        experiments={"mean": f"{made}seen.mean().item()"},
        steps=(
            "The factor is 0 with probability {p}, and 1 / (1 - {p}) otherwise.",
            "So {value} becomes one of {key}.",
            "On average it stays: the mean of 2,000 was {mean}.",
        ),
        answer="{letter}: {key}",
        check="The larger the number, the larger the noise: it is multiplied, not added.",
        hint="By which two numbers can an element be multiplied?",
        mistakes=(
            "Denying that dropout is noise.",
            "Imagining noise that is added: a zero stays zero here.",
        ),
    )


@question(id="D231", group="practice", level="medium", needs="nothing", place="training")
def decay(recording: Recording, random: Random) -> Draft | None:
    """What weight decay does, and dropout does not."""
    p, rate = literal(rates(recording, random)), random.choice((0.1, 0.2, 0.5))
    decayed = (
        f"w = torch.ones(100, requires_grad=True)\n"
        f"optimizer = torch.optim.SGD([w], lr=0.1, weight_decay={rate})\n"
        "w.grad = torch.zeros(100)\noptimizer.step()\n"
    )
    wrong = [
        claim(
            "It puts zeros in the place of a share of the weights",
            f"{decayed}bool((w == 0).any())",
            "Weights shrink a little, and none is set to zero.",
            misconception="decay-drops",
        ),
        claim(
            "It draws a mask of the weights anew in every step",
            f"{decayed}first = w.detach().clone()\nbool((first != first[0]).any())",
            "All of them shrank alike: nothing is random in it.",
            misconception="decay-is-random",
        ),
        claim(
            "It scales what is left of the weights by 1 / (1 - p)",
            f"{decayed}torch.allclose(w, torch.ones(100) / (1 - {rate}))",
            "Weights become smaller, not larger.",
            misconception="decay-rescales",
        ),
        claim(
            "It leaves every weight alone that has no gradient",
            f"{decayed}torch.equal(w, torch.ones(100))",
            "The gradients were all zero, and the weights did change.",
            misconception="decay-needs-gradient",
        ),
    ]
    return Draft(
        text="Dropout and weight decay are both used against overfitting. Which of these does "
        "`weight_decay={rate}` in plain gradient descent (SGD)?",
        options=(
            claim(
                random.choice(
                    (
                        "It makes each weight smaller by a fixed share",
                        "It shrinks each weight by the same share in each step",
                    )
                ),
                f"{decayed}torch.allclose(w, torch.full((100,), 1 - 0.1 * {rate}))",
                "A step multiplied every weight by 1 - lr times weight_decay.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"rate": literal(rate), "p": p},
        experiments={
            "after": f"{decayed}w[0].item()",
            "dropped": f"w = torch.ones(100)\ny = nn.Dropout({p})(w)\nw.mean().item()",
        },
        steps=(
            "100 weights of 1 with gradients of 0 took one step with a learning rate of 0.1.",
            "Each became {after}: smaller by 0.1 times {rate} of itself.",
            "Dropout changes what passes through, not the weights: ones that went through "
            "`nn.Dropout({p})` were still {dropped} on average themselves.",
        ),
        answer="{letter}: {key}.",
        check="Repeat the step: the weights are multiplied by the same number again.",
        hint="One of the two acts on weights in each step, the other on what passes through.",
        mistakes=(
            "Taking the two for one: dropout draws at random and ends in eval mode, weight decay "
            "changes weights for good.",
            "Expecting zeros from weight decay.",
        ),
    )
