"""The prediction trace: one sample through the trained model in eval mode, layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from pipetrace.blocks import (
    AnyBlock,
    Bar,
    Bars,
    Check,
    Checks,
    Fact,
    Facts,
    Flow,
    Tab,
    Tabs,
    Text,
)
from pipetrace.records import Column, Dataset, Prediction, Ranking
from pipetrace.story.figures import listing, number, plural
from pipetrace.story.forwards import Forward, forwards
from pipetrace.story.ranking import tables
from pipetrace.story.registry import Content, section
from pipetrace.story.spreads import spreads
from pipetrace.story.stages import stages
from pipetrace.tracefile import Recording

MOST = 10
"""More classes than this are cut to the most probable ones, and the true one."""


@section(id="prediction", title="Prediction trace", order=50)
def prediction(recording: Recording) -> Content | None:
    """Tell how one sample became a prediction, and a few others that are worth a look."""
    told = chosen(recording)
    if told is None:
        return None
    every = {item.capture.id: item for item in forwards(recording, samples=True)}
    flow = stages(every[told.capture]) if told.capture in every else ()
    title = f"Prediction trace, {plural(len(flow), 'layer')}" if flow else ""
    others = [item for item in recording.all(Prediction) if item.role != "chosen"]
    blocks: list[AnyBlock] = []
    if others:
        tabs = [_tab(recording, item, every) for item in (told, *others)]
        blocks.append(Tabs(title="Samples", tabs=tuple(tabs)))
    else:
        blocks += _sample(recording, told, every)
    ranking = recording.last(Ranking)
    if ranking:
        blocks += tables(ranking, partial(_label, names=_names(recording)))
    rows = {
        True: "held out from training",
        False: "one of the training rows",
        None: "whether it was trained on is unknown",
    }[told.heldout]
    intro = f"Sample {told.sample}, {rows}, through the trained model in eval mode."
    if others:
        counts = Counter(item.role for item in others)
        which = [f"{counts[role]} {words}" for role, words in _PLURAL.items() if counts[role]]
        intro += f" Beside it: {listing(which)} of the rows ranked below."
    return Content(blocks=tuple(blocks), intro=intro, title=title)


def chosen(recording: Recording) -> Prediction | None:
    """Return the prediction of the sample that was asked for."""
    found = [item for item in recording.all(Prediction) if item.role == "chosen"]
    return found[-1] if found else None


_PLURAL = {"wrong": "of highest loss", "uncertain": "least certain"}


def _sample(
    recording: Recording, told: Prediction, every: Mapping[int, Forward]
) -> Iterator[AnyBlock]:
    """Yield how one sample went through the model, and what came out."""
    names = _names(recording)
    if told.capture in every:
        yield Flow(stages=stages(every[told.capture]))
    if told.task == "values":
        yield _value(recording, told)
    elif told.probabilities:
        yield _bars(told, names)
        yield _verdict(told, names)
    elif told.scores:
        yield _value(recording, told)
    yield from spreads(recording, told, partial(_class, names=names))
    yield from _passes(told)


def _tab(recording: Recording, told: Prediction, every: Mapping[int, Forward]) -> Tab:
    """Tell one sample of several; the others of its kind have tabs of their own."""
    names = _names(recording)
    right = told.truth is not None and told.predicted == told.truth
    words = {"wrong": "highest loss" if right or told.task == "values" else "most wrong",
             "uncertain": "least certain"}.get(told.role, "")  # fmt: skip
    note, tone = "", "plain"
    if told.probabilities and told.predicted is not None:
        verdict = _verdict(told, names)
        note, tone = verdict.text, verdict.tone
    return Tab(
        id=f"sample-{told.sample}",
        label=f"Sample {told.sample}, {words}" if words else f"Sample {told.sample}",
        blocks=tuple(_sample(recording, told, every)),
        note=note,
        tone=tone,
    )


def _label(value: float | None, names: Sequence[str]) -> str:
    return "–" if value is None else _class(int(value), names)


def _names(recording: Recording) -> tuple[str, ...]:
    return next((data.classes for data in recording.all(Dataset) if data.classes), ())


def _class(index: int, names: Sequence[str]) -> str:
    return names[index] if 0 <= index < len(names) else f"class {index}"


def _shares(told: Prediction) -> tuple[float, ...]:
    """Return a share for each class: one output of a binary model stands for two classes."""
    if told.task == "binary" and len(told.probabilities) == 1:
        return (1 - told.probabilities[0], told.probabilities[0])
    return told.probabilities


def _bars(told: Prediction, names: Sequence[str]) -> Bars:
    shares = _shares(told)
    truth = None if told.truth is None else int(told.truth)
    order = sorted(range(len(shares)), key=lambda at: -shares[at])
    shown = sorted(order) if len(order) <= MOST else order[:MOST]
    if truth is not None and truth not in shown and 0 <= truth < len(shares):
        shown.append(truth)
    bars = []
    for index in shown:
        marks = (("predicted", told.predicted), ("true", truth))
        mark = ", ".join(word for word, chosen in marks if chosen == index)
        share = shares[index]
        paired = len(told.scores) == len(shares)
        score = f" (output {number(told.scores[index])})" if paired else ""
        several = told.task == "binary" and len(told.probabilities) > 1
        label = f"output {index}" if several else _class(index, names)
        bars.append(Bar(label=label, share=share, value=f"{share:.3f}{score}", mark=mark))
    how = "softmax of the output"
    if told.task == "binary":
        how = "the output" if told.scores == told.probabilities else "sigmoid of the output"
    cut = f", {len(bars)} of {len(order)} classes" if len(bars) < len(order) else ""
    return Bars(bars=tuple(bars), title=f"Probabilities ({how}{cut})")


def _verdict(told: Prediction, names: Sequence[str]) -> Text:
    if told.predicted is None:
        return Text(text="Each output is a probability of its own: no one class.", tone="muted")
    shares = _shares(told)
    share = shares[told.predicted]
    text = f"Predicted: {_class(told.predicted, names)}, with probability {share:.3f}"
    if told.truth is None:
        return Text(text=f"{text}; the true class is not known.")
    truth = int(told.truth)
    if truth == told.predicted:
        return Text(text=f"{text}; that is the true class.", tone="good")
    given = f", which got {shares[truth]:.3f}" if 0 <= truth < len(shares) else ""
    return Text(text=f"{text}; the true class is {_class(truth, names)}{given}.", tone="warning")


def _value(recording: Recording, told: Prediction) -> Facts:
    target = next((item.name for item in recording.all(Column) if item.role == "target"), "")
    predicted = ", ".join(number(score) for score in told.scores[:8])
    more = f" and {len(told.scores) - 8} more" if len(told.scores) > 8 else ""
    facts = [Fact(label=f"predicted {target}".strip(), value=predicted + more)]
    if told.truth is not None:
        facts.append(Fact(label="truth", value=number(told.truth)))
        if len(told.scores) == 1:
            gap = told.scores[0] - told.truth
            side = "above" if gap > 0 else "below"
            value = f"{number(abs(gap))} {side} the truth" if gap else "none"
            facts.append(Fact(label="error", value=value))
    return Facts(facts=tuple(facts))


def _passes(told: Prediction) -> Iterator[AnyBlock]:
    state = {True: "yes", False: "no", None: "unknown"}[told.passes_equal]
    detail = {
        True: "a second pass of the same sample in eval mode, with other random numbers",
        False: "something random is still on in eval mode, or the model keeps a state",
        None: "no second pass was made",
    }[told.passes_equal]
    yield Checks(
        checks=(Check(label="Two eval passes gave the same bits", state=state, detail=detail),)
    )
    if told.train_difference is not None:
        words = (
            f"differs from it by up to {number(told.train_difference)}"
            if told.train_difference
            else "is the same"
        )
        yield Text(text=f"The output of one pass in train mode {words}.", tone="muted")
