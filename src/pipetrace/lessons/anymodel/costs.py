"""Quiz questions about the memory and the multiplications of one real forward."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.anymodel.reading import LIMIT, ops, stage
from pipetrace.lessons.drafts import Draft, result
from pipetrace.lessons.reading import shape_text
from pipetrace.lessons.registry import question
from pipetrace.tracefile import Recording

_SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8}


@question(id="A461", group="quiz", level="medium", needs="run", place="flow")
def bytes_of_output(recording: Recording, random: Random) -> Draft | None:
    """How much memory the numbers take that a stage gives."""
    found = [
        op
        for op in ops(recording)
        if len(op.outputs) == 1
        and len(op.outputs[0].shape) >= 2
        and op.outputs[0].dtype in _SIZES
        and 10 <= math.prod(op.outputs[0].shape) < LIMIT
        and op.memory == math.prod(op.outputs[0].shape) * _SIZES[op.outputs[0].dtype]
    ]
    if not found:
        return None
    op = random.choice(found)
    shape, dtype = op.outputs[0].shape, op.outputs[0].dtype
    size, count = _SIZES[dtype], math.prod(op.outputs[0].shape)
    made = f"numbers = torch.empty({shape}, dtype=torch.{dtype}, device='meta')\n"
    options = three(
        random,
        size * count,
        [
            Wrong(f"{made}numbers.numel()", count, f"Each number takes {size} bytes.",
                  "byte-each"),
            Wrong(f"{made}numbers.numel() * {8 * size}", 8 * size * count,
                  "This counts bits.", "bits-for-bytes"),
            Wrong(f"{made}sum(numbers.shape) * {size}", sum(shape) * size,
                  "Sizes are multiplied.", "sum-for-product"),
            Wrong(f"{made}numbers[0].numel() * {size}", count // shape[0] * size,
                  "This is one row.", "one-dimension"),
            Wrong(f"{made}numbers.numel() * {2 * size}", 2 * size * count,
                  f"A number of type {dtype} takes {size} bytes.", "double-precision"),
            Wrong(f"{made}numbers.numel() * {size} // 2", size * count // 2,
                  f"A number of type {dtype} takes {size} bytes.", "half-precision"),
        ],
        text="{outcome} bytes",
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="{stage} gave numbers of type {dtype}, in shape {shape}. How much memory do they "
        "take?",
        options=(
            result(
                f"{made}numbers.numel() * numbers.element_size()",
                "Numbers times bytes of one number.",
                correct=True,
                text="{outcome} bytes",
            ),
            *options,
        ),
        given={
            "stage": stage(op),
            "dtype": dtype,
            "shape": shape_text(shape),
            "count": str(count),
            "size": str(size),
        },
        steps=(
            "The shape {shape} holds {count} numbers.",
            "One of type {dtype} takes {size} bytes.",
            "Together {key}.",
        ),
        answer="{letter}: {key}",
        check="`numbers.numel() * numbers.element_size()`",
        hint="How many numbers, and how many bytes for each?",
    )


@question(id="A462", group="quiz", level="medium", needs="run", place="flow")
def multiplications(recording: Recording, random: Random) -> Draft | None:
    """How many multiplications a linear stage makes for a batch."""
    found = [
        (op, math.prod(op.input_shapes[0][:-1]), *op.input_shapes[1][::-1])
        for op in ops(recording)
        if op.function == "linear"
        and len(op.input_shapes) > 1
        and len(op.input_shapes[1]) == 2
        and op.flops == 2 * math.prod(op.input_shapes[0]) * op.input_shapes[1][0]
        and 0 < op.flops < LIMIT
    ]
    found = [each for each in found if each[1] > 1]
    if not found:
        return None
    op, rows, inputs, outputs = random.choice(found)
    made = f"rows, inputs, outputs = {rows}, {inputs}, {outputs}\n"
    options = three(
        random,
        rows * inputs * outputs,
        [
            Wrong(f"{made}inputs * outputs", inputs * outputs, "This is one row.",
                  "one-dimension"),
            Wrong(f"{made}rows * outputs", rows * outputs,
                  "Each output takes a multiplication for each input.", "one-per-output"),
            Wrong(f"{made}rows * (inputs + outputs)", rows * (inputs + outputs),
                  "Each input meets each output.", "sum-for-product"),
            Wrong(f"{made}rows * inputs", rows * inputs,
                  "Each input is multiplied once for each output.", "one-per-input"),
            Wrong(f"{made}rows * (inputs + 1) * outputs", rows * (inputs + 1) * outputs,
                  "The bias is added, not multiplied.", "bias-multiplies"),
            Wrong(f"{made}rows * rows * inputs * outputs", rows * rows * inputs * outputs,
                  "Rows do not meet each other.", "rows-meet"),
            Wrong(f"{made}2 * rows * inputs * outputs", 2 * rows * inputs * outputs,
                  "This counts additions as well.", "additions-multiply"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="{stage} maps {inputs} features to {outputs}; {rows} rows of features went in. How "
        "many multiplications is that?",
        options=(
            result(
                f"{made}rows * inputs * outputs",
                "One for each row, input and output.",
                correct=True,
                expected=str((op.flops or 0) // 2),
            ),
            *options,
        ),
        given={
            "stage": stage(op),
            "rows": str(rows),
            "inputs": str(inputs),
            "outputs": str(outputs),
            "one": str(inputs * outputs),
        },
        steps=(
            "One row takes {inputs} times {outputs} = {one}.",
            "All {rows} rows: {key}.",
        ),
        answer="{letter}: {key}",
        check="The data flow counts twice as many operations: additions, too.",
        hint="Count a single output of a single row first.",
    )
