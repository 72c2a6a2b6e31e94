"""The model layer by layer at its last measured step: gradients, updates and dead units."""

from __future__ import annotations

from collections.abc import Sequence

from pipetrace.blocks import AnyBlock, Head, Table
from pipetrace.records import Layer, Layers, Units
from pipetrace.story.epochs import Trace
from pipetrace.story.figures import number, percent, plural, whole

MOST = 12
"""Of more layers an even choice is shown, the first and the last among them."""


def layers(trace: Trace) -> list[AnyBlock]:
    """Return the table of layers of the last epoch that was looked at, or nothing."""
    rows = [row for row in trace.epochs if row.layers]
    if not rows or rows[-1].layers is None:
        return []
    found = rows[-1].layers
    chosen = cells = _rows(found, trace)
    if len(cells) > MOST:
        places = {round(index * (len(cells) - 1) / (MOST - 1)) for index in range(MOST)}
        chosen = [row for at, row in enumerate(cells) if at in places]
    step = f"step {found.step} of epoch {found.epoch}" if found.step else f"epoch {found.epoch}"
    some = f"; {len(chosen)} of {whole(len(cells))} are shown" if len(chosen) < len(cells) else ""
    taken = "" if found.exact else "; updates from evenly spread blocks of the parameters"
    heads = [Head(label="layer"), Head(label="parameters", number=True)]
    if found.layers:
        heads += [
            Head(label="gradient norm", number=True,
                 note="L2 norm over the layer's parameters, as the optimizer got it"),
            Head(label="weight norm", number=True, note="of the parameters, before the step"),
            Head(label="update / weights", number=True,
                 note="norm of the step's change over the weight norm; the usual rule of thumb is "
                 f"about 0.001{taken}"),
        ]  # fmt: skip
    if found.activations:
        rows_seen = plural(found.activations[0].rows, "fixed training row")
        note = f"units that gave 0 for all {rows_seen}, in eval mode at the end of the epoch"
        heads.append(Head(label="dead units", number=True, note=note))
    table = Table(
        heads=tuple(heads), rows=tuple(chosen), caption=f"Layers at {step}{some}"
    )  # fmt: skip
    return [table]


def _rows(found: Layers, trace: Trace) -> list[tuple[str, ...]]:
    """Write layers and activations in the order in which a forward calls them, each in a line."""
    blank = ("–",) * (4 if found.layers else 1)
    dead = ("–",) if found.activations else ()
    listed = [part.path for part in trace.model.modules] if trace.model else []
    called = [path for path, _ in trace.calls]
    # Some layers are called under the name of a module around them, or not in that forward.
    order = called if {layer.path for layer in found.layers} <= {*called} else listed
    rows = [
        (_place(order, layer.path), (_name(layer.path, layer.type), *_numbers(layer), *dead))
        for layer in found.layers
    ]
    places: dict[tuple[str, str], list[int]] = {}
    for at, call in enumerate(trace.calls if order is called else ()):
        places.setdefault(call, []).append(at)
    for units in found.activations:
        own = places.get((units.path, units.function))
        at = own.pop(0) if own else _place(order, units.path)
        rows.append((at, (_name(units.path, units.function), *blank, _dead(units))))
    return [cells for _, cells in sorted(rows, key=lambda row: row[0])]


def _place(order: Sequence[str], path: str) -> int:
    return order.index(path) if path in order else len(order)


def _numbers(layer: Layer) -> tuple[str, ...]:
    values = (layer.gradient, layer.weight, layer.update)
    written = ["–" if value is None else number(value) for value in values]
    return (whole(layer.parameters), *written)


def _name(path: str, kind: str) -> str:
    return f"{path} {kind}" if path else kind


def _dead(units: Units) -> str:
    share = f" ({percent(units.dead / units.units)})" if units.dead else ""
    return f"{units.dead} of {whole(units.units)}{share}"
