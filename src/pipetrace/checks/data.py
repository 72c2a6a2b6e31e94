"""Data and loss: what is compared with what, over which dimension, and which rows belong where."""

from __future__ import annotations

from collections.abc import Iterator

from pipetrace.checks.evidence import Evidence, Traced
from pipetrace.checks.findings import Found
from pipetrace.checks.logits import given, looked
from pipetrace.checks.registry import rule
from pipetrace.observed import Averaged, Loss, Padded, Pairs, Shift
from pipetrace.parts import Place
from pipetrace.records import Op
from pipetrace.tried import Ignored, Mixing, Standardised

_SOFTMAX = ("softmax", "log_softmax", "softmin", "gumbel_softmax", "_softmax")
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@rule("PTR801", "inputs-and-targets-shuffled-apart", "warning")
def shuffled_apart(evidence: Evidence) -> Iterator[Found]:
    """Inputs and targets that are shuffled apart anew in each epoch.

    The model learns noise: the labels no longer belong to their samples, and the loss stays where
    guessing is.

    Every row of two passes over the training data is known by its own numbers, and with it the
    target it came with. Found is the same set of rows with the same list of targets, dealt out
    anew: as many rows have another target as chance gives. Rows that are augmented, targets that
    are drawn, bootstrapped or corrected, and batches whose rows are each other's classes are
    meant. Rows that were shuffled apart once, before the training, keep their wrong targets in all
    epochs: that is not found. Index both with the same permutation, or let one loader give both.
    """
    losses = {loss.id: loss for loss in evidence.all(Loss)}
    for pairs in evidence.all(Pairs):
        loss = losses.get(pairs.loss)
        if loss is None or loss.positions or loss.reduction == "none" or not loss.direct:
            continue
        # Tasks that give classes other numbers are meant.
        if pairs.renamed:
            continue
        moved = pairs.changed >= max(4, 0.7 * pairs.expected * pairs.rows)
        # Targets drawn anew for rows that stay in their order come out as many of each at times.
        told = pairs.chance < (0.3 if pairs.reordered else 0.1)
        if moved and pairs.kept > 0.95 and told:
            yield Found(
                message="The rows of the training data meet other targets in the second epoch than "
                "in the first: inputs and targets are shuffled apart.",
                evidence=f"Of {pairs.rows} rows that came in both epochs {pairs.changed} had "
                f"another target; dealt out by chance it is {pairs.expected * pairs.rows:.0f}. "
                f"{pairs.kept:.0%} of the targets are the same ones.",
                fix="order = torch.randperm(len(x))\nx, y = x[order], y[order]",
                place=loss.place,
            )  # fmt: skip


@rule("PTR802", "evaluation-preprocessed-otherwise", "warning")
def preprocessed_otherwise(evidence: Evidence) -> Iterator[Found]:
    """Evaluation inputs that were prepared in another way than training inputs.

    The measured quality is not that of the model: it sees numbers in evaluation that are unlike
    all that it was trained on.

    The mean and deviation of each feature are compared between training and every evaluation
    batch. Where all of these lie far off, one is played again with its features moved to the
    training's mean and deviation; the loss that the loop computes falls if they were only
    prepared otherwise. Outliers, and data that are new indeed, gain nothing from it. Where no loss
    is computed a lost scale is evident enough: 30 times and more, or raw features beside
    standardised ones. Apply the same transform to both, fitted on the training rows.
    """
    moved = {each.calls: each for each in evidence.all(Standardised)}
    kinds = {calls.id: calls for calls in evidence.calls}
    shifts = [shift for shift in evidence.all(Shift) if shift.calls in kinds]
    near = {kinds[shift.calls].model for shift in shifts if shift.far < shift.batches}
    for shift in shifts:
        tried, calls = moved.get(shift.calls), kinds[shift.calls]
        # Who evaluates on inputs like those of training too knows what the others are.
        if calls.model in near or shift.features < 2:
            continue
        told = (
            f"Evaluation inputs have mean {shift.mean:.3g} and deviation {shift.deviation:.3g}, "
            f"training inputs {shift.trained_mean:.3g} and {shift.trained_deviation:.3g}, in all "
            f"{shift.batches} batches."
        )
        # A scale that is lost needs no loss to be seen: 255, or that of features once standardised.
        factor = max(shift.scale, 1 / max(shift.scale, 1e-9))
        standard = abs(shift.trained_mean) < 0.05 and abs(shift.trained_deviation - 1) < 0.05
        scaled = factor > 30 or (standard and factor > 3)
        if tried is not None and tried.after >= (0.95 if scaled else 0.8) * tried.before:
            continue
        if tried is not None:
            told += f" Moved to the training's, the loss goes from {tried.before:.3g} to "
            told += f"{tried.after:.3g}."
        yield Found(
            message="The model is evaluated on inputs that were prepared in another way than those "
            "that it was trained on.",
            evidence=told, fix="x_val = (x_val - x_train.mean(0)) / x_train.std(0)",
            place=calls.place, severity="" if scaled or tried is not None else "advice",
        )  # fmt: skip


