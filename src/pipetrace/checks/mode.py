"""The mode in the program's own loop: what really ran in train mode, and what in eval mode."""

from __future__ import annotations

from collections.abc import Iterator

from pipetrace.checks import modes
from pipetrace.checks.evidence import Evidence
from pipetrace.checks.findings import Found
from pipetrace.checks.registry import rule
from pipetrace.observed import Calls


@rule("PTR301", "evaluated-in-train-mode", "warning")
def evaluated_in_train_mode(evidence: Evidence) -> Iterator[Found]:
    """Evaluation in train mode.

    Dropout drops and batch normalisation uses the batch, and moves its running statistics, while
    the model is judged: the result is noisy and too bad, and what is saved was moved by held-out
    rows.

    The program's own forwards are watched. An evaluation is a forward after the last backward
    through the model, that no backward went through; that masks were really drawn in it, or
    buffers of a batch normalisation moved, is what counts. Draws for the same rows again and again
    (Monte Carlo dropout), forwards whose output nobody takes (`update_bn`), the rows that were
    just trained on, pseudo-labels and generated inputs of a model in training are meant.

    Call `model.eval()` before it, and `model.train()` after.
    """
    for calls in evidence.calls:
        alike = modes.trained_alike(evidence, calls)
        if not calls.training or not modes.is_evaluation(evidence, calls):
            continue
        if calls.odd and not alike and evidence.trained:
            continue
        happened = modes.happened(evidence, calls)
        if happened:
            yield Found(
                message=f"{evidence.name(calls.model)} is evaluated in train mode.",
                evidence=f"{_count(calls)} ran in train mode, and no backward went through: "
                f"{happened}.",
                fix="model.eval()\nwith torch.no_grad():\n    ...\nmodel.train()",
                place=calls.place, severity=modes.severity(evidence, calls),
            )  # fmt: skip


@rule("PTR302", "partly-in-train-mode", "warning")
def partly_in_train_mode(evidence: Evidence) -> Iterator[Found]:
    """Evaluation with a part of the model in train mode.

    `eval()` was called on a part of the model, or a part was switched back: its dropout drops
    while the model is judged.

    The modes of all modules are read at each of the program's own forwards, and what drew masks
    in an evaluation is named. Where nothing but dropout layers is in train mode, or the same rows
    are evaluated again and again, that is Monte Carlo dropout and meant.

    Call `model.eval()` on the whole model.
    """
    for calls, path in modes.partly(evidence):
        if modes.was_there(evidence, calls, path):
            yield Found(
                message=f"`{path}` is in train mode while the model is evaluated.",
                evidence=f"{_count(calls)} ran with {_odd(calls)}: "
                f"{modes.happened(evidence, calls, path)}.",
                fix="model.eval()  # reaches every submodule", module=path, place=calls.place,
                severity=modes.severity(evidence, calls),
            )  # fmt: skip


@rule("PTR303", "mode-flag-set-directly", "warning")
def flag_set_directly(evidence: Evidence) -> Iterator[Found]:
    """A mode that was set on the root alone.

    `model.training = False` changes one attribute of one module: its children stay in train mode,
    and their dropout drops. The same goes for a `train()` of your own that does not call
    `super().train(mode)`.

    The modes of all modules are read at each of the program's own forwards: the root is in one
    mode and every module inside it in the other, and dropout ran in the wrong one.

    Call `model.eval()` and `model.train()`.
    """
    for calls in evidence.calls:
        if not modes.is_root_alone(evidence, calls):
            continue
        mode = "train" if calls.training else "eval"
        if calls.training:
            idle = modes.idle(evidence, calls) if calls.trained and calls.learned else []
            told = modes.idle_told(idle)
        else:
            told = "" if calls.trained else modes.happened(evidence, calls)
        if told:
            yield Found(
                message=f"{evidence.name(calls.model)} alone is in {mode} mode: its flag was set, "
                "and not passed on to the modules inside it.",
                evidence=f"{_count(calls)} ran with {calls.odd_count} modules in the other mode: "
                f"{told}.",
                fix="model.train()" if calls.training else "model.eval()", place=calls.place,
            )  # fmt: skip


