"""What was observed of a program's own loop: facts that rules on silent bugs read."""

from __future__ import annotations

from pipetrace.parts import Place, Record


class Calls(Record, frozen=True):
    """Calls of one model from one line, in the same modes and alike with regard to autograd."""

    id: int
    model: int
    place: Place | None = None
    """The user's line that called the model."""
    graph: bool = True
    """Whether autograd was on."""
    training: bool = True
    """The mode of the root module."""
    odd: tuple[str, ...] = ()
    """Paths of modules in the other mode than the root, the first 200."""
    odd_count: int = 0
    count: int = 0
    trained: int = 0
    """A backward went through so many of them."""
    steps: tuple[int, ...] = ()
    """Optimizer steps of the whole program before each call, the first 1,000."""
    turns: tuple[int, ...] = ()
    """Which calls of the model these were, from 0, the first 1,000."""
    rows: tuple[int, ...] = ()
    """Length of the first dimension of each call's first input, the first 1,000."""
    drew: int = 0
    """So many of them moved a random stream."""
    seeded: int = 0
    """So many of those that drew began from a state of torch's streams that another began from."""
    ended: int = 0
    """So many calls, whether they drew or not, ended in a state of it that another of them had
    ended in."""
    repeated: int = 0
    """So many had the same input as the call of the model before them."""
    again: int = 0
    """So many had an input that one of them had had before, with no optimizer step in between."""
    after: int = 0
    """So many came after the last backward through the model (through any, where there was none
    through it), and none went through them."""
    losses: int = 0
    """After so many a loss function was called, before the next call of any model."""
    fed: int = 0
    """The output of so many was given to another model."""
    taught: int = 0
    """So often that was in a call that a backward went through."""
    discarded: bool = False
    """Whether the line throws the output away."""
    learned: bool = False
    """Whether an optimizer that stepped has parameters of the model."""
    fixed: tuple[str, ...] = ()
    """Paths of modules whose forward is a recorded graph: traced by `torch.fx`, `torch.jit.trace`
    or `torch.export`."""
    moved: tuple[str, ...] = ()
    """Buffers that changed in a call."""
    capture: int | None = None
    """The capture of one of them, where one was played again."""


class Wired(Record, frozen=True):
    """One parameter of a model that was called, and what came of it at optimizer steps."""

    model: int
    path: str
    shape: tuple[int, ...] = ()
    registered: bool = True
    """False where the model uses it, and `parameters()` does not name it."""
    parameter: bool = True
    """False where it is a plain tensor that requires a gradient: data may do so too."""
    optimizers: tuple[int, ...] = ()
    """Those that own it, whether they stepped or not."""
    steps: int = 0
    """Steps of its optimizers; of all optimizers, where none that owns it steps."""
    wanted: int = 0
    """At so many of them it required a gradient."""
    given: int = 0
    """At so many of them there was a gradient."""
    reached: bool = False
    """One of these gradients had an element that is not 0."""
    moved: bool | None = None
    """Whether its values changed while the program was observed; None where nobody knows."""
    uniform: float | None = None
    """Of the matrix of a linear layer or a convolution that did not move: the p-value of the
    Kolmogorov-Smirnov test that it was drawn from the uniform distribution that PyTorch begins
    with, +-1/sqrt(inputs); 0 where an element lies outside of it."""
    drawn: float | None = None
    """Of any matrix that did not move: the larger p-value of the same test for a uniform and for a
    normal distribution around 0, each as wide as the matrix itself."""
    twin: bool = False
    """It began with the same values as another parameter."""
    made: Place | None = None
    """The line that made the module that has it, of one that is not registered."""


