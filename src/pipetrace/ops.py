"""The ops of a run as a table: walked, indexed by module path, printed, handed to polars."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

from pipetrace.errors import ModulePathError
from pipetrace.parts import Tensor
from pipetrace.records import Gradient, Op
from pipetrace.story.figures import number, percent, plural
from pipetrace.story.figures import shape as sizes

if TYPE_CHECKING:
    from pipetrace.dataframe import DataFrame

_HEAD, _TAIL = 12, 6


class Ops(Sequence[Op]):
    """The ops of one forward or of several, in the order in which they ran.

    `ops[3]` is an op, `ops[2:5]` a table of three, and `ops["encoder.layer.0"]` the table of that
    module's ops and of those of all modules inside it.

    Args:
        ops: Their records.
        gradients: Gradients of their outputs; where one was computed twice the last counts.

    >>> ops = Ops([Op(capture=0, index=0, function="linear", module="body.0"),
    ...            Op(capture=0, index=1, function="relu", module="body.1")])
    >>> len(ops), ops[-1].function, [op.function for op in ops["body"]]
    (2, 'relu', ['linear', 'relu'])
    """

    def __init__(self, ops: Iterable[Op], gradients: Iterable[Gradient] = ()) -> None:
        self._ops = tuple(ops)
        self._gradients = {(one.capture, one.op, one.output): one.gradient for one in gradients}

    def __len__(self) -> int:
        return len(self._ops)

    def __iter__(self) -> Iterator[Op]:
        return iter(self._ops)

    def __contains__(self, key: object) -> bool:
        return any(self._inside(key)) if isinstance(key, str) else key in self._ops

    @overload
    def __getitem__(self, key: int) -> Op: ...

    @overload
    def __getitem__(self, key: slice | str) -> Ops: ...

    def __getitem__(self, key: int | slice | str) -> Op | Ops:
        if isinstance(key, slice):
            return self._of(self._ops[key])
        if not isinstance(key, str):
            return self._ops[key]
        found = self._of(self._inside(key))
        if not found:
            raise ModulePathError(self._missing(key))
        return found

    def where(self, condition: Callable[[Op], object]) -> Ops:
        """Return the table of the ops for which a condition holds.

        >>> ops = Ops([Op(capture=0, index=0, function="relu"),
        ...            Op(capture=0, index=1, function="dropout", random=True)])
        >>> [op.function for op in ops.where(lambda op: op.random)]
        ['dropout']
        """
        return self._of(filter(condition, self._ops))

    def gradient(self, op: Op, output: int = 0) -> Tensor | None:
        """Return what a backward said of an op's output; None where none has reached it."""
        return self._gradients.get((op.capture, op.index, output))

    def text(self, rows: int | None = None, width: int = 100) -> str:
        """Write the table as plain text.

        Args:
            rows: How many ops are shown, two thirds of them from the beginning; None shows all.
            width: How many columns a line may have. Long paths lose their beginning.
        """
        head = tail = len(self)
        if rows is not None and rows < len(self):
            tail = rows // 3
            head = rows - tail
        several = len({op.capture for op in self}) > 1
        titles = ["op", "module", "function", "shape", "mean", "zeros", "line"]
        shown = [*self._ops[:head], *self._ops[max(head, len(self) - tail) :]]
        lines = [_cells(op) for op in shown]
        if several:
            titles = ["capture", *titles]
            lines = [[str(op.capture), *line] for op, line in zip(shown, lines, strict=True)]
        written = _aligned([titles, *lines], width)
        if len(shown) < len(self):
            written.insert(1 + head, f"… {len(self) - len(shown)} more")
        notes = [plural(len(self), "op")]
        if any(op.outputs and op.outputs[0].count and not op.outputs[0].exact for op in shown):
            notes.append("~ from a sample of the elements")
        if any(op.outputs and not op.outputs[0].count for op in shown):
            notes.append("no mean: a large view, or nothing to measure")
        return "\n".join([*written, "; ".join(notes)])

    def __repr__(self) -> str:
        return self.text(_HEAD + _TAIL)

    def to_polars(self) -> DataFrame:
        """Return a DataFrame with a row for each op.

        Statistics (`shape` to `row`) and `gradient_*` are those of the first of `outputs` outputs,
        over `count` elements, which are all of them where `exact`. Shares are in [0, 1], `memory`
        and `saved` in bytes. `training` is the mode of the module; the op's own is in `arguments`.

        Raises:
            PipetraceError: polars is not installed.
        """
        from pipetrace.dataframe import frame

        return frame(self, map(self.gradient, self))

    def _of(self, ops: Iterable[Op]) -> Ops:
        chosen = Ops(ops)
        chosen._gradients = self._gradients
        return chosen

    def _inside(self, path: str) -> Iterator[Op]:
        inner = f"{path}." if path else ""
        return (op for op in self._ops if op.module == path or op.module.startswith(inner))

    def _missing(self, path: str) -> str:
        known = dict.fromkeys(around for op in self for around in _around(op.module))
        near = difflib.get_close_matches(path, known, 3) or [*known][:3]
        hint = f"Near it: {', '.join(map(repr, near))}." if near else "None ran inside a module."
        return f"No op ran inside a module {path!r}. {hint}"


def _around(path: str) -> Iterator[str]:
    """Yield a module's path after those of the modules around it."""
    parts = path.split(".") if path else []
    return (".".join(parts[: end + 1]) for end in range(len(parts)))


def _cells(op: Op) -> list[str]:
    made = op.outputs[0] if op.outputs else None
    module, function = op.module or "(root)", op.function
    line = f"{op.called.file.replace(chr(92), '/').rpartition('/')[2]}:{op.called.line}" if (
        op.called) else ""  # fmt: skip
    if made is None:
        return [str(op.index), module, function, "", "", "", line]
    about = "" if made.exact else "~"
    mean = "" if made.mean is None else about + number(made.mean)
    if made.nans or made.infinities:
        # A mean of what is left would hide them.
        mean = about + (f"{made.nans} NaN" if made.nans else f"{made.infinities} inf")
    zeros = "" if made.zeros is None else about + percent(made.zeros)
    more = f" and {len(op.outputs) - 1} more" if len(op.outputs) > 1 else ""
    return [str(op.index), module, function, sizes(made.shape) + more, mean, zeros, line]


def _aligned(table: Sequence[Sequence[str]], width: int) -> list[str]:
    """Write lines of cells in columns; the widest columns of words give way."""
    titles = table[0]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    words = [place for place, title in enumerate(titles)
             if title in ("module", "function", "shape", "line")]  # fmt: skip
    while sum(widths) + 2 * (len(widths) - 1) > width:
        widest = max(words, key=lambda place: widths[place])
        if widths[widest] <= 4:
            break
        widths[widest] -= 1
    lines = []
    for cells in table:
        cut = [_cut(cell, room, title in ("module", "line"))
               for cell, room, title in zip(cells, widths, titles, strict=True)]  # fmt: skip
        placed = [cell.ljust(room) if place in words else cell.rjust(room)
                  for place, (cell, room) in enumerate(zip(cut, widths, strict=True))]  # fmt: skip
        lines.append("  ".join(placed).rstrip())
    return lines


def _cut(cell: str, room: int, beginning: bool) -> str:
    if len(cell) <= room:
        return cell
    return "…" + cell[len(cell) - room + 1 :] if beginning else cell[: room - 1] + "…"


__all__ = ["Ops"]
