"""Waist 1: every fact a run can state, as frozen, tagged, plain structs without tensors."""

from __future__ import annotations

from typing import get_args

import msgspec

from pipetrace.observed import Observed
from pipetrace.parts import (
    Argument,
    Bin,
    Check,
    Choice,
    Classification,
    Difference,
    Labelling,
    Layer,
    Link,
    Mask,
    ModulePart,
    Outcome,
    Part,
    Place,
    Receipt,
    Record,
    Regression,
    Score,
    Spread,
    Tensor,
    Units,
)
from pipetrace.prepared import Column, Preparation
from pipetrace.probed import (
    Contrast,
    Draws,
    Histograms,
    InputImage,
    InputTokens,
    Outputs,
    Ranked,
    Ranking,
    Spectrum,
    Weights,
    WholeRow,
)
from pipetrace.tried import Tried


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
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    platform: str = ""
    threads: int = 0
    commit: str | None = None
    dirty: bool | None = None
    values: bool = True
    """Whether rows of real values are in the file."""
    source: bool = True
    """Whether source text is in the file."""
    rank: int = 0
    world: int = 1
    """Which of how many processes this is, where a launcher started several."""
    process: str = ""
    """Names the process on its machine, so that a reader there can ask whether it still lives."""


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
    mask_missing: str = ""
    """Why a mask that was drawn cannot be had."""
    view: bool = False
    """The output shares its first input's storage: no values of its own."""
    random: bool = False
    """The op moved an RNG stream."""
    cut: str = ""
    """What took its output out of autograd's graph, where autograd was on: `detach`, `data`, or
    `no_grad` where it ran so itself, or has no derivative."""
    cut_called: Place | None = None
    """The line of that `detach` or `data`."""
    opaque: str = ""
    """Why nothing is known of what went on inside, where something did: `TorchScript`..."""
    within: str = ""
    """The function of PyTorch that called it, where that one is told by what it calls alone:
    `multi_head_attention_forward` or `gumbel_softmax`."""
    flops: int | None = None
    """Floating-point operations, a multiplication and an addition counting as two; None where no
    formula is known. Of an opaque op nothing is known."""
    memory: int = 0
    """Bytes that its outputs take which no input took before."""
    saved: int | None = None
    """Bytes that it was the first to keep alive for backward; None where not measured."""


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
    returned: tuple[int, ...] = ()
    """The ops that made the outputs."""
    receipt: Receipt | None = None
    complete: bool = True
    """False where the forward raised: the ops are those before it."""
    apart: bool = False
    """It was captured for the rules on silent bugs: the data flow shows others."""
    seconds: float = 0.0


class Gradient(Record, frozen=True):
    """The gradient of an op's output, as a backward after the forward computed it."""

    capture: int
    op: int
    output: int
    gradient: Tensor


class NotFinite(Record, frozen=True):
    """The first op whose output had a NaN or an infinity while none of its inputs had one."""

    capture: int
    op: int
    nans: int
    infinities: int
    total: int


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
    decays: tuple[float, ...] = ()
    """Weight decay per parameter group at its end; 0 where the optimizer has none."""
    seconds: float = 0.0
    """Of training: without evaluations that stand apart and without recording's own forwards."""
    memory: int | None = None
    """Bytes at its end, of the kind that `memory_kind` names."""
    memory_kind: str = ""
    """`accelerator` for the most that PyTorch has had allocated at once so far, `resident` for
    what the process holds in RAM, `resident peak` for the most it has held."""
    gradient_norm: float | None = None
    """L2 norm of all gradients at its last step, else at the step that `Layers` names."""
    mode: bool | None = None
    """Mode of the root in its forwards: True train, False eval, None mixed."""
    complete: bool = True
    """False where the program ended before the pass over the data loader did."""
    repeated: float | None = None
    """Of the second epoch: share of its rows that equal rows of the first; None if unknown."""


class Probe(Record, frozen=True):
    """The same fixed training rows at an epoch's last weights, with dropout on and off.

    On: what drew random numbers in the training forward is as the loop has it; everything else,
    batch normalisation for example, is in eval mode on both sides.
    """

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


