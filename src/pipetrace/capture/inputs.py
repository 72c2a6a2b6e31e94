"""Inputs of a captured forward that a person can look at or read: images, and ids of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

from pipetrace.parts import Link
from pipetrace.probed import InputImage
from pipetrace.records import Capture, Fact, Op
from pipetrace.summarise import pick

LONGEST = 64
"""Images are made smaller until no side has more pixels."""
IDS = 64
"""So many ids of a row are kept."""
_SMALLEST = 8
_KINDS = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8)
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.uint8)
_PASSING = {
    "to", "long", "int", "type", "type_as", "clone", "contiguous", "reshape", "view", "flatten",
    "squeeze", "unsqueeze", "getitem", "narrow", "select", "transpose", "permute", "t", "T",
    "expand", "detach",
}  # fmt: skip
"""Functions whose output is ids where their input is."""

Named = Sequence[tuple[str, torch.Tensor]]
"""Tensors of a forward's arguments with the names that its capture gives them."""


class Ids(NamedTuple):
    """An input that an embedding looks up."""

    capture: int
    input: str
    ids: tuple[int, ...]
    total: int
    entries: int
    """How many rows the embedding has."""


def capture(facts: Sequence[Fact]) -> Capture | None:
    """Return the capture among the facts that a replay stated."""
    return next((fact for fact in facts if isinstance(fact, Capture)), None)


def images(named: Named, capture: Capture) -> list[InputImage]:
    """Return the inputs that are images: N x C x H x W with 1 or 3 channels, 8 pixels or more.

    The sample's row is made smaller by area averaging, then spread over 0 to 255.

    Args:
        named: The inputs, as they came.
        capture: The forward; its sample says which row.

    >>> x = torch.arange(64.0).reshape(1, 1, 8, 8)
    >>> forward = Capture(id=0, model=0, purpose="trace", training=False, rows=1)
    >>> (image,) = images([("input", x)], forward)
    >>> image.width, image.pixels[0], image.pixels[-1], image.low, image.high
    (8, 0, 255, 0.0, 63.0)
    """
    found = []
    with torch._C.DisableTorchFunction(), torch.no_grad():
        for name, tensor in named:
            if _is_image(tensor) and tensor.shape[0] == capture.rows:
                image = _image(name, pick(tensor, capture.sample), capture.id)
                found += [] if image is None else [image]
    return found


def _is_image(tensor: torch.Tensor) -> bool:
    plain = tensor.layout is torch.strided and not (tensor.is_nested or tensor.is_meta)
    if not plain or tensor.dim() != 4 or tensor.dtype not in _KINDS or not tensor.numel():
        return False
    return tensor.shape[1] in (1, 3) and min(tensor.shape[2:]) >= _SMALLEST


def _image(name: str, row: torch.Tensor, capture: int) -> InputImage | None:
    channels, height, width = row.shape
    pixels = row.detach().float()
    if max(height, width) > LONGEST:
        scale = LONGEST / max(height, width)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        pixels = functional.interpolate(pixels[None], size=size, mode="area")[0]
    numbers = pixels[pixels.isfinite()]
    if not numbers.numel():
        return None
    low, high = float(numbers.min()), float(numbers.max())
    spread = (pixels - low) * (255 / (high - low)) if high > low else torch.zeros_like(pixels)
    bounded = spread.nan_to_num(0, 255, 0).clamp(0, 255).round().to(torch.uint8)
    return InputImage(
        capture=capture, input=name, height=pixels.shape[1], width=pixels.shape[2],
        channels=channels, pixels=bytes(bounded.permute(1, 2, 0).reshape(-1).tolist()),
        low=low, high=high, shape=(height, width),
    )  # fmt: skip


def ids(named: Named, capture: Capture, facts: Sequence[Fact]) -> list[Ids]:
    """Return the inputs that are token ids: whole numbers that an embedding looks up.

    Args:
        named: The inputs, as they came.
        capture: The forward; its sample says which row.
        facts: What its replay stated: its ops tell what became of the inputs.
    """
    ops = [fact for fact in facts if isinstance(fact, Op) and fact.capture == capture.id]
    looked: dict[str, int] = {}
    for op in ops:
        if op.function == "embedding" and len(op.input_shapes) > 1:
            name = _origin(ops, op.inputs[0])
            if name is not None:
                looked.setdefault(name, op.input_shapes[1][0])
    found = []
    for name, tensor in named:
        if name in looked and tensor.dtype in _WHOLE and tensor.layout is torch.strided:
            with torch._C.DisableTorchFunction():
                cut = capture.sample if tensor.shape[:1] == (capture.rows,) else None
                row = pick(tensor.detach(), cut).reshape(-1)
                numbers = tuple(map(int, row[:IDS].tolist()))
            found.append(Ids(capture.id, name, numbers, row.numel(), looked[name]))
    return found


def _origin(ops: Sequence[Op], link: Link) -> str | None:
    """Return the input that ids come from, past what only looks at them."""
    while link.source == "op" and link.index is not None and link.index < len(ops):
        op = ops[link.index]
        if op.function not in _PASSING or not op.inputs:
            return None
        link = op.inputs[0]
    return link.name if link.source == "input" else None
