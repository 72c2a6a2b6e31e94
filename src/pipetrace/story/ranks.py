"""The ranks of one launch side by side: their losses, masks, speed and weights, and their ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipetrace.blocks import AnyBlock, Chart, Head, Line, Table, Text
from pipetrace.records import Capture, Checksum, Epoch, Op, Provenance, Seed, Training
from pipetrace.story.endings import ending
from pipetrace.story.epochs import finite
from pipetrace.story.figures import listing, losses, number, plural, whole
from pipetrace.story.registry import Content, section
from pipetrace.tracefile import Recording

LONGEST = 20
"""Of more epochs the table shows the first and the last ones."""
WIDEST = 8
"""Of more ranks the table of losses shows the first, the last and those between by a chart."""


@section(id="ranks", title="Ranks", order=47)
def ranks(recording: Recording) -> Content | None:
    """Tell what the processes of one launch did differently."""
    origin = recording.first(Provenance)
    if origin is None or origin.world < 2:
        return None
    shown = recording.ranks or (recording,)
    known = [_rank(one) for one in shown]
    gone = [str(rank) for rank in range(origin.world) if rank not in known]
    blocks: list[AnyBlock] = []
    if gone:
        blocks.append(Text(text=_missing(gone, origin.world), tone="warning"))
    blocks.append(_overview(shown))
    if len(shown) > 1:
        blocks += [*_losses(shown), *_said(_masks(shown)), *_said(_drift(shown))]
    intro = "" if len(shown) == 1 else (
        f"All other sections are about rank {known[0]}. Each rank has a file of its own."
    )  # fmt: skip
    brief = tuple(block for block in blocks if not isinstance(block, Chart))
    title = f"Ranks, {len(shown)} of {origin.world}"
    return Content(blocks=tuple(blocks), intro=intro, title=title, brief=brief)


def _rank(recording: Recording) -> int:
    origin = recording.first(Provenance)
    return 0 if origin is None else origin.rank


def _missing(gone: Sequence[str], world: int) -> str:
    noun = "Rank" if len(gone) == 1 else "Ranks"
    verb = "is" if len(gone) == 1 else "are"
    return (
        f"{noun} {listing(gone)} of {world} {verb} not on this page: no file of "
        f"{'it' if len(gone) == 1 else 'theirs'} was given. A pattern names all: "
        "pipetrace show 'NAME.rank*.pipetrace'"
    )


def _overview(shown: Sequence[Recording]) -> Table:
    """Put each rank's seed, work, speed and end on a line."""
    heads = (
        Head(label="rank", number=True), Head(label="seed", number=True),
        Head(label="epochs", number=True), Head(label="rows", number=True, note="trained on"),
        Head(label="rows per second", number=True, note="in its epochs, evaluations included"),
        Head(label="ended"),
    )  # fmt: skip
    rows = []
    for one in shown:
        seed, epochs = one.last(Seed), one.all(Epoch)
        rows_of, took = sum(e.score.rows for e in epochs), sum(e.seconds for e in epochs)
        speed = whole(round(rows_of / took)) if rows_of and took else "–"
        value = "not set" if seed is None or seed.value is None else str(seed.value)
        rows.append((str(_rank(one)), value, str(len(epochs)), whole(rows_of), speed, ending(one)))
    return Table(heads=heads, rows=tuple(rows))


