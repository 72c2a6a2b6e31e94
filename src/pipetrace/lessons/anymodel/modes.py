"""Quiz questions about modes, losses and gradients, the last of which any run can be asked."""

from __future__ import annotations

from random import Random

from pipetrace.lessons.anymodel.choosing import Wrong, three
from pipetrace.lessons.drafts import Draft, Option, claim, literal, number, result
from pipetrace.lessons.reading import heldout_losses
from pipetrace.lessons.registry import question
from pipetrace.records import Capture, Model
from pipetrace.tracefile import Recording

_WORDS = {True: "train", False: "eval"}
_CALLS = {True: "model.train()", False: "model.eval()"}
_TOLD = {True: "model.train(True)", False: "model.train(False)"}


@question(id="A201", group="quiz", level="easy", needs="run", place="training")
def modes_of_forwards(recording: Recording, random: Random) -> Draft | None:
    """Which calls put the model into the modes that its forwards really had."""
    captures = recording.all(Capture)
    first = next((each for each in captures if each.purpose == "training"), None)
    second = next((each for each in captures if each.purpose == "evaluation"), None)
    if first is None or second is None:
        return None

    spelled = random.choice((_CALLS, _TOLD, _CALLS | {False: _TOLD[False]}))

    def option(training: bool, evaluation: bool) -> Option:
        calls = (spelled[training], spelled[evaluation])
        correct = (training, evaluation) == (first.training, second.training)
        return result(
            f"model = nn.Linear(2, 1)\n{calls[0]}\ntraining = model.training\n{calls[1]}\n"
            "evaluation = model.training\n(training, evaluation)",
            f"With these calls, `model.training` is {training} in training and {evaluation} in "
            f"evaluation; the run had {first.training} and {second.training}.",
            correct=correct,
            misconception="" if correct else "mode-of-name",
            expected=str((first.training, second.training)) if correct else "",
            text=f"`{calls[0]}` before training, `{calls[1]}` before evaluation",
        )

    return Draft(
        text="In this run's first training forward `model.training` was {first}, and in its first "
        "evaluation forward {second}. Which calls give these modes?",
        options=tuple(option(a, b) for a in (True, False) for b in (True, False)),
        given={"first": str(first.training), "second": str(second.training)},
        steps=(
            "`model.train()` sets `model.training` to True, `model.eval()` to False.",
            "The mode stays until the next such call.",
        ),
        answer="{letter}: {key}",
        check="Print `model.training` before each forward.",
        hint="`training` is True in train mode.",
    )


@question(id="A202", group="quiz", level="medium", needs="run", place="training")
def best_epoch(recording: Recording, random: Random) -> Draft | None:
    """After which epoch the held-out loss was lowest."""
    losses = heldout_losses(recording)
    if len(losses) < 4:
        return None
    shown = dict(sorted(losses.items())[-8:])
    best = min(shown, key=lambda epoch: round(shown[epoch], 4))
    others = [epoch for epoch in shown if epoch != best]
    if len({round(loss, 4) for loss in shown.values()}) < len(shown):
        return None
    last = max(shown)
    wrong = random.sample(others, 3)
    if last in others and last not in wrong:
        wrong[0] = last
    values = literal([round(loss, 4) for loss in shown.values()])
    index = {epoch: position for position, epoch in enumerate(shown)}

    def option(epoch: int) -> Option:
        return claim(
            f"After epoch {epoch}",
            f"losses = torch.tensor({values})\n(losses.argmin() == {index[epoch]}).item()",
            f"Its held-out loss was {shown[epoch]:.4f}; the lowest was {shown[best]:.4f}.",
            correct=epoch == best,
            misconception=""
            if epoch == best
            else "last-epoch-best"
            if epoch == last
            else "any-epoch",
        )

    return Draft(
        text="The loss on held-out rows was {losses} after epochs {from} to {to}. The weights of "
        "which moment would you keep?",
        options=(option(best), *(option(epoch) for epoch in wrong)),
        given={
            "losses": ", ".join(f"{loss:.4f}" for loss in shown.values()),
            "from": str(min(shown)),
            "to": str(last),
            "best": str(best),
            "lowest": f"{shown[best]:.4f}",
        },
        steps=(
            "Held-out loss tells how the weights do on rows that did not train them.",
            "It was lowest after epoch {best}: {lowest}.",
        ),
        answer="{letter}: {key}",
        check="The training trace marks each epoch's held-out loss.",
        hint="Lower is better, and later need not be.",
    )


