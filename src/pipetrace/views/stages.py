"""A flow in the terminal: one station under the other, along a rail."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pipetrace import blocks
from pipetrace.blocks import Stage
from pipetrace.views import text
from pipetrace.views.drawings import look
from pipetrace.views.pieces import LABEL, TONES, Gutter, labelled, strips, styled

NARROWEST = 20
STAGES = 40
DEEPEST = 6


def flow(value: blocks.Flow, room: int) -> RenderableType:
    """Draw the stages of a flow; its sources are for views that can point into them.

    Args:
        value: The flow.
        room: Columns to use.
    """
    return Group(*_stages(value.stages, "", room, 0))


def _stages(stages: Sequence[Stage], prefix: str, room: int, depth: int) -> list[RenderableType]:
    drawn: list[RenderableType] = []
    shown = stages[:STAGES] if depth < DEEPEST else ()
    alike = 0
    for index, (stage, after) in enumerate(zip(shown, (*shown[1:], None), strict=False), 1):
        alike = alike + 1 if stage.alike else 0
        if not alike:
            drawn += _stage(stage, f"{prefix}{index}", room, depth, index == len(stages))
        elif after is None or not after.alike:
            numbers = f"{prefix}{index - alike + 1} to {prefix}{index} " if alike > 1 else ""
            words = "the same again, their numbers are in the HTML page\n"
            drawn.append(Text(numbers or f"{prefix}{index} ", "bold cyan").append(words, "dim"))
    if len(stages) > len(shown):
        words = f"… {len(stages) - len(shown):,} more stages: the HTML page has them all"
        drawn.append(Text(words, "dim"))
    return drawn


def _stage(stage: Stage, number: str, room: int, depth: int, last: bool) -> list[RenderableType]:
    sign, style = TONES.get(stage.tone, ("", ""))
    head = Text(f"{number} ", "bold cyan").append(sign, style)
    head.append(text.line(stage.name, LABEL), "bold")
    if stage.mode:
        head.append("  ").append(f"[{text.line(stage.mode, 40)}]", "yellow")
    body: list[RenderableType] = []
    shape = Text(text.line(stage.shape, LABEL), "cyan")
    gap = room - head.cell_len - shape.cell_len
    if gap >= 2:
        head.append(" " * gap).append_text(shape)
    elif stage.shape:
        body.append(shape)
    inner = max(room - 2, NARROWEST)
    if stage.words:
        body.append(styled(stage.words))
    body += look(stage.pictures, stage.tokens)
    if stage.strips:
        body.append(strips(stage.strips, inner))
    if stage.facts:
        body.append(labelled(stage.facts))
    for spot in stage.spots:
        place = Text(f"{text.line(spot.file, LABEL)}:{spot.line}", "dim")
        body.append(place.append("  ").append(text.visible(spot.text.strip(), LABEL), "cyan"))
    if stage.stages:
        body += [Text(""), *_stages(stage.stages, f"{number}.", inner, depth + 1)]
    if not last:
        body.append(Text(""))
    rail = Text("  " if last else "│ ", "dim cyan")
    return [head, *(Gutter(part, rail, rail) for part in body)]
