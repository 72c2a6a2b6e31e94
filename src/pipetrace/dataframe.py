"""A DataFrame of ops: one flat row for each, with a type for every column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipetrace.errors import PipetraceError
from pipetrace.parts import Link, Tensor
from pipetrace.records import Op

try:
    import polars
    from polars import DataFrame
except ImportError as error:
    raise PipetraceError('A DataFrame of ops needs polars. Install it with: '
                         'pip install "pipetrace[tabular]"') from error  # fmt: skip

_WHOLE, _REAL, _TEXT, _YES = polars.Int64, polars.Float64, polars.String, polars.Boolean
_SHAPE = polars.List(_WHOLE)
_COLUMNS: dict[str, Any] = {
    "capture": _WHOLE, "index": _WHOLE, "module": _TEXT, "module_type": _TEXT,
    "call": _WHOLE, "training": _YES, "function": _TEXT, "arguments": _TEXT,
    "inputs": _TEXT, "input_shapes": polars.List(_SHAPE), "outputs": _WHOLE,
    "shape": _SHAPE, "dtype": _TEXT, "device": _TEXT, "count": _WHOLE,
    "exact": _YES, "mean": _REAL, "std": _REAL, "minimum": _REAL,
    "maximum": _REAL, "zeros": _REAL, "nans": _WHOLE, "infinities": _WHOLE,
    "row": polars.List(_REAL), "p": _REAL, "kept": _WHOLE, "total": _WHOLE, "unit": _TEXT,
    "scale": _REAL, "mask_missing": _TEXT, "view": _YES, "random": _YES,
    "opaque": _TEXT, "flops": _WHOLE, "memory": _WHOLE, "saved": _WHOLE,
    "gradient_mean": _REAL, "gradient_std": _REAL, "gradient_minimum": _REAL,
    "gradient_maximum": _REAL, "file": _TEXT, "line": _WHOLE, "source": _TEXT,
}  # fmt: skip
_NOTHING = dict.fromkeys(_COLUMNS)


def frame(ops: Iterable[Op], gradients: Iterable[Tensor | None]) -> DataFrame:
    """Return a DataFrame with a row for each op.

    Args:
        ops: Their records.
        gradients: What is known of the gradient of each one's first output.
    """
    rows = [_row(op, gradient) for op, gradient in zip(ops, gradients, strict=True)]
    return DataFrame({name: [row[name] for row in rows] for name in _COLUMNS},
                            schema=_COLUMNS)  # fmt: skip


def _row(op: Op, gradient: Tensor | None) -> dict[str, Any]:
    row: dict[str, Any] = _NOTHING | {
        "capture": op.capture, "index": op.index, "module": op.module,
        "module_type": op.module_type, "call": op.call, "training": op.training,
        "function": op.function,
        "arguments": ", ".join(f"{item.name}={item.value}" for item in op.arguments),
        "inputs": ", ".join(map(_link, op.inputs)),
        "input_shapes": [list(shape) for shape in op.input_shapes], "outputs": len(op.outputs),
        "mask_missing": op.mask_missing or None, "view": op.view, "random": op.random,
        "opaque": op.opaque or None, "flops": op.flops, "memory": op.memory, "saved": op.saved,
    }  # fmt: skip
    if op.outputs:
        made = op.outputs[0]
        row |= {
            "shape": list(made.shape), "dtype": made.dtype, "device": made.device,
            "count": made.count, "exact": made.exact, "mean": made.mean, "std": made.std,
            "minimum": made.minimum, "maximum": made.maximum, "zeros": made.zeros,
            "nans": made.nans, "infinities": made.infinities, "row": list(made.row),
        }  # fmt: skip
    if op.mask is not None:
        mask = op.mask
        row |= {"p": mask.p, "kept": mask.kept, "total": mask.total, "unit": mask.unit,
                "scale": mask.scale}  # fmt: skip
    if gradient is not None:
        row |= {"gradient_mean": gradient.mean, "gradient_std": gradient.std,
                "gradient_minimum": gradient.minimum,
                "gradient_maximum": gradient.maximum}  # fmt: skip
    if op.called is not None:
        place = op.called
        row |= {"file": place.file, "line": place.line, "source": place.text or None}
    return row


def _link(link: Link) -> str:
    """Say where an input came from.

    >>> _link(Link(source="op", name="relu", index=3)), _link(Link(source="parameter", name="w"))
    ('op 3', 'parameter w')
    """
    return f"op {link.index}" if link.source == "op" else f"{link.source} {link.name}".rstrip()


__all__ = ["DataFrame", "frame"]
