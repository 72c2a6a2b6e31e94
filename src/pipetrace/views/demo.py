"""A page with every kind of block, for goldens, demos and anybody who writes a view."""

from __future__ import annotations

import math
import random

import msgspec

from pipetrace.blocks import (
    AnyBlock,
    Bar,
    Bars,
    Chart,
    Check,
    Checks,
    Code,
    Crash,
    Fact,
    Facts,
    Flow,
    Head,
    Line,
    Option,
    Page,
    Pin,
    Question,
    Remark,
    Remarks,
    Section,
    Spot,
    Stage,
    Strip,
    Table,
    Text,
)
from pipetrace.views import demo_lesson, demo_models, demo_samples

RATE = 0.3
CODE = """\
import torch.nn as nn

model = nn.Sequential(
    nn.Dropout(0.3),
    nn.Linear(20, 10),
    nn.ReLU(),
    nn.Linear(10, 3),
)
"""


def page() -> Page:
    """Build the page: plain Python computes its values, no model was trained.

    >>> [section.id for section in page().sections[:9]]
    ['summary', 'flow', 'training', 'prediction', 'quiz', 'lab', 'network', 'samples', 'code']
    """
    return Page(
        title="Every block on one page",
        subtitle="a demonstration: plain Python computed these values, no model was trained",
        contents="Carries 20 values of one row and 8 lines of source.",
        generator="pipetrace demo",
        sections=(
            Section(id="summary", title="Summary", blocks=_summary()),
            Section(
                id="flow",
                title="Data flow, 5 stages",
                intro="One row of 20 values on its way through the stages.",
                blocks=(_flow(),),
            ),
            Section(id="training", title="Training trace", blocks=_training()),
            Section(id="prediction", title="Prediction", blocks=_prediction()),
            Section(id="quiz", title="Quiz, 2 questions", blocks=_questions()),
            *_models(),
            Section(id="code", title="Code and crash", blocks=_code()),
            *demo_lesson.sections(),
        ),
    )


def lesson() -> Page:
    """Build the same as a page that teaches, in ten modes; its notice stands in all of them.

    >>> [mode.id for mode in lesson().modes][:3]
    ['why', 'deep', 'trace']
    """
    modes = {
        "summary": "why", "network": "why", "lab": "deep", "flow": "trace", "training": "training",
        "prediction": "predict", "samples": "metrics", "code": "checks", "quiz": "practice",
    }  # fmt: skip
    words = "This stands in every mode."
    notice = Section(id="notice", title="Notice", blocks=(Text(text=words, tone="muted"),))
    sections = (
        msgspec.structs.replace(section, mode=modes.get(section.id, section.mode))
        for section in page().sections
    )
    return msgspec.structs.replace(
        page(),
        title="A lesson in ten modes",
        sections=(*sections, notice),
        modes=demo_lesson.MODES,
        learner="demo",
    )


def _models() -> tuple[Section, ...]:
    return (
        Section(id="lab", title="Dropout lab", blocks=(demo_models.draws(),)),
        Section(
            id="network",
            title="Network",
            blocks=(demo_models.network(), demo_models.graph()),
        ),
        Section(
            id="samples",
            title="Samples and distributions",
            blocks=(
                Flow(stages=(demo_samples.pictured(),)),
                demo_samples.tabs(),
                demo_samples.distributions(),
            ),
        ),
    )


def _summary() -> tuple[AnyBlock, ...]:
    kept = _row()[1].count(False)
    return (
        Text(text=f"A key sentence rests on its numbers: {kept} of 20 were kept.", tone="key"),
        Facts(
            facts=(
                Fact(label="script", value="train.py", note="20 lines"),
                Fact(label="seed", value="0"),
                Fact(label="device", value="cpu", note="one thread"),
            )
        ),
        Checks(
            checks=(
                Check(label="a traced forward equals a plain one", state="yes", detail="3 of 3"),
                Check(label="random streams were left as found", state="no", detail="numpy moved"),
                Check(label="buffers were left as found", state="unknown", detail="not compared"),
            )
        ),
        Text(text="Something went well.", tone="good"),
        Text(text="Something asks for attention: `eval()` was never called.", tone="warning"),
        Text(text="Something is wrong.", tone="bad"),
        Text(text="Something can be skipped.", tone="muted"),
    )