@rule("PTR803", "softmax-before-its-loss", "warning")
def softmax_twice(evidence: Evidence) -> Iterator[Found]:
    """A loss function that gets probabilities where it wants logits, or the reverse.

    Training is slow and its predictions are unsure: a softmax of probabilities is almost flat, so
    the gradients are small and the loss cannot come near 0.

    What every loss function was really given is looked at: whether its rows are numbers from 0 to
    1 with the sum 1, and which function made it. Log-probabilities before `cross_entropy` change
    nothing and are only noted. Give `cross_entropy` and `binary_cross_entropy_with_logits` raw
    logits, `nll_loss` and `kl_div` log-probabilities.
    """
    known: set[str | Place | None] = set()
    for loss in evidence.all(Loss):
        told = given(loss)
        if told is None:
            continue
        op = _last(evidence, loss) if loss.direct else None
        made = op if op is not None and _makes(op, told.maker) else None
        module, place = ("", loss.place) if made is None else (made.module, made.called)
        if (module or place) in known:
            continue
        known.add(module or place)
        yield Found(
            message=f"`{loss.function}` gets {told.got}"
            + (f" of `{made.function}` in {evidence.name(loss.model, module)}" if made else "")
            + f"{told.wants}.",
            evidence=f"It was called {loss.count} times, with an input of shape {loss.prediction}"
            + (f" that comes from {', before that '.join(loss.made)} (as autograd names them)"
               if loss.made else "")
            + "." + looked(loss)
            + ("" if loss.value is None else f" The first loss was {loss.value:.4g}."),
            fix=told.fix, module=module, place=place, severity=told.severity, why=told.why,
        )  # fmt: skip


@rule("PTR804", "loss-broadcast", "warning")
def broadcast(evidence: Evidence) -> Iterator[Found]:
    """Predictions and targets that broadcast against each other in the loss.

    Every prediction is pulled towards the mean of all targets: (N, 1) and (N,) make N x N
    differences instead of N.

    The shapes that the loss function got are read, and for a loss that was computed by hand the
    shapes in its graph. Losses over pairs weigh, mask or compare them, or are told two
    dimensions: these are meant. Write `prediction.squeeze(1)` or `target.unsqueeze(1)`.
    """
    for loss in evidence.all(Loss):
        numbers, pairs = _product(loss.prediction), _product(loss.combined)
        if pairs <= numbers or (loss.function and not _implicit(loss)):
            continue
        target = loss.target or ((numbers,) if len(loss.prediction) > 1 else (numbers, 1))
        aligned = "" if loss.aligned is None or loss.value is None else (
            f" The first loss was {loss.value:.4g}; element by element it is {loss.aligned:.4g}."
        )  # fmt: skip
        yield Found(
            message=f"The prediction of shape {loss.prediction} meets a target of shape {target} "
            f"in the loss: each with each, {loss.combined}.",
            evidence=f"{loss.count} times {pairs} differences were averaged where there are "
            f"{numbers} predictions.{aligned}",
            fix="loss = loss_fn(prediction.squeeze(1), target)" if len(loss.prediction) > 1
            else "loss = loss_fn(prediction, target.squeeze(1))", place=loss.place,
        )  # fmt: skip


