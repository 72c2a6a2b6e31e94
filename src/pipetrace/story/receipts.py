"""The faithfulness receipt: each traced forward against the plain one, told line by line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipetrace.blocks import Check
from pipetrace.records import Capture, Receipt
from pipetrace.story.figures import listing, number, plural

HEADING = (
    "Faithfulness receipt, did looking change anything? The output of each traced forward is "
    "compared with that of the program's own, and the state that the replay left with the state "
    "it found; buffers that the call itself moved are no difference."
)


def receipts(captures: Sequence[Capture]) -> tuple[Check, ...]:
    """Return the lines of the receipt of all captured forwards; none where nothing was traced."""
    found = [(capture, capture.receipt) for capture in captures if capture.receipt]
    return (*_equality(found), *_left(found), *_uncompared(captures))


def _equality(found: Sequence[tuple[Capture, Receipt]]) -> Iterable[Check]:
    """Say of all equal forwards one line, and of each other forward a line of its own."""
    equal = [(capture, receipt) for capture, receipt in found if receipt.equal]
    if equal:
        elements = sum(receipt.elements for _, receipt in equal)
        which = (
            "The traced forward gave"
            if len(found) == 1
            else f"{len(equal)} of {len(found)} traced forwards gave"
        )
        detail = f"{plural(elements, 'output value')} compared" if elements else ""
        yield Check(
            label=f"{which} the plain forward's output, bit for bit", state="yes", detail=detail
        )
    for capture, receipt in found:
        if not receipt.equal:
            yield _unequal(capture, receipt)


def _unequal(capture: Capture, receipt: Receipt) -> Check:
    name = f"The {capture.purpose} forward after {plural(capture.step, 'step')}"
    if capture.purpose == "trace":
        name = "The traced forward"
    if receipt.equal is None:
        return Check(label=f"{name} was not compared: its output has no tensor", state="unknown")
    apart = (
        f"largest difference {number(receipt.difference)}"
        if receipt.difference is not None
        else "the difference has no size"
    )
    label = f"{name}: its traced replay differs from the plain forward"
    if receipt.unfused and receipt.repeats is not False:
        label = (
            f"{name}: the fused fast path of the attention layers was the difference between "
            "plain and traced"
        )
        tested = "tested: with the fast path off, plain equals traced bit for bit"
        return Check(label=label, state="no", detail=f"{apart}; {tested}")
    reason = {
        True: "a plain repeat equals the original: tracing changed it",
        False: "the forward does not repeat itself: a plain repeat differs from the original too",
        None: "no plain repeat was made",
    }[receipt.repeats]
    return Check(label=label, state="no", detail=f"{apart}; {reason}")


def _uncompared(captures: Sequence[Capture]) -> Iterable[Check]:
    """Say which traced forwards have no receipt; one that raised had no output to compare."""
    count = sum(
        capture.purpose == "trace" and capture.receipt is None and capture.complete
        for capture in captures
    )
    if count:
        which = "The traced forward was" if count == 1 else f"{count} traced forwards were"
        label = f"{which} not compared with a plain one: receipt=False"
        yield Check(label=label, state="unknown")


def _left(found: Sequence[tuple[Capture, Receipt]]) -> Iterable[Check]:
    """Merge what each capture says of the state that it left, by name."""
    names = dict.fromkeys(check.name for _, receipt in found for check in receipt.checks)
    for name in names:
        checks = [
            (capture, check)
            for capture, receipt in found
            for check in receipt.checks
            if check.name == name
        ]
        label = f"{name} left as found"
        bad = [(capture, check) for capture, check in checks if check.ok is False]
        unknown = [check for _, check in checks if check.ok is None]
        details = [f"capture {item.id}: {check.detail or 'no'}" for item, check in bad[:3]]
        if bad:
            yield Check(label=label, state="no", detail=listing(details))
        elif unknown:
            said = unknown[0].detail or "not measured"
            where = f" in {len(unknown)} of {len(checks)}" if len(checks) > 1 else ""
            yield Check(label=label, state="unknown", detail=f"{said}{where}")
        else:
            told = {check.detail for _, check in checks if check.detail}
            times = f"in each of {len(checks)} captures" if len(checks) > 1 else ""
            yield Check(label=label, state="yes", detail=told.pop() if len(told) == 1 else times)