def _row() -> tuple[list[float], list[bool], list[float]]:
    """Draw a row, a mask and the scaled row, as dropout would."""
    source = random.Random(4)
    row = [round(source.gauss(0, 1), 4) for _ in range(20)]
    dropped = [source.random() < RATE for _ in row]
    scaled = [0.0 if gone else x / (1 - RATE) for x, gone in zip(row, dropped, strict=True)]
    return row, dropped, scaled


def _linear(row: list[float], width: int, seed: int) -> list[float]:
    """Multiply a row with drawn weights."""
    source = random.Random(seed)
    reach = 1 / math.sqrt(len(row))
    return [sum(x * source.uniform(-reach, reach) for x in row) for _ in range(width)]


def _strip(label: str, values: list[float], struck: list[bool] | None = None) -> Strip:
    return Strip(label=label, values=tuple(values), struck=tuple(struck or ()), total=len(values))


def _flow() -> Flow:
    row, dropped, scaled = _row()
    hidden = _linear(scaled, 10, 1)
    active = [max(0.0, x) for x in hidden]
    kept = dropped.count(False)
    dropout = Stage(
        id="0",
        name="Dropout(0.3)",
        mode="train mode",
        shape="32 × 20 → 32 × 20",
        words="Sets each element to zero with p = 0.3 and multiplies the others by 1/(1 - p).",
        strips=(_strip("in", row, dropped), _strip("out", scaled, dropped)),
        facts=(
            Fact(label="kept", value=f"{kept} of 20", note="this row"),
            Fact(label="scale", value=f"{1 / (1 - RATE):.4f}", note="1/(1 - 0.3)"),
        ),
        spots=(Spot(file="train.py", line=4, text="    nn.Dropout(0.3),"),),
    )
    head = Stage(
        id="head",
        name="Sequential",
        shape="32 × 20 → 32 × 10",
        words="Runs two modules in order.",
        stages=(
            Stage(
                id="head.linear",
                name="Linear(20, 10)",
                shape="32 × 20 → 32 × 10",
                strips=(_strip("out", hidden),),
                spots=(Spot(file="train.py", line=5, text="    nn.Linear(20, 10),"),),
            ),
            Stage(
                id="head.relu",
                name="ReLU()",
                shape="32 × 10 → 32 × 10",
                words="Sets negative values to zero.",
                strips=(_strip("out", active),),
            ),
        ),
    )
    output = _linear(active, 3, 2)
    return Flow(
        stages=(
            Stage(
                id="input",
                name="Input",
                shape="32 × 20",
                words="1000 rows × 20 features, in batches of 32.",
                strips=(_strip("row 0", row),),
            ),
            dropout,
            head,
            Stage(
                id="output",
                name="Linear(10, 3)",
                shape="32 × 10 → 32 × 3",
                words="One number for each of 3 classes.",
                strips=(_strip("out", output),),
            ),
            Stage(id="failed", name="Softmax(dim=9)", tone="bad", words="Raised an IndexError."),
        )
    )