@question(id="A203", group="quiz", level="medium", needs="run", place="provenance")
def memory(recording: Recording, random: Random) -> Draft | None:
    """How much memory the parameters take in float32."""
    model = recording.first(Model)
    if model is None or model.parameters < 1:
        return None
    count = model.parameters

    def option(dtype: str, feedback: str, *, factor: str = "", belief: str = "") -> Option:
        return result(
            f"{count} * torch.empty(0, dtype={dtype}).element_size(){factor}",
            feedback,
            correct=not belief,
            misconception=belief,
            text="{outcome} bytes",
        )

    return Draft(
        text="The model `{type}` has {count} parameters. How much memory do they take in float32?",
        options=(
            option("torch.float32", "32 bits are 4 bytes."),
            *random.sample(
                (
                    option("torch.float64", "This is float64.", belief="double-precision"),
                    option("torch.float16", "This is float16.", belief="half-precision"),
                    option("torch.uint8", "This is one byte each.", belief="byte-each"),
                    option(
                        "torch.float32",
                        "This counts bits as bytes.",
                        factor=" * 8",
                        belief="bits-for-bytes",
                    ),
                    option(
                        "torch.float32",
                        "This counts Adam's two numbers for each parameter, too.",
                        factor=" * 3",
                        belief="adam-is-model",
                    ),
                ),
                3,
            ),
        ),
        given={"type": model.type, "count": str(count)},
        steps=("float32 has 32 bits, that is 4 bytes.", "{count} times 4 is what {letter} says."),
        answer="{letter}: {key}",
        check="`torch.tensor(0.0).element_size()` is 4.",
        hint="How many bits has a byte?",
    )


@question(id="A301", group="quiz", level="easy", needs="nothing", place="flow")
def call_for_mode(recording: Recording, random: Random) -> Draft | None:
    """Which call puts a model into the mode of this run's first forward."""
    capture = recording.first(Capture)
    if capture is None:
        return None
    wanted = capture.training
    other = _WORDS[not wanted]
    right = random.choice((_CALLS, _TOLD))[wanted]
    turned = random.choice((_CALLS, _TOLD))[not wanted]

    def option(call: str, feedback: str, belief: str = "") -> Option:
        return claim(
            f"`{call}`",
            f"model = nn.Linear(2, 1)\nmodel.{other}()\n{call}\nmodel.training == {wanted}",
            feedback,
            correct=not belief,
            misconception=belief,
        )

    return Draft(
        text="The first forward of this run met the model in {mode} mode. Which call puts a model "
        "into this mode from the other one?",
        options=(
            option(right, f"It sets `model.training` to {wanted}."),
            *random.sample(
                (
                    option(turned, "It sets the other mode.", "mode-of-name"),
                    option("torch.no_grad()", "It concerns gradients only.", "grad-is-mode"),
                    option(
                        f"model.requires_grad_({wanted})",
                        "It concerns gradients only.",
                        "grad-is-mode",
                    ),
                    option(
                        f"model.zero_grad({wanted})", "It clears gradients only.", "grad-is-mode"
                    ),
                    option(
                        f"torch.set_grad_enabled({wanted})",
                        "It switches the recording of gradients, and no model's mode.",
                        "grad-is-mode",
                    ),
                ),
                3,
            ),
        ),
        given={"mode": _WORDS[wanted], "wanted": str(wanted)},
        steps=(
            "`model.training` tells the mode: True in train mode, False in eval mode.",
            "{key} sets it to {wanted}; calls about gradients leave it alone.",
        ),
        answer="{letter}: {key}",
        check="Print `model.training` after the call.",
        hint="Modes and gradients are two separate switches.",
    )