@rule("PTR805", "softmax-over-the-wrong-dimension", "warning")
def wrong_dimension(evidence: Evidence) -> Iterator[Found]:
    """A softmax over the batch, or another dimension that holds no classes.

    The samples of a batch compete with each other for probability: a prediction depends on which
    other rows it is computed with.

    In eval mode one row of a training batch gets other content: the other rows of the output must
    not change, and the first op that changes them is found. For `nll_loss` the rows that it gets
    are summed up too. Attention over positions, rows that are each other's classes, and weights
    for pooling a bag of rows are meant. Write `dim=1` or `dim=-1`.
    """
    placed: list[Place | None] = []
    for forward, mixing in _mixed(evidence):
        if not mixing.function.endswith(_SOFTMAX) or not _rowwise(evidence, forward, mixing.rows):
            continue
        op = forward.alike(mixing.op, mixing.function, mixing.module)
        shape = op.outputs[0].shape if op is not None and op.outputs else ()
        # Of one number for each row no other softmax can be had.
        if op is None or _product(shape) <= mixing.rows:
            continue
        # Of positions, though their last dimension may have been squeezed away.
        made = [shape, *(made.outputs[0].shape for made in forward.before(op, views=True))]
        inside = any(len(each) > 2 and each[:2] == shape[:2] for each in made)
        inside = inside and shape[0] == mixing.rows
        placed.append(op.called)
        yield Found(
            message=f"`{mixing.function}` in {forward.name(mixing.module)} runs over the batch: "
            "the rows compete with each other.",
            evidence=f"With one row of {mixing.rows} changed, in eval mode, {mixing.others} other "
            f"rows of the output changed by up to {mixing.largest:.3g}.",
            fix=f"{mixing.function}(x, dim=-1)", module=mixing.module,
            place=evidence.line(forward, op),
            severity="" if mixing.returned or inside else "advice",
        )  # fmt: skip
    for loss in evidence.all(Loss):
        unsummed = loss.function == "nll_loss" and loss.looked and not loss.normalised
        if not unsummed or loss.made[:1] != ("LogSoftmax",) or loss.total is None:
            continue
        op = _last(evidence, loss)
        place = op.called if op is not None else loss.place
        if place not in placed and abs(loss.total - 1) > 0.05:
            yield Found(
                message="`nll_loss` gets a log-softmax that was taken over another dimension than "
                "that of the classes.",
                evidence=f"The probabilities of a row of its input {loss.prediction} sum to "
                f"{loss.total:.3g} and not to 1.",
                fix="F.log_softmax(x, dim=1)", module="" if op is None else op.module, place=place,
            )  # fmt: skip


@rule("PTR806", "batch-read-as-time", "warning")
def batch_read_as_time(evidence: Evidence) -> Iterator[Found]:
    """A recurrent or attention layer that takes the batch for time.

    The samples of a batch look at each other and never along their own sequence: predictions
    depend on which other rows they are computed with.

    In eval mode one row of a training batch gets other content, and the first op that changes
    other rows is found. That the rows are samples is told by an output that has one row for each
    of them and no time, by its targets, or by rows that come in another order in each epoch.
    Models whose inputs have time first, and attention over a batch of one sequence are meant.
    Write `batch_first=True`.
    """
    for forward, mixing in _mixed(evidence):
        shape = mixing.shapes[0] if mixing.shapes else ()
        recurrent = mixing.function in _RECURRENT
        if not recurrent and mixing.module_type != "MultiheadAttention":
            continue
        if len(shape) < 2 or shape[0] != mixing.rows:
            continue
        sequence = len(shape) == 3 and shape[1] > 1
        samples = sequence and _pooled(evidence, forward, mixing.rows, shape[1])
        shuffled = (sequence or recurrent) and _reordered(evidence, forward)
        if samples or shuffled:
            op = forward.alike(mixing.op, mixing.function, mixing.module)
            yield Found(
                message=f"{forward.name(mixing.module)} ({mixing.module_type}) reads the batch "
                "as time: the samples of a batch see each other.",
                evidence=f"It got {shape} and took {mixing.rows} samples for steps. With one of "
                f"them changed, in eval mode, {mixing.others} others changed in the output by up "
                f"to {mixing.largest:.3g}.",
                fix=f"nn.{mixing.module_type}(..., batch_first=True)", module=mixing.module,
                place=None if op is None else op.called,
            )  # fmt: skip


@rule("PTR807", "mean-of-batch-means", "warning")
def mean_of_means(evidence: Evidence) -> Iterator[Found]:
    """An evaluation that is the mean of its batches' means.

    The rows of a smaller last batch count more than the others: the number changes with the batch
    size, and a few odd rows can decide it.

    Both means are computed from what the loss function returned, and compared with the number
    that the evaluation gave. Batches of the same size, and sums divided by the rows are right.
    Sum `loss * len(batch)` and divide by the number of rows.
    """
    for found in evidence.all(Averaged):
        apart = abs(found.said - found.weighted) / max(abs(found.weighted), 1e-12)
        yield Found(
            message="The evaluation is the mean of its batches' means though the batches are of "
            "unequal size: rows of a small batch weigh more.",
            evidence=f"{len(found.batches)} batches of {min(found.batches)} to "
            f"{max(found.batches)} rows: their mean is {found.said:.4g}, the mean over all rows "
            f"{found.weighted:.4g} ({apart:.0%} apart).",
            fix="total += loss.item() * len(x)\nmean = total / len(dataset)", place=found.place,
            severity="" if apart > 0.05 else "advice",
        )  # fmt: skip


