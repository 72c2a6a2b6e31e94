"""The dropout lab: one layer drops at several rates for one sample, all else is in eval mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipetrace.blocks import AnyBlock, Effect, Fact, Facts, Head, Tab, Table, Tabs
from pipetrace.blocks import Draws as Shown
from pipetrace.probed import Draws, Outputs
from pipetrace.records import Column, Dataset, Op, Prediction
from pipetrace.story.figures import listing, number, percent, plural, setting, whole
from pipetrace.story.forwards import Forward, forwards
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

_DIGITS = 6
"""Significant digits of the values on a page."""
_EFFECT = 5
"""Those of what came of them."""


@section(id="lab", title="Dropout lab", order=32)
def lab(recording: Recording) -> Content | None:
    """Tell what each dropout layer does to one sample at each rate, from masks that it drew."""
    found = recording.all(Draws)
    if not found:
        return None
    known = {forward.capture.id: forward for forward in forwards(recording)}
    tabs = []
    for item in found:
        forward = known.get(item.capture)
        label = _layer(forward, item)
        blocks = tuple(_layer_told(recording, forward, item))
        tabs.append(Tab(id=f"op-{item.op}", label=label, blocks=blocks))
    several = len(tabs) > 1
    blocks = (Tabs(title="Dropout layers", tabs=tuple(tabs)),) if several else tabs[0].blocks
    return Content(blocks=blocks, intro=_intro(recording, found, known))


def shown(recording: Recording, forward: Forward | None, item: Draws) -> Shown:
    """Return the recorded draws of one layer as a block.

    Args:
        recording: The run: it names features and classes.
        forward: The forward that the layer is a part of.
        item: What was recorded.
    """
    data = next((data for data in recording.all(Dataset) if data.names), None)
    op = _op(forward, item)
    direct = op is not None and bool(op.inputs) and op.inputs[0].source == "input"
    names = data.names if data and direct and len(data.names) == item.count else ()
    if item.each > 1:
        # Several channels in a row, as of several frames, have no number of their own.
        known = op is not None and any(item.count in made.shape for made in op.outputs)
        names = tuple(f"channel {at}" for at in range(item.count)) if known else ()
    size = -(-len(item.values) // 4)
    return Shown(
        title=_layer(forward, item), values=_rounded(item.values), rates=item.rates,
        scales=_rounded(item.scales),
        masks=tuple(tuple(mask.hex()[:size] for mask in of_rate) for of_rate in item.masks),
        chosen=_own(item), names=names[: len(item.values)],
        effects=tuple(_effect(recording, forward, told) for told in item.outputs),
        again=f"{item.capture}/{item.op}", note=_note(item),
    )  # fmt: skip


def kept(item: Draws, place: int) -> list[list[bool]]:
    """Return the kept flags of each draw at one of the rates.

    >>> item = Draws(capture=0, op=0, p=0.5, values=(1.0, 2.0, 3.0), count=3, rates=(0.5,),
    ...              scales=(2.0,), masks=((bytes([0b10100000]),),))
    >>> kept(item, 0)
    [[True, False, True]]
    """
    return [
        [bool(mask[at // 8] >> (7 - at % 8) & 1) for at in range(len(item.values))]
        for mask in item.masks[place]
    ]


def _intro(recording: Recording, found: Sequence[Draws], known: dict[int, Forward]) -> str:
    first = found[0]
    layers = [f"`{_layer(known.get(item.capture), item)}`" for item in found]
    told = next((p for p in recording.all(Prediction) if p.capture == first.capture), None)
    rows = {True: ", held out from training,", False: ", one of the training rows,", None: ""}
    heldout = None if told is None else told.heldout
    sample = "one sample" if told is None else f"sample {told.sample}{rows[heldout]}"
    each = "each of them " if len(found) > 1 else ""
    draws = {len(masks) for item in found for masks in item.masks}
    most = f"{'up to ' if len(draws) > 1 else ''}{plural(max(draws), 'mask')}"
    return (
        f"With the trained weights {sample} went through the model again, with "
        f"{listing(layers)} {each}dropping at {plural(len(first.rates), 'rate')} and all else in "
        f"eval mode: {most} at each rate, drawn by the layer itself."
    )


def _op(forward: Forward | None, item: Draws) -> Op | None:
    ops = [] if forward is None else forward.ops
    return next((op for op in ops if op.index == item.op), None)


def _layer(forward: Forward | None, item: Draws) -> str:
    op = _op(forward, item)
    if forward is None or op is None:
        return "dropout"
    if op.module and op.module not in forward.around:
        return f"{op.module_type} {op.module}"
    return f"{op.function}, operation {op.index}"


def _own(item: Draws) -> int:
    return min(range(len(item.rates)), key=lambda at: abs(item.rates[at] - item.p))


def _note(item: Draws) -> str:
    of = f" of {whole(item.count)}" if item.count > len(item.values) else ""
    if item.each > 1:
        first = f"the first {len(item.values)}{of}" if of else f"all {len(item.values)}"
        return (
            f"This layer drops whole channels of {plural(item.each, 'value')}: one value stands "
            f"for each, the channel's first, for {first} channels of the sample's row. The layer's "
            f"own rate is p = {setting(item.p)}."
        )
    return (
        f"The first {len(item.values)}{of} values of the sample's row. The layer's own rate is "
        f"p = {setting(item.p)}."
    )


def _effect(recording: Recording, forward: Forward | None, told: Outputs) -> Effect:
    label, note = told.name, "what takes the layer's output next"
    if told.name == "output":
        note = "what the model returned"
    elif told.name == "probabilities":
        note = "read off the model's output as its loss function reads it"
    elif forward is not None and told.name in forward.parts:
        label = f"{forward.parts[told.name].type} {told.name}"
    classes = _classes(recording) if told.name in ("output", "probabilities") else ()
    target = [item.name for item in recording.all(Column) if item.role == "target"]
    if told.name == "output" and not classes and len(told.off) == 1:
        classes = tuple(target[:1])
    return Effect(
        label=label, off=_rounded(told.off, _EFFECT), note=note,
        draws=tuple(tuple(_rounded(draw, _EFFECT) for draw in of_rate) for of_rate in told.draws),
        names=classes if len(classes) == len(told.off) else (),
    )  # fmt: skip


def _classes(recording: Recording) -> tuple[str, ...]:
    return next((data.classes for data in recording.all(Dataset) if data.classes), ())


def _rounded(numbers: Sequence[float], digits: int = _DIGITS) -> tuple[float, ...]:
    return tuple(float(f"{value:.{digits}g}") for value in numbers)


def _layer_told(
    recording: Recording, forward: Forward | None, item: Draws
) -> Iterator[AnyBlock]:  # fmt: skip
    yield shown(recording, forward, item)
    facts = tuple(_facts(item))
    if facts:
        yield Facts(facts=facts)
    table = _table(recording, item)
    if table is not None:
        yield table


def _facts(item: Draws) -> Iterator[Fact]:
    """Yield how near the mean over the draws comes to x, at the layer's own rate."""
    place = _own(item)
    p, scale, flags = item.rates[place], item.scales[place], kept(item, place)
    draws = len(flags)
    at = next((at for at, value in enumerate(item.values) if value), None)
    if not 0 < p < 1 or at is None or draws < 2:
        return
    what = "channel" if item.each > 1 else "value"
    x, times = item.values[at], sum(row[at] for row in flags)
    mean = times * scale * x / draws
    yield Fact(
        label=f"mean of {what} {at} at p = {setting(p)}",
        value=f"{number(mean)}, x = {number(x)}",
        note=f"over {draws} draws: kept in {times} and then multiplied by {number(scale)}",
    )
    count = sum(map(sum, flags))
    total = draws * len(item.values)
    yield Fact(
        label=f"kept at p = {setting(p)}",
        value=f"{whole(count)} of {whole(total)} ({percent(count / total)})",
        note=f"over {draws} draws of {plural(len(item.values), what)}",
    )
    shares = sum(map(sum, flags)) / total * scale
    yield Fact(
        label=f"mean of mask × scale at p = {setting(p)}",
        value=number(shares),
        note=f"over all these {what}s: kept ones count with their scale, dropped ones with 0",
    )