class Stepped(Record, frozen=True):
    """One optimizer, and which gradients it found at its steps."""

    id: int
    type: str
    place: Place | None = None
    """The user's line that steps it."""
    steps: int = 0
    parameters: int = 0
    without: int = 0
    """So many of them had no gradient at any step."""
    sources: tuple[tuple[int, ...], ...] = ()
    """Before each step, the first 1,000: the kinds of calls that a backward went through since the
    step before, one for each call, the first 64."""
    backwards: tuple[int, ...] = ()
    """Backwards of the whole program between its steps, the first 1,000."""
    divided: int = 0
    """Backwards, once it was heard of, that began at a quotient or a product."""
    closures: int = 0
    """Backwards inside of a step, which a closure makes."""
    bare: int = 0
    """Steps that found no gradient other than 0."""
    emptied: int = 0
    """Those of them before which gradients were cleared after the last backward."""
    kept: int = 0
    """Steps that found a gradient into which the step before's had been summed."""
    kept_parameters: int = 0
    """The most parameters of which that was so."""
    kept_norm: float | None = None
    """L2 norm of what was left of the step before, at the last such step."""
    norm: float | None = None
    """L2 norm of the same gradients when that step was made."""
    clearings: int = 0
    """Calls that cleared its gradients."""
    cleared: Place | None = None
    """The line of the last of them."""
    unused: int = 0
    """Those that threw away a gradient which no step had used."""


class LearningRates(Record, frozen=True):
    """Learning rates of one optimizer, and the steps of its schedulers."""

    optimizer: int
    rates: tuple[float, ...] = ()
    """The largest of its groups' at each of its steps, the first 10,000."""
    attached: bool = False
    """A scheduler was made for it."""
    scheduler: str = ""
    """The type of the last that stepped."""
    place: Place | None = None
    """The user's line that stepped it."""
    scheduled: tuple[int, ...] = ()
    """Steps of the optimizer before each step of a scheduler, the first 10,000."""


class Clipped(Record, frozen=True):
    """Clipping of one optimizer's gradients."""

    optimizer: int
    function: str
    place: Place | None = None
    """The user's line that clips."""
    limit: float = 0.0
    steps: int = 0
    """Steps with a clipping since the step before."""
    missed: int = 0
    """Those that used another gradient than the clipped one: a backward came after."""
    scaled: int = 0
    """Those whose gradient was still multiplied with a loss scale when it was clipped."""
    scale: float | None = None
    """That loss scale."""
    norm: float | None = None
    """The largest L2 norm of a gradient that was stepped on without being the clipped one."""


class Used(Record, frozen=True):
    """What a loop did with an output of a model before the first backward that went through it."""

    calls: int
    output: str
    """Where in what the model returned it was, as in the capture."""
    functions: tuple[str, ...] = ()
    """Nodes of autograd between the loss and the output, those next to the loss first."""
    learned: bool = False
    """Whether a parameter takes part in between."""


class Idle(Record, frozen=True):
    """A dropout layer that was never called, though the module it belongs to was."""

    model: int
    path: str
    p: float
    calls: int
    """Forwards of the model that a backward went through."""
    named: bool = False
    """Whether a method of the module it belongs to, other than the constructor, names it."""
    own: bool = True
    """Whether the program itself, and no installed package, wrote that module."""


class DropRate(Record, frozen=True):
    """A dropout layer whose probability was another at a later forward that was trained on."""

    model: int
    path: str
    first: float
    last: float
    changes: int
    step: int
    """Optimizer steps of the whole program before the first change."""


class Norm(Record, frozen=True):
    """A batch normalisation in forwards that a backward went through."""

    model: int
    path: str
    frozen: int = 0
    """In so many of them it was in train mode, and its weight and bias wanted no gradient."""
    free: int = 0
    """In so many it was in train mode, and they did."""
    slept: int = 0
    """In so many it was in eval mode, within a root in train mode."""
    asleep: bool = False
    """Whether it was handed over in eval mode, within a root in train mode."""
    shift: float = 0.0
    """Largest change of a running mean from the first of them to the last, in running standard
    deviations."""


class Copies(Record, frozen=True):
    """Modules of one class that were all trained by steps of an optimizer, and are still equal."""

    paths: tuple[str, ...]
    """Empty paths are root modules of their own."""
    type: str
    parameters: int
    """Of one of them."""
    steps: int
    """Optimizer steps that changed them, the fewest that one of them had."""


