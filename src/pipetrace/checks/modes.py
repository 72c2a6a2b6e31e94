"""What the program's own forwards say of modes: which were evaluations, and what happened there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipetrace.checks import drawing
from pipetrace.checks.evidence import Evidence
from pipetrace.observed import Calls
from pipetrace.records import Op
from pipetrace.tried import Asleep, Inert

_NORMS = ("BatchNorm", "SyncBatchNorm", "LazyBatchNorm")
_STATISTICS = ("num_batches_tracked", "running_mean", "running_var")
_FEW = 2
"""So many forwards that were left out of training, or with other rows, are an evaluation."""


def is_evaluation(evidence: Evidence, calls: Calls) -> bool:
    """Tell whether forwards judge the model, or use it: they are no part of its training."""
    others = [each for each in evidence.calls if each.model == calls.model and each is not calls]
    alone = calls.count - calls.trained
    if not alone or calls.discarded or calls.taught or drawing.sampled(calls):
        return False
    if calls.repeated * 2 >= calls.count or _rows_repeat(evidence, calls):
        return False
    if any(each.taught for each in others) and not calls.losses and not calls.fed:
        # What a generator makes is shown.
        return False
    if learns(evidence):
        if calls.trained:
            # One line for both: the last batch of an epoch may be left out without being judged.
            return calls.after >= _FEW
        return calls.after > 0
    return not calls.graph and (calls.losses > 0 or alone - calls.again >= _FEW)


def learns(evidence: Evidence) -> bool:
    """Tell whether the program trains a model."""
    return any(calls.learned and calls.trained for calls in evidence.calls)


def severity(evidence: Evidence, calls: Calls) -> str:
    """Return the severity of an evaluation in train mode, where it is no warning.

    Where no loss was computed, autograd was on and the output may only be shown; and where only
    running statistics move, and the model is evaluated in eval mode too, they may be meant to.
    """
    drew = bool(_dropped(evidence, calls, ""))
    apart = any(not each.training for each in evidence.evaluated if each.model == calls.model)
    return "advice" if not calls.losses and (calls.graph or (apart and not drew)) else ""


def happened(evidence: Evidence, calls: Calls, path: str = "") -> str:
    """Say what ran in train mode in an evaluation, in one module and below; empty if nothing did.

    Args:
        evidence: All that is known.
        calls: The evaluation.
        path: The module.
    """
    said = []
    dropped = _dropped(evidence, calls, path)
    if dropped and calls.drew:
        rate = drawing.drop_rate(dropped[0])
        told = "" if rate is None else f" with p = {rate:g}"
        where = evidence.name(calls.model, dropped[0].module)
        said.append(f"`{dropped[0].function}` in {where} dropped{told}, and random numbers were "
                    f"drawn in {calls.drew} of {calls.count} forwards")  # fmt: skip
    moved = _moved(evidence, calls, path)
    if moved:
        layers = f" ({len(moved)} such layers)" if len(moved) > 1 else ""
        said.append(f"the running statistics of `{moved[0]}` moved{layers}")
    return "; ".join(said)


def trained_alike(evidence: Evidence, calls: Calls) -> bool:
    """Tell whether the model was trained in exactly these modes."""
    return any(
        each.model == calls.model and each.training == calls.training and each.odd == calls.odd
        for each in evidence.trained
    )


def partly(evidence: Evidence) -> Iterator[tuple[Calls, str]]:
    """Yield evaluations in which a part of the model was in train mode and drew, and that part."""
    for calls in evidence.calls:
        if not calls.odd or is_root_alone(evidence, calls) or not _is_meant_as_evaluation(
            evidence, calls
        ):  # fmt: skip
            continue
        told = _told(evidence, calls)
        inside = [path for path in told if told[path]]
        if calls.training:
            named = _outermost(inside, [""])
        else:
            leaves = [p for p in inside if not any(o.startswith(f"{p}.") for o in told)]
            if leaves == inside and not any(_has_weights(evidence, calls, p) for p in inside):
                # Somebody chose these: dropout to draw from, statistics to adapt.
                continue
            named = _outermost(inside, [])
        for path in named:
            if happened(evidence, calls, path):
                yield calls, path


def was_there(evidence: Evidence, calls: Calls, path: str) -> bool:
    """Tell whether a module was a part of the model in earlier forwards, or had been left out."""
    if calls.training:
        return True
    earlier = any(
        each.model == calls.model and each.turns[:1] < calls.turns[:1] for each in evidence.calls
    )
    return earlier and evidence.part(calls.model, path) is not None


def is_root_alone(evidence: Evidence, calls: Calls) -> bool:
    """Tell whether the root is in one mode and every module inside it in the other."""
    model = evidence.models.get(calls.model)
    return model is not None and 0 < calls.odd_count == len(model.modules) - 1


def idle(evidence: Evidence, calls: Calls) -> list[Inert]:
    """Return what drew masks when training forwards in eval mode were played in train mode.

    That of a frozen part is left out.
    """
    found = [
        each for told in evidence.all(Asleep) if told.capture == calls.capture for each in told.idle
    ]
    return [each for each in found if _learns_there(evidence, calls, each.module)]


def idle_told(idle: Sequence[Inert]) -> str:
    """Say which dropout did not drop; empty where there is none."""
    if not idle:
        return ""
    first, more = idle[0], f" ({len(idle)} such ops)" if len(idle) > 1 else ""
    return (
        f"`{first.function}` in `{first.module or 'the model'}` drops with p = {first.p:g} when "
        f"they are run again in train mode, and dropped nothing{more}"
    )


def switched(evidence: Evidence, calls: Calls) -> str:
    """Say which ops of a training forward ran in eval mode; empty where the mode is no matter."""
    off = idle(evidence, calls)
    if off:
        return idle_told(off)
    forward = evidence.forward(calls)
    contrast = None if forward is None else forward.contrast
    if forward is None or contrast is None or not contrast.training:
        return ""
    ops = [forward.ops[each.op] for each in contrast.sources if each.cause == "mode"]
    if not ops:
        return ""
    where = forward.name(ops[0].module)
    more = f" ({len(ops)} such ops)" if len(ops) > 1 else ""
    return f"`{ops[0].function}` in {where} ran as in eval mode{more}"


def left_in_eval(evidence: Evidence) -> Iterator[tuple[Calls, Calls]]:
    """Yield training forwards in eval mode, and those of the same line in train mode before."""
    for calls in evidence.trained:
        if calls.training or calls.odd or not calls.learned or calls.place is None:
            continue
        same = [each for each in evidence.trained if each.model == calls.model]
        for before in same:
            shared = set(before.steps) & set(calls.steps)
            if not before.training or before.place != calls.place or len(shared) * 2 > calls.count:
                continue
            start = calls.turns[0]
            earlier = [turn for turn in before.turns if turn < start]
            if earlier and any(
                earlier[-1] < turn < start
                for each in evidence.evaluated
                if each.model == calls.model and not each.training
                for turn in each.turns
            ):
                yield calls, before
                break


def _is_meant_as_evaluation(evidence: Evidence, calls: Calls) -> bool:
    """Tell whether forwards with modules in both modes judge the model."""
    if calls.trained:
        return False
    if calls.training or trained_alike(evidence, calls):
        return is_evaluation(evidence, calls) and not trained_alike(evidence, calls)
    meant = drawing.sampled(calls) or _rows_repeat(evidence, calls)
    return not (meant or calls.discarded or calls.taught)


def _dropped(evidence: Evidence, calls: Calls, path: str) -> list[Op]:
    """Return what drew masks in a module and below, and draws none in eval mode."""
    forward = evidence.forward(calls)
    if forward is None:
        return []
    always = {op.index for op in forward.drawing()}
    found = []
    for op in forward.ops:
        inside = not path or f"{op.module}.".startswith(f"{path}.")
        if op.random and inside and op.index not in always:
            mask = drawing.mask_of(forward, op)
            dropout = "dropout" in op.function or op.function in drawing.HIDING
            if dropout or mask is not None:
                found.append(mask or op)
    return found


def _moved(evidence: Evidence, calls: Calls, path: str) -> list[str]:
    """Return the batch normalisations in a module and below whose statistics moved."""
    found = {}
    for name in calls.moved:
        module, _, buffer = name.rpartition(".")
        part = evidence.part(calls.model, module)
        norm = part is not None and part.type.startswith(_NORMS) and buffer in _STATISTICS
        if norm and (not path or f"{module}.".startswith(f"{path}.")):
            found[module] = True
    return list(found)


def _rows_repeat(evidence: Evidence, calls: Calls) -> bool:
    forward = evidence.forward(calls)
    return forward is not None and drawing.rows_repeat(forward)


def _told(evidence: Evidence, calls: Calls) -> dict[str, bool]:
    """Return the mode of every module in these forwards, by its path."""
    model = evidence.models.get(calls.model)
    paths = [part.path for part in model.modules] if model is not None else []
    paths = list(dict.fromkeys([*paths, *calls.odd]))
    odd = set(calls.odd)
    return {path: calls.training != (path in odd) for path in paths}


def _outermost(paths: Sequence[str], without: Sequence[str]) -> list[str]:
    """Return those of some paths that lie in no other of them."""
    kept = [path for path in paths if path not in without]
    return [
        path for path in kept
        if not any(path != other and path.startswith(f"{other}.") for other in kept)
    ]  # fmt: skip


def _has_weights(evidence: Evidence, calls: Calls, path: str) -> bool:
    part = evidence.part(calls.model, path)
    return part is not None and part.parameters > 0 and not part.type.startswith(_NORMS)


def _learns_there(evidence: Evidence, calls: Calls, module: str) -> bool:
    """Tell whether what is around a dropout is trained: its module, or the one that holds it."""
    model = evidence.models.get(calls.model)
    if model is None:
        return False
    leaf = not any(part.path.startswith(f"{module}.") for part in model.modules)
    home = module.rpartition(".")[0] if leaf else module
    return any(
        part.trainable for part in model.modules
        if not home or f"{part.path}.".startswith(f"{home}.")
    )  # fmt: skip