@question(id="A302", group="quiz", level="medium", needs="nothing", place="flow")
def eval_and_gradients(recording: Recording, random: Random) -> Draft | None:
    """What eval mode leaves as it is."""
    if recording.first(Capture) is None:
        return None
    made = "model = nn.Linear(2, 1)\nrows = torch.ones(3, 2)\n"
    return Draft(
        text="After `model.eval()`, a forward is made outside of `torch.no_grad()`. What holds?",
        options=(
            claim(
                random.choice(
                    (
                        "Its output can still be sent backward",
                        "Its output still has a graph behind it",
                        "Gradients can still be taken of its output",
                    )
                ),
                f"{made}model.eval()\nmodel(rows).requires_grad",
                "eval() sets a mode; gradients are recorded as before.",
                correct=True,
            ),
            *random.sample(
                (
                    claim(
                        "Its output carries no gradients then",
                        f"{made}model.eval()\nnot model(rows).requires_grad",
                        "The output of the executed forward had a graph behind it.",
                        misconception="eval-frees-graph",
                    ),
                    claim(
                        "The parameters are frozen from then on",
                        f"{made}model.eval()\n"
                        "not any(each.requires_grad for each in model.parameters())",
                        "The executed model's parameters still asked for gradients.",
                        misconception="eval-freezes",
                    ),
                    claim(
                        "The weights are replaced by their mean",
                        f"{made}old = model.weight.clone()\nmodel.eval()\n"
                        "not torch.equal(old, model.weight)",
                        "The weights were the same before and after.",
                        misconception="eval-changes-weights",
                    ),
                    claim(
                        "It updates running means of its batches",
                        "layer = nn.BatchNorm1d(1)\nlayer.eval()\nlayer(torch.ones(1, 1, 4))\n"
                        "layer.running_mean.item() != 0",
                        "In eval mode, the executed batch normalisation kept its running mean.",
                        misconception="eval-updates-means",
                    ),
                ),
                3,
            ),
        ),
        steps=(
            "eval() sets a mode that layers such as dropout and batch normalisation look at.",
            "Gradients are switched off with `torch.no_grad()`.",
        ),
        answer="{letter}: {key}",
        check="`model.eval()(rows).requires_grad` is True.",
        hint="Modes and gradients are two separate switches.",
    )


@question(id="A303", group="quiz", level="medium", needs="nothing", place="training")
def gradients_add(recording: Recording, random: Random) -> Draft | None:
    """What two backward passes leave in the gradient."""
    if recording.first(Capture) is None:
        return None
    first, second = random.sample(range(2, 10), 2)  # different, or mean and second would agree
    made = "weight = torch.tensor(1.0, requires_grad=True)\n"
    both = f"(weight * {first}).backward()\n(weight * {second}).backward()\n"
    wrong = three(
        random,
        first + second,
        [
            Wrong(f"{made}(weight * {second}).backward()\nweight.grad.item()", second,
                  "This is what the second pass alone leaves.", "grad-replaced"),
            Wrong(f"{made}{both}(weight.grad / 2).item()", (first + second) / 2,
                  "This is the mean of the two.", "grad-averaged"),
            Wrong(f"{made}{both}weight.grad.zero_().item()", 0,
                  "Only `zero_grad()` clears gradients.", "grad-cleared"),
            Wrong(f"{made}(weight * {first} * {second}).backward()\nweight.grad.item()",
                  first * second, "Gradients of two passes are added, not multiplied.",
                  "grad-multiplied"),
            Wrong(f"{made}{both}{both}weight.grad.item()", 2 * (first + second),
                  "This is what the lines leave when they run twice.", "grad-twice"),
        ],
    )  # fmt: skip
    if wrong is None:
        return None
    return Draft(
        text="What is `weight.grad` after these lines?",
        code=f"{made}{both}".rstrip(),
        options=(
            result(
                f"{made}{both}weight.grad.item()",
                "Each backward pass adds to what is there.",
                correct=True,
            ),
            *wrong,
        ),
        given={"first": number(first), "second": number(second)},
        steps=(
            "The first pass leaves {first}.",
            "The second adds {second}, because nothing cleared the gradient.",
            "The sum is {key}.",
        ),
        answer="{letter}: {key}",
        check="With `weight.grad = None` in between, the second pass alone is left.",
        hint="Why do training loops call `zero_grad()`?",
    )