def _training() -> tuple[AnyBlock, ...]:
    epochs = tuple(float(epoch) for epoch in range(1, 9))
    on = tuple(0.5 + 0.6 * math.exp(-epoch / 2) for epoch in epochs)
    off = tuple(0.4 + 0.6 * math.exp(-epoch / 2) for epoch in epochs)
    held = (*off[:3], None, *(value + 0.03 for value in off[4:]))
    lowest = min(value for value in held if value is not None)
    heads = (
        Head(label="epoch", number=True),
        Head(label="loss, on", number=True, note="dropout on, the epoch's last weights"),
        Head(label="loss, off", number=True, note="dropout off, the same weights and rows"),
        Head(label="held out", number=True),
        Head(label="note"),
    )
    rows = tuple(
        (
            f"{epoch:.0f}",
            f"{on[index]:.3f}",
            f"{off[index]:.3f}",
            "not measured" if held[index] is None else f"{held[index]:.3f}",
            "lowest held out" if held[index] == lowest else "",
        )
        for index, epoch in enumerate(epochs)
    )
    lines = (
        Line(label="dropout on", values=on),
        Line(label="dropout off", values=off, style="dashed"),
        Line(label="held out", values=held, style="dotted"),
    )
    remarks = (
        Remark(
            id="loss-fell",
            where="epoch 2",
            text=f"The loss fell from {on[0]:.3f} to {on[1]:.3f}.",
            tone="good",
        ),
        Remark(id="gap", where="epoch 4", text="Held-out loss was not measured."),
        Remark(
            id="on-above-off",
            where="epoch 8",
            text=f"{on[-1]:.3f} with dropout on and {off[-1]:.3f} without, equal weights.",
            tone="warning",
        ),
    )
    return (
        Table(heads=heads, rows=rows, caption="Loss at the end of each epoch"),
        Chart(
            title="Loss",
            x_label="epoch",
            y_label="mean loss",
            x=epochs,
            lines=lines,
            pins=tuple(
                Pin(x=float(each.where.split()[1]), text=each.text, id=each.id, tone=each.tone)
                for each in remarks
            ),
        ),
        Remarks(remarks=remarks),
    )


def _prediction() -> tuple[AnyBlock, ...]:
    scores = {"setosa": 2.1, "versicolor": 0.5, "virginica": -1.0}
    total = sum(math.exp(score) for score in scores.values())
    shares = {name: math.exp(score) / total for name, score in scores.items()}
    marks = {"setosa": "predicted, true"}
    bars = tuple(
        Bar(label=name, share=share, value=f"{share:.4f}", mark=marks.get(name, ""))
        for name, share in shares.items()
    )
    return (Bars(title="Softmax of 2.1, 0.5 and -1.0", bars=bars),)


def _questions() -> tuple[AnyBlock, ...]:
    return (
        Question(
            id="scale",
            level="easy",
            text="`nn.Dropout(0.3)` in train mode keeps an element of 0.5. What comes out?",
            options=(
                Option(text="0.5", correct=False, feedback="That is eval mode."),
                Option(
                    text="0.15",
                    correct=False,
                    feedback="0.5 × 0.3: p is the share dropped.",
                    misconception="keeps-p",
                ),
                Option(text="0.35", correct=False, feedback="0.5 × 0.7 shrinks; dropout divides."),
                Option(text="0.7143", correct=True, feedback="0.5 / 0.7 = 0.7143."),
            ),
            hint="The expected value stays the same.",
            steps=("p = 0.3, so 1 - p = 0.7.", "0.5 / 0.7 = 0.7143."),
            answer="0.7143",
            check="0.7143 × 0.7 + 0 × 0.3 = 0.5, the value that went in.",
            mistakes=("Taking p for the share that is kept.",),
            place="flow/0",
        ),
        Question(
            id="mode",
            level="medium",
            text="What does this print?",
            code="layer = nn.Dropout(0.5)\nlayer.eval()\nprint(layer(torch.ones(4)))",
            options=(
                Option(text="four ones", correct=True, feedback="In eval mode it does nothing."),
                Option(text="ones and zeros", correct=False, feedback="Survivors would be 2."),
                Option(text="twos and zeros", correct=False, feedback="That is train mode."),
                Option(text="an error", correct=False, feedback="Both modes are legal."),
            ),
        ),
    )


def _code() -> tuple[AnyBlock, ...]:
    return (
        Code(text=CODE, path="train.py", marks=(4,)),
        Crash(title="A section could not be made", text="KeyError: 'loss'"),
    )
