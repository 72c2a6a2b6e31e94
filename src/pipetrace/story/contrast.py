"""One batch in train and in eval mode: which operations differ of themselves, and by how much."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from pipetrace.blocks import AnyBlock, Head, Table, Text
from pipetrace.parts import Difference
from pipetrace.records import Contrast, Op
from pipetrace.story.drawing import drawing, warning
from pipetrace.story.figures import listing, number, percent, plural, whole
from pipetrace.story.forwards import Forward, forwards, name
from pipetrace.story.registry import Content, section
from pipetrace.story.sentences import plain_name, real
from pipetrace.tracefile import Recording

MOST = 40
"""A table has so many rows at most."""
_ATTENTION = {"scaled_dot_product_attention", "multi_head_attention_forward"}
_NORMS = {"batch_norm", "native_batch_norm", "instance_norm", "sync_batch_norm"}
_MODES = {True: "train", False: "eval"}
_CAUSES = {
    "mode": "",
    "values": " (equal inputs, other outputs)",
}


@section(id="contrast", title="Train against eval, the same batch", order=35)
def contrast(recording: Recording) -> Content | None:
    """Tell which operations the mode changes, for every forward that was played in both."""
    found = recording.all(Contrast)
    if not found:
        return None
    known = {forward.capture.id: forward for forward in forwards(recording)}
    # A file that was cut short may hold the comparison of operations that it lost.
    found = [item for item in found if item.capture in known and _whole(known[item.capture], item)]
    blocks: list[AnyBlock] = []
    for item in found:
        blocks += _told(known[item.capture], item)
    if not blocks:
        return None
    intro = (
        f"The forward above ran in {_MODES[not found[0].training]} mode; it was played once more "
        f"in {_MODES[found[0].training]} mode, from the same state and on the same batch, and "
        "compared operation by operation on the values kept of each. An operation differs of "
        "itself where it was called in the other mode, or where equal inputs gave other outputs."
    )
    return Content(blocks=tuple(blocks), intro=intro)


def kind(op: Op) -> str:
    """Return what kind of operation differs: `dropout`, `batch norm` or `other`."""
    plain = plain_name(op.function)
    drops = bool(op.mask or op.mask_missing or real(op, "dropout"))
    # What attention is told of its mode is the rate of its dropout.
    if drops or "dropout" in plain or plain in _ATTENTION:
        return "dropout"
    return "batch norm" if plain in _NORMS else "other"


def _whole(forward: Forward, item: Contrast) -> bool:
    return all(source.op < len(forward.ops) for source in item.sources)


def _told(forward: Forward, item: Contrast) -> list[AnyBlock]:
    blocks: list[AnyBlock] = []
    drawn = drawing(forward, item)
    if drawn:
        blocks.append(Text(text=warning(forward, drawn), tone="warning"))
    # Below a warning, that nothing differs is no key: what is drawn alike hides it.
    tone = "key" if item.differing or not drawn else "plain"
    blocks.append(Text(text=_sentence(forward, item), tone=tone))
    if item.sources:
        blocks.append(_table(forward, item))
    return blocks


def _sentence(forward: Forward, item: Contrast) -> str:
    alone = [
        f"{plural(count, 'operation')} ran in {_MODES[mode]} mode only"
        for count, mode in ((item.only_here, not item.training), (item.only_there, item.training))
        if count
    ]
    rest = f"; {listing(alone)}" if alone else ""
    of = f"{whole(item.differing)} of {plural(item.paired, 'operation')}"
    if not item.differing:
        text = f"{of} differ between train and eval mode{rest}"
        if item.drawing:
            text += (
                "; but both passes started from the same random numbers, so that what draws in "
                "both modes can draw alike: two calls of the model may well differ"
            )
        return f"{text}."
    kinds = Counter(kind(forward.ops[source.op]) for source in item.sources)
    named = listing(f"{count} {word}" for word, count in kinds.most_common())
    passed = item.differing - len(item.sources)
    text = f"{of} differ: {len(item.sources)} of themselves ({named or 'none'})"
    if passed:
        one = "1 passes on what it was given" if passed == 1 else ""
        text += f", the other {one or f'{whole(passed)} pass on what they were given'}"
    return f"{text}{rest}."


def _table(forward: Forward, item: Contrast) -> Table:
    heads = (
        Head(label="operation"),
        Head(label="module"),
        Head(label="kind"),
        Head(
            label="largest difference",
            number=True,
            note="what operations before it changed is in these differences too",
        ),
        Head(
            label="relative",
            number=True,
            note="size (L2 norm) of the difference over the size of the eval-mode output",
        ),
        Head(label="over"),
    )
    # The same operation of numbered modules is one row: a model has many equal layers.
    groups: dict[tuple[str, ...], list[Difference]] = {}
    for each in sorted(item.sources, key=lambda each: each.op):
        op = forward.ops[each.op]
        key = (name(forward, op), re.sub(r"\.\d+(?=\.)", ".*", op.module), kind(op), each.cause)
        groups.setdefault(key, []).append(each)
    rows = tuple(_row(forward, key, found) for key, found in groups.items())
    caption = f"The first {MOST} of {len(rows)} rows" if len(rows) > MOST else ""
    return Table(heads=heads, rows=rows[:MOST], caption=caption)


def _row(forward: Forward, key: tuple[str, ...], found: Sequence[Difference]) -> tuple[str, ...]:
    label, module, of, cause = key
    if len(found) == 1:
        module = forward.ops[found[0].op].module
    times = f", {len(found)} times" if len(found) > 1 else ""
    largest = [each.largest for each in found if each.largest is not None]
    relative = [each.relative for each in found if each.relative is not None]
    low, high = (percent(pick(relative)) for pick in (min, max)) if relative else ("–", "–")
    return (
        label,
        (f"`{module}`" if module else "–") + times,
        of + _CAUSES.get(cause, f" ({cause})"),
        number(max(largest)) if largest else "–",
        low if low == high else f"{low} to {high}",
        _over(found),
    )


def _over(found: Sequence[Difference]) -> str:
    counts = {each.count for each in found}
    if 0 in counts:
        return "shapes or values that cannot be compared"
    low, high = min(counts), max(counts)
    values = plural(high, "value") if low == high else f"{whole(low)} to {plural(high, 'value')}"
    each = " each" if len(found) > 1 else ""
    return f"{values}{each}, {'exact' if all(item.exact for item in found) else 'sampled'}"
