"""Observations on layers: gradients, the size of steps, units that give nothing."""

from __future__ import annotations

import math

from pipetrace.records import Layer, Layers
from pipetrace.story.epochs import Row, Trace
from pipetrace.story.figures import listing, number, percent, plural
from pipetrace.story.observations.rules import Found, named, overall

THUMB = 1e-3
"""About what an update should be of the weights, by a rule of thumb: Stanford CS231n, Neural
Networks Part 3, Ratio of weights:updates, https://cs231n.github.io/neural-networks-3/#ratio."""
FAR = 100
"""So many times the rule of thumb, or the part of it, and an update is called large or small."""
APART = 1000
"""Gradient norms that differ by such a factor are called vanishing or exploding."""
DEAD = 0.1
"""Share of dead units from which they are told."""


def looked(trace: Trace) -> list[tuple[Row, Layers]]:
    """Return the epochs of which a step was measured layer by layer."""
    return [(row, row.layers) for row in trace.epochs if row.layers and row.layers.layers]


def label(layer: Layer) -> str:
    """Name a layer in a sentence."""
    return f"`{layer.path}` ({layer.type})" if layer.path else f"the root ({layer.type})"


def _at(row: Row, found: Layers) -> str:
    return f"at step {found.step} of epoch {row.index}"


@overall("OBS207", "warning")
def exploding(trace: Trace) -> Found | None:
    """A layer's gradient norm is not finite, or grew a hundredfold over the epochs."""
    found = looked(trace)
    if not found:
        return None
    (first, start), (last, end) = found[0], found[-1]
    broken = [x for x in end.layers if x.gradient is not None and not math.isfinite(x.gradient)]
    if broken:
        names = f"{plural(len(broken), 'layer')}, the first of them {label(broken[0])}"
        value = number(broken[0].gradient or 0.0)
        return Found(named(last), f"The gradient norm of {names}, is {value} {_at(last, end)}.")
    early = {layer.path: layer.gradient for layer in start.layers if layer.gradient}
    grown = [
        (layer.gradient / early[layer.path], layer)
        for layer in end.layers
        if layer.gradient is not None and layer.path in early
    ]
    times, worst = max(grown, key=lambda item: item[0], default=(0.0, None))
    if worst is None or times < FAR or first is last:
        return None
    count = sum(ratio >= FAR for ratio, _ in grown)
    return Found(
        named(first, [last]),
        f"The gradient norm of {label(worst)} went from {number(early[worst.path])} to "
        f"{number(worst.gradient or 0.0)} ({number(times)} times); {count} of {len(grown)} layers "
        f"grew at least {FAR}-fold.",
    )


@overall("OBS208", "warning")
def vanishing(trace: Trace) -> Found | None:
    """The first layer's gradient norm is under a thousandth of the last layer's."""
    found = looked(trace)
    if not found:
        return None
    row, last = found[-1]
    known = [x for x in last.layers if x.gradient is not None and math.isfinite(x.gradient)]
    if len(known) < 3:
        return None
    near, far = known[0].gradient or 0.0, known[-1].gradient or 0.0
    if not far or near * APART >= far:
        return None
    share = f", {number(near / far)} of it" if near else ""
    return Found(
        named(row),
        f"Gradient norm {number(near)} in the first layer, {label(known[0])}, and {number(far)} "
        f"in the last, {label(known[-1])}{share}, {_at(row, last)}.",
    )


@overall("OBS216", "warning")
def unmoved(trace: Trace) -> Found | None:
    """A step that was measured left layers of the optimizer exactly as they were."""
    found = looked(trace)
    if not found:
        return None
    row, last = found[-1]
    known = [layer for layer in last.layers if layer.update is not None]
    still = [layer for layer in known if layer.update == 0]
    if not still:
        return None
    which = "All" if len(still) == len(known) else f"{len(still)} of"
    names = listing(label(layer) for layer in still[:3])
    more = f" and {len(still) - 3} more" if len(still) > 3 else ""
    return Found(
        named(row),
        f"{which} {plural(len(known), 'layer')} that the optimizer has did not change "
        f"{_at(row, last)}: {names}{more}.",
    )


def _updates(trace: Trace) -> tuple[Row, Layers, list[Layer]] | None:
    found = looked(trace)
    if not found:
        return None
    row, last = found[-1]
    known = [x for x in last.layers if x.update and math.isfinite(x.update)]
    return (row, last, known) if known else None


@overall("OBS209", "warning")
def large_steps(trace: Trace) -> Found | None:
    """A measured step changed a layer by over a hundred times the rule of thumb."""
    found = _updates(trace)
    if found is None:
        return None
    row, last, known = found
    large = [layer for layer in known if (layer.update or 0.0) > FAR * THUMB]
    if not large:
        return None
    worst = max(large, key=lambda layer: layer.update or 0.0)
    return Found(
        named(row),
        f"{_some(last)} {_at(row, last)} changed {label(worst)} by {percent(worst.update or 0.0)} "
        f"of its norm, and {len(large)} of {plural(len(known), 'layer')} by over "
        f"{percent(FAR * THUMB)}; the usual rule of thumb is about {percent(THUMB)}.",
    )


@overall("OBS210", "warning")
def small_steps(trace: Trace) -> Found | None:
    """A measured step changed every layer by under a hundredth of the rule of thumb."""
    found = _updates(trace)
    if found is None:
        return None
    row, last, known = found
    most = max(layer.update or 0.0 for layer in known)
    if most >= THUMB / FAR:
        return None
    return Found(
        named(row),
        f"{_some(last)} {_at(row, last)} changed no layer by more than {number(most)} of its norm; "
        f"the usual rule of thumb is about {THUMB:g}.",
    )


def _some(found: Layers) -> str:
    return "The update" if found.exact else "The update (sampled)"


@overall("OBS211", "warning")
def dead_units(trace: Trace) -> Found | None:
    """At least a tenth of an activation's units gave 0 for all fixed rows."""
    rows = [(row, row.layers) for row in trace.epochs if row.layers and row.layers.activations]
    if not rows:
        return None
    row, last = rows[-1]
    worst = max(last.activations, key=lambda units: units.dead / units.units)
    if worst.dead < DEAD * worst.units:
        return None
    dead, units = sum(u.dead for u in last.activations), sum(u.units for u in last.activations)
    place = f"`{worst.path}`" if worst.path else "the root"
    several = len(last.activations) > 1
    total = f"; over all {len(last.activations)} activations {dead} of {units}" if several else ""
    return Found(
        named(row),
        f"{worst.dead} of {plural(worst.units, 'unit')} of `{worst.function}` in {place} gave 0 "
        f"for all {plural(worst.rows, 'fixed training row')} in eval mode{total}.",
    )
