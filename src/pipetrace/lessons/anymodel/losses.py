"""Quiz questions about the losses that this run really had."""

from __future__ import annotations

import math
from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.anymodel.reading import classified, epochs, losses, predicted
from pipetrace.lessons.drafts import Draft, literal, number, result
from pipetrace.lessons.registry import question
from pipetrace.records import Metrics, Prediction, Training
from pipetrace.tracefile import Recording


@question(id="A421", group="quiz", level="medium", needs="run", place="training")
def uniform_guess(recording: Recording, random: Random) -> Draft | None:
    """Which loss a model has that finds every class equally probable."""
    training = recording.first(Training)
    if training is None or training.loss not in ("cross_entropy", "CrossEntropyLoss"):
        return None
    metrics = recording.first(Metrics)
    found = classified(recording, most=64)
    prediction = recording.first(Prediction)
    count = (
        metrics.classification.classes
        if metrics is not None and metrics.classification is not None
        else found.classes
        if found is not None
        else len(prediction.scores)
        if prediction is not None and prediction.task == "classes"
        else 0
    )
    first = next(iter(recording.series.get(f"loss/{training.id}", ())), math.nan)
    if not math.isfinite(first):
        first = next(
            (e.score.loss for e in epochs(recording) if e.score.loss is not None), math.nan
        )
    if not 2 <= count <= 10_000 or not math.isfinite(first):
        return None
    made = f"scores = torch.zeros(1, {count})  # equal scores\n"
    options = three(
        random,
        math.log(count),
        [
            Wrong(f"1 / {count}", 1 / count, "This is the probability; the loss is its -log.",
                  "loss-is-probability"),
            Wrong(f"torch.tensor({count}.0).log2().item()", math.log2(count),
                  "PyTorch takes the natural logarithm.", "log-base"),
            Wrong(f"torch.tensor({count}.0).log10().item()", math.log10(count),
                  "PyTorch takes the natural logarithm.", "log-base"),
            Wrong(f"1 - 1 / {count}", 1 - 1 / count, "This is how often such a guess is wrong.",
                  "loss-is-error"),
            Wrong(f"torch.tensor({count}.0).sqrt().item()", math.sqrt(count),
                  "A logarithm is taken, not a root.", "loss-is-error"),
            Wrong(f"torch.tensor({count}.0).log().item() + 1", math.log(count) + 1,
                  "Nothing is added.", "loss-starts-at-one"),
            Wrong("0.0", 0.0, "A loss of 0 takes a sure and right answer.", "loss-starts-at-zero"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="This run's first training loss was {first}. Which cross entropy has a model that "
        "gives the same probability to each of the {count} classes?",
        options=(
            result(
                f"{made}F.cross_entropy(scores, torch.tensor([0])).item()",
                "It is -log(1 / {count}), the natural logarithm of {count}.",
                correct=True,
                expected=number(math.log(count)),
            ),
            *options,
        ),
        given={"first": number(first), "count": str(count)},
        steps=(
            "Each class gets the probability 1 / {count}.",
            "Cross entropy is minus the natural logarithm of the true class's: {key}.",
            "A first loss far above it means that the model begins sure of wrong answers.",
        ),
        answer="{letter}: {key}",
        check="`F.cross_entropy(torch.zeros(1, {count}), torch.tensor([0]))`",
        hint="What is -log of one part in {count}?",
    )


@question(id="A422", group="quiz", level="medium", needs="run", place="prediction")
def loss_of_sample(recording: Recording, random: Random) -> Draft | None:
    """Which cross entropy one real sample has."""
    found = predicted(recording)
    if found is None or found.truth is None or not 0 <= found.truth < len(found.scores):
        return None
    truth = int(found.truth)
    p = found.probabilities[truth]
    if not 0.001 < p < 0.999:
        return None
    scores = literal([round(score, 4) for score in found.scores])
    other = max(q for index, q in enumerate(found.probabilities) if index != truth)
    options = three(
        random,
        -math.log(p),
        [
            Wrong(f"1 - {literal(round(p, 4))}", 1 - round(p, 4),
                  "This is the probability of all other classes.", "loss-is-error"),
            Wrong(f"{literal(round(p, 4))}", round(p, 4), "This is the probability itself.",
                  "loss-is-probability"),
            Wrong(f"-torch.tensor({literal(round(p, 4))}).log2().item()", -math.log2(round(p, 4)),
                  "PyTorch takes the natural logarithm.", "log-base"),
            Wrong(f"torch.tensor({literal(round(p, 4))}).log().item()", math.log(round(p, 4)),
                  "The sign is turned, so that less probable means more loss.", "log-sign"),
            Wrong(f"(1 - torch.tensor({literal(round(p, 4))})).square().item()",
                  (1 - round(p, 4)) ** 2, "This is a squared error.", "loss-is-square"),
            Wrong(f"-torch.tensor({literal(max(other, 0.0001))}).log().item()",
                  -math.log(max(other, 0.0001)), "This is another class.", "loss-of-other"),
        ],
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="For one sample, the model gave its true class, {truth}, the probability {p}. Which "
        "cross entropy has this sample?",
        options=(
            result(
                f"scores = torch.tensor([{scores}])\n"
                f"F.cross_entropy(scores, torch.tensor([{truth}])).item()",
                "It is minus the natural logarithm of that probability.",
                correct=True,
                expected=number(-math.log(p)),
            ),
            *options,
        ),
        given={"truth": str(truth), "p": number(p)},
        steps=(
            "Only the probability of the true class counts: {p}.",
            "Minus its natural logarithm is {key}.",
        ),
        answer="{letter}: {key}",
        check="e to the power of minus the loss gives {p} again.",
        hint="A sure and right answer costs nothing.",
    )


@question(id="A423", group="quiz", level="medium", needs="run", place="training")
def fall(recording: Recording, random: Random) -> Draft | None:
    """By which share the training loss changed."""
    found = [(e.index, e.score.loss) for e in epochs(recording) if e.score.loss is not None]
    if len(found) < 2 or min(loss for _, loss in found) < 0.001:
        return None
    (start, first), *others = found
    end, last = random.choice(others)
    a, b = round(first, 4), round(last, 4)
    if max(a, b) > 1e6 or abs(a - b) < 0.01 * a:
        return None
    fell = b < a
    low, high = min(a, b), max(a, b)

    def percent(value: float) -> float:
        return round(100 * value, 1)

    options = three(
        random,
        percent((high - low) / a),
        [
            Wrong(f"round(100 * ({high} - {low}) / {b}, 1)", percent((high - low) / b),
                  "This is measured against where it came to, not where it began.",
                  "share-of-end"),
            Wrong(f"round(100 * ({high} - {low}), 1)", percent(high - low),
                  "This is the difference, not a share of the beginning.", "share-is-difference"),
            Wrong(f"round(100 * {b} / {a}, 1)", percent(b / a), "This is what it came to.",
                  "share-of-rest"),
            Wrong(f"round(100 * ({high} - {low}) / ({a} + {b}), 1)",
                  percent((high - low) / (a + b)), "This is measured against the sum.",
                  "share-of-sum"),
            Wrong(f"round(100 * ({high} - {low}) / {a} / {len(found)}, 1)",
                  percent((high - low) / a / len(found)), "This is a share for each epoch.",
                  "share-per-epoch"),
        ],
        text="{outcome} %",
    )  # fmt: skip
    if options is None:
        return None
    return Draft(
        text="The mean training loss was {a} in epoch {start} and {b} in epoch {end}. By which "
        "share did it {move}?",
        options=(
            result(
                f"round(100 * ({high} - {low}) / {a}, 1)",
                "The difference divided by where it began.",
                correct=True,
                text="{outcome} %",
            ),
            *options,
        ),
        given={
            "a": number(a),
            "b": number(b),
            "start": str(start),
            "end": str(end),
            "move": "fall" if fell else "rise",
            "difference": number(high - low),
        },
        steps=(
            "The difference is {difference}.",
            "Divided by the beginning, {a}: {key}.",
        ),
        answer="{letter}: {key}",
        check="The training trace lists the loss of each epoch.",
        hint="A share of which of the two losses?",
    )


@question(id="A424", group="quiz", level="easy", needs="run", place="training")
def gap(recording: Recording, random: Random) -> Draft | None:
    """How far held-out loss lies from training loss in the same mode."""
    found = losses(recording)
    if not found:
        return None
    epoch = random.choice(sorted(found))
    now = found[epoch]
    train, held = round(now.train, 4), round(now.held, 4)
    if max(abs(train), abs(held)) > 1e6 or abs(train - held) < 0.001:
        return None
    wrong = [
        Wrong(f"{train} - {held}", train - held, "The training loss is taken off.",
              "difference-turned"),
        Wrong(f"{held} + {train}", held + train, "A gap is a difference.", "gap-is-sum"),
        Wrong(f"{held} / {train}" if train else "0.0", held / train if train else 0.0,
              "This is a ratio.", "gap-is-ratio"),
        Wrong(f"({held} + {train}) / 2", (held + train) / 2, "This is their mean.", "gap-is-mean"),
        Wrong(f"{held} * 1", held, "This is the held-out loss alone.", "gap-is-heldout"),
    ]  # fmt: skip
    loop = None if now.loop is None else round(now.loop, 4)
    if loop is not None and abs(loop - train) > 0.001:
        feedback = "The loop's loss is of other weights, which still changed, and of train mode."
        wrong.append(Wrong(f"{held} - {loop}", held - loop, feedback, "loop-loss-is-last"))
    options = three(random, held - train, wrong)
    if options is None:
        return None
    seen = "" if loop is None else f" (During the epoch the training loop saw {number(loop)}.)"
    return Draft(
        text="With the weights at the end of epoch {epoch}, {rows} training rows had the loss "
        "{train} and held-out rows {held}, both in eval mode.{seen} How far does the held-out loss "
        "lie above that of the training rows?",
        options=(
            result(
                f"{held} - {train}",
                "Weights and mode are the same in both, so that the rows alone differ.",
                correct=True,
                expected=number(held - train),
            ),
            *options,
        ),
        given={"epoch": str(epoch), "rows": str(now.rows), "train": number(train),
               "held": number(held), "seen": seen},
        steps=(
            "Losses can be compared that differ in one thing: here, in the rows.",
            "Held-out minus training: {held} - {train} = {key}.",
            "Below 0, the held-out rows were the easier ones.",
        ),
        answer="{letter}: {key}",
        check="The training trace lists the losses of each epoch.",
        hint="Which two losses are of the same weights in the same mode?",
    )  # fmt: skip