class Checksum(Record, frozen=True):
    """The sum and the L2 norm of all parameters, in 64 bits: equal where replicas are equal."""

    training: int
    epoch: int
    step: int
    """Optimizer steps of the whole program before it."""
    sum: float
    norm: float


class Layers(Record, frozen=True):
    """A model layer by layer: at one step of an epoch, and its activations at the end of it."""

    training: int
    epoch: int
    step: int = 0
    """Which of the epoch's steps was measured, from 1; 0 if none."""
    layers: tuple[Layer, ...] = ()
    exact: bool = True
    """False where updates are of evenly spread blocks of large parameters."""
    activations: tuple[Units, ...] = ()
    """At the epoch's last weights, for the fixed rows of the probe."""


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


class Metrics(Record, frozen=True):
    """What the predictions of an evaluation are worth, from what its loss function received."""

    training: int
    epoch: int
    evaluation: int
    """The evaluation's index."""
    loss: str
    """The loss function: it told what the numbers mean."""
    counted: int
    """Targets that were counted (for several labels or values per row: rows); those to be
    ignored and those without a number as prediction were not."""
    exact: bool = True
    """Whether every target was looked at; else evenly spread ones of each batch."""
    total: int = 0
    """Targets that there were."""
    ignored: int = 0
    """Of those looked at: the loss function was told to ignore them."""
    invalid: int = 0
    """Of those looked at: their prediction, or the target itself, is NaN or has no end."""
    classification: Classification | None = None
    labelling: Labelling | None = None
    regression: Regression | None = None


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
    role: str = "chosen"
    """Why this sample: `chosen` by the user, `wrong` or `uncertain`."""
    spread: Spread | None = None


class Failure(Record, frozen=True):
    """The exception that ended the program, or the forward."""

    type: str
    message: str
    frames: tuple[Place, ...] = ()
    module: str = ""
    module_type: str = ""
    function: str = ""
    input_shapes: tuple[tuple[int, ...], ...] = ()


class Question(Record, frozen=True):
    """A question whose key and distractors were executed when the run was made."""

    id: str
    """Permanent id of its template."""
    group: str
    """`quiz`, `practice`, `challenge` or `test`."""
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
    form: int = 0
    """The seed of its numbers and of the order of its choices."""
    subject: str = ""
    place: str = ""


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
    costs: dict[str, float] = msgspec.field(default_factory=dict)
    """Seconds that recording took, by part."""


class Selection(Record, frozen=True):
    """Which rules were to be asked of a run: what its page shows, too."""

    select: tuple[str, ...] = ("PTR",)
    """Ids, or how they begin."""
    ignore: tuple[str, ...] = ()
    """Ids that are left out, or how they begin."""
    files: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Patterns of files, and the ids that are left out of their lines."""
    folder: str = ""
    """Where the patterns begin."""


Fact = (
    Provenance | Seed | SourceText | Model | Dataset | Op | Capture | Gradient | NotFinite
    | Contrast | Training | Epoch | Probe | Layers | Checksum | Evaluation | Metrics | Prediction
    | Failure | Column | Preparation | Question | Notice | Ended | Draws | Histograms | Weights
    | WholeRow | Ranking | InputImage | InputTokens | Selection | Observed
    | Tried
)  # fmt: skip

KINDS: dict[str, type[Record]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Fact)}
"""Every kind of fact by its tag in the file."""

__all__ = [
    "KINDS", "Argument", "Bin", "Capture", "Check", "Checksum", "Choice", "Classification",
    "Column", "Contrast", "Dataset", "Difference", "Draws", "Ended", "Epoch", "Evaluation",
    "Fact", "Failure", "Gradient", "Histograms", "InputImage", "InputTokens", "Labelling",
    "Layer", "Layers", "Link", "Mask", "Metrics", "Model", "ModulePart", "NotFinite", "Notice",
    "Op", "Outcome", "Outputs", "Part", "Place", "Prediction", "Preparation", "Probe",
    "Provenance", "Question", "Ranked", "Ranking", "Receipt", "Record", "Regression", "Score",
    "Seed", "Selection", "SourceText", "Spectrum", "Spread", "Tensor", "Training", "Units",
    "Weights", "WholeRow",
]  # fmt: skip
