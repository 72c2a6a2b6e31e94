"""What the predictions of a training are worth, by its last held-out evaluation and its best."""

from __future__ import annotations

from collections.abc import Sequence

from pipetrace.blocks import AnyBlock, Table, Text
from pipetrace.records import Capture, Dataset, Evaluation, Metrics, Training
from pipetrace.story.epochs import finite
from pipetrace.story.figures import percent
from pipetrace.story.measures import Measured, tell
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

MOST = 5
"""Of more trainings only so many are shown."""


@section(id="metrics", title="Metrics", order=45)
def metrics(recording: Recording) -> Content | None:
    """Tell how good the predictions of every training are."""
    trainings = recording.all(Training)
    found = [(each, chosen) for each in trainings if (chosen := _chosen(recording, each))]
    if not found:
        return None
    names = next((data.classes for data in recording.all(Dataset) if data.classes), ())
    blocks: list[AnyBlock] = []
    for training, (last, best) in found[:MOST]:
        if len(trainings) > 1:
            number = trainings.index(training) + 1
            blocks.append(Text(text=f"Training {number} of {len(trainings)}", tone="key"))
        blocks += tell(last, best, names)
    if len(found) > MOST:
        words = f"Shown for the first {MOST} of {len(found)} trainings."
        blocks.append(Text(text=words, tone="muted"))
    to = next((at for at, block in enumerate(blocks, 1) if isinstance(block, Table)), 0)
    brief = tuple(blocks[:to]) if len(trainings) < 2 else ()
    return Content(blocks=tuple(blocks), brief=brief)


def _chosen(recording: Recording, training: Training) -> tuple[Measured, Measured | None] | None:
    """Return the last evaluation of held-out rows, and that of lowest loss if it is another.

    Rows that nobody looked up are taken where none are known to be held out, and rows that were
    trained on where there are no others.
    """
    known = {
        each.evaluation: each for each in recording.all(Metrics) if each.training == training.id
    }
    groups: dict[tuple[str, int], list[Evaluation]] = {}
    for item in recording.all(Evaluation):
        if item.training == training.id and item.index in known:
            groups.setdefault((item.name, item.score.rows), []).append(item)
    if not groups:
        return None
    group = min(groups.values(), key=_doubt)
    share = _seen(group)
    rows = "evaluated rows" if share is None else "held-out rows"
    if share:
        rows = f"evaluated rows ({percent(share)} of them also trained on)"
    unit = _unit(recording, training)
    made = [Measured(item, known[item.index], rows, unit) for item in group]
    last = made[-1]
    best = min((each for each in made if finite(each.loss) is not None), key=_loss, default=last)
    return last, None if best is last or best.loss == last.loss else best


def _unit(recording: Recording, training: Training) -> str:
    """Name what a row has several targets for, by what the model is given."""
    data = [each for each in recording.all(Dataset) if each.role == "evaluation"]
    if any(len(each.features) > 2 for each in data):
        return "pixel"
    captures = [each for each in recording.all(Capture) if each.model == training.model]
    given = [tensor.dtype for each in captures for _, tensor in each.inputs[:1]]
    return "token" if any("int" in dtype for dtype in given) else "position"


def _seen(group: Sequence[Evaluation]) -> float | None:
    return next((item.seen for item in group if item.seen is not None), None)


def _doubt(group: Sequence[Evaluation]) -> float:
    share = _seen(group)
    return 0.5 if share is None else float(share > 0)


def _loss(each: Measured) -> float:
    return each.loss or 0.0
