"""A captured forward is gathered here with all that its stages quote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from msgspec.structs import replace

from pipetrace.blocks import Picture, Spot, Tokens
from pipetrace.records import (
    Capture,
    Dataset,
    Gradient,
    InputImage,
    InputTokens,
    Link,
    Model,
    ModulePart,
    NotFinite,
    Op,
    Place,
    Prediction,
    Preparation,
    Provenance,
    Tensor,
)
from pipetrace.story.given import picture, tokens
from pipetrace.story.sentences import plain_name
from pipetrace.story.words import is_view
from pipetrace.tracefile import Recording


@dataclass
class Forward:
    """A captured forward with all that its stages quote."""

    capture: Capture
    ops: list[Op]
    model: Model | None = None
    folder: str = ""
    values: bool = True
    data: Dataset | None = None
    parts: dict[str, ModulePart] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    """Parameters of each module with all that it contains."""
    around: set[str] = field(default_factory=set)
    """Paths of modules that contain others with operations."""
    direct: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How many operations each call of a module has of its own, views not counted."""
    calls: dict[str, int] = field(default_factory=dict)
    """How many times each module with operations was called."""
    gradients: dict[int, dict[int, Tensor]] = field(default_factory=dict)
    """The gradients of each operation's outputs that a backward computed last."""
    fed: set[int] = field(default_factory=set)
    """Operations whose values depend on an input of the forward."""
    pictures: tuple[Picture, ...] = ()
    tokens: tuple[Tokens, ...] = ()
    """Inputs that are images, and those that are token ids."""
    broken: NotFinite | None = None
    """The first operation that made a NaN or an infinity."""


@dataclass(frozen=True)
class Step:
    """An operation with the views that follow it, and what was done to buffers before it."""

    op: Op
    views: tuple[Op, ...] = ()
    before: tuple[Op, ...] = ()
    """Counting in a buffer, and views of what is no input and was not computed."""


def forwards(recording: Recording, *, samples: bool = False) -> list[Forward]:
    """Return every captured forward of a run with its operations, in the order of the run.

    Args:
        recording: the run.
        samples: whether those of other samples than the chosen one are among them.
    """
    others = {item.capture for item in recording.all(Prediction) if item.role != "chosen"}
    left_out = set() if samples else others
    origin = recording.first(Provenance)
    models = {model.id: model for model in recording.all(Model)}
    roles = {data.role: data for data in recording.all(Dataset)}
    ops: dict[int, list[Op]] = {}
    for op in recording.all(Op):
        ops.setdefault(op.capture, []).append(op)
    gradients: dict[int, dict[int, dict[int, Tensor]]] = {}
    for item in recording.all(Gradient):
        of = gradients.setdefault(item.capture, {}).setdefault(item.op, {})
        of[item.output] = item.gradient
    broken = {item.capture: item for item in recording.all(NotFinite)}
    found = []
    for capture in recording.all(Capture):
        if capture.id in left_out or capture.apart:
            continue
        forward = Forward(
            capture=capture,
            ops=ops.get(capture.id, []),
            model=models.get(capture.model),
            folder=home(recording),
            values=origin.values if origin else True,
            data=_sized(recording, roles.get(_role(capture))),
            gradients=gradients.get(capture.id, {}),
            fed=_fed(ops.get(capture.id, [])),
            broken=broken.get(capture.id),
            pictures=tuple(
                picture(item, capture.sample)
                for item in recording.all(InputImage) if item.capture == capture.id
            ),
            tokens=tuple(
                tokens(item, capture.sample)
                for item in recording.all(InputTokens) if item.capture == capture.id
            ),
        )  # fmt: skip
        for part in forward.model.modules if forward.model else ():
            forward.parts[part.path] = part
            for path in ancestors(part.path):
                forward.weights[path] = forward.weights.get(path, 0) + part.parameters
        for path in {op.module for op in forward.ops}:
            forward.around.update(above for above in ancestors(path) if above != path)
        forward.direct.update(
            (op.module, op.call) for op in forward.ops if not is_view(op) and not _counts(op)
        )
        for op in forward.ops:
            forward.calls[op.module] = max(forward.calls.get(op.module, 0), op.call + 1)
        found.append(forward)
    return found


def _role(capture: Capture) -> str:
    return "training" if capture.purpose == "training" else "evaluation"


def _sized(recording: Recording, data: Dataset | None) -> Dataset | None:
    """Complete a data set that came out of the preparation of a table."""
    last = recording.last(Preparation)
    if data is None or last is None or data.features or data.rows != last.after[0]:
        return data
    return replace(data, features=last.after[1:], names=data.names or last.names)


def home(recording: Recording) -> str:
    """Return the folder that files are named from: the user's, or that of the example."""
    origin = recording.first(Provenance)
    if origin is None:
        return ""
    return str(PurePath(origin.path).parent) if origin.origin == "example" else origin.folder


