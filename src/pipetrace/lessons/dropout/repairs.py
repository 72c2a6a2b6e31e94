"""Challenges: which line mends a program with dropout, tried out one by one."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.drafts import Draft, literal
from pipetrace.lessons.dropout.programs import mending
from pipetrace.lessons.dropout.reading import rates
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording

_GAP = "..."


@question(id="D314", group="challenge", level="easy", needs="nothing", place="network")
def ported(recording: Recording, random: Random) -> Draft | None:
    """How a call from another library is written in PyTorch."""
    p = rates(recording, random)
    share, kept = literal(p), literal(round(1 - p, 4))
    keeping = random.random() < 0.5
    old = f"Dropout(keep_prob={kept})" if keeping else f"Dropout(rate={share})"
    program = f"{_GAP}\nzeros = (layer(torch.ones(8000)) == 0).float().mean().item()\n"
    right = random.choice((f"layer = nn.Dropout({share})", f"layer = nn.Dropout(p={share})"))
    wrong = [
        (f"layer = nn.Dropout({kept})", "This drops what should be kept.", "p-is-keep"),
        (f"layer = nn.Dropout(p={p * 100:g})", "This is a ValueError: no percent.", "percent"),
        (f"layer = nn.Dropout(keep_prob={kept})", "This is a TypeError.", "other-keyword"),
        (f"layer = nn.Dropout(rate={share})", "This is a TypeError.", "other-keyword"),
        (f"layer = nn.Dropout(p={kept})", "This drops what should be kept.", "p-is-keep"),
        (f"layer = nn.Dropout(drop={share})", "This is a TypeError.", "other-keyword"),
    ]
    return Draft(
        text="A program for another library has the line `layer = {old}`, where "
        + ("`keep_prob` is the probability of keeping. " if keeping
           else "`rate` is the probability of dropping. ")
        + "Which line does the same in PyTorch?",
        code=f"...  # one of the lines below\n{program.partition(chr(10))[2].rstrip()}",
        options=mending(
            program,
            _GAP,
            f"abs(zeros - {share}) < 0.04",
            [(right, "It drops {share} of the elements on average.", ""),
             *random.sample(wrong, 3)],
        ),
        given={"old": old, "share": share},
        experiments={"zeros": f"(nn.Dropout({share})(torch.ones(8000)) == 0).float().mean()"},
        steps=(
            "PyTorch's `p` is the probability of dropping.",
            "Here it must be {share}; executed, a share of {zeros} of 8,000 was dropped.",
            "Other keywords are a TypeError, and percent a ValueError.",
        ),
        answer="{letter}: {key}",
        check="Count the zeros among many ones.",
        hint="Does the number say what is kept or what is dropped?",
        mistakes=(
            "Copying the number of an argument that means the opposite.",
            "Copying the keyword.",
        ),
    )  # fmt: skip


@question(id="D315", group="challenge", level="medium", needs="nothing", place="training")
def validation(recording: Recording, random: Random) -> Draft | None:
    """Which line makes a validation repeat itself."""
    p, width = literal(rates(recording, random)), random.choice((60, 80, 100))
    name = random.choice(("validate", "evaluate", "score"))
    program = (
        f"model = nn.Sequential(nn.Dropout({p}), nn.Linear({width}, 1))\n"
        f"def {name}():\n    {_GAP}\n    return model(torch.ones({width})).item()\n"
        f"first, second = {name}(), {name}()\n"
    )
    right = random.choice(("model.eval()", "model.train(False)", "model[0].eval()"))
    wrong = [
        ("model.requires_grad_(False)", "Gradients are no mode.", "grad-is-switch"),
        ("model.training = False", "The stage inside has a flag of its own.", "flag-is-eval"),
        ("model.zero_grad()", "This clears gradients.", "grad-is-switch"),
        ("model[1].eval()", "Dropout is the other stage.", "part-is-whole"),
        ("torch.no_grad()", "This makes a context, and no mode.", "no-grad-is-eval"),
        ("model.eval", "Named, but not called.", "named-is-called"),
        ("model[0].p == 0", "This compares, and sets nothing.", "comparing-sets"),
    ]
    return Draft(
        text="The function is to give the same result each time, but two calls differ. Which line "
        "in the place of the dots mends it?",
        code=f"{program}first == second",
        options=mending(
            program,
            _GAP,
            "first == second",
            [(right, "Dropout is off when the function runs.", ""), *random.sample(wrong, 3)],
        ),
        experiments={"unmended": f"{program.replace(_GAP, 'pass')}first == second"},
        steps=(
            "As it stands, `first == second` is {unmended}: a mask is drawn in each call.",
            "The dropout stage itself must be put into eval mode.",
            "Each of the lines was put in and the program run: {letter} mended it.",
        ),
        answer="{letter}: {key}",
        check="`model[0].training` must be False inside the function.",
        hint="Whose mode matters, and what changes it?",
        mistakes=(
            "Switching gradients off instead of dropout.",
            "Setting the flag of the outer model by hand.",
        ),
    )


@question(id="D316", group="challenge", level="medium", needs="nothing", place="training")
def back_to_training(recording: Recording, random: Random) -> Draft | None:
    """Which line brings dropout back after an evaluation."""
    p, count = literal(rates(recording, random)), random.choice((2, 3, 4))
    program = (
        f"model, dropping = nn.Sequential(nn.Dropout({p}), nn.Linear(9, 1)), []\n"
        f"for epoch in range({count}):\n    {_GAP}\n"
        "    dropping.append(model[0].training)  # a step of training would stand here\n"
        "    model.eval()\n    model(torch.ones(9))\n"
    )
    right = random.choice(("model.train()", "model.train(True)", "model[0].train()"))
    wrong = [
        ("model.eval()", "This is the other mode.", "mode-mixed-up"),
        ("model.training = True", "The stage inside keeps its own flag.", "flag-is-eval"),
        ("model.zero_grad()", "This clears gradients.", "grad-is-switch"),
        ("model.requires_grad_(True)", "Gradients are no mode.", "grad-is-switch"),
        ("model.train", "Named, but not called.", "named-is-called"),
        ("model[1].train()", "Dropout is the other stage.", "part-is-whole"),
        (f"model[0].p = {p}", "p was right all the time.", "p-is-reset"),
        ("torch.set_grad_enabled(True)", "Gradients are no mode.", "grad-is-switch"),
    ]
    return Draft(
        text="From the second epoch on this loop trains without dropout. Which line in the place "
        "of the dots mends it?",
        code=f"{program}all(dropping)",
        options=mending(
            program,
            _GAP,
            "all(dropping)",
            [(right, "Each epoch starts in train mode.", ""), *random.sample(wrong, 3)],
        ),
        experiments={"unmended": f"{program.replace(_GAP, 'pass')}dropping"},
        steps=(
            "As it stands, dropout was on in the epochs: {unmended}.",
            "eval() lasts until train() is called for the dropout stage.",
            "Each of the lines was put in and the program run: {letter} mended it.",
        ),
        answer="{letter}: {key}",
        check="Look at the second entry of `dropping`.",
        hint="What did the first epoch leave behind?",
        mistakes=(
            "Calling train() once, before the loop.",
            "Setting the outer flag by hand.",
        ),
    )


@question(id="D317", group="challenge", level="hard", needs="nothing", place="prediction")
def mixed(recording: Recording, random: Random) -> Draft | None:
    """Which line of a model still drops in eval mode, and how it is mended."""
    p = literal(rates(recording, random))
    first = f"h = F.dropout(x, {p})"
    second = "return self.drop(h)"
    program = (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.drop = nn.Dropout({p})\n    def forward(self, x):\n"
        f"        {first}\n        {second}\nnet, ones = Net(), torch.ones(600)\n"
        "trained, evaluated = net(ones), net.eval()(ones)\n"
    )
    replacements = {
        first: [
            (f"h = F.dropout(x, {p}, self.training)", "", ""),
            (f"h = F.dropout(x, {p}, self.drop.training)", "", ""),
            (f"h = F.dropout(x, {p}, True)", "This is the default: it drops always.",
             "functional-sees-mode"),
            ("h = F.dropout(x, self.training)", "The mode stands in the place of p.", "mode-as-p"),
            (f"h = F.dropout(x.detach(), p={p})", "Gradients are no mode.", "detach-is-eval"),
            (f"h = nn.Dropout({p})(x)", "A layer made in each forward is always new, and trains.",
             "fresh-is-eval"),
        ],
        second: [
            ("return self.drop.eval()(h)", "The line before it goes on dropping.",
             "wrong-line-mended"),
            ("return self.drop(h) if self.training else h", "The line before it goes on dropping.",
             "wrong-line-mended"),
            ("return F.dropout(h, self.drop.p, self.training)", "This line was right before.",
             "wrong-line-mended"),
        ],
    }  # fmt: skip
    good = random.choice([each for each in replacements[first] if not each[2]])
    bad = [(first, each) for each in replacements[first] if each[2]]
    bad += [(second, each) for each in replacements[second]]
    # a long line among short ones would give itself away
    long = random.choice([each for each in bad if len(each[1][0]) > 40])
    others = random.sample([each for each in bad if each is not long], 2)
    picked = [(first, (good[0], "Now both lines follow the mode.", "")), long, *others]
    check = "0 < (trained == 0).sum() < 600 and torch.equal(evaluated, ones)"
    options = [option for gap, each in picked for option in mending(program, gap, check, [each])]
    return Draft(
        text="In eval mode this model should hand its input on, and in train mode drop. Which line "
        "mends it, put in the place of the line that starts with the same word?",
        code=program.rstrip(),
        options=tuple(options),
        experiments={"zeros": f"{program}(evaluated == 0).sum()"},
        steps=(
            "As it stands, {zeros} of 600 elements are zero in eval mode.",
            "`self.drop` is a stage of the model and follows its mode.",
            "`F.dropout` follows nothing: it must be told the mode.",
            "Each replacement was put in and the program run: {letter} mended it.",
        ),
        answer="{letter}: {key}",
        check="After the repair two passes in eval mode are equal.",
        hint="Which of the two lines cannot know the mode?",
        mistakes=(
            "Mending the line that is right.",
            "Making a new layer in each forward: it is in train mode each time.",
        ),
    )


@question(id="D318", group="challenge", level="hard", needs="nothing", place="flow")
def own(recording: Recording, random: Random) -> Draft | None:
    """Which line mends a dropout that was written by hand."""
    p = literal(random.choice((0.3, 0.4, 0.6, 0.7)))
    check = f"abs((y == 0).float().mean() - {p}) < 0.04 and abs(y.mean() - 1) < 0.07"
    mask, back = "mask = torch.rand_like(x) < p", "return x * mask / (1 - p)"
    right_mask = random.choice(
        ("mask = torch.rand_like(x) >= p", "mask = torch.rand_like(x) < 1 - p",
         "mask = torch.rand(x.shape) > p")
    )  # fmt: skip
    right_back = random.choice(("return x * mask / (1 - p)", "return mask * x / (1 - p)",
                                "return x / (1 - p) * mask"))  # fmt: skip
    in_mask = random.random() < 0.5
    if in_mask:
        gap, right, other = mask, right_mask, back
        lines = [
            ("mask = torch.rand(1) >= p", "One draw for all elements.", "one-draw-for-all"),
            (
                "mask = torch.randn_like(x) >= p",
                "These numbers are not spread evenly from 0 to 1.",
                "any-noise-will-do",
            ),
            ("mask = (torch.rand_like(x) >= p) / (1 - p)", "It is scaled twice.", "factor-twice"),
            ("mask = torch.rand_like(x) <= p", "This still keeps a share p.", "p-is-keep"),
            ("mask = torch.rand_like(x) - p", "A mask is 0 or 1.", "any-noise-will-do"),
            ("mask = torch.ones_like(x) * (1 - p)", "Nothing is dropped.", "mean-is-all"),
        ]
        wanted = "keeps too few or too many elements"
    else:
        gap, right, other = "return x * mask * (1 - p)", right_back, right_mask
        lines = [
            ("return x * mask", "Survivors are not scaled.", "no-rescale"),
            ("return x * mask / p", "This divides by the wrong share.", "p-is-keep"),
            ("return x * mask * (1 + p)", "Adding p is not enough.", "p-is-added"),
            ("return x * (1 - mask.float()) / (1 - p)", "The mask is turned over.",
             "mask-marks-dropped"),
            ("return x * mask / (1 - p) ** 2", "It is scaled twice.", "factor-twice"),
            ("return x / (1 - p)", "The mask is not used.", "scales-all"),
        ]  # fmt: skip
        wanted = "has the wrong size of survivors"
    body = (gap, other) if in_mask else (other, gap)
    program = f"def drop(x, p):\n    {body[0]}\n    {body[1]}\ny = drop(torch.ones(8000), {p})\n"
    return Draft(
        text="Somebody wrote dropout by hand, and it {wanted}. It should do what `nn.Dropout` does "
        "in train mode. Which line mends it, in the place of `{gap}`?",
        code=program.rstrip(),
        options=mending(
            program,
            gap,
            check,
            [(right, "Share dropped and mean are what they should be.", ""),
             *random.sample(lines, 3)],
        ),
        given={"wanted": wanted, "gap": gap, "p": p},
        experiments={
            "zeros": f"{program}(y == 0).float().mean()",
            "mean": f"{program}y.mean()",
        },
        steps=(
            "As it stands, a share of {zeros} of 8,000 ones is dropped, and the mean is {mean}.",
            "It should be about {p} and about 1.",
            "`torch.rand` gives numbers spread evenly from 0 to 1: a share p of them is below p.",
            "Each replacement was put in and the program run: {letter} mended it.",
        ),
        answer="{letter}: {key}",
        check="Compare the share of zeros and the mean with `nn.Dropout({p})(torch.ones(8000))`.",
        hint="Check two numbers: how many are zero, and what the mean is.",
        mistakes=(
            "Keeping where one should drop.",
            "Scaling with the wrong share, or twice.",
        ),
    )  # fmt: skip


@question(id="D319", group="challenge", level="hard", needs="nothing", place="flow")
def skip_path(recording: Recording, random: Random) -> Draft | None:
    """Which line saves a skip path from in-place dropout."""
    p = literal(rates(recording, random))
    size = random.choice((300, 400, 500))
    make, back = f"drop = nn.Dropout({p}, inplace=True)", "return x + drop(x)"
    program = f"{make}\ndef block(x):\n    {back}\ny = block(torch.ones({size}))\n"
    good = [
        (make, f"drop = nn.Dropout({p})"),
        (make, f"drop = nn.Dropout({p}, inplace=False)"),
        (back, "return x + drop(x.clone())"),
        (back, "return x.clone() + drop(x)"),
        (back, f"return x + F.dropout(x, {p})"),
    ]
    bad = [
        (back, "return drop(x) + x", "Both terms are the same tensor.", "sum-order-saves"),
        (back, "return x + drop(x).clone()", "The copy comes too late.", "clone-after"),
        (back, "return x + drop(x.view(-1))", "A view shares the memory of x.", "view-is-copy"),
        (back, "return x + drop(x.detach())", "detach() shares the memory of x.", "view-is-copy"),
        (make, f"drop = nn.Dropout({p}, True)", "True stands for `inplace`.", "second-is-training"),
        (make, f"drop = nn.Dropout({p}, inplace=True).eval()", "Now nothing is ever dropped.",
         "silenced-is-mended"),
    ]  # fmt: skip
    gap, line = random.choice(good)
    check = f"bool((y >= 1).all()) and 0 < (y == 1).sum() < {size}"
    picked = [(gap, (line, "x comes through whole, and the branch is dropped.", ""))]
    # a long line among short ones would give itself away
    others = [*random.sample(bad[:-1], 2), bad[-1]] if gap == make else random.sample(bad, 3)
    picked += [(place, (text, words, belief)) for place, text, words, belief in others]
    options = [each for place, rest in picked for each in mending(program, place, check, [rest])]
    return Draft(
        text="A block should add its input to a dropped copy of it, so that x comes through whole. "
        "Which line mends it, put in the place of the line that starts with the same word?",
        code=program.rstrip(),
        options=tuple(options),
        experiments={"zeros": f"{program}(y == 0).sum()"},
        steps=(
            f"As it stands, {{zeros}} of {size} elements of y are 0: x was lost there.",
            "In-place dropout writes over x, so both terms of the sum are the dropped tensor.",
            "Either dropout must not work in place, or it must work on a copy.",
            "Each replacement was put in and the program run: {letter} mended it.",
        ),
        answer="{letter}: {key}",
        check="y must be 1 where dropped, and more where kept; never 0.",
        hint="How many tensors does the sum really have?",
        mistakes=(
            "Turning the sum over: both terms are still one tensor.",
            "Taking a view or detach() for a copy.",
        ),
    )