def _losses(shown: Sequence[Recording]) -> Iterable[AnyBlock]:
    """Show each rank's own mean loss by epoch, for every training."""
    trainings = shown[0].all(Training)
    for training in trainings:
        own = [{e.index: e.score.loss for e in one.all(Epoch) if e.training == training.id}
               for one in shown]  # fmt: skip
        epochs = sorted(set().union(*own))
        if not epochs:
            continue
        name = f", training {training.id + 1}" if len(trainings) > 1 else ""
        caption = f"Each rank's own mean loss over its rows{name}"
        labels = [f"rank {_rank(one)}" for one in shown]
        if len(shown) <= WIDEST:
            half = LONGEST // 2
            some = epochs if len(epochs) <= LONGEST else [*epochs[:half], *epochs[-half:]]
            if len(some) < len(epochs):
                caption += f"; {len(some)} of {whole(len(epochs))} epochs"
            columns = [[str(index) for index in some]]
            columns += [losses([by.get(index) for index in some]) for by in own]
            heads = [Head(label=label, number=True) for label in ("epoch", *labels)]
            yield Table(heads=tuple(heads), rows=tuple(zip(*columns, strict=True)), caption=caption)
        if len(epochs) > 1:
            yield Chart(
                title=caption, x_label="epoch", y_label="loss", x=tuple(map(float, epochs)),
                lines=tuple(
                    Line(label=label, values=tuple(finite(by.get(index)) for index in epochs))
                    for label, by in zip(labels, own, strict=True)
                ),
            )  # fmt: skip


def _masks(shown: Sequence[Recording]) -> tuple[str, str] | None:
    """Compare the dropout masks of the first training forward that every rank captured."""
    drawn = [_drawn(one) for one in shown]
    if not all(drawn) or len({len(masks) for masks in drawn}) > 1:
        return None
    count = sum(len(set(masks)) == 1 for masks in zip(*drawn, strict=True))
    total = len(drawn[0])
    what = plural(total, "dropout mask")
    seen = "how many elements were kept, and which of the first row"
    if count == total:
        return (
            f"All ranks drew the same masks in their first captured training forward: "
            f"{what}, equal in {seen}. Ranks that are seeded alike drop the same elements of "
            "different rows.",
            "warning",
        )
    if count:
        return f"Of {what} in the first captured training forward, {count} are the same on all " \
               f"ranks ({seen}).", "plain"  # fmt: skip
    return (
        f"The ranks drew masks of their own: of {what} in the first captured training forward, "
        f"none is the same on all ranks ({seen}).",
        "plain",
    )


def _drawn(recording: Recording) -> list[tuple[object, ...]]:
    first = next((c for c in recording.all(Capture) if c.purpose == "training"), None)
    if first is None:
        return []
    return [
        (op.index, op.mask.kept, op.mask.total, op.mask.row)
        for op in recording.all(Op)
        if op.capture == first.id and op.mask and 0 < op.mask.p < 1
    ]


def _drift(shown: Sequence[Recording]) -> tuple[str, str] | None:
    """Say whether the parameters of the ranks stayed equal, epoch by epoch."""
    sums = [{(c.training, c.epoch): c for c in one.all(Checksum)} for one in shown]
    both = [key for key in sums[0] if all(key in own for own in sums)]
    if not both:
        return None
    for key in both:
        found = [own[key] for own in sums]
        if len({(item.sum, item.norm) for item in found}) == 1:
            continue
        steps = {item.step for item in found}
        norms = [item.norm for item in found]
        after = "" if len(steps) == 1 else ", after different numbers of steps"
        apart = listing(f"{norm!r} on rank {_rank(one)}"
                        for norm, one in list(zip(norms, shown, strict=True))[:4])  # fmt: skip
        sums_of = "" if len(set(norms)) > 1 else " (their sums differ)"
        return (
            f"The ranks' parameters are not the same at the end of epoch {key[1]}{after}: their L2 "
            f"norm is {apart}{sums_of}. Replicas that get equal updates stay equal to the bit.",
            "bad",
        )
    last = sums[0][both[-1]]
    return (
        f"The parameters were the same on all ranks at the end of each of the "
        f"{plural(len(both), 'epoch')} compared: equal sums and L2 norms in 64 bits (at the last "
        f"of them {number(last.sum)} and {number(last.norm)}).",
        "plain",
    )


def _said(words: tuple[str, str] | None) -> Iterable[Text]:
    return () if words is None else (Text(text=words[0], tone=words[1]),)
