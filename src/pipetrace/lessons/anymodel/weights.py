"""Quiz questions about the parameters that this run's model really holds."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.anymodel.reading import argument, ops, stage
from pipetrace.lessons.drafts import Draft, result
from pipetrace.lessons.registry import question
from pipetrace.records import Model
from pipetrace.tracefile import Recording


@question(id="A411", group="quiz", level="medium", needs="run", place="network")
def convolution(recording: Recording, random: Random) -> Draft | None:
    """How many parameters a convolution holds."""
    held = _held(recording)
    found = [
        (op, weight, len(op.input_shapes) > 2)
        for op in ops(recording)
        if op.function == "conv2d" and len(op.input_shapes) > 1
        for weight in [op.input_shapes[1]]
        if len(weight) == 4
        and held.get(op.module) == math.prod(weight) + weight[0] * (len(op.input_shapes) > 2)
    ]
    if not found:
        return None
    op, (outputs, inputs, height, width), bias = random.choice(found)
    groups = int(argument(op, "groups") or 1)
    made = (
        f"layer = nn.Conv2d({inputs * groups}, {outputs}, ({height}, {width}), groups={groups}, "
        f"bias={bias}, device='meta')\n"
    )
    weight = outputs * inputs * height * width
    key = weight + outputs * bias
    size = op.outputs[0].shape[-2:]
    options = three(
        random,
        key,
        [
            Wrong(f"{made}layer.weight.numel() + (not {bias}) * {outputs}",
                  weight + outputs * (not bias),
                  "There is a bias for each output channel." if bias else "There is no bias.",
                  "bias-forgotten" if bias else "bias-always"),
            Wrong(f"{outputs} * {height} * {width} + {outputs} * {bias}",
                  outputs * height * width + outputs * bias,
                  "Each output channel has a kernel for each input channel that it sees.",
                  "one-kernel-per-output"),
            Wrong(f"{height} * {width} * {inputs} + {bias}", height * width * inputs + bias,
                  "This is one output channel.", "one-output-channel"),
            Wrong(f"{outputs} * {inputs} + {outputs} * {bias}", outputs * inputs + outputs * bias,
                  "This leaves out the size of the kernel.", "kernel-size-forgotten"),
            Wrong(f"{made}2 * layer.weight.numel()", 2 * weight,
                  "The kernels are held once.", "matrix-twice"),
            Wrong(f"{made}layer.weight.numel() * {math.prod(size)}", weight * math.prod(size),
                  "The same kernel serves every place of the map.", "kernel-per-place"),
            Wrong(f"{made}layer.weight.numel() + {inputs * groups}", weight + inputs * groups,
                  "Biases belong to outputs.", "bias-per-input"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="{stage} makes {outputs} channels of {channels}, with a window of {height} x {width}"
        "{groups} and {bias}. How many parameters does it hold?",
        options=(
            result(
                f"{made}sum(each.numel() for each in layer.parameters())",
                "A kernel for each pair of output channel and input channel that it sees.",
                correct=True,
                expected=str(key),
            ),
            *options,
        ),
        given={
            "stage": stage(op),
            "outputs": str(outputs),
            "channels": str(inputs * groups),
            "inputs": str(inputs),
            "height": str(height),
            "width": str(width),
            "groups": f" in {groups} groups" if groups > 1 else "",
            "bias": "a bias" if bias else "no bias",
            "weight": str(weight),
            "biases": str(outputs * bias),
        },
        steps=(
            "Each output channel sees {inputs} input channels, with {height} x {width} numbers "
            "for each.",
            "{outputs} times {inputs} times {height} times {width} is {weight}.",
            "With {biases} biases it comes to {key}.",
        ),
        answer="{letter}: {key}",
        check="`sum(each.numel() for each in layer.parameters())`",
        hint="One window of numbers for each pair of channels, and what else?",
    )


@question(id="A412", group="quiz", level="easy", needs="run", place="network")
def embedding(recording: Recording, random: Random) -> Draft | None:
    """How many parameters an embedding holds."""
    held = _held(recording)
    found = [
        (op, *op.input_shapes[1])
        for op in ops(recording)
        if op.function == "embedding"
        and len(op.input_shapes) > 1
        and len(op.input_shapes[1]) == 2
        and held.get(op.module) == math.prod(op.input_shapes[1])
    ]
    if not found:
        return None
    op, words, width = random.choice(found)
    made = f"layer = nn.Embedding({words}, {width}, device='meta')\n"
    options = three(
        random,
        words * width,
        [
            Wrong(f"{made}layer.weight.numel() + {width}", words * width + width,
                  "An embedding has no bias.", "bias-always"),
            Wrong(f"{made}sum(layer.weight.shape)", words + width,
                  "Sizes are multiplied.", "sum-for-product"),
            Wrong(f"{made}2 * layer.weight.numel()", 2 * words * width,
                  "The table is held once.", "matrix-twice"),
            Wrong(f"{made}layer.weight.shape[0] ** 2", words**2,
                  "A row has {width} numbers, not one for each index.", "embedding-one-hot"),
            Wrong(f"{made}layer.weight.numel() + {words}", words * width + words,
                  "An embedding has no bias.", "bias-per-input"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="{stage} looks up {width} numbers for each of {words} indices. How many parameters "
        "does it hold?",
        options=(
            result(
                f"{made}sum(each.numel() for each in layer.parameters())",
                "A table with a row for each index.",
                correct=True,
                expected=str(words * width),
            ),
            *options,
        ),
        given={"stage": stage(op), "words": str(words), "width": str(width)},
        steps=("The table has {words} rows of {width} numbers.", "Together: {key}."),
        answer="{letter}: {key}",
        check="`layer.weight.shape` is ({words}, {width}).",
        hint="It is a table, and nothing else.",
    )


@question(id="A413", group="quiz", level="easy", needs="run", place="network")
def normalisation(recording: Recording, random: Random) -> Draft | None:
    """How many parameters a normalisation holds."""
    held = _held(recording)
    names = {"batch_norm": "BatchNorm1d", "layer_norm": "LayerNorm"}
    found = [
        (op, op.input_shapes[-1][0])
        for op in ops(recording)
        if op.function in names
        and len(op.input_shapes) > 2
        and len(op.input_shapes[-1]) == 1
        and held.get(op.module) == 2 * op.input_shapes[-1][0]
    ]
    if not found:
        return None
    op, width = random.choice(found)
    batch = op.function == "batch_norm"
    made = f"layer = nn.{names[op.function]}({width}, device='meta')\n"
    options = three(
        random,
        2 * width,
        [
            Wrong(f"{made}layer.weight.numel()", width, "Each has a bias as well.",
                  "bias-forgotten"),
            Wrong(f"{made}4 * layer.weight.numel()", 4 * width,
                  "A running mean and variance are buffers: no gradient reaches them."
                  if batch else "It keeps no statistics.", "buffers-are-parameters"),
            Wrong(f"{made}layer.weight.numel() ** 2 + {width}", width**2 + width,
                  "It has no matrix: each feature is scaled on its own.", "norm-has-matrix"),
            Wrong(f"{made}layer.weight.numel() ** 2", width**2,
                  "It has no matrix: each feature is scaled on its own.", "norm-has-matrix"),
            Wrong("0", 0, "It scales and shifts what it has normalised.", "norm-learns-nothing"),
            Wrong(f"{made}3 * layer.weight.numel()", 3 * width, "There are two for each feature.",
                  "buffers-are-parameters"),
            Wrong("2", 2, "Each feature has a scale and a shift of its own.", "norm-shares-scale"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="{stage} normalises {width} features, and then scales and shifts each of them by "
        "numbers that are learned. How many parameters does it hold?",
        options=(
            result(
                f"{made}sum(each.numel() for each in layer.parameters())",
                "A scale and a shift for each feature.",
                correct=True,
                expected=str(2 * width),
            ),
            *options,
        ),
        given={"stage": stage(op), "width": str(width)},
        steps=("Each of {width} features has a scale and a shift.", "Twice {width} is {key}."),
        answer="{letter}: {key}",
        check="`sum(each.numel() for each in layer.parameters())`",
        hint="How many numbers does scaling and shifting take?",
    )


@question(id="A414", group="quiz", level="hard", needs="run", place="network")
def recurrent(recording: Recording, random: Random) -> Draft | None:
    """How many parameters a recurrent layer holds."""
    held = _held(recording)
    gates = {"lstm": ("LSTM", 4), "gru": ("GRU", 3)}
    found = []
    for op in ops(recording):
        matrices = [each for each in op.input_shapes if len(each) == 2]
        if op.function not in gates or len(matrices) < 2:
            continue
        inputs, hidden = matrices[-2][1], matrices[-1][1]
        count = gates[op.function][1]
        if held.get(op.module) == count * hidden * (inputs + hidden + 2):
            found.append((op, inputs, hidden))
    if not found:
        return None
    op, inputs, hidden = random.choice(found)
    name, count = gates[op.function]
    made = f"layer = nn.{name}({inputs}, {hidden}, device='meta')\n"
    options = three(
        random,
        count * hidden * (inputs + hidden + 2),
        [
            Wrong(f"{hidden} * ({inputs} + {hidden} + 2)", hidden * (inputs + hidden + 2),
                  f"It does this {count} times, once for each gate.", "one-gate"),
            Wrong(f"{count} * {hidden} * ({inputs} + 2)", count * hidden * (inputs + 2),
                  "The last step's output goes in, too.", "recurrence-forgotten"),
            Wrong(f"{count} * {hidden} * ({inputs} + {hidden})", count * hidden * (inputs + hidden),
                  "There are biases as well.", "bias-forgotten"),
            Wrong(f"{count} * {hidden} * ({inputs} + {hidden} + 1)",
                  count * hidden * (inputs + hidden + 1),
                  "PyTorch has two biases, one for each matrix.", "one-bias"),
            Wrong(f"{7 - count} * {hidden} * ({inputs} + {hidden} + 2)",
                  (7 - count) * hidden * (inputs + hidden + 2),
                  f"{'A GRU' if count == 4 else 'An LSTM'} has {7 - count}.", "other-gates"),
            Wrong(f"2 * {count} * {hidden} * ({inputs} + {hidden} + 2)",
                  2 * count * hidden * (inputs + hidden + 2),
                  "It runs in one direction only.", "matrix-twice"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="{stage} reads {inputs} numbers a step and keeps {hidden}. It has {count} groups of "
        "units (gates and new values); each has a matrix for the input, one for what was kept, "
        "and a bias for each matrix. How many parameters is that?",
        options=(
            result(
                f"{made}sum(each.numel() for each in layer.parameters())",
                "Each group has two matrices and two biases.",
                correct=True,
                expected=str(held[op.module]),
            ),
            *options,
        ),
        given={
            "stage": stage(op),
            "inputs": str(inputs),
            "hidden": str(hidden),
            "count": str(count),
            "one": str(hidden * (inputs + hidden + 2)),
        },
        steps=(
            "One group: {hidden} times {inputs}, {hidden} times {hidden}, and twice {hidden} "
            "biases: {one}.",
            "Times {count}: {key}.",
        ),
        answer="{letter}: {key}",
        check="`[each.shape for each in layer.parameters()]` shows the parts.",
        hint="Count one group first.",
    )


def _held(recording: Recording) -> dict[str, int]:
    """Return how many parameters the modules have of their own, by path."""
    model = recording.first(Model)
    return {part.path: part.parameters for part in model.modules} if model else {}
