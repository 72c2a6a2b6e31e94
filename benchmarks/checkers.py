"""Each checker is used here as its own documentation uses it, on a model and its own steps."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Case = dict[str, Any]
Said = set[tuple[str, str, str]]
"""What was said that is grave: id, module, the user's line; the latter two where they are told."""
EPOCHS = 8
"""A linter of logs needs so many epochs to say anything."""


@dataclass(frozen=True)
class Checker:
    """A way to look for silent bugs.

    Attributes:
        package: What has to be installed.
        check: Runs it on a case and returns what it holds for wrong.
        rounds: How often it runs the case's own steps.
    """

    package: str
    check: Callable[[Case], Said]
    rounds: int = 0

    @property
    def installed(self) -> bool:
        """Whether its package can be found."""
        return importlib.util.find_spec(self.package) is not None


def optimizers(case: Case) -> list[Any]:
    """Return the optimizers of a case."""
    return case.get("optimizers") or [one for one in [case.get("optimizer")] if one is not None]


def own_steps(case: Case, rounds: int) -> list[dict[str, float]]:
    """Run a case's own training and validation in turn, and return what they return."""
    told = []
    for epoch in range(rounds):
        record: dict[str, float] = {"epoch": epoch}
        for key, step in (("loss", "train_step"), ("eval_loss", "eval_step")):
            value = case[step](case["model"]) if step in case else None
            if isinstance(value, (int, float)):
                record[key] = float(value)
        told.append(record)
    if rounds and not {"train_step", "eval_step"} & case.keys():
        output = case["model"](*case["batch"])
        if case.get("loss_fn") is not None:
            loss = case["loss_fn"](output, case.get("target"))
            if loss.requires_grad:
                loss.backward()
    return told


def pipetrace(case: Case) -> Said:
    """Watch the case's own steps, and play its forwards again in other ways."""
    import pipetrace as pt

    steps = {key: case[key] for key in ("loss_fn", "train_step", "eval_step") if key in case}
    found = pt.check(case["model"], case["batch"], case.get("target"),
                     optimizer=optimizers(case), **steps)  # fmt: skip
    return {(each.id, each.module, each.text) for each in found if each.grave}


def torchtest2(case: Case) -> Said:
    """Run its battery of checks on one batch; warnings and failures count."""
    import torchtest2 as peer

    report = peer.check_model(
        case["model"], case["batch"], case.get("target"), loss_fn=case.get("loss_fn"),
        optimizer=next(iter(optimizers(case)), None),
    )  # fmt: skip
    return {(each.name, "", "") for each in (*report.failures, *report.warnings)}


def guardtower(case: Case) -> Said:
    """Run one instrumented training step; warnings and errors count."""
    import guardtower as peer

    def step() -> Any:
        return case["loss_fn"](case["model"](*case["batch"]), case.get("target"))

    report = peer.audit(case["model"], step, inputs=case["batch"],
                        optimizer=next(iter(optimizers(case)), None))  # fmt: skip
    return {(each.check, "", "") for each in (*report.errors, *report.warnings)}


def torch_audit(case: Case) -> Said:
    """Patch model and optimizer, and audit every step of the case's own loop, but for its speed."""
    import torch_audit as peer

    optimizer = next(iter(optimizers(case)), None)
    auditor = peer.autopatch(case["model"], optimizer=optimizer, every_n_steps=1,
                             patch_optimizer=optimizer is not None)  # fmt: skip
    try:
        own_steps(case, 2)
        result = auditor.finish()
    finally:
        auditor.unpatch()
    grave = [
        each for each in result.findings
        if each.severity.value in ("WARN", "ERROR", "FATAL")
        and result.rules[each.rule_id].category != "Performance"
    ]  # fmt: skip
    return {(each.rule_id, "", "") for each in grave}


def trainproof(case: Case) -> Said:
    """Judge the log of eight epochs, as the case's own steps return their losses."""
    from trainproof import epoch

    found = epoch.check_records(own_steps(case, EPOCHS))["findings"]
    return {(each["id"], "", "") for each in found if each["level"] in ("WARN", "FAIL")}


CHECKERS = {
    "pipetrace": Checker("pipetrace", pipetrace, 2),
    "torchtest2": Checker("torchtest2", torchtest2),
    "guardtower": Checker("guardtower", guardtower),
    "torch-audit": Checker("torch_audit", torch_audit, 2),
    "trainproof": Checker("trainproof", trainproof, EPOCHS),
}
