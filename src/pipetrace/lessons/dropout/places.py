"""Practice with where dropout stands: at the scores, in recurrent stages, beside a skip path."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, Option, claim, literal, number
from pipetrace.lessons.dropout.reading import rates
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="D223", group="practice", level="medium", needs="nothing", place="network")
def on_scores(recording: Recording, random: Random) -> Draft | None:
    """What dropout does behind the last stage, to the scores themselves."""
    p = literal(rates(recording, random))
    scores = sorted((round(random.uniform(0.5, 4.0), 1) for _ in range(3)), reverse=True)
    scores = [round(score + 0.2 * (2 - place), 1) for place, score in enumerate(scores)]
    made = (
        f"scores = torch.tensor({scores})\nseen = nn.Dropout({p})(scores.repeat(1500, 1))\n"
        "best = seen.argmax(1)\n"
    )
    wrong = [
        claim(
            "It scales all three, so the best class stays the best",
            f"{made}bool((best == 0).all())",
            "A mask falls on single scores, also on the best.",
            misconception="scores-scaled-alike",
        ),
        claim(
            "It only spares work, as probabilities stay the same",
            f"{made}torch.allclose(seen.softmax(1), scores.softmax(0).expand(1500, 3))",
            "The probabilities differed from mask to mask.",
            misconception="skips-work",
        ),
        claim(
            "It drops the smallest of the scores before the others",
            f"{made}bool(((seen == 0).sum(1) != 1).all() or (seen[(seen == 0).sum(1) == 1, 2] "
            "== 0).all())",
            "Each score has the same chance to be dropped.",
            misconception="drops-the-small",
        ),
        claim(
            "It takes a class out, whose probability becomes zero",
            f"{made}bool((seen.softmax(1)[seen == 0] == 0).all())",
            "A score of 0 is not a probability of 0.",
            misconception="zero-score-is-zero",
        ),
    ]
    return Draft(
        text="A model ends in three scores, and somebody puts `nn.Dropout({p})` behind them. For a "
        "row the scores are {scores}. What does it do in training?",
        options=(
            claim(
                random.choice(
                    (
                        "It sometimes erases the best score, and another class wins",
                        "It may erase the best score: another then wins",
                    )
                ),
                f"{made}bool((best != 0).any() and (best == 0).any())",
                "The best class won in {wins} of 1,500 forwards only.",
                correct=True,
            ),
            *random.sample(wrong, 3),
        ),
        given={"p": p, "scores": str(scores)},
        experiments={"wins": f"{made}(best == 0).sum().item()"},
        steps=(
            "Behind the last stage nothing follows that could make up for a lost score.",
            "A dropped score is 0, and 0 may lose or win against the others.",
            "Executed: the best class had the highest score in {wins} of 1,500 forwards.",
            "So dropout belongs before the last stage, which can learn to do with less.",
        ),
        answer="{letter}: {key}.",
        check="Compare `argmax` of the scores in both modes.",
        hint="What is left of the largest score when it is dropped?",
        mistakes=(
            "Taking a score of 0 for a probability of 0.",
            "Expecting the scale to save the order: it goes to survivors only.",
        ),
    )


@question(id="D224", group="practice", level="medium", needs="nothing", place="network")
def recurrent(recording: Recording, random: Random) -> Draft | None:
    """Where a recurrent stage drops, and where not."""
    p, sizes = random.choice((0.3, 0.4, 0.5, 0.6)), random.choice(("2, 3", "3, 3", "3, 2"))
    layers = random.choice((2, 3))
    right = random.choice((f"nn.RNN({sizes}, {layers}, dropout={p})",
                           f"nn.RNN({sizes}, num_layers={layers}, dropout={p})"))  # fmt: skip
    wrong = [
        (f"nn.RNN({sizes}, dropout={p})", "With one layer there is no place between layers.",
         "rnn-drops-steps"),
        (f"nn.RNN({sizes}, num_layers=1, dropout={p})", "One layer has nothing between layers.",
         "rnn-drops-steps"),
        (f"nn.RNN({sizes}, num_layers={layers})", "Its p is 0 by default.", "rnn-drops-by-default"),
        (f"nn.RNN({sizes}, {layers}, dropout={p}).eval()", "In eval mode nothing is dropped.",
         "drops-in-eval"),
        (f"nn.RNN({sizes}, bidirectional=True, dropout={p})", "Two directions are one layer.",
         "directions-are-layers"),
    ]  # fmt: skip

    def option(call: str, feedback: str, belief: str = "") -> Option:
        return claim(
            f"`{call}`",
            f"rnn, x = {call}, torch.ones(3, 6, {sizes[0]})\nnot torch.equal(rnn(x)[0], rnn(x)[0])",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    return Draft(
        text="Which recurrent stage gives two different results for the same input?",
        code="rnn = ...  # one of the calls below\nfirst, second = rnn(x)[0], rnn(x)[0]",
        options=(
            option(right, "Masks are drawn for what goes from one layer to the next."),
            *(option(*each) for each in random.sample(wrong, 3)),
        ),
        steps=(
            "`dropout=` of a recurrent stage acts between its layers: behind each but the last.",
            "From step to step nothing is dropped, and nothing behind the last layer.",
            "So it takes two layers at least, and train mode.",
        ),
        answer="{letter}: {key}",
        check="With one layer and a p above 0 PyTorch warns that it has no effect.",
        hint="Between which two things would a mask stand, if there is one layer?",
        mistakes=(
            "Expecting dropout from step to step.",
            "Overlooking the warning of a stage with a single layer.",
        ),
    )


@question(id="D225", group="practice", level="medium", needs="nothing", place="network")
def residual(recording: Recording, random: Random) -> Draft | None:
    """Where dropout stands beside a skip path that is to stay whole."""
    p, body = literal(rates(recording, random)), random.choice(("f", "block", "layer"))
    right = random.choice((f"x + drop({body}(x))", f"drop({body}(x)) + x", f"x + {body}(drop(x))"))
    wrong = [
        (f"drop(x + {body}(x))", "The mask falls on the sum, and so on x, too.", "skip-is-safe"),
        (f"drop(x) + {body}(x)", "The mask falls on the skip path itself.", "branches-mixed-up"),
        (f"drop(x) + drop({body}(x))", "Both paths are dropped.", "skip-is-safe"),
        (f"drop({body}(x) + x)", "The mask falls on the sum, and so on x, too.", "skip-is-safe"),
        (f"{body}(drop(x))", "There is no skip path at all.", "branch-is-skip"),
    ]

    def option(line: str, feedback: str, belief: str = "") -> Option:
        return claim(
            f"`{line}`",
            f"x, drop = torch.ones(200), nn.Dropout({p})\n"
            f"def {body}(x):\n    return 0 * x\n"
            f"torch.equal({line}, x)",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    return Draft(
        text="A residual block adds its input x to what `{body}` makes of it. Which line uses "
        "dropout and still hands x on whole, in train mode?",
        code=f"drop = nn.Dropout({p})\ny = ...  # one of the lines below",
        options=(
            option(right, "The mask falls on the branch alone."),
            *(option(*each) for each in random.sample(wrong, 3)),
        ),
        given={"body": body},
        steps=(
            "Look for every path from x to the result, and for what stands on it.",
            "x comes through whole if one path has nothing on it but the sum.",
            "Executed with a `{body}` that returns zeros: after {letter} the result is x.",
        ),
        answer="{letter}: {key}",
        check="Set p to 1: x + 0 must be left, not 0.",
        hint="Draw the two paths and mark where the mask stands.",
        mistakes=(
            "Dropping the sum: then the skip path is dropped as well.",
            "Dropping x on its way around.",
        ),
    )


@question(id="D226", group="practice", level="hard", needs="nothing", place="network")
def before_norm(recording: Recording, random: Random) -> Draft | None:
    """What dropout before batch normalisation makes it learn."""
    p = random.choice((0.2, 0.25, 0.4, 0.6))
    spread = random.choice((1.0, 2.0, 3.0))
    right = spread**2 / (1 - p)
    drawn = f"seen = nn.Dropout({p})(torch.randn(24000) * {spread})\n"

    def option(value: float, feedback: str, belief: str = "") -> Option:
        return claim(
            number(round(value, 3)),
            f"{drawn}bool(abs(seen.var() - {number(value)}) < {number(0.07 * right)})",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    wrong = [
        (spread**2, "This is the variance in eval mode: the two differ.", "mean-is-all"),
        (spread**2 * (1 - p), "Survivors are scaled up, which outweighs the zeros.", "no-rescale"),
        (spread**2 / (1 - p) ** 2, "This would be so if none were dropped.",
         "scales-all"),
        (spread**2 * p, "p alone is not the factor.", "p-is-factor"),
    ]  # fmt: skip
    return Draft(
        text="Numbers with mean 0 and variance {square} go through `nn.Dropout({p})` and then into "
        "batch normalisation. About which variance does it see in training?",
        options=(
            option(right, "The mean square is divided by 1 - p: dropout adds variance."),
            *(option(*each) for each in random.sample(wrong, 3)),
        ),
        given={"p": literal(p), "square": number(spread**2)},
        experiments={"measured": f"{drawn}seen.var().item()"},
        steps=(
            "A number x becomes x / (1 - {p}) with probability 1 - {p}, else 0.",
            "Its mean square is (1 - {p}) times x squared / (1 - {p}) squared.",
            "So the variance is {square} / (1 - {p}) = {key}. Executed: {measured}.",
            "In eval mode it is {square}: the statistics learned in training do not fit.",
        ),
        answer="{letter}: {key}",
        check="At p = 0 it must be {square}.",
        hint="The mean stays. Does the mean square?",
        mistakes=(
            "Thinking that equal means make equal variances.",
            "Putting dropout right before batch normalisation, and wondering about eval mode.",
        ),
    )


@question(id="D232", group="practice", level="hard", needs="nothing", place="network")
def attention(recording: Recording, random: Random) -> Draft | None:
    """What dropout makes of attention weights that add up to 1."""
    p = random.choice((0.2, 0.25, 0.4, 0.5))
    weights = random.choice(([0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.4, 0.35, 0.25]))
    gone = random.randrange(3)
    left = [0.0 if place == gone else weight for place, weight in enumerate(weights)]
    made = f"weights = torch.tensor({weights})\nseen = nn.Dropout({p})(weights.repeat(800, 1))\n"

    def option(row: list[float], feedback: str, belief: str = "") -> Option:
        shown = [round(each, 4) for each in row]
        return claim(
            str(shown),
            f"{made}bool((abs(seen - torch.tensor({shown})) < 0.001).all(1).any())",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    total = sum(left)
    shared = [0.0 if each == 0 else each + weights[gone] / 2 for each in left]
    wrong = [
        ([each / total for each in left], "Nothing brings the sum back to 1.", "renormalised"),
        (left, "Survivors are divided by 1 - p.", "no-rescale"),
        ([each * (1 - p) for each in left], "Survivors grow.", "scale-inverted"),
        (shared, "What is dropped goes to nobody.", "softmax-again"),
        ([each / (1 - p) if each else weights[gone] * (1 - p) for each in left],
         "What is dropped becomes zero.", "dropped-is-shrunk"),
    ]  # fmt: skip
    key = [each / (1 - p) for each in left]
    apart = [each for each in wrong if max(map(abs, map(float.__sub__, each[0], key))) > 0.01]
    picked = random.sample(apart, 3)
    return Draft(
        text="Attention gives a row of weights that add up to 1, here {weights}, and PyTorch puts "
        "dropout on them. Which row can come out at p = {p} in train mode?",
        options=(
            option(key, "Survivors are scaled, and the sum is no longer 1."),
            *(option(*each) for each in picked),
        ),
        given={"weights": str(weights), "p": literal(p), "total": number(sum(key))},
        experiments={
            "sums": f"torch.manual_seed({gone})\n"
            f"layer = nn.MultiheadAttention(4, 1, dropout={p})\nx = torch.ones(6, 1, 4)\n"
            "layer(x, x, x)[1].sum(-1)",
            "mean": f"{made}seen.sum(1).mean()",
        },
        steps=(
            "Dropout on attention is ordinary dropout: a weight becomes 0 or is divided by 1 - p.",
            "Nothing shares out what was lost, so the row {key} adds up to {total}.",
            "Executed: in `nn.MultiheadAttention` six rows added up to {sums}.",
            "On average it is 1: the mean sum of 800 rows was {mean}.",
        ),
        answer="{letter}: {key}",
        check="Divide each weight that was kept by 1 - p.",
        hint="Does softmax come before dropout, or after it?",
        mistakes=(
            "Expecting the row to add up to 1 in train mode.",
            "Leaving out the scale.",
        ),
    )
