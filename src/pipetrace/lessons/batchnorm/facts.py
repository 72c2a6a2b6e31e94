"""What the text of the lesson may say of a run's batch norm stages."""

from __future__ import annotations

from pipetrace.lessons.batchnorm.norms import Norming, learned, normings
from pipetrace.lessons.facts import fact, figure, whole
from pipetrace.lessons.reading import name_stage
from pipetrace.parts import Tensor
from pipetrace.tracefile import Recording


@fact("norm_stage")
def stage(recording: Recording) -> str | None:
    """The first batch norm stage that normalised with the batch, named as in the script."""
    found = _first(recording)
    return None if found is None else name_stage(found.op)


@fact("norm_stages")
def stages(recording: Recording) -> str | None:
    """How many batch norm stages one training forward has."""
    found = _first(recording)
    if found is None:
        return None
    return whole(sum(each.capture == found.capture for each in normings(recording)))


@fact("norm_rows")
def rows(recording: Recording) -> str | None:
    """How many rows were in the batch of this forward."""
    found = _first(recording)
    return None if found is None else whole(found.shape[0])


@fact("norm_channels")
def channels(recording: Recording) -> str | None:
    """How many channels (features) the stage normalises one by one."""
    found = _first(recording)
    return None if found is None else whole(found.channels)


@fact("norm_values")
def values(recording: Recording) -> str | None:
    """Over how many numbers it took the mean of a channel."""
    found = _first(recording)
    return None if found is None else whole(found.values)


@fact("norm_parameters")
def parameters(recording: Recording) -> str | None:
    """How many parameters the stage has."""
    found = _first(recording)
    return None if found is None else whole(learned(recording, found))


@fact("norm_mean_before")
def mean_before(recording: Recording) -> str | None:
    """The mean of all that came into the stage."""
    found = _first(recording)
    return None if found is None or found.incoming is None else figure(found.incoming.mean)


@fact("norm_spread_before")
def spread_before(recording: Recording) -> str | None:
    """The standard deviation of all that came into the stage."""
    found = _first(recording)
    return None if found is None or found.incoming is None else figure(found.incoming.std)


@fact("norm_mean_after")
def mean_after(recording: Recording) -> str | None:
    """The mean of all that came out of the stage, to four decimals."""
    found = _output(_first(recording))
    return None if found is None or found.mean is None else figure(round(found.mean, 4) + 0.0)


@fact("norm_spread_after")
def spread_after(recording: Recording) -> str | None:
    """The standard deviation of all that came out of the stage."""
    found = _output(_first(recording))
    return None if found is None else figure(found.std)


@fact("norm_spread_eval")
def spread_eval(recording: Recording) -> str | None:
    """The deviation that came out of the same stage in the last forward of many rows in eval."""
    first = _first(recording)
    if first is None:
        return None
    same = [
        each
        for each in normings(recording)
        if not each.by_batch and each.op.module == first.op.module and each.values > 1
    ]
    found = _output(same[-1]) if same else None
    return None if found is None else figure(found.std)


def _first(recording: Recording) -> Norming | None:
    return next((each for each in normings(recording) if each.by_batch), None)


def _output(norming: Norming | None) -> Tensor | None:
    return norming.op.outputs[0] if norming is not None and norming.op.outputs else None
