"""Random numbers that are drawn again: other ones where equal ones are needed, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from pipetrace.checks.evidence import Evidence, Traced
from pipetrace.checks.findings import Found
from pipetrace.checks.flow import DROPPING, HIDING, data, layers, masked
from pipetrace.checks.registry import rule
from pipetrace.observed import Copies
from pipetrace.tried import Recomputed

_APART = 1e-3
_STEPS = 3


@rule("PTR501", "checkpoint-without-rng", "warning")
def recomputed(evidence: Evidence) -> Iterator[Found]:
    """Activation checkpointing that recomputes with other masks.

    Backward computes the block again, and with `preserve_rng_state=False` its dropout draws other
    masks: the gradients are those of another forward than the one whose loss was measured.

    A training forward is played twice from the same state; only the random stream that backward
    begins with is another. The gradients differ, which no backward of the same forward may do.
    Checkpoints that keep the stream, as they do unless told, and blocks without randomness are
    silent, and so is a backward of the program's own that rounds at random. Leave
    `preserve_rng_state` as it is.
    """
    for each in evidence.all(Recomputed):
        forward = next((f for f in evidence.forwards if f.capture.id == each.capture), None)
        if forward is None or each.apart < _APART:
            continue
        paths = set(each.modules)
        inside = [
            op for op in forward.ops
            if op.random and any(_within(op.module, path) for path in paths)
        ]  # fmt: skip
        yield Found(
            message="Backward computes a checkpointed part again with other random numbers.",
            evidence=f"The same forward and loss gave gradients that are {each.apart:.1%} apart: "
            f"backward called {', '.join(f'`{path}`' for path in each.modules[:3])} again and drew "
            "anew.",
            fix="checkpoint(block, x, use_reentrant=False)  # preserve_rng_state=True",
            module=each.modules[0], place=inside[0].called if inside else None,
        )  # fmt: skip


def _within(module: str, path: str) -> bool:
    return module == path or module.startswith(f"{path}.")


@rule("PTR502", "same-seed-every-step", "warning")
def reseeded(evidence: Evidence) -> Iterator[Found]:
    """A random stream that begins anew before every batch.

    Dropout draws the same mask at every step: it removes the same units from the network for good
    instead of another choice each time.

    The state of torch's streams is read before and after every forward of the loop that is trained
    on, and the captured one draws from them. All of them began from one state, or ended in one. A
    seed at the start, of an epoch or of an evaluation, another seed for each step, one mask for two
    views of a batch, and a generator of the program's own are silent. Seed once, before the loop.
    """
    drawing = [calls for calls in evidence.trained if _draws(evidence.forward(calls))]
    count = sum(calls.count for calls in drawing)
    began = sum(calls.drew - calls.seeded for calls in drawing)
    drew = sum(calls.drew for calls in drawing)
    begins_anew = drew == count and began <= len(drawing)
    ends_alike = all(calls.count - calls.ended == 1 for calls in drawing)
    if drawing and count >= _STEPS * len(drawing) and (begins_anew or ends_alike):
        states = min(began, len(drawing)) if begins_anew else len(drawing)
        yield Found(
            message="The random stream begins anew in every training step: each draws the same "
            "dropout masks.",
            evidence=f"{count} training forwards drew random numbers and "
            f"{'began from' if begins_anew else 'ended in'} {states} state"
            f"{'' if states == 1 else 's'} of the stream.",
            fix="torch.manual_seed(42)  # once, before the loop", place=drawing[0].place,
        )  # fmt: skip


def _draws(forward: Traced | None) -> bool:
    """Tell whether a forward draws from torch's own streams."""
    return forward is not None and any(
        op.random and not any(each.name == "generator" for each in op.arguments)
        for op in forward.ops
    )


@rule("PTR503", "replicas-stay-equal", "warning")
def replicas(evidence: Evidence) -> Iterator[Found]:
    """Members of an ensemble that are one and the same.

    Modules that begin equal, see the same batches and draw the same numbers stay equal: their
    average is worth one of them, and their spread, which was to tell uncertainty, is 0.

    At the end the parameters of all modules that an optimizer has stepped are compared, those of
    one class and shape. Layers that began as copies and drifted apart, tied modules, teachers
    without steps of their own, and clients that were averaged are silent. Seed each member
    otherwise, or initialise it anew.
    """
    for each in evidence.all(Copies):
        named = ", ".join(f"`{path}`" for path in each.paths[:4] if path) or "The models"
        yield Found(
            message=f"{named} are exact copies of each other, although each was trained.",
            evidence=f"After {each.steps:,} optimizer steps all {each.parameters:,} parameters of "
            f"{len(each.paths)} modules are equal, bit for bit.",
            fix="members = nn.ModuleList(make() for _ in range(count))  # no seed in it",
            module=each.paths[0],
            place=next((calls.place for calls in evidence.trained), None),
        )  # fmt: skip


@rule("PTR504", "one-mask-for-the-batch", "warning")
def shared(evidence: Evidence) -> Iterator[Found]:
    """Dropout by hand with one mask for the whole batch.

    All rows of a batch lose the same units, so that a gradient is an average over one network only:
    it is as noisy as that of a batch of one.

    In the training forward the flags that were drawn are counted and compared with the data: there
    is one for each feature, and none for each row. One mask for all time steps of a row, as locked
    dropout has it, whole layers that are skipped, and weights that are dropped are meant. Draw with
    `torch.rand_like(x)`.
    """
    for forward in evidence.training:
        for op in masked(forward):
            rows, mask = forward.capture.rows, op.mask
            if op.function in DROPPING | HIDING or mask is None or not rows or rows < 2:
                continue
            place = data(forward, op)
            shape, link = op.input_shapes[place], op.inputs[place]
            wide = [size for size in shape[1:] if size > 1]
            lone = mask.total in (shape[-1], shape[1] if len(shape) > 2 else shape[-1])
            flags = [given for number, given in enumerate(op.input_shapes) if number != place]
            spread = all(given[:1] != (rows,) or len(given) < len(shape) for given in flags)
            if shape[:1] != (rows,) or not wide or not lone or mask.total < 2 or not spread:
                continue
            if link.source == "parameter" or link.index is None or not flags:
                continue
            if sum(size > 1 for size in flags[0]) != 1 or not layers(
                forward, forward.ops[link.index]
            ):
                continue
            yield Found(
                message=f"The dropout by hand in {forward.name(op.module)} drops the same units "
                "of every row.",
                evidence=f"{mask.total:,} flags were drawn for data of shape {shape}: its {rows} "
                "rows share one mask.",
                fix=f"mask = (torch.rand_like(x) > {mask.p:g}) / {1 - mask.p:g}",
                module=op.module, place=op.called,
            )  # fmt: skip