class Loss(Record, frozen=True):
    """Calls of one loss function from one line, all in the same kind of calls of a model."""

    id: int
    function: str
    """Of `torch.nn.functional`; empty where it was computed by hand, as its graph tells."""
    place: Place | None = None
    model: int = -1
    """Whose output it took; -1 where that is unknown."""
    calls: int = -1
    """Of which kind the call was that gave this output."""
    direct: bool = False
    """It took what the model returned, views apart."""
    made: tuple[str, ...] = ()
    """What made its input, the last first, in autograd's words: `Softmax`; views left out."""
    count: int = 0
    trained: bool = False
    """Autograd was on."""
    reduction: str = ""
    prediction: tuple[int, ...] = ()
    target: tuple[int, ...] = ()
    combined: tuple[int, ...] = ()
    """The shape that prediction and target had together, where they were broadcast."""
    value: float | None = None
    """The first call's loss, and what it would have been element by element."""
    aligned: float | None = None
    positions: bool = False
    """Every target was its own place in the batch: the rows are each other's classes."""
    looked: int = 0
    """Inputs whose first rows were looked at."""
    probabilities: int = 0
    """So many of them had rows of numbers from 0 to 1 with the sum 1."""
    normalised: int = 0
    """So many of them had rows whose exponentials had the sum 1."""
    positive: int = 0
    """So many of them had numbers above 0."""
    total: float | None = None
    """Mean sum of the exponentials of a row, in the last of them."""


class Padded(Record, frozen=True):
    """Places of padding in the inputs of a model that a loss function was given targets for."""

    loss: int
    padding: int
    """The token that an embedding of the model takes for padding."""
    places: int
    """Targets that were looked at."""
    padded: int
    """Those where the input was padding."""
    counted: int
    """Of these, the targets that the loss function was not told to leave out."""


class Pairs(Record, frozen=True):
    """The rows of two passes of training, and the targets that they came with."""

    loss: int
    rows: int
    """Rows that both passes had, each once."""
    changed: int
    """Those with another target in the second pass."""
    expected: float
    """Share that would have another one if the targets were dealt out anew."""
    kept: float
    """Share of the targets of the first pass that the second had too, as many of each."""
    chance: float
    """How likely that is where targets are drawn anew, not dealt out anew."""
    renamed: bool
    """Rows of a batch that had the same target had the same one again, be it another."""
    reordered: bool
    """In the second pass most rows came after another one than in the first."""


class Shift(Record, frozen=True):
    """The inputs of a kind of calls beside those that the model was trained on."""

    calls: int
    features: int
    rows: int
    far: int
    """Calls of at least four rows that lay far off, and how many there were."""
    batches: int
    distance: float
    """Median over the features: how many training deviations the mean lies off."""
    scale: float
    """Median over the features: its deviation over that of training."""
    mean: float
    """Of all features together, in evaluation and in training, with the deviations."""
    deviation: float
    trained_mean: float
    trained_deviation: float


class Averaged(Record, frozen=True):
    """A number that stood for an evaluation: the mean of its batches' mean losses."""

    place: Place | None
    """The line of the loss function."""
    batches: tuple[int, ...]
    """Rows of each, the first 1,000."""
    said: float
    weighted: float
    """The mean over all rows."""
    count: int = 1
    """Evaluations of which this was so."""


class Diverged(Record, frozen=True):
    """The loss of which a backward began was not finite, and training went on."""

    place: Place | None
    first: int
    """Which backward it was, from 0, and of how many."""
    backwards: int
    bad: int
    steps: int
    """Optimizer steps after it."""
    broken: int = 0
    """Parameters with a NaN or an infinity after the first step on it, and of how many."""
    parameters: int = 0
    looked: bool = False
    """Whether what the first was computed from was looked at: only on the CPU."""
    rows: int = 0
    """Rows of the inputs of the forward before it that held a NaN."""
    row: int = -1
    """The first of them in its batch, from 0."""
    spoiled: int = 0
    """Parameters of that model that held a NaN or an infinity already."""
    rate: float | None = None
    """Learning rate of the step before."""


Observed = (
    Calls | Wired | Stepped | LearningRates | Clipped | Used | Idle | DropRate | Norm | Copies
    | Loss | Padded | Pairs | Shift | Averaged | Diverged
)  # fmt: skip
"""Every fact that observing a loop states."""
