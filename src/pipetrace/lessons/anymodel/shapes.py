"""Quiz questions about the shapes that one forward really had."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.anymodel.reading import LIMIT, Sliding, argument, ops, pair, sliding, stage
from pipetrace.lessons.drafts import Draft, result
from pipetrace.lessons.reading import shape_text
from pipetrace.lessons.registry import question
from pipetrace.records import Op
from pipetrace.tracefile import Recording


@question(id="A401", group="quiz", level="medium", needs="run", place="flow")
def convolved_size(recording: Recording, random: Random) -> Draft | None:
    """How large the maps are that a convolution gives."""
    return _slid(recording, random, ("conv2d",))


@question(id="A402", group="quiz", level="medium", needs="run", place="flow")
def pooled_size(recording: Recording, random: Random) -> Draft | None:
    """How large the maps are that a pooling gives."""
    return _slid(recording, random, ("max_pool2d", "avg_pool2d"))


@question(id="A403", group="quiz", level="easy", needs="run", place="flow")
def flattened(recording: Recording, random: Random) -> Draft | None:
    """Which shape a batch has once the numbers of each row stand in one line."""
    found = [
        op
        for op in ops(recording)
        if op.function in ("flatten", "view", "reshape")
        and op.input_shapes
        and len(shape := op.input_shapes[0]) >= 3
        and op.outputs[0].shape == (shape[0], math.prod(shape[1:]))
        and 0 < math.prod(shape) < LIMIT
    ]
    if not found:
        return None
    op = random.choice(found)
    shape = op.input_shapes[0]
    key = op.outputs[0].shape
    made = f"batch = torch.empty({shape}, device='meta')\n"
    options = three(
        random,
        key,
        [
            Wrong(f"{made}batch.flatten().shape", (math.prod(shape),),
                  "Here the rows were joined, too.", "flatten-all"),
            Wrong(f"{made}batch.flatten(2).shape", (*shape[:2], math.prod(shape[2:])),
                  "This joins one dimension too few.", "flatten-late"),
            Wrong(f"{made}batch.flatten(0, 1).shape", (shape[0] * shape[1], *shape[2:]),
                  "This joins the rows with the next dimension.", "flatten-first"),
            Wrong(f"{made}(batch.shape[0], sum(batch.shape[1:]))", (shape[0], sum(shape[1:])),
                  "Sizes are multiplied where dimensions are joined.", "sum-for-product"),
            Wrong(f"{made}batch.flatten(1).T.shape", key[::-1], "Rows come first.", "rows-last"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="A batch of shape {shape} went into {stage}, which keeps the rows apart and puts the "
        "numbers of each row into one line. Which shape came out?",
        options=(
            result(
                f"{made}batch.flatten(1).shape",
                "The first dimension stays; the sizes of the others are multiplied.",
                correct=True,
                expected=shape_text(key),
            ),
            *options,
        ),
        given={
            "shape": shape_text(shape),
            "stage": _lower(stage(op)),
            "rows": str(shape[0]),
            "sizes": " times ".join(map(str, shape[1:])),
            "product": str(key[1]),
        },
        steps=(
            "The {rows} rows stay.",
            "Each has {sizes} = {product} numbers.",
            "So the shape is {key}.",
        ),
        answer="{letter}: {key}",
        check="`batch.flatten(1).shape`",
        hint="How many numbers has one row?",
    )


@question(id="A404", group="quiz", level="easy", needs="run", place="flow")
def embedded(recording: Recording, random: Random) -> Draft | None:
    """Which shape an embedding gives."""
    found = [
        op
        for op in ops(recording)
        if op.function == "embedding"
        and len(op.input_shapes) > 1
        and len(op.input_shapes[1]) == 2
        and 1 <= len(op.input_shapes[0]) <= 3
        and op.outputs[0].shape == (*op.input_shapes[0], op.input_shapes[1][1])
    ]
    if not found:
        return None
    op = random.choice(found)
    ids, (words, width) = op.input_shapes[0], op.input_shapes[1]
    key = (*ids, width)
    small = math.prod(ids) * width <= 100_000 and words * width <= 100_000
    device = "" if small else ", device='meta'"
    made = (
        f"ids = torch.zeros({ids}, dtype=torch.long{device})\n"
        f"table = torch.empty({words}, {width}{device})\n"
    )
    shape = f"{made}F.embedding(ids, table).shape"
    options = three(
        random,
        key,
        [
            Wrong(f"{shape}[:-1]", ids, "Each index became a list of numbers.", "shape-kept"),
            Wrong(f"{made}(*ids.shape, table.shape[0])", (*ids, words),
                  "This has a number for each word of the vocabulary.", "embedding-one-hot"),
            Wrong(f"{shape}[-2:]", key[-2:] if len(key) > 2 else (1, *key),
                  "The first dimension is lost here.", "batch-lost"),
            Wrong(f"{made}table.shape", (words, width), "This is the table.", "shape-of-weight"),
            Wrong(f"{made}F.embedding(ids, table).flatten(0, -2).shape",
                  (math.prod(ids), width), "The dimensions of the indices stay apart.",
                  "flatten-first"),
            Wrong(f"{made}F.embedding(ids, table)[..., None, :].shape", (*ids, 1, width),
                  "No further dimension is made.", "embedding-adds"),
            Wrong(f"{shape}[::-1]", key[::-1], "The indices' own dimensions come first.",
                  "rows-last"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="{stage} holds a table with a row of {width} numbers for each of {words} indices. "
        "Indices of shape {ids} went in. Which shape came out?",
        options=(
            result(
                shape,
                "Each index is replaced by its row of the table.",
                correct=True,
                expected=shape_text(key),
            ),
            *options,
        ),
        given={
            "stage": stage(op),
            "width": str(width),
            "words": str(words),
            "ids": shape_text(ids),
        },
        steps=(
            "Each single index becomes {width} numbers.",
            "So one more dimension, of size {width}, stands at the end.",
            "The shape is {key}.",
        ),
        answer="{letter}: {key}",
        check="`F.embedding(ids, table).shape`",
        hint="What takes the place of one index?",
    )


@question(id="A405", group="quiz", level="medium", needs="run", place="flow")
def broadcast(recording: Recording, random: Random) -> Draft | None:
    """Which shape two operands of different shapes give."""
    found = [
        op
        for op in ops(recording)
        if op.function.strip("_") in ("add", "sub", "mul", "truediv", "div", "iadd", "imul")
        and len(op.input_shapes) == 2
        and op.input_shapes[0] != op.input_shapes[1]
        and min(map(len, op.input_shapes)) > 0
        and len(op.outputs[0].shape) >= 2
    ]
    if not found:
        return None
    op = random.choice(found)
    left, right = op.input_shapes[:2]
    key = op.outputs[0].shape
    options = three(
        random,
        key,
        [
            Wrong(f"torch.Size({left})", left, "This is the left operand.", "left-shape-wins"),
            Wrong(f"torch.Size({right})", right, "This is the right operand.",
                  "right-shape-wins"),
            Wrong(f"(2, *torch.broadcast_shapes({left}, {right}))", (2, *key),
                  "The operands are not stacked.", "broadcast-adds"),
            Wrong(f"torch.broadcast_shapes({left}, {right})[::-1]", key[::-1],
                  "Dimensions keep their order.", "broadcast-turns"),
            Wrong(f"torch.broadcast_shapes({left}, {right})[1:]", key[1:],
                  "No dimension is lost.", "broadcast-drops"),
            Wrong(f"({left[0]} + {right[0]}, *torch.broadcast_shapes({left}, {right})[1:])",
                  (left[0] + right[0], *key[1:]), "The operands are not joined.",
                  "broadcast-joins"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="In a forward of this run, `{function}` met operands of shapes {left} and {right}. "
        "Which shape came out?",
        options=(
            result(
                f"torch.broadcast_shapes({left}, {right})",
                "Sizes are matched from the right; where one is 1 or missing, the other counts.",
                correct=True,
                expected=shape_text(key),
            ),
            *options,
        ),
        given={
            "function": op.function,
            "left": shape_text(left),
            "right": shape_text(right),
        },
        steps=(
            "Write {left} and {right} one below the other, flush right.",
            "Where a size is 1 or missing, the other one counts.",
            "The shape is {key}.",
        ),
        answer="{letter}: {key}",
        check="`torch.broadcast_shapes` of the two gives {key}.",
        hint="Compare the last sizes first.",
    )


@question(id="A406", group="quiz", level="medium", needs="run", place="flow")
def transposed(recording: Recording, random: Random) -> Draft | None:
    """Which shape a tensor has after its dimensions changed places."""
    places: list[tuple[Op, tuple[int, ...], str]] = []
    for op in ops(recording):
        if op.function not in ("transpose", "permute", "swapaxes") or len(op.input_shapes) != 1:
            continue
        shape = op.input_shapes[0]
        names = ("dim0", "dim1") if op.function == "transpose" else ("axis0", "axis1")
        if op.function == "permute":
            dims = argument(op, "dims").strip("()")
            call = f"permute({dims})" if dims.replace(",", "").replace(" ", "").replace(
                "-", "").isdigit() else ""  # fmt: skip
        else:
            first, second = (pair(argument(op, name)) for name in names)
            call = f"transpose({first[0]}, {second[0]})" if first and second else ""
        if call and 3 <= len(shape) <= 5 and len(set(shape)) >= 3 and op.outputs[0].shape != shape:
            places.append((op, shape, call))
    if not places:
        return None
    op, shape, call = random.choice(places)
    key = op.outputs[0].shape
    made = f"x = torch.empty({shape}, device='meta')\n"
    options = three(
        random,
        key,
        [
            Wrong(f"{made}x.shape", shape, "Two sizes change places.", "shape-kept"),
            Wrong(f"{made}x.flip(0).shape[::-1]", shape[::-1],
                  "Only the dimensions that were named move.", "transpose-reverses"),
            *(
                Wrong(f"{made}x.transpose({a}, {b}).shape", _swapped(shape, a, b),
                      "Other dimensions change places here.", "dimension-numbers")
                for a in range(len(shape)) for b in range(a)
            ),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="A tensor of shape {shape} was rearranged with `{call}`. Which shape came out?",
        options=(
            result(
                f"{made}x.{call}.shape",
                "Dimensions are counted from 0, and from -1 backwards.",
                correct=True,
                expected=shape_text(key),
            ),
            *options,
        ),
        given={"shape": shape_text(shape), "call": call},
        steps=(
            "Number the sizes of {shape} from 0.",
            "Put them into the places that `{call}` names.",
            "The shape is {key}.",
        ),
        answer="{letter}: {key}",
        check="`x.{call}.shape`",
        hint="Which number has the first dimension?",
    )


def _slid(recording: Recording, random: Random, functions: tuple[str, ...]) -> Draft | None:
    """Ask for the height behind a sliding kernel."""
    found = [each for name in functions for each in sliding(recording, name)]
    if not found:
        return None
    drawn: Sliding = random.choice(found)
    side = random.choice((0, 1))
    size, kernel, stride, padding, dilation, key = (each[side] for each in drawn[1:])
    function = "conv1d" if drawn.op.function == "conv2d" else drawn.op.function.replace("2d", "1d")

    def code(*, k: int = kernel, s: int = stride, p: int = padding, d: int = dilation) -> str:
        rows = f"rows = torch.empty(1, 1, {size})  # one side of a map\n"
        if function == "conv1d":
            return (
                f"{rows}kernel = torch.empty(1, 1, {k})\n"
                f"F.conv1d(rows, kernel, stride={s}, padding={p}, dilation={d}).shape[-1]"
            )
        more = f", dilation={d}" if function == "max_pool1d" else ""
        return f"{rows}F.{function}(rows, {k}, stride={s}, padding={p}{more}).shape[-1]"

    def out(k: int = kernel, s: int = stride, p: int = padding, d: int = dilation) -> int:
        return (size + 2 * p - d * (k - 1) - 1) // s + 1

    spread = dilation * (kernel - 1)
    wrong = [
        Wrong(f"{size} // {stride}", size // stride, "The kernel must fit in, too.",
              "kernel-ignored"),
        Wrong(f"({size} + 2 * {padding} - {spread} - 1) // {stride}", out() - 1,
              "The place where the kernel starts counts, too: one more.", "first-place-forgotten"),
        Wrong(f"({size} + {padding} - {spread} - 1) // {stride} + 1",
              (size + padding - spread - 1) // stride + 1, "Padding is added on both sides.",
              "padding-once"),
        Wrong(f"{size} - {kernel}", size - kernel, "The kernel stands in more places.",
              "kernel-subtracted"),
        Wrong(f"{size} + 2 * {padding}", size + 2 * padding, "This is the padded side.",
              "padding-is-all"),
        Wrong(f"{size} // {kernel}", size // kernel, "Neighbouring places may overlap.",
              "kernels-side-by-side"),
        Wrong(f"({size} + 2 * {padding} - {spread} - 1) // {stride} + 2", out() + 1,
              "The last place must lie inside.", "last-place-outside"),
        Wrong(f"{size} * 1", size, "The stage changed the size.", "shape-kept"),
    ]  # fmt: skip
    if stride > 1 and size + 2 * padding > spread:
        wrong.append(Wrong(code(s=1), out(s=1), "This is with a stride of 1.", "stride-ignored"))
    if padding and size > spread:
        wrong.append(Wrong(code(p=0), out(p=0), "This is without padding.", "padding-ignored"))
    options = three(random, key, [each for each in wrong if int(str(each.value)) > 0])
    if options is None or out() != key:
        return None
    return Draft(
        text="{stage} slides a window over maps. Along their {side} of {size}, the window covers "
        "{kernel} and moves by {stride}; the padding at each end is {padding}{spread}. What is the "
        "{side} of the maps that come out?",
        options=(
            result(
                code(),
                "It is the number of places where the window fits.",
                correct=True,
                expected=str(key),
            ),
            *options,
        ),
        given={
            "stage": stage(drawn.op),
            "side": ("height", "width")[side],
            "size": str(size),
            "kernel": str(kernel),
            "stride": str(stride),
            "padding": str(padding),
            "spread": f", and its numbers stand {dilation} apart" if dilation > 1 else "",
            "padded": str(size + 2 * padding),
            "reach": str(spread + 1),
            "free": str(size + 2 * padding - spread - 1),
        },
        steps=(
            "Padded, the maps measure {padded}; the window reaches over {reach}.",
            "So it can move by {free}, in strides of {stride}, rounded down.",
            "The first place counts as well: {key}.",
        ),
        answer="{letter}: {key}",
        check="The data flow shows the shape behind the stage.",
        hint="In how many places does the window fit?",
    )


def _swapped(shape: tuple[int, ...], a: int, b: int) -> tuple[int, ...]:
    sizes = list(shape)
    sizes[a], sizes[b] = sizes[b], sizes[a]
    return tuple(sizes)


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]
