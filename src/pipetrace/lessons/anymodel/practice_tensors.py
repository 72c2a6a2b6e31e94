"""Practice about batches, views, seeds and losses, on tensors small enough to follow by hand."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.drafts import Draft, Option, claim, number, result
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording


@question(id="A511", group="practice", level="easy", needs="nothing", place="flow")
def batch_of_one(recording: Recording, random: Random) -> Draft | None:
    """How a single sample becomes a batch of one."""
    size = random.choice(((3, 8, 8), (2, 28, 28), (3, 32, 32), (6, 5, 5), (4, 7, 9)))
    wanted = str((1, *size))
    made = f"sample = torch.ones{size}\n"
    right = random.choice(("sample[None]", "sample.unsqueeze(0)", "torch.stack([sample])"))
    wrong = random.sample(
        (
            ("sample.unsqueeze(-1)", "batch-last", "The new dimension stands last."),
            ("sample.unsqueeze(1)", "batch-last", "The new dimension stands second."),
            ("torch.cat([sample])", "cat-is-stack", "`cat` joins along a dimension there is."),
            ("sample.flatten(1)", "flatten-is-batch", "This joins the last two dimensions."),
            ("sample.contiguous()", "contiguous-is-batch", "This adds no dimension."),
        ),
        3,
    )

    def option(code: str, feedback: str, belief: str = "") -> Option:
        return result(
            f"{made}{code}.shape",
            f"{feedback} The shape is {{outcome}}.",
            correct=not belief,
            misconception=belief,
            expected="" if belief else wanted,
            text=f"`{code}`",
        )

    return Draft(
        text="Most layers want a batch: several samples along the first dimension. A single sample "
        "has shape {size}. Which expression makes it a batch of one?",
        code=made.rstrip(),
        options=(
            option(right, "One sample stands along a new first dimension."),
            *(option(code, feedback, belief) for code, belief, feedback in wrong),
        ),
        given={"size": str(size), "wanted": wanted},
        steps=(
            "A batch of one has shape {wanted}.",
            "The new dimension of size 1 must be the first.",
            "{key} makes it.",
        ),
        answer="{letter}: {key}",
        check="Print the `shape` of the result.",
        hint="Where does the batch stand, first or last?",
        mistakes=(
            "Adding the dimension at the end.",
            "Using `torch.cat`, which joins along a dimension that is there already.",
        ),
    )


@question(id="A512", group="practice", level="easy", needs="nothing", place="provenance")
def seeds(recording: Recording, random: Random) -> Draft | None:
    """What a seed repeats and what it does not."""
    seed, count = random.randint(0, 99), random.choice((1000, 2000))
    again = random.choice((True, False))
    middle = f"torch.manual_seed({seed})\n" if again else ""
    made = f"torch.manual_seed({seed})\na = torch.rand({count})\n{middle}b = torch.rand({count})\n"
    claims = {
        "same": ("All numbers of `b` equal those of `a`", "torch.equal(a, b)", "seed-holds"),
        "other": ("Numbers of `b` differ from those of `a`", "not torch.equal(a, b)", "seed-lost"),
        "fixed": ("All numbers of `a` are equal", "bool((a == a[0]).all())", "seed-is-value"),
        "sorted": ("Numbers of `b` come in sorted order", "bool((b.diff() > 0).all())",
                   "seed-orders"),
        "large": (f"Some number of `a` is larger than {seed + 1}", f"bool((a > {seed + 1}).any())",
                  "seed-is-value"),
    }  # fmt: skip
    key = "same" if again else "other"
    # of the two statements that exclude each other both are shown: one is the trap
    names = [key, "other" if again else "same", *random.sample(["fixed", "sorted", "large"], 2)]
    reason = {
        "same": "The draws were compared: a seed is a place to start from, and each draw moves on.",
        "other": "The draws were compared: the same seed, set again, starts the same numbers.",
        "fixed": "The numbers of one draw differ from each other.",
        "sorted": "Drawn numbers come in no order.",
        "large": "`torch.rand` draws from 0 to 1, whatever the seed.",
    }
    right = (
        "The second call of `manual_seed` starts the same numbers again."
        if again
        else "The seed was set once; the second draw goes on where the first ended."
    )
    return Draft(
        text="A seed tells a random generator where to start. What holds after these lines?",
        code=made.rstrip(),
        options=tuple(
            claim(
                claims[name][0],
                f"{made}{claims[name][1]}",
                right if name == key else reason[name],
                correct=name == key,
                misconception="" if name == key else claims[name][2],
            )
            for name in names
        ),
        steps=(
            "`torch.manual_seed` puts the generator at a place that the seed names.",
            "Each draw moves it on.",
            right,
        ),
        answer="{letter}: {key}",
        check="`torch.equal(a, b)` tells.",
        hint="Where does the generator stand when `b` is drawn?",
        mistakes=(
            "Setting the seed once and expecting two draws to agree.",
            "Taking the seed for a value: it only says where to start.",
        ),
    )


@question(id="A513", group="practice", level="easy", needs="nothing", place="training")
def mean_or_sum(recording: Recording, random: Random) -> Draft | None:
    """How the mean and the sum of a loss differ."""
    errors = [random.randint(1, 9) for _ in range(random.choice((2, 4, 5)))]
    made = (
        f"predictions = torch.tensor({[float(each) for each in errors]})\n"
        "targets = torch.zeros_like(predictions)\n"
    )
    squares = [each**2 for each in errors]
    key = sum(squares) / len(squares)
    wrong = [
        Wrong(
            f"{made}F.mse_loss(predictions, targets, reduction='sum').item()",
            sum(squares),
            "This is the sum, which `reduction='sum'` gives.",
            "mean-is-sum",
        ),
        Wrong(
            f"{made}F.l1_loss(predictions, targets).item()",
            sum(errors) / len(errors),
            "This is the mean of the errors without squaring.",
            "square-forgotten",
        ),
        Wrong(
            f"{made}F.mse_loss(predictions, targets).sqrt().item()",
            math.sqrt(key),
            "This is the root of the mean: it has the unit of the targets, but is not the loss.",
            "mse-is-rmse",
        ),
        Wrong(
            f"{made}F.mse_loss(predictions, targets, reduction='none').max().item()",
            max(squares),
            "This is the largest squared error.",
            "loss-is-worst",
        ),
        Wrong(
            f"{made}(predictions - targets).mean().square().item()",
            (sum(errors) / len(errors)) ** 2,
            "Here the mean was taken before squaring.",
            "square-of-mean",
        ),
    ]
    options = three(random, key, wrong)
    if options is None:
        return None
    return Draft(
        text="What does the last line return?",
        code=f"{made}F.mse_loss(predictions, targets).item()",
        options=(
            result(
                f"{made}F.mse_loss(predictions, targets).item()",
                "Unless told otherwise, a loss function returns the mean.",
                correct=True,
            ),
            *options,
        ),
        given={"squares": str(squares), "count": str(len(squares)), "sum": str(sum(squares))},
        steps=(
            "The squared errors are {squares}; their sum is {sum}.",
            "The default of `reduction` is `mean`: divide by {count}.",
            "The loss is {key}.",
        ),
        answer="{letter}: {key}",
        check="With `reduction='sum'` the same call gives {sum}.",
        hint="Squared first, and then summed or averaged?",
        mistakes=(
            "Adding without dividing: a sum grows with the batch, a mean does not.",
            "Averaging first and squaring afterwards.",
        ),
    )


@question(id="A514", group="practice", level="medium", needs="nothing", place="training")
def what_cross_entropy_takes(recording: Recording, random: Random) -> Draft | None:
    """What cross entropy wants to be given."""
    count = random.choice((3, 4, 5))
    target = random.randrange(count)
    scores = [float(random.randint(-3, 4)) for _ in range(count)]
    if len(set(scores)) < 2:
        return None
    made = f"scores = torch.tensor([{scores}])\ntarget = torch.tensor([{target}])\n"
    truth = f"-scores.log_softmax(1)[0, {target}].item()"
    raised = [
        ("scores.argmax(1), target", "class-for-scores", "It wants a score for every class.",
         "RuntimeError"),
        ("scores, target.float()", "float-targets", "Class indices must be whole numbers.",
         "RuntimeError"),
        ("scores, target[:, None]", "column-targets", "One index for each row, without a further "
         "dimension.", "RuntimeError"),
    ]  # fmt: skip
    quiet = [
        ("scores.softmax(1), target", "softmax-twice", "It runs, and takes a softmax of what is "
         "one already: {outcome}."),
        ("scores.sigmoid(), target", "softmax-twice", "It runs on numbers that are no scores any "
         "more: {outcome}."),
        ("-scores, target", "scores-are-losses", "It runs with every preference turned round: "
         "{outcome}."),
    ]  # fmt: skip
    first = random.choice(quiet)
    return Draft(
        text="The loss of a row shall be -log p, where p is the probability that softmax gives to "
        "the true class. Which call returns it?",
        code=made.rstrip(),
        options=(
            result(
                f"{made}F.cross_entropy(scores, target).item()",
                "It takes raw scores, and takes their softmax itself: {outcome}.",
                correct=True,
                text="`F.cross_entropy(scores, target)`",
            ),
            result(
                f"{made}F.cross_entropy({first[0]}).item()",
                first[2],
                misconception=first[1],
                text=f"`F.cross_entropy({first[0]})`",
            ),
            *(
                Option(
                    text=f"`F.cross_entropy({call})`",
                    code=f"{made}F.cross_entropy({call})",
                    feedback=f"{words} Executed: {{outcome}}.",
                    misconception=belief,
                    raises=error,
                )
                for call, belief, words, error in random.sample(raised, 2)
            ),
        ),
        experiments={"truth": f"{made}{truth}"},
        steps=(
            "`F.cross_entropy` takes raw scores (logits), a row for each sample, and the index of "
            "the true class.",
            "It computes log softmax itself, so a softmax before it is one too many.",
            "By hand, -log p is {truth}; the call of {letter} returns the same.",
        ),
        answer="{letter}: {key}",
        check="Compare with `-scores.log_softmax(1)` at the true class.",
        hint="Who takes the softmax?",
        mistakes=(
            "Taking softmax before the loss: no error is raised, and training gets slow.",
            "Giving targets as floats or as a column.",
        ),
    )


@question(id="A515", group="practice", level="medium", needs="nothing", place="flow")
def view_or_transpose(recording: Recording, random: Random) -> Draft | None:
    """How turning a matrix differs from cutting its numbers anew."""
    start = random.randint(0, 20)
    rows, columns = random.choice(((2, 3), (3, 2), (2, 4)))
    made = f"x = torch.arange({start}, {start + rows * columns}).view({rows}, {columns})\n"
    asked = random.choice(("T", "view"))
    codes = {
        "T": ("x.transpose(0, 1)", "`transpose` makes rows of columns.", "view-is-transpose"),
        "view": (f"x.view({columns}, {rows})", "`view` keeps the order of the numbers and cuts "
                 "rows of another length.", "view-is-transpose"),
        "same": ("x", "This is x itself.", "shape-kept"),
        "flat": ("x.flatten()", "This is one row.", "view-flattens"),
        "turned": ("x.flip(0).T", "Here the rows were turned round as well.", "transpose-rotates"),
        "mirrored": (f"x.flip(1).view({columns}, {rows})", "Here each row was turned round.",
                     "view-mirrors"),
    }  # fmt: skip
    others = ("same", "flat", "turned", "mirrored")
    trap = "view" if asked == "T" else "T"
    return Draft(
        text="What does the last line return?",
        code=f"{made}{codes[asked][0]}",
        options=(
            result(f"{made}{codes[asked][0]}", codes[asked][1], correct=True),
            *(
                result(f"{made}{codes[name][0]}", codes[name][1], misconception=codes[name][2])
                for name in (trap, *random.sample(others, 2))
            ),
        ),
        experiments={"x": f"{made}x"},
        steps=(
            "x is {x}.",
            "`transpose` moves the number at row i, column j to row j, column i. `view` reads all "
            "numbers in their order and cuts them anew.",
            "The result is {key}.",
        ),
        answer="{letter}: {key}",
        check="The first row of the result tells the two apart.",
        hint="Does the order of the numbers, read row by row, change?",
        mistakes=(
            "Using `view` to exchange batch and sequence: rows of different samples get mixed, "
            "and no error is raised.",
            "Expecting both to give the same since their shapes are equal.",
        ),
    )


@question(id="A516", group="practice", level="medium", needs="nothing", place="flow")
def running_mean(recording: Recording, random: Random) -> Draft | None:
    """What batch normalisation keeps of one batch."""
    share = random.choice((0.1, 0.2, 0.25))
    values = [float(random.randint(2, 20)) for _ in range(4)]
    mean = sum(values) / 4
    made = f"layer = nn.BatchNorm1d(1, momentum={share})\nrows = torch.tensor([[{values}]])\n"
    wrong = [
        Wrong(
            f"{made}layer.eval()(rows)\nlayer.running_mean.item()",
            0.0,
            "Eval mode leaves the running mean at its start.",
            "running-mean-fixed",
        ),
        Wrong(
            f"{made}layer.momentum = 1.0\nlayer(rows)\nlayer.running_mean.item()",
            mean,
            "This is the mean of the batch; only a share of it is taken over.",
            "running-mean-replaced",
        ),
        Wrong(
            f"{made}layer.momentum = 1 - {share}\nlayer(rows)\nlayer.running_mean.item()",
            mean * (1 - share),
            "PyTorch's `momentum` is the share of the new, not of the old.",
            "norm-momentum-of-old",
        ),
        Wrong(
            f"{made}layer(rows), layer(rows)\nlayer.running_mean.item()",
            mean * (1 - (1 - share) ** 2),
            "This is after two forwards.",
            "running-mean-twice",
        ),
        Wrong(
            f"{made}layer(rows)\nlayer.running_mean.item() + 1",
            mean * share + 1,
            "The running mean starts at 0, the running variance at 1.",
            "running-mean-at-one",
        ),
    ]
    options = three(random, mean * share, wrong)
    if options is None:
        return None
    return Draft(
        text="A batch normalisation layer keeps a running mean of its inputs for use in eval mode. "
        "It starts at 0. What is it after these lines?",
        code=f"{made}layer(rows)\nlayer.running_mean.item()",
        options=(
            result(
                f"{made}layer(rows)\nlayer.running_mean.item()",
                "The share {share} of the batch's mean is taken over.",
                correct=True,
            ),
            *options,
        ),
        given={"share": number(share), "mean": number(mean), "rest": number(1 - share)},
        steps=(
            "The mean of the batch is {mean}.",
            "A new layer is in train mode: it takes over the share `momentum` = {share} of it.",
            "{rest} times 0 plus {share} times {mean} is {key}.",
        ),
        answer="{letter}: {key}",
        check="In eval mode, the same forward leaves the running mean alone.",
        hint="Which share of the new is taken over in one forward?",
        mistakes=(
            "Reading `momentum` as the share of the old, as in an optimizer.",
            "Evaluating after few steps: the running mean is still near 0.",
        ),
    )


@question(id="A517", group="practice", level="hard", needs="nothing", place="training")
def uneven_batches(recording: Recording, random: Random) -> Draft | None:
    """Why the mean of batch losses is not the loss of all rows."""
    size = random.choice((3, 4))
    losses = [random.randint(1, 6) for _ in range(size)] + [random.randint(8, 20)]
    first = sum(losses[:size]) / size
    key = (first + losses[-1]) / 2
    made = (
        f"losses = torch.tensor({[float(each) for each in losses]})\n"
        f"means = [part.mean() for part in losses.split({size})]\n"
    )
    wrong = [
        Wrong(f"{made}losses.mean().item()", sum(losses) / len(losses),
              "This is the mean over all rows: each row counts once.", "batches-are-rows"),
        Wrong(f"{made}means[0].item()", first,
              "This leaves the small last batch out.", "last-batch-dropped"),
        Wrong(f"{made}sum(means).item()", first + losses[-1],
              "This is the sum of the two means.", "mean-is-sum"),
        Wrong(f"{made}losses.median().item()", sorted(losses)[(len(losses) - 1) // 2],
              "This is the median.", "mean-is-median"),
        Wrong(f"{made}means[-1].item()", losses[-1],
              "This is the last batch alone.", "loss-is-last-batch"),
    ]  # fmt: skip
    options = three(random, key, wrong)
    if options is None:
        return None
    return Draft(
        text="A loader cuts {count} rows into batches of {size}, so that the last batch has one "
        "row. The losses of the rows are {losses}. What does a script print that averages the "
        "batches' mean losses?",
        code=f"{made}(sum(means) / len(means)).item()",
        options=(
            result(
                f"{made}(sum(means) / len(means)).item()",
                "Both batches count alike, so the single row weighs as much as {size} others.",
                correct=True,
            ),
            *options,
        ),
        given={
            "count": str(len(losses)),
            "size": str(size),
            "losses": str(losses),
            "first": number(first),
            "last": str(losses[-1]),
            "all": number(sum(losses) / len(losses)),
        },
        steps=(
            "The first batch has mean {first}, the last {last}.",
            "The script averages these two: {key}.",
            "The mean over all rows is {all}: there the last row counts once, not {size} times.",
        ),
        answer="{letter}: {key}",
        check="Weigh each batch's mean by its rows, and {all} comes out.",
        hint="How much does a row of the last batch count?",
        mistakes=(
            "Averaging batch means where the last batch is smaller: its rows count too much.",
            "Comparing such a loss with one that was taken over all rows at once.",
        ),
    )