@rule("PTR304", "trained-in-eval-mode", "warning")
def trained_in_eval_mode(evidence: Evidence) -> Iterator[Found]:
    """Training in eval mode.

    Dropout is off in the whole training, and batch normalisation is frozen: a model that was
    loaded in eval mode, `from_pretrained` for example, is fine-tuned without regularisation.

    The program's own forwards are watched: a backward went through each, an optimizer stepped the
    model's parameters, and none ran in train mode; the dropout calls in them were told not to
    drop, with p above 0. Dropout inside a frozen part, p = 0, input optimisation and models
    without a mode stay silent.

    Call `model.train()` before training.
    """
    for model in evidence.models:
        trained = [calls for calls in evidence.trained if calls.model == model]
        if not trained or any(calls.training or calls.odd for calls in trained):
            continue
        learned = [calls for calls in trained if calls.learned and len(set(calls.steps)) > 1]
        for calls in learned[:1]:
            idle = modes.idle(evidence, calls)
            if idle:
                yield Found(
                    message=f"{evidence.name(calls.model)} is trained in eval mode: its dropout "
                    "never drops.",
                    evidence=f"All {sum(each.trained for each in trained)} training forwards ran "
                    f"in eval mode: {modes.idle_told(idle)}.",
                    fix="model.train()", place=calls.place,
                )  # fmt: skip


@rule("PTR305", "train-missing-after-validation", "warning")
def train_missing(evidence: Evidence) -> Iterator[Found]:
    """Training that stays in eval mode after a validation.

    The first validation calls `model.eval()`, and nothing calls `model.train()` after it: from
    the second epoch on dropout is off and batch normalisation frozen, and the model overfits.

    The program's own forwards are watched: the same line trained the model in train mode before
    an evaluation, and in eval mode right after it, and ops ran otherwise for that. Two stages of
    training on other lines, and adversarial examples made in eval mode, are meant.

    Call `model.train()` at the start of each epoch.
    """
    for calls, before in modes.left_in_eval(evidence):
        told = modes.switched(evidence, calls)
        if told:
            yield Found(
                message=f"After validation {evidence.name(calls.model)} is not put back in train "
                "mode.",
                evidence=f"{before.trained} training forwards ran in train mode before an "
                f"evaluation, {calls.trained} in eval mode after it: {told}.",
                fix="for epoch in range(epochs):\n    model.train()", place=calls.place,
            )  # fmt: skip


@rule("PTR306", "module-added-in-train-mode", "warning")
def added_in_train_mode(evidence: Evidence) -> Iterator[Found]:
    """A module that was put into the model after `eval()`.

    A new module is in train mode. An adapter, a head or a block that is put into a model in eval
    mode stays in it: its dropout drops, and predictions are random.

    The modes of all modules are read at each of the program's own forwards: this one was in none
    before, the root is in eval mode, and masks were drawn in it. Where nothing but dropout layers
    is in train mode, or the same rows are evaluated again and again, that is Monte Carlo dropout.

    Call `model.eval()` once more after the model is complete.
    """
    for calls, path in modes.partly(evidence):
        if not modes.was_there(evidence, calls, path):
            yield Found(
                message=f"`{path}` was never told eval(): it is in train mode in a model that is "
                "in eval mode.",
                evidence=f"{_count(calls)} ran with {_odd(calls)}: "
                f"{modes.happened(evidence, calls, path)}.",
                fix="model.eval()  # after the module was put in", module=path, place=calls.place,
            )  # fmt: skip


def _count(calls: Calls) -> str:
    alone = calls.count - calls.trained
    return f"{alone} forward{'' if alone == 1 else 's'}"


def _odd(calls: Calls) -> str:
    shown = ", ".join(f"`{path}`" for path in calls.odd[:3])
    mode = "eval" if calls.training else "train"
    return f"{calls.odd_count} modules in {mode} mode ({shown})"
