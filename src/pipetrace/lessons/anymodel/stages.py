"""Quiz questions about the stages that one forward really went through."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.drafts import Draft, literal, number, result
from pipetrace.lessons.reading import (
    after,
    before,
    name_stage,
    ops_by_place,
    shape_text,
    speaking,
)
from pipetrace.lessons.registry import question
from pipetrace.records import Capture, Model, Op, Prediction, Tensor
from pipetrace.tracefile import Recording

_LARGE = 100_000
"""Elements up to which a layer of the run is built again for a question."""
_ACTIVATIONS = {
    "relu": "F.relu",
    "sigmoid": "torch.sigmoid",
    "tanh": "torch.tanh",
    "gelu": "F.gelu",
    "silu": "F.silu",
    "elu": "F.elu",
    "softplus": "F.softplus",
    "leaky_relu": "F.leaky_relu",
}


@question(id="A101", group="quiz", level="easy", needs="run", place="network")
def linear_parameters(recording: Recording, random: Random) -> Draft | None:
    """How many parameters a linear stage of this model holds."""
    model = recording.first(Model)
    held = {part.path: part.parameters for part in model.modules} if model else {}
    found = [
        (op, op.input_shapes[0][-1], op.outputs[0].shape[-1])
        for op in _linear(recording)
        if held.get(op.module, 0) == _size(op) and _size(op) <= _LARGE
    ]
    if not found:
        return None
    op, inputs, outputs = random.choice(found)
    count = "sum(each.numel() for each in layer.parameters())"
    made, matrix = f"layer = nn.Linear({inputs}, {outputs})\n", inputs * outputs
    wrong = three(
        random,
        held[op.module],
        [
            Wrong(f"layer = nn.Linear({inputs}, {outputs}, bias=False)\n{count}", matrix,
                  "This is the matrix without the bias.", "bias-forgotten"),
            Wrong(f"{made}sum(layer.weight.shape)", inputs + outputs,
                  "This adds the two sizes of the matrix.", "sum-for-product"),
            Wrong(f"{made}layer.weight.numel() + layer.weight.shape[1]", matrix + inputs,
                  "This has a bias for each input.", "bias-per-input"),
            Wrong(f"{made}2 * layer.weight.numel()", 2 * matrix,
                  "This counts the matrix twice.", "matrix-twice"),
            Wrong(f"{made}2 * ({count})", 2 * (matrix + outputs),
                  "This counts the layer twice.", "matrix-twice"),
        ],
    )  # fmt: skip
    if wrong is None:
        return None
    return Draft(
        text="{stage} takes rows of {inputs} numbers to rows of {outputs}, with a bias. How many "
        "parameters does it hold?",
        options=(
            result(
                f"layer = nn.Linear({inputs}, {outputs})\n{count}",
                f"A matrix of {outputs} times {inputs}, and a bias for each of {outputs} outputs.",
                correct=True,
                expected=str(held[op.module]),
            ),
            *wrong,
        ),
        given={
            "stage": _first_upper(name_stage(op)),
            "inputs": str(inputs),
            "outputs": str(outputs),
        },
        steps=(
            "The matrix has {outputs} times {inputs} numbers.",
            "The bias has one for each output: {outputs}.",
            "Together: {key}.",
        ),
        answer="{letter}: {key}",
        check="`sum(each.numel() for each in layer.parameters())`",
        hint="One number per pair of input and output, and what else?",
    )


@question(id="A102", group="quiz", level="easy", needs="run", place="flow")
def linear_shape(recording: Recording, random: Random) -> Draft | None:
    """Which shape leaves a linear stage of this model."""
    found = [
        op
        for op in _linear(recording)
        if len(op.input_shapes[0]) == 2 and math.prod(op.input_shapes[0]) <= _LARGE >= _size(op)
    ]
    if not found:
        return None
    op = random.choice(found)
    rows, inputs = op.input_shapes[0]
    outputs = op.outputs[0].shape[-1]
    made = f"layer = nn.Linear({inputs}, {outputs})\nrows = torch.ones({rows}, {inputs})\n"
    wrong = [
        result(
            f"{made}layer.weight.shape",
            "This is the shape of the weight.",
            misconception="shape-of-weight",
        ),
        result(
            f"{made}layer(rows).T.shape",
            "Rows come first in PyTorch.",
            misconception="rows-last",
        ),
        result(
            f"{made}rows.shape",
            "The last dimension is what the layer changes.",
            misconception="shape-kept",
        ),
        result(
            f"{made}torch.cat([rows, layer(rows)], 1).shape",
            "The outputs replace the inputs.",
            misconception="shapes-joined",
        ),
        result(
            f"{made}(rows.T @ rows).shape",
            "The rows stay rows.",
            misconception="rows-become-outputs",
        ),
    ]
    texts = {(rows, outputs)}
    different = []
    for option, shape in zip(
        wrong,
        (
            (outputs, inputs),
            (outputs, rows),
            (rows, inputs),
            (rows, inputs + outputs),
            (inputs, inputs),
        ),
        strict=True,
    ):
        if shape not in texts:
            texts.add(shape)
            different.append(option)
    if len(different) < 3:
        return None
    return Draft(
        text="{stage} maps {inputs} features to {outputs}, and a batch of shape {shape} went in. "
        "Which shape came out?",
        options=(
            result(
                f"{made}layer(rows).shape",
                "Every row is mapped on its own: the last dimension changes, the rows stay.",
                correct=True,
                expected=shape_text(op.outputs[0].shape),
            ),
            *random.sample(different, 3),
        ),
        given={
            "stage": _first_upper(name_stage(op)),
            "inputs": str(inputs),
            "outputs": str(outputs),
            "shape": shape_text(op.input_shapes[0]),
        },
        steps=(
            "The batch has {shape}: rows first, features last.",
            "Each row of {inputs} numbers becomes a row of {outputs}.",
            "So the shape is {key}.",
        ),
        answer="{letter}: {key}",
        check="The data flow shows the shape behind each stage.",
        hint="Which of the two dimensions does a linear layer work on?",
    )


@question(id="A103", group="quiz", level="easy", needs="run", place="flow")
def activation(recording: Recording, random: Random) -> Draft | None:
    """What an activation made of one real element."""
    captures = {capture.id: capture for capture in recording.all(Capture)}
    ops = ops_by_place(recording)
    places = []
    for op in ops.values():
        row, left = before(op, captures, ops), after(op)
        if op.function.rstrip("_") in _ACTIVATIONS:
            # activations differ visibly below zero, and not too far below
            shown = [i for i in speaking(row) if i < len(left) and -3 <= row[i] <= -0.2]
            places += [(op, row[i], left[i]) for i in shown]
    if not places:
        return None
    op, value, left_value = random.choice(places)
    function = op.function.rstrip("_")
    others = [
        ("(x * 1.0)", "This is the element as it went in.", "no-activation"),
        ("torch.abs(x)", "This is its size without the sign.", "sign-lost"),
        *(
            (name, f"This is what `{name}` makes of it.", "other-function")
            for name in _ACTIVATIONS.values()
        ),
    ]
    wrong = [
        result(_applied(name, value), words, misconception=belief)
        for name, words, belief in others
        if name != _ACTIVATIONS[function]
    ]
    return Draft(
        text="{stage} applies `{function}`. What came out where {value} went in?",
        options=(
            result(
                _applied(_ACTIVATIONS[function], value),
                f"`{_ACTIVATIONS[function]}` works on each element on its own.",
                correct=True,
                expected=number(left_value),
            ),
            *random.sample(wrong, 3),
        ),
        given={
            "stage": _first_upper(name_stage(op)),
            "function": function,
            "value": number(value),
        },
        steps=("The function is applied to each element on its own.", "{value} becomes {key}."),
        answer="{letter}: {key}",
        check="The data flow shows the row before and after the stage.",
        hint="Look at the sign of the element first.",
    )


@question(id="A104", group="quiz", level="medium", needs="run", place="prediction")
def probability_of_class(recording: Recording, random: Random) -> Draft | None:
    """Which probability the softmax of the real scores gives."""
    prediction = recording.last(Prediction)
    if prediction is None or prediction.task != "classes" or not prediction.probabilities:
        return None
    scores, count = prediction.scores, len(prediction.scores)
    if not 2 <= count <= 10 or not all(math.isfinite(score) for score in scores):
        return None
    best = max(range(count), key=lambda index: scores[index])
    tensor = f"scores = torch.tensor({literal([round(score, 4) for score in scores])})\n"
    wrong = [
        result(
            f"{tensor}(2**scores / (2**scores).sum()).max().item()",
            "Softmax raises e to each score, not 2.",
            misconception="softmax-base-two",
        ),
        result(
            f"{tensor}1 - scores.softmax(0).max().item()",
            "This is the probability of all other classes.",
            misconception="softmax-of-rest",
        ),
        result(
            f"{tensor}torch.zeros_like(scores).softmax(0).max().item()",
            "This is what equal scores give.",
            misconception="uniform",
        ),
        result(
            f"{tensor}scores.softmax(0).min().item()",
            "This belongs to the smallest score.",
            misconception="softmax-of-smallest",
        ),
        result(
            f"{tensor}(scores.max() / scores.abs().sum()).item()",
            "Scores are put through exp first.",
            misconception="plain-share",
        ),
        result(
            f"{tensor}torch.sigmoid(scores.max()).item()",
            "The other scores count too.",
            misconception="sigmoid-for-softmax",
        ),
    ]
    if count == 2:  # what the smallest score gets is then the rest
        wrong = [each for each in wrong if each.misconception != "softmax-of-smallest"]
    return Draft(
        text="The model gave one sample the scores {scores}. Which probability does softmax give "
        "to the class of the largest score?",
        options=(
            result(
                f"{tensor}scores.softmax(0).max().item()",
                "Softmax raises e to each score and divides by the sum.",
                correct=True,
                expected=number(prediction.probabilities[best]),
            ),
            *random.sample(wrong, 3),
        ),
        given={"scores": str([round(score, 4) for score in scores])},
        steps=(
            "Raise e to each of {scores}.",
            "Divide the largest by the sum of all.",
            "The result is {key}.",
        ),
        answer="{letter}: {key}",
        check="The probabilities of all classes add up to 1.",
        hint="Every score has a say, through exp.",
    )


@question(id="A105", group="quiz", level="easy", needs="run", place="flow")
def elements(recording: Recording, random: Random) -> Draft | None:
    """How many numbers went into the model in one forward."""
    tensors = [
        tensor
        for capture in recording.all(Capture)
        for _, tensor in capture.inputs
        if _countable(tensor)
    ]
    if not tensors:
        return None
    shape = random.choice(tensors).shape
    held = f"batch = torch.empty({shape_text(shape)}, device='meta')\n"
    count, row = math.prod(shape), math.prod(shape[1:])
    wrong = three(
        random,
        count,
        [
            Wrong(f"{held}sum(batch.shape)", sum(shape), "The sizes are added here.",
                  "sum-for-product"),
            Wrong(f"{held}batch.shape[0]", shape[0], "These are the rows.", "one-dimension"),
            Wrong(f"{held}batch[0].numel()", row, "This is one row.", "one-dimension"),
            Wrong(f"{held}batch.shape[0] * batch.numel()", shape[0] * count,
                  "The rows were counted twice.", "rows-meet"),
            Wrong(f"{held}4 * batch.numel()", 4 * count, "These are bytes in float32.",
                  "byte-each"),
        ],
    )  # fmt: skip
    if wrong is None:
        return None
    return Draft(
        text="A batch of shape {shape} went into the model. How many numbers is that?",
        options=(
            result(f"{held}batch.numel()", "The sizes are multiplied.", correct=True),
            *wrong,
        ),
        given={"shape": shape_text(shape)},
        steps=("Multiply the sizes of {shape}.", "The product is {key}."),
        answer="{letter}: {key}",
        check="`batch.numel()`",
        hint="Rows times numbers per row.",
    )


def _linear(recording: Recording) -> list[Op]:
    """Return the linear ops that a module of its own ran, each module once."""
    found: dict[str, Op] = {}
    for op in recording.all(Op):
        shapes = bool(op.input_shapes and op.input_shapes[0] and op.outputs and op.outputs[0].shape)
        if op.function == "linear" and op.module_type == "Linear" and shapes:
            found.setdefault(op.module, op)
    return list(found.values())


def _size(op: Op) -> int:
    """Return the parameters of a linear op with a bias."""
    return (op.input_shapes[0][-1] + 1) * op.outputs[0].shape[-1]


def _countable(tensor: Tensor) -> bool:
    shape = tensor.shape
    if len(shape) < 2:
        return False
    row = math.prod(shape[1:])
    return len({shape[0] * row, sum(shape), shape[0], row}) == 4 and shape[0] * row < 10**9


def _applied(name: str, value: float) -> str:
    if "(" in name:
        return f"x = torch.tensor({literal(value)})\n{name}.item()"
    return f"{name}(torch.tensor({literal(value)})).item()"


def _first_upper(text: str) -> str:
    return text[0].upper() + text[1:]
