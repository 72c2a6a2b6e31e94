"""Loss functions that get probabilities where they want logits, or the reverse, in words."""

from __future__ import annotations

from typing import NamedTuple

from pipetrace.observed import Loss

_SIGMOID = ("binary_cross_entropy_with_logits", "multilabel_soft_margin_loss")
"""Losses that take the sigmoid of what they are given."""
_FLAT_SIGMOID = (
    "A sigmoid of a probability lies between 0.5 and 0.73: the loss cannot come near 0, and its "
    "gradients are small."
)
_ENDLESS = (
    "The loss takes what it gets for log-probabilities. Logits may grow without end, and the loss "
    "falls with them, whether the model tells the classes apart or not."
)
_NO_LOGARITHM = (
    "The loss takes what it gets for log-probabilities. Of probabilities it is no cross entropy: "
    "it never punishes a wrong prediction that is sure by more than 1."
)
_LINEAR = ("Addmm", "Mm", "Bmm", "Convolution", "MkldnnLinear", "Linear")


class Given(NamedTuple):
    """What a loss function got that it should not.

    Attributes:
        got: In words.
        wants: What it wants instead.
        maker: A part of the name of the function that made it.
        fix: What to write instead.
        severity: Where it is another than the rule's.
        why: Why it matters, where that is another reason than the rule's.
    """

    got: str
    wants: str
    maker: str
    fix: str
    severity: str = ""
    why: str = ""


def given(loss: Loss) -> Given | None:
    """Return what a loss function got that it should not, where it did."""
    all_of = loss.looked > 0
    probable = all_of and loss.probabilities == loss.looked
    first, second = (*loss.made, "", "")[:2]
    logits = "return logits  # the loss applies the {0}"
    logarithms = "F.log_softmax(logits, dim=-1)"
    if loss.function == "cross_entropy":
        wants = ", but wants logits: it takes their log-softmax itself"
        if probable or first in ("Softmax", "Sigmoid"):
            maker = "sigmoid" if first == "Sigmoid" else "softmax"
            return Given("the probabilities", wants, maker, logits.format("softmax"))
        if first == "LogSoftmax" and second == "Softmax":
            return Given("the log-softmax of a softmax", wants, "softmax", "return logits")
        if first == "LogSoftmax" and loss.normalised == loss.looked:
            wants = ": its own log-softmax changes nothing"
            why = "The result is right, and the log-softmax is computed twice."
            return Given("log-probabilities", wants, "log_softmax", "return logits", "note", why)
    elif loss.function in _SIGMOID and first in ("Sigmoid", "Softmax"):
        fix = logits.format("sigmoid") + "\nprediction = model(x) > 0  # where it was > 0.5"
        wants = ", but wants logits: it takes their sigmoid itself"
        return Given("the probabilities", wants, first.lower(), fix, why=_FLAT_SIGMOID)
    elif loss.function in ("nll_loss", "kl_div", "ctc_loss"):
        wants = ", but wants log-probabilities"
        if probable:
            got = "the probabilities"
            return Given(got, wants, "softmax", logarithms, why=_NO_LOGARITHM)
        if (first, second) == ("LogSoftmax", "Softmax"):
            return Given("the log-softmax of a softmax", wants, "softmax", logarithms)
        raw = all_of and not loss.normalised and loss.positive == loss.looked
        if loss.function != "kl_div" and raw and first in _LINEAR:
            return Given("the raw logits", wants, "linear", logarithms, why=_ENDLESS)
    return None


def looked(loss: Loss) -> str:
    """Say what the numbers were that it got."""
    if not loss.looked:
        return ""
    if loss.probabilities:
        return (f" In {loss.probabilities} of {loss.looked} calls that were looked at every row "
                "was a distribution: numbers from 0 to 1 that sum to 1.")  # fmt: skip
    if loss.normalised:
        return (f" In {loss.normalised} of {loss.looked} calls that were looked at every row was "
                "the logarithm of a distribution.")  # fmt: skip
    return (f" In none of {loss.looked} calls that were looked at was a row a distribution or the "
            "logarithm of one.")  # fmt: skip