def _table(recording: Recording, item: Draws) -> Table | None:
    """Return what the model's answer does at each rate."""
    told = {output.name: output for output in item.outputs}
    chances, output = told.get("probabilities"), told.get("output")
    if chances is not None and chances.off:
        return _chances(recording, chances, item)
    if output is None or not output.off:
        return None
    heads = (
        Head(label="p", number=True), Head(label="draws", number=True),
        Head(label="mean", number=True), Head(label="lowest", number=True),
        Head(label="highest", number=True),
    )  # fmt: skip
    rows = []
    for rate, draws in zip(item.rates, output.draws, strict=True):
        first = [draw[0] for draw in draws if draw]
        if first:
            spread = (sum(first) / len(first), min(first), max(first))
            rows.append((setting(rate), whole(len(first)), *map(number, spread)))
    which = "the output" if len(output.off) == 1 else "the output's first number"
    caption = f"What dropping does to {which}; without dropping it is {number(output.off[0])}"
    return Table(heads=heads, rows=tuple(rows), caption=caption)


def _chances(recording: Recording, told: Outputs, item: Draws) -> Table | None:
    """Return the probability of the class that is predicted without dropping, at each rate."""
    binary = len(told.off) == 1
    pairs = [told.off, *(draw for draws in told.draws for draw in draws)]
    if any(len(numbers) != len(told.off) for numbers in pairs):
        return None

    def shares(numbers: Sequence[float]) -> Sequence[float]:
        return (1 - numbers[0], numbers[0]) if binary else numbers

    off = shares(told.off)
    predicted = max(range(len(off)), key=off.__getitem__)
    heads = (
        Head(label="p", number=True), Head(label="mean probability", number=True),
        Head(label="lowest", number=True), Head(label="highest", number=True),
        Head(label="another class", number=True),
    )  # fmt: skip
    rows = []
    for rate, draws in zip(item.rates, told.draws, strict=True):
        found = [shares(draw) for draw in draws]
        if not found:
            continue
        chances = [each[predicted] for each in found]
        changed = sum(max(range(len(each)), key=each.__getitem__) != predicted for each in found)
        spread = (sum(chances) / len(chances), min(chances), max(chances))
        rows.append(
            (setting(rate), *(f"{share:.3f}" for share in spread), f"{changed} of {len(found)}")
        )
    names = _classes(recording)
    name = names[predicted] if predicted < len(names) else f"class {predicted}"
    caption = (
        f"Probability of {name}, which is predicted without dropping (with {off[predicted]:.3f}), "
        "over the draws of each rate"
    )
    return Table(heads=heads, rows=tuple(rows), caption=caption)
