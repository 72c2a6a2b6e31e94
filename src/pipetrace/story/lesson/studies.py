"""Trainings with and without the layer, and settings to try, as charts and tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from pipetrace.blocks import (
    AnyBlock,
    Attempt,
    Chart,
    Crash,
    Experiment,
    Head,
    Knob,
    Line,
    Table,
    Text,
)
from pipetrace.lessons.facts import figure
from pipetrace.lessons.folder import Study, Target
from pipetrace.lessons.taught import Curves, Measured, Taught, Tried

_TONES = {"better": "good", "worse": "warning", "no clear difference": "plain",
          "not measured": "bad"}  # fmt: skip
_WAIT = "This is being measured: it appears here by itself."


def comparison(taught: Taught, name: str) -> Iterator[AnyBlock]:
    """Yield the chart, the numbers and the verdict of a comparison.

    Args:
        taught: The lesson.
        name: The comparison's id.
    """
    for measured in taught.measured:
        if measured.comparison.id == name:
            yield _chart(measured)
            yield _table(measured)
            yield _said(measured)
            return
    if "studies" in taught.failed:
        yield Crash(title="This could not be measured", text=taught.failed["studies"])
    elif "studies" in taught.pending:
        yield Text(text=_WAIT, tone="muted")


def experiment(taught: Taught) -> tuple[AnyBlock, ...]:
    """Return the settings to try, with what each choice came to that was trained already."""
    study = taught.lesson.about.study
    if study is None or study.target is None or not study.knobs:
        return ()
    knobs = tuple(
        Knob(
            id=knob.id, label=knob.label, values=tuple(map(_value, knob.values)),
            chosen=knob.chosen, note=knob.note,
        )
        for knob in study.knobs
    )  # fmt: skip
    attempts = tuple(attempt(study, tried) for tried in taught.tried if tried.seed == 0)
    made = Experiment(title=taught.lesson.about.title, target=_target(study.target), knobs=knobs,
                      attempts=attempts)  # fmt: skip
    if "experiment" not in taught.failed:
        return (made,)
    return (made, Crash(title="The experiment is not whole", text=taught.failed["experiment"]))


def attempt(study: Study, tried: Tried) -> Attempt:
    """Return what one choice of settings came to."""
    return Attempt(choices=tried.choices, blocks=result(study, tried), reached=tried.reached)


def result(study: Study, tried: Tried) -> tuple[AnyBlock, ...]:
    """Return the curves of one training, and what it means for the target."""
    target = study.target
    assert target is not None
    losses = {name: values for name, values in tried.curves.items() if name.endswith("loss")}
    value = tried.curves[target.measure][-1]
    said = "reached" if tried.reached else "not reached"
    return (
        Chart(
            title="Loss, epoch by epoch", x_label="epoch", y_label="loss",
            x=_epochs(tried.curves),
            lines=tuple(
                Line(label=name, values=tuple(values), style=style)
                for (name, values), style in zip(losses.items(), ("dashed", "solid"), strict=False)
            ),
        ),
        Text(
            text=f"The {target.measure} after the last epoch is {figure(value)}: {said}. "
            + "; ".join(f"{name} {figure(values[-1])}" for name, values in tried.curves.items()
                        if name != target.measure)
            + f"; seed {tried.seed}.",
            tone="good" if tried.reached else "plain",
        ),
    )  # fmt: skip


def _target(target: Target) -> str:
    bound = target.at_most if target.at_most is not None else target.at_least
    return target.text.replace("{bound}", figure(bound) or "")


def _chart(measured: Measured) -> Chart:
    name = measured.comparison.measure
    arms = (("with", measured.with_, "solid"), ("without", measured.without, "dashed"))
    return Chart(
        title=f"{measured.comparison.title}: {name}, mean of {len(measured.with_)} seeds",
        x_label="epoch",
        y_label=name,
        x=_epochs(measured.with_[0]),
        lines=tuple(
            Line(label=label, values=_mean(curves, name), style=style)
            for label, curves, style in arms
        ),
    )


def _table(measured: Measured) -> Table:
    pairs = zip(
        measured.last(measured.with_), measured.last(measured.without),
        measured.differences, strict=True,
    )  # fmt: skip
    rows = [
        (str(seed), *(figure(value) or "" for value in values)) for seed, values in enumerate(pairs)
    ]
    heads = ("seed", "with", "without", "difference")
    return Table(
        heads=tuple(Head(label=label, number=True) for label in heads),
        rows=tuple(rows),
        caption=f"{measured.comparison.measure} after the last epoch",
    )


def _said(measured: Measured) -> Text:
    facts = measured.facts()
    told = {name.rpartition(".")[2]: text for name, text in facts.items()}
    if not measured.finite:
        text = "A training diverged: its loss is no finite number, and the two cannot be compared."
        return Text(text=text, tone=_TONES[measured.verdict])
    more = "Less is better." if measured.less_is_better else "More is better."
    return Text(
        text=f"Over {told['seeds']} seeds the mean is {told['with']} with and {told['without']} "
        f"without: a difference of {told['difference']}, 95 % interval {told['low']} to "
        f"{told['high']} (Student's t, same data, weights and order in each pair). {more} "
        f"Verdict: {told['verdict']}; the layer was better in {told['better']} of {told['seeds']} "
        "seeds.",
        tone=_TONES[measured.verdict],
    )


def _epochs(curves: Curves) -> tuple[float, ...]:
    return tuple(float(epoch + 1) for epoch in range(len(next(iter(curves.values())))))


def _mean(arms: tuple[Curves, ...], name: str) -> tuple[float, ...]:
    columns = zip(*(each[name] for each in arms), strict=True)
    return tuple(statistics.fmean(values) for values in columns)


def _value(value: bool | int | float | str) -> str:
    return value if isinstance(value, str) else str(value)
