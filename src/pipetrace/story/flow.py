"""The data flow: how one batch went through preparation and model, stage by stage."""

from __future__ import annotations

from pipetrace.blocks import Fact, Flow, Head, Stage, Table, Text
from pipetrace.records import Column, Failure, Preparation
from pipetrace.story.costs import totals
from pipetrace.story.figures import plural, shape, whole
from pipetrace.story.forwards import Forward, forwards
from pipetrace.story.quoting import quoted
from pipetrace.story.registry import Content, section
from pipetrace.story.stages import stages
from pipetrace.tracefile import Recording

_PURPOSES = {
    "training": "a training batch",
    "evaluation": "an evaluation batch",
    "prediction": "one sample",
    "trace": "one forward",
    "failure": "the forward that failed",
}


@section(id="columns", title="Columns of the table", order=25)
def columns(recording: Recording) -> Content | None:
    """Tell which columns of a table were used, and which were left out and why."""
    found = recording.all(Column)
    if not found:
        return None
    heads = (
        Head(label="column"),
        Head(label="type"),
        Head(label="role"),
        Head(label="missing", number=True),
        Head(label="distinct", number=True),
        Head(label="what became of it"),
    )
    rows = tuple(
        (
            column.name,
            column.type,
            column.role,
            whole(column.missing),
            whole(column.distinct),
            _became(column),
        )
        for column in found
    )
    used = sum(column.role == "feature" for column in found)
    targets = [column.name for column in found if column.role == "target"]
    out = sum(column.role == "left out" for column in found)
    parts = [f"{used} of {plural(len(found), 'column')} went into the model"]
    parts += [f"{name} is the target" for name in targets]
    parts.append(f"{out} left out, for the reasons below" if out else "none was left out")
    intro = "; ".join(parts) + "."
    return Content(blocks=(Table(heads=heads, rows=rows),), intro=intro)


@section(id="flow", title="Data flow", order=30)
def flow(recording: Recording) -> Content | None:
    """Tell what one batch went through: the first training batch where there is one."""
    prepared = tuple(_prepared(stage) for stage in recording.all(Preparation))
    forward = shown(recording)
    if forward is None:
        if not prepared:
            return None
        return Content(blocks=(Flow(stages=prepared),), title=_title(prepared))
    found = stages(forward, recording.last(Failure))
    mode = "train" if forward.capture.training else "eval"
    what = _PURPOSES.get(forward.capture.purpose, "one forward")
    model = forward.model.type if forward.model else "the model"
    intro = f"What {what} went through in `{model}`, called in {mode} mode. {totals(forward)}"
    told = (*prepared, *found)
    sources = quoted(recording, told)
    blocks: tuple[Text | Flow, ...] = (Flow(stages=told, sources=sources),)
    if not forward.ops and forward.capture.complete:
        words = "No operation was seen inside this forward: it may be compiled or scripted."
        blocks = (*blocks, Text(text=words, tone="muted"))
    return Content(blocks=blocks, intro=intro.strip(), title=_title(told))


def shown(recording: Recording) -> Forward | None:
    """Return the forward that the data flow shows: the first training one, else the first."""
    found = forwards(recording)
    training = [forward for forward in found if forward.capture.purpose == "training"]
    return next(iter(training or found), None)


def _title(found: tuple[Stage, ...]) -> str:
    return f"Data flow, {plural(len(found), 'stage')}"


def _became(column: Column) -> str:
    if column.role == "left out" or not column.encoded:
        return column.reason
    made = ", ".join(column.encoded[:6]) + (" …" if len(column.encoded) > 6 else "")
    reason = f"; {column.reason}" if column.reason else ""
    return made if len(column.encoded) == 1 else f"{len(column.encoded)} features: {made}{reason}"


def _prepared(stage: Preparation) -> Stage:
    facts = [Fact(label=item.name, value=item.value) for item in stage.facts]
    if stage.row:
        pairs = zip(stage.names, stage.row, strict=False)
        cells = [f"{name} = {cell}" for name, cell in pairs] if stage.names else list(stage.row)
        more = f" and {len(cells) - 12} more" if len(cells) > 12 else ""
        facts.append(Fact(label="sample row", value=", ".join(cells[:12]) + more))
    return Stage(
        id=f"preparation-{stage.index}",
        name=stage.name,
        words=stage.words,
        shape=f"{shape(stage.before)} → {shape(stage.after)}",
        facts=tuple(facts),
    )
