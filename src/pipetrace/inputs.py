"""An input that was asked for in words, SHAPE:DTYPE:BOUND, is drawn at random from a seed."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

import numpy
import torch

from pipetrace.errors import PipetraceError

_SHAPE = re.compile(r"\d+(,\d+)*")
_NAMED = re.compile(r"(?P<name>[^\W\d]\w*)=(?P<rest>.*)", re.DOTALL)


class Wanted(NamedTuple):
    """What was asked for."""

    option: str
    text: str
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    bound: int | None = None
    """Whole numbers are drawn from 0 up to below this."""


def read(text: str) -> Wanted:
    """Read SHAPE[:DTYPE[:BOUND]].

    >>> read("8,3,224,224").shape, read("2,128:int64:30000")[2:]
    ((8, 3, 224, 224), ((2, 128), torch.int64, 30000))

    Raises:
        PipetraceError: it is something else; the message says what to write.
    """
    return _read(option="--input", text=text, words=text)


def read_named(text: str) -> tuple[str, Wanted]:
    """Read NAME=SHAPE[:DTYPE[:BOUND]].

    >>> name, wanted = read_named("mask=2,128:bool")
    >>> name, wanted.shape
    ('mask', (2, 128))

    Raises:
        PipetraceError: it is something else; the message says what to write.
    """
    found = _NAMED.fullmatch(text)
    if found is None:
        raise PipetraceError(f"--keyword {text}: write the input's name first: "
                             "--keyword mask=2,128:bool")  # fmt: skip
    return found["name"], _read(option="--keyword", text=text, words=found["rest"])


def draw(wanted: Wanted, generator: torch.Generator) -> torch.Tensor:
    """Draw an input: normal numbers, whole ones below the bound, or True and False alike.

    Raises:
        PipetraceError: torch cannot make such a tensor.
    """
    dtype, shape = wanted.dtype, wanted.shape
    try:
        if wanted.bound is not None:
            return torch.randint(wanted.bound, shape, generator=generator, dtype=dtype)
        if dtype is torch.bool:
            return torch.randint(2, shape, generator=generator, dtype=torch.uint8).bool()
        wide = torch.complex64 if dtype.is_complex else torch.float32
        made = dtype if dtype in (torch.float64, torch.complex128) else wide
        return torch.randn(shape, generator=generator, dtype=made).to(dtype)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PipetraceError(f"{wanted.option} {wanted.text}: torch cannot draw this tensor "
                             f"({reason}).") from None  # fmt: skip


def seeded(value: int) -> None:
    """Seed every stream that a model may draw from: torch's, numpy's and Python's."""
    torch.manual_seed(value)
    numpy.random.seed(value)
    random.seed(value)


def _read(*, option: str, text: str, words: str) -> Wanted:
    typed, name = f"{option} {text}", text.removesuffix(words)
    shape, *rest = words.split(":")
    if not _SHAPE.fullmatch(shape) or len(rest) > 2:
        raise PipetraceError(
            f"{typed}: {words!r} is no shape. Write sizes with commas between them, then a dtype "
            f"if it is not float32: {option} {name}8,3,224,224 or {option} {name}2,128:int64:30000"
        )
    sizes = tuple(map(int, shape.split(",")))
    if not rest:
        return Wanted(option, text, sizes)
    dtype = getattr(torch, rest[0], None)
    if not isinstance(dtype, torch.dtype):
        raise PipetraceError(f"{typed}: torch has no dtype {rest[0]!r}. Write one that it has, for "
                             "example float32, bfloat16, int64 or bool.")  # fmt: skip
    best = f"{option} {name}{shape}:{rest[0]}"
    if dtype.is_floating_point or dtype.is_complex or dtype is torch.bool:
        if len(rest) == 2:
            raise PipetraceError(f"{typed}: only whole numbers have a bound. Write {best}")
        return Wanted(option, text, sizes, dtype)
    if len(rest) == 1:
        raise PipetraceError(f"{typed}: whole numbers need a bound that all are below. Write "
                             f"{best}:100 for numbers from 0 to 99.")  # fmt: skip
    if not re.fullmatch(r"\d{1,19}", rest[1]) or int(rest[1]) == 0:
        raise PipetraceError(f"{typed}: the bound {rest[1]!r} is no whole number from 1. Write "
                             f"{best}:100 for numbers from 0 to 99.")  # fmt: skip
    return Wanted(option, text, sizes, dtype, int(rest[1]))


__all__ = ["Wanted", "draw", "read", "read_named", "seeded"]
