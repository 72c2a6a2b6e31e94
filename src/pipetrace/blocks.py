"""Waist 2: every thing a page can show, as frozen, tagged, plain structs."""

from __future__ import annotations

from pipetrace.exercises import Block, Card, Cards, Exam, Mode, Option, Piece, Question
from pipetrace.learned import Event


class Text(Block, frozen=True):
    """A paragraph. `tone`: plain, key, muted, good, warning or bad."""

    text: str
    tone: str = "plain"


class Fact(Piece, frozen=True):
    """A labelled value."""

    label: str
    value: str
    note: str = ""


class Facts(Block, frozen=True):
    """A list of labelled values."""

    facts: tuple[Fact, ...]


class Check(Piece, frozen=True):
    """One line of a checklist. `state`: yes, no or unknown."""

    label: str
    state: str
    detail: str = ""


class Checks(Block, frozen=True):
    """A checklist."""

    checks: tuple[Check, ...]


class Head(Piece, frozen=True):
    """A column's heading; numbers align right; `note` says what the column is."""

    label: str
    number: bool = False
    note: str = ""


class Table(Block, frozen=True):
    """Cells as text, ready to be shown."""

    heads: tuple[Head, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


class Line(Piece, frozen=True):
    """One curve; None where nothing was measured."""

    label: str
    values: tuple[float | None, ...]
    style: str = "solid"
    """`solid`, `dashed` or `dotted`."""


class Pin(Piece, frozen=True):
    """A sentence that belongs to one x of a chart, with its rule's id. `tone` as in Text."""

    x: float
    text: str
    id: str = ""
    tone: str = "plain"


class Chart(Block, frozen=True):
    """Curves over a common x."""

    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    lines: tuple[Line, ...]
    pins: tuple[Pin, ...] = ()


class Histogram(Piece, frozen=True):
    """Counts of numbers in equally wide intervals from `low` to `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


class Panel(Piece, frozen=True):
    """One distribution at each moment; None where it was not measured."""

    label: str
    histograms: tuple[Histogram | None, ...]
    note: str = ""


class Distributions(Block, frozen=True):
    """Histograms that move with a common moment, an epoch for example."""

    title: str
    x_label: str
    moments: tuple[float, ...]
    panels: tuple[Panel, ...]


class Remark(Piece, frozen=True):
    """A sentence with its rule's id and where it belongs (`epoch 3`). `tone` as in Text."""

    id: str
    where: str
    text: str
    tone: str = "plain"


class Remarks(Block, frozen=True):
    """Sentences, each with the rule that made it."""

    remarks: tuple[Remark, ...]
    title: str = ""


class Code(Block, frozen=True):
    """Source text; `marks` are the line numbers to point at."""

    text: str
    path: str = ""
    first: int = 1
    marks: tuple[int, ...] = ()


class Spot(Piece, frozen=True):
    """A line of the user's code."""

    file: str
    line: int
    text: str = ""
    role: str = ""
    """What it did for the stage: `made`, `called`, `made and called`, `failed` or empty."""


class Strip(Piece, frozen=True):
    """A row of real numbers; `struck` marks those that were dropped; `total` if there are more."""

    label: str
    values: tuple[float, ...]
    struck: tuple[bool, ...] = ()
    total: int = 0
    note: str = ""


class Picture(Piece, frozen=True):
    """An image: rows of pixels from the top, one byte for each channel, as base64."""

    label: str
    width: int
    height: int
    channels: int
    """1 for grey, 3 for red, green and blue."""
    pixels: str
    note: str = ""


class Tokens(Piece, frozen=True):
    """A row of token ids with their texts, where a vocabulary was found; `total` if more."""

    label: str
    ids: tuple[int, ...]
    texts: tuple[str, ...] = ()
    total: int = 0
    note: str = ""


class Stage(Piece, frozen=True):
    """One station of a flow."""

    id: str
    name: str
    words: str = ""
    """What it does here, in a sentence with its real arguments."""
    mode: str = ""
    """`train mode`, `eval mode` or empty."""
    shape: str = ""
    """`32 × 20 → 32 × 10`."""
    strips: tuple[Strip, ...] = ()
    facts: tuple[Fact, ...] = ()
    spots: tuple[Spot, ...] = ()
    tone: str = "plain"
    stages: tuple[Stage, ...] = ()
    alike: bool = False
    """The same as the stage before but for its numbers: a view that cannot fold may count it."""
    pictures: tuple[Picture, ...] = ()
    tokens: tuple[Tokens, ...] = ()
    again: str = ""
    """Names the stage to the action `rerun`, where a host offers it; empty if it cannot be run."""
    rate: float | None = None
    """The probability that a rerun may change."""


class Flow(Block, frozen=True):
    """Stages in order, beside the source text that their spots point into."""

    stages: tuple[Stage, ...]
    sources: tuple[Code, ...] = ()
    """A spot points into the text whose `path` is its `file`."""


class Effect(Piece, frozen=True):
    """What a later place computed: once without dropping, and under each draw of each rate."""

    label: str
    off: tuple[float, ...]
    draws: tuple[tuple[tuple[float, ...], ...], ...]
    """For each rate, for each draw, the values; there may be fewer draws than masks."""
    names: tuple[str, ...] = ()
    note: str = ""


class Draws(Block, frozen=True):
    """Values that pass one dropout layer, with masks that the layer itself drew at several rates.

    With dropping on, element i of draw d becomes `values[i] * scale` where it was kept, else 0;
    with dropping off it stays `values[i]`.
    """

    title: str
    values: tuple[float, ...]
    rates: tuple[float, ...]
    """Probabilities of being dropped, in ascending order."""
    scales: tuple[float, ...]
    """For each rate, what a kept element was multiplied with."""
    masks: tuple[tuple[str, ...], ...]
    """For each rate, for each draw: kept flags as hexadecimal digits, the first element in the
    highest bit of the first digit; bits beyond the last element are 0."""
    chosen: int = 0
    """Which of the rates is the layer's own."""
    names: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    again: str = ""
    """Names the layer to the action `rerun`, where a host offers it."""
    note: str = ""


class Column(Piece, frozen=True):
    """Units side by side in a network: their values for one sample; `struck`: dropped ones."""

    label: str
    values: tuple[float, ...]
    names: tuple[str, ...] = ()
    struck: tuple[bool, ...] = ()


class Wires(Piece, frozen=True):
    """Weights between two columns, a row for each unit of `target`; none: unit to unit."""

    source: int
    target: int
    weights: tuple[tuple[float, ...], ...] = ()
    bias: tuple[float, ...] = ()


class Network(Block, frozen=True):
    """A small network: every unit and every weight."""

    title: str
    columns: tuple[Column, ...]
    wires: tuple[Wires, ...]
    note: str = ""


class Node(Piece, frozen=True):
    """A module or operation of a graph; one with `nodes` can be folded."""

    id: str
    name: str
    words: str = ""
    shape: str = ""
    nodes: tuple[Node, ...] = ()
    sources: tuple[str, ...] = ()
    """The ids of the leaves whose output it takes; only leaves have sources."""
    tone: str = "plain"


class Graph(Block, frozen=True):
    """What feeds what: nodes in the order of their calls."""

    title: str
    nodes: tuple[Node, ...]
    note: str = ""


class Bar(Piece, frozen=True):
    """One bar; `share` in [0, 1]; `mark` says what is special about it."""

    label: str
    share: float
    value: str
    mark: str = ""


class Bars(Block, frozen=True):
    """Labelled shares."""

    bars: tuple[Bar, ...]
    title: str = ""


class Crash(Block, frozen=True):
    """A section of ours that failed; the rest of the page stands."""

    title: str
    text: str


class Tab(Piece, frozen=True):
    """One of several views of which a page shows one at a time. `tone` as in Text."""

    id: str
    label: str
    blocks: tuple[AnyBlock, ...]
    note: str = ""
    tone: str = "plain"


class Tabs(Block, frozen=True):
    """Views to choose from."""

    title: str
    tabs: tuple[Tab, ...]


class Step(Piece, frozen=True):
    """What a reader is shown once it has been asked for."""

    label: str
    """What is done, as a button says it: `Run the check`."""
    blocks: tuple[AnyBlock, ...]
    again: str = ""
    """Names it to the action `again`, where a host offers it; empty if it cannot be done again."""


class Steps(Block, frozen=True):
    """Blocks that are revealed one step after the other."""

    title: str
    blocks: tuple[AnyBlock, ...]
    """What stands there from the beginning."""
    steps: tuple[Step, ...]


class Knob(Piece, frozen=True):
    """A setting of an experiment. `values` as they are shown."""

    id: str
    label: str
    values: tuple[str, ...]
    chosen: int = 0
    note: str = ""


class Attempt(Piece, frozen=True):
    """What one choice of settings came to. `choices`: for each knob the place of its value."""

    choices: tuple[int, ...]
    blocks: tuple[AnyBlock, ...]
    reached: bool = False
    """Whether it reached the target."""


class Experiment(Block, frozen=True):
    """Settings to try until a target is reached.

    A choice that no attempt is recorded for is asked of the action `experiment`, which is given
    `choices` and `seed`, where a host offers it.
    """

    title: str
    target: str
    knobs: tuple[Knob, ...]
    attempts: tuple[Attempt, ...] = ()


AnyBlock = (
    Text | Facts | Checks | Table | Chart | Remarks | Code | Flow | Bars | Question | Crash
    | Distributions | Draws | Network | Graph | Tabs | Exam | Cards | Steps | Experiment
)  # fmt: skip


class Section(Piece, frozen=True):
    """A titled part of a page; `id` is its permanent anchor."""

    id: str
    title: str
    blocks: tuple[AnyBlock, ...]
    intro: str = ""
    mode: str = ""
    """The id of the mode it belongs to, on a page that has modes."""


class Page(Piece, frozen=True):
    """All that a view needs."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    contents: str = ""
    """What the file carries: rows of values, source text."""
    generator: str = ""
    modes: tuple[Mode, ...] = ()
    """Where there are any, a page shows the sections of one at a time."""
    learner: str = ""
    """Under which name answers are kept, that of a lesson for example; empty: they are not kept."""
    events: tuple[Event, ...] = ()
    """What this learner has answered before, the oldest first."""


__all__ = [
    "AnyBlock", "Attempt", "Bar", "Bars", "Block", "Card", "Cards", "Chart", "Check", "Checks",
    "Code", "Column", "Crash", "Distributions", "Draws", "Effect", "Event", "Exam", "Experiment",
    "Fact", "Facts", "Flow", "Graph", "Head", "Histogram", "Knob", "Line", "Mode", "Network",
    "Node", "Option", "Page", "Panel", "Picture", "Piece", "Pin", "Question", "Remark", "Remarks",
    "Section", "Spot", "Stage", "Step", "Steps", "Strip", "Tab", "Table", "Tabs", "Text", "Tokens",
    "Wires",
]  # fmt: skip
