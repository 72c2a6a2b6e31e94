"""The prediction trace: one sample through the trained model in eval mode, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipetrace.blocks import AnyBlock, Bar, Bars, Check, Checks, Fact, Facts, Flow, Text
from pipetrace.records import Column, Dataset, Prediction
from pipetrace.story.figures import number, plural
from pipetrace.story.forwards import forwards
from pipetrace.story.registry import Content, section
from pipetrace.story.stages import stages
from pipetrace.tracefile import Recording

MOST = 10
"""More classes than this are cut to the most probable ones, and the true one."""


@section(id="prediction", title="Prediction trace", order=50)
def prediction(recording: Recording) -> Content | None:
    """Tell how one sample became a prediction, and whether a second pass agrees."""
    told = recording.last(Prediction)
    if told is None:
        return None
    blocks: list[AnyBlock] = []
    title = ""
    forward = next((item for item in forwards(recording) if item.capture.id == told.capture), None)
    if forward:
        found = stages(forward)
        title = f"Prediction trace, {plural(len(found), 'layer')}"
        blocks.append(Flow(stages=found))
    names = _names(recording)
    if told.task == "values":
        blocks.append(_value(recording, told))
    elif told.probabilities:
        blocks += [_bars(told, names), _verdict(told, names)]
    elif told.scores:
        blocks.append(_value(recording, told))
    blocks += _passes(told)
    rows = {
        True: "held out from training",
        False: "one of the training rows",
        None: "whether it was trained on is unknown",
    }[told.heldout]
    intro = f"Sample {told.sample}, {rows}, through the trained model in eval mode."
    return Content(blocks=tuple(blocks), intro=intro, title=title)


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