@rule("PTR808", "input-that-changes-nothing", "advice")
def changes_nothing(evidence: Evidence) -> Iterator[Found]:
    """An input that changes nothing, above all a mask.

    Padding is treated as data: it is attended to, averaged or read to the end, and a prediction
    depends on how long the longest row of its batch is.

    Each input of a training forward gets other content, in eval mode. Where a mask changes no bit
    of any output, the padding that it marks in another input gets the content of real places: the
    outputs change if it is read. An input that is merely unused is advice. Pass the mask on, as
    `src_key_padding_mask` or in a masked mean.
    """
    for found in evidence.all(Ignored):
        forward = next((f for f in evidence.forwards if f.capture.id == found.capture), None)
        place = None if forward is None or forward.calls is None else forward.calls.place
        read = found.masking and found.reached
        evident = f"Other content of {found.dtype}{list(found.shape)} left every output the same."
        if read:
            evident += f" It marks {found.masking} places of padding; with other content there "
            evident += f"the outputs change by up to {found.reached:.3g}."
        yield Found(
            message=f"`{found.input}` of the forward changes nothing"
            + (": the padding that it marks is read like data." if read else "."),
            evidence=evident, place=place, severity="warning" if read else "",
            fix="h = encoder(x, src_key_padding_mask=mask)" if read
            else "def forward(self, x): ...",
        )  # fmt: skip


@rule("PTR809", "padding-in-the-loss", "warning")
def padding_in_the_loss(evidence: Evidence) -> Iterator[Found]:
    """A loss that counts targets where the input is padding.

    The model is mostly rewarded for predicting padding: the loss looks good, and says little of
    the tokens that matter.

    An embedding of the model names its padding token, and the rows of its inputs begin or end
    with it. What is counted are targets at these places that neither `ignore_index` nor a class
    weight of 0 leaves out. Losses without a reduction may be masked later and stay unmentioned.
    Write `ignore_index=padding`.
    """
    losses = {loss.id: loss for loss in evidence.all(Loss)}
    for padded in evidence.all(Padded):
        loss = losses.get(padded.loss)
        if loss is None or not loss.trained or padded.counted < 0.05 * padded.places:
            continue
        yield Found(
            message=f"`{loss.function}` counts targets at places where the input is padding "
            f"(token {padded.padding}).",
            evidence=f"Of {padded.places} targets {padded.padded} stand at padding, and "
            f"{padded.counted} of these were counted.",
            fix=f"nn.CrossEntropyLoss(ignore_index={padded.padding})", place=loss.place,
        )  # fmt: skip


def _makes(op: Op, sign: str) -> bool:
    return sign in op.function or (sign == "linear" and op.function.startswith("conv"))


def _last(evidence: Evidence, loss: Loss) -> Op | None:
    """Return the op that made the output which a loss function took, views looked through."""
    forwards = [each for each in evidence.forwards if each.calls is not None]
    for forward in forwards:
        if forward.calls is not None and forward.calls.id == loss.calls:
            for index in forward.capture.returned[:1]:
                op = forward.ops[index]
                while op.view and forward.before(op):
                    op = forward.before(op)[0]
                return op
    return None


def _mixed(evidence: Evidence) -> Iterator[tuple[Traced, Mixing]]:
    forwards = {forward.capture.id: forward for forward in evidence.forwards}
    for mixing in evidence.all(Mixing):
        if mixing.others and mixing.function and mixing.capture in forwards:
            yield forwards[mixing.capture], mixing


def _targets(evidence: Evidence, forward: Traced) -> list[Loss]:
    kind = None if forward.calls is None else forward.calls.id
    return [loss for loss in evidence.all(Loss) if loss.calls == kind and loss.function]


def _rowwise(evidence: Evidence, forward: Traced, rows: int) -> bool:
    """Tell whether the loss compares each row of the inputs with a target of its own."""
    return any(
        loss.target[:1] == (rows,) and loss.prediction[:1] == (rows,) and not loss.positions
        for loss in _targets(evidence, forward)
    )


def _pooled(evidence: Evidence, forward: Traced, rows: int, length: int) -> bool:
    """Tell whether the output has one row for each row of the inputs, and time no more."""
    if rows == length:
        return False
    outputs = [tensor.shape for _, tensor in forward.capture.outputs[:1]]
    without = any(shape[:1] == (rows,) and length not in shape for shape in outputs)
    targets = [loss.target for loss in _targets(evidence, forward)]
    return without or any(shape in ((rows,), (rows, 1)) for shape in targets)


def _reordered(evidence: Evidence, forward: Traced) -> bool:
    kinds = {loss.id for loss in _targets(evidence, forward)}
    return any(pairs.reordered and pairs.loss in kinds for pairs in evidence.all(Pairs))


def _implicit(loss: Loss) -> bool:
    """Tell whether nobody asked for pairs: as many numbers on both sides, in other dimensions."""
    same = _product(loss.prediction) == _product(loss.target)
    return same and len(loss.prediction) != len(loss.target)


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product if shape else 0
