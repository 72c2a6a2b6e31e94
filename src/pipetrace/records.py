"""Waist 1: every fact a run can state, as frozen, tagged, plain structs without tensors."""

from __future__ import annotations

from typing import get_args

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a record: never stored alone."""


class Record(Part, frozen=True, kw_only=True, tag_field="kind", tag=str.lower):
    """A fact of a run: appended to its file, never edited."""


class Place(Part, frozen=True):
    """A line of the user's code."""

    file: str
    line: int
    text: str = ""
    function: str = ""


class Tensor(Part, frozen=True):
    """What is known of one tensor; statistics are over `count` elements, all of them if `exact`."""

    shape: tuple[int, ...]
    dtype: str
    device: str = "cpu"
    count: int = 0
    exact: bool = True
    mean: float | None = None
    std: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    zeros: float | None = None
    """Share of elements equal to zero, in [0, 1]."""
    nans: int = 0
    infinities: int = 0
    row: tuple[float, ...] = ()
    """The first real values of the chosen sample's row, flattened."""
    row_count: int = 0
    """How many values the whole row has."""


class Link(Part, frozen=True):
    """Where an input of an op came from."""

    source: str
    """`op`, `input`, `parameter`, `buffer` or `constant`."""
    name: str = ""
    index: int | None = None
    """The op's index, when the source is an op."""


class Argument(Part, frozen=True):
    """One argument that an op was really called with, in words."""

    name: str
    value: str


class Mask(Part, frozen=True):
    """A dropout mask, regenerated from the saved RNG state."""

    p: float
    kept: int
    total: int
    low: int
    high: int
    """`low` and `high`: the central 95 % of Binomial(total, 1 - p)."""
    scale: float
    """What the survivors were multiplied with, 1 / (1 - p); 0 at p = 1."""
    row: tuple[bool, ...] = ()
    """True where the element of the sample's row was kept."""
    unit: str = "elements"
    """What is dropped independently: elements, or whole channels."""


class Check(Part, frozen=True):
    """One line of a receipt: `ok` is None where it could not be measured."""

    name: str
    ok: bool | None
    detail: str = ""


class Receipt(Part, frozen=True):
    """What a real comparison of the user's forward with its traced replay found."""

    equal: bool | None
    """Every output bit equal; None where there was nothing to compare."""
    difference: float | None = None
    """The largest absolute difference, where not equal."""
    repeats: bool | None = None
    """Whether a second, plain replay equals the user's forward (asked only if not equal)."""
    elements: int = 0
    checks: tuple[Check, ...] = ()


class ModulePart(Part, frozen=True):
    """One submodule of a model: its own parameters, and the line that made it."""

    path: str
    type: str
    detail: str = ""
    parameters: int = 0
    trainable: int = 0
    training: bool = True
    made: Place | None = None


class Score(Part, frozen=True):
    """Loss and metric of some rows; what could not be measured is None."""

    rows: int
    loss: float | None = None
    accuracy: float | None = None


class Provenance(Record, frozen=True):
    """What ran, where, with which versions."""

    name: str
    origin: str
    """`example`, `script`, `module`, `table`, `python` or `notebook`."""
    path: str = ""
    command: tuple[str, ...] = ()
    folder: str = ""
    started: str = ""
    """ISO 8601, with the offset from UTC."""
    versions: dict[str, str] = {}
    platform: str = ""
    threads: int = 0
    commit: str | None = None
    dirty: bool | None = None
    values: bool = True
    """Whether rows of real values are in the file."""
    source: bool = True
    """Whether source text is in the file."""


class Seed(Record, frozen=True):
    """`torch.initial_seed()` when the first forward ran; None if nobody had set it."""

    value: int | None
    threads: int = 0
    """Torch's threads at that moment: a script may have chosen them."""


class SourceText(Record, frozen=True):
    """The text of one of the user's files."""

    path: str
    text: str


class Model(Record, frozen=True):
    """A root module: the outermost `nn.Module` that the user called."""

    id: int
    type: str
    parameters: int
    trainable: int
    device: str
    modules: tuple[ModulePart, ...] = ()


class Dataset(Record, frozen=True):
    """What is known of the rows behind a phase."""

    role: str
    """`training` or `evaluation`."""
    rows: int | None = None
    batch: int | None = None
    features: tuple[int, ...] = ()
    name: str = ""
    names: tuple[str, ...] = ()
    """Names of the features, where a table gave them."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of the logits, where known."""


class Op(Record, frozen=True):
    """One op of a captured forward."""

    capture: int
    index: int
    function: str
    module: str = ""
    """Path of the innermost module around it; empty for the root."""
    module_type: str = ""
    call: int = 0
    """Which call of that module this is, from 0."""
    training: bool | None = None
    """The mode of that module."""
    arguments: tuple[Argument, ...] = ()
    inputs: tuple[Link, ...] = ()
    input_shapes: tuple[tuple[int, ...], ...] = ()
    outputs: tuple[Tensor, ...] = ()
    called: Place | None = None
    mask: Mask | None = None
    view: bool = False
    """The output shares its first input's storage: no values of its own."""
    random: bool = False
    """The op moved an RNG stream."""