def spots(forward: Forward, op: Op) -> tuple[Spot, ...]:
    """Return the line that made the operation's module, then the line that called it."""
    part = forward.parts.get(op.module)
    made = part.made if part and op.module not in forward.around else None
    roles: dict[Place, str] = {}
    for place, role in ((made, "made"), (op.called, "called")):
        if place:
            roles[place] = f"{roles[place]} and {role}" if place in roles else role
    return tuple(spot(forward.folder, place, role) for place, role in roles.items())


def spot(folder: str, place: Place, role: str = "") -> Spot:
    """Return a place of the user's code, its file named from the user's folder."""
    return Spot(file=short(folder, place.file), line=place.line, text=place.text, role=role)


def short(folder: str, file: str) -> str:
    """Name a file from the folder where the program was started, an installed one from its package.

    >>> short("/home/ada", "/home/ada/nets/train.py"), short("/home/ada", "/opt/net.py")
    ('nets/train.py', '/opt/net.py')
    >>> short("/home/ada", "/opt/lib/pipetrace/pipeline/train.py")
    'pipetrace/pipeline/train.py'
    >>> short("/home/ada", "/home/ada/env/lib/python3.12/site-packages/nets/bert/model.py")
    'nets/bert/model.py'
    """
    installed = re.search(r".*[/\\](?:site|dist)-packages[/\\](.+)$", file)
    if installed:
        return installed[1]
    ours = re.search(r"[/\\](pipetrace[/\\](?:pipeline|examples)[/\\][^/\\]+)$", file)
    inside = folder.rstrip("/\\")
    if inside and file.startswith(inside) and file[len(inside) : len(inside) + 1] in ("/", "\\"):
        return file[len(inside) + 1 :]
    return ours[1] if ours else file


def name(forward: Forward, op: Op) -> str:
    """Name a stage as its user wrote it: the module's type, or the function called."""
    if op.module and op.module not in forward.around and op.module_type:
        plain, kind = plain_name(op.function).replace("_", ""), op.module_type.lower()
        alone = forward.direct[op.module, op.call] == 1
        if alone or plain in kind or kind in plain:
            return op.module_type
    return op.function


def source(forward: Forward, op: Op) -> Tensor | None:
    """Return the tensor that entered an operation first, from the record of where it came from."""
    if not op.inputs:
        return None
    link = op.inputs[0]
    if link.source == "input":
        return next((tensor for name, tensor in forward.capture.inputs if name == link.name), None)
    if link.source == "op" and link.index is not None and link.index < len(forward.ops):
        made = forward.ops[link.index].outputs
        return made[0] if made else None
    return None


def fold(ops: Sequence[Op]) -> tuple[tuple[Op, ...], list[Step]]:
    """Put each view behind the operation that it follows; the first ones belong to the input.

    What only counts in a buffer (the batches that a BatchNorm saw) goes with the next operation,
    and so does a view of a buffer, a parameter or a constant: it has no values of the input.
    """
    leading: list[Op] = []
    waiting: list[Op] = []
    groups: list[tuple[Op, list[Op], tuple[Op, ...]]] = []
    for op in ops:
        if _counts(op) or (is_view(op) and root(ops, op).source not in ("op", "input")):
            waiting.append(op)
        elif is_view(op):
            (groups[-1][1] if groups else leading).append(op)
        else:
            groups.append((op, [], tuple(waiting)))
            waiting.clear()
    if groups:
        groups[-1][1].extend(op for op in waiting if is_view(op))
    return tuple(leading), [Step(op, tuple(views), before) for op, views, before in groups]


def root(ops: Sequence[Op], op: Op) -> Link:
    """Return what an operation looks at first, past all views in between.

    Args:
        ops: All operations of the forward.
        op: One of them.

    Returns:
        A link to an operation that is no view, or to an input, a parameter, a buffer...; one
        without a source where nothing is known.
    """
    while op.inputs:
        link = op.inputs[0]
        if link.source != "op" or link.index is None or not link.index < min(op.index, len(ops)):
            return link
        op = ops[link.index]
        if not is_view(op):
            return link
    return Link(source="")


def entry(forward: Forward, first: Op, last: Op) -> tuple[int, ...] | None:
    """Return the shape that a run of operations was given: by the input or what came of it.

    What is made of buffers, parameters and constants alone does not count; where nothing else is
    there, it is the first shape that the first operation took.
    """
    for op in forward.ops[first.index : last.index + 1]:
        for link, sizes in zip(op.inputs, op.input_shapes, strict=False):
            if link.source == "input" or (link.source == "op" and link.index in forward.fed):
                return sizes
    return first.input_shapes[0] if first.input_shapes else None


def _fed(ops: Sequence[Op]) -> set[int]:
    """Return the operations whose values depend on an input of the forward."""
    fed: set[int] = set()
    for op in ops:
        if any(link.source == "input" or link.index in fed for link in op.inputs):
            fed.add(op.index)
    return fed


def _counts(op: Op) -> bool:
    one = op.input_shapes == ((),) and op.function.endswith("_")
    return one and bool(op.inputs) and op.inputs[0].source == "buffer"


def ancestors(path: str) -> Iterator[str]:
    """Yield the path and all paths around it, up to the root."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""