class Capture(Record, frozen=True):
    """One forward, replayed op by op; its ops are `Op` records with this id."""

    id: int
    model: int
    purpose: str
    """`training`, `evaluation`, `prediction` or `trace`."""
    training: bool
    """The mode of the root module."""
    rows: int | None = None
    sample: int = 0
    """Which row of the batch the `row` values are of."""
    epoch: int = 0
    step: int = 0
    """Optimizer steps before it."""
    inputs: tuple[tuple[str, Tensor], ...] = ()
    outputs: tuple[tuple[str, Tensor], ...] = ()
    receipt: Receipt | None = None
    complete: bool = True
    """False where the forward raised: the ops are those before it."""
    seconds: float = 0.0


class Training(Record, frozen=True):
    """One run of training inside the program."""

    id: int
    model: int
    optimizer: str = ""
    settings: tuple[Argument, ...] = ()
    loss: str = ""
    """The loss function that was called, `cross_entropy` for example."""
    task: str = ""
    """`classes`, `binary`, `values` or empty where no loss function told it."""
    probe_rows: int = 0


class Epoch(Record, frozen=True):
    """One pass of training, as the loop saw it (weights change underneath)."""

    training: int
    index: int
    """From 1."""
    rule: str
    """How the epoch was recognised."""
    steps: int
    score: Score
    rates: tuple[float, ...] = ()
    """Learning rate per parameter group at its end."""
    seconds: float = 0.0
    gradient_norm: float | None = None
    """L2 norm of all gradients at the last step."""
    mode: bool | None = None
    """Mode of the root in its forwards: True train, False eval, None mixed."""


class Probe(Record, frozen=True):
    """The same fixed training rows at an epoch's last weights, with dropout on and off."""

    training: int
    epoch: int
    masks: int
    on: Score
    off: Score
    on_low: float | None = None
    on_high: float | None = None
    """Smallest and largest loss over the masks."""
    drop_share: float | None = None
    """Share of elements that the masks dropped, where the model has dropout."""


class Evaluation(Record, frozen=True):
    """One run of forwards without backward, after `epoch` epochs."""

    training: int
    epoch: int
    index: int
    score: Score
    forwards: int
    mode: bool | None
    loss_by: str = ""
    """`loop` if the script called the loss function, `pipetrace` if we applied the training's."""
    seen: float | None = None
    """Share of its rows that were also trained on; None if unknown."""
    step: int = 0
    """Optimizer steps of the whole program before it."""
    name: str = ""


class Prediction(Record, frozen=True):
    """One sample through the trained model in eval mode."""

    capture: int
    sample: int
    task: str
    heldout: bool | None
    scores: tuple[float, ...]
    """The model's output for the sample: logits, or the predicted value."""
    probabilities: tuple[float, ...] = ()
    predicted: int | None = None
    truth: float | None = None
    passes_equal: bool | None = None
    """Whether two eval passes gave the same bits."""
    train_difference: float | None = None
    """Largest absolute difference of a train-mode pass, where one was made."""


class Failure(Record, frozen=True):
    """The exception that ended the program, or the forward."""

    type: str
    message: str
    frames: tuple[Place, ...] = ()
    module: str = ""
    module_type: str = ""
    function: str = ""
    input_shapes: tuple[tuple[int, ...], ...] = ()


class Column(Record, frozen=True):
    """One column of a table and what became of it."""

    name: str
    type: str
    role: str
    """`feature`, `target` or `left out`."""
    missing: int = 0
    distinct: int = 0
    reason: str = ""
    encoded: tuple[str, ...] = ()


class Preparation(Record, frozen=True):
    """One stage of a table on its way to the model."""

    index: int
    name: str
    words: str
    before: tuple[int, int]
    after: tuple[int, int]
    """Rows and columns, of the part that statistics come from."""
    names: tuple[str, ...] = ()
    row: tuple[str, ...] = ()
    """The sample's cells after the stage, as text."""
    facts: tuple[Argument, ...] = ()


class Outcome(Part, frozen=True):
    """What one snippet of a question did when it was executed."""

    value: str = ""
    """The last expression as text; tensors as lists of numbers with at most 4 decimals."""
    error: str = ""
    """The type of the exception that it raised, `ValueError` for example."""
    message: str = ""
    printed: str = ""
    fields: dict[str, str] = {}
    """The items of the last expression as text, where it is a dict."""


class Choice(Part, frozen=True):
    """One option of a question; `executed` is the code that was run for it."""

    text: str
    correct: bool
    feedback: str
    misconception: str = ""
    executed: str = ""
    outcome: str = ""


class Question(Record, frozen=True):
    """A question whose key and distractors were executed when the run was made."""

    id: str
    """Permanent id of its template."""
    group: str
    """`quiz` or `practice`."""
    level: str
    """`easy`, `medium` or `hard`."""
    text: str
    choices: tuple[Choice, ...]
    code: str = ""
    steps: tuple[str, ...] = ()
    answer: str = ""
    check: str = ""
    hint: str = ""
    mistakes: tuple[str, ...] = ()


class Notice(Record, frozen=True):
    """Something that the page must say about the recording itself."""

    id: str
    text: str


class Ended(Record, frozen=True):
    """How the program ended."""

    status: str
    """`finished`, `raised`, `interrupted` or `stopped` (by --steps)."""
    code: int = 0
    seconds: float = 0.0
    costs: dict[str, float] = {}
    """Seconds that recording took, by part."""


Fact = (
    Provenance | Seed | SourceText | Model | Dataset | Op | Capture | Training | Epoch | Probe
    | Evaluation | Prediction | Failure | Column | Preparation | Question | Notice | Ended
)  # fmt: skip

KINDS: dict[str, type[Record]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Fact)}
"""Every kind of fact by its tag in the file."""
