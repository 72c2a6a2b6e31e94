"""What a finding says is true of the program: its cause, its line, its module and its fix."""

from __future__ import annotations

import torch
from making import Called, classes, mlp, plain
from torch import nn
from watching import PROGRAMS, module, program

from pipetrace.checks.findings import Finding, Found
from pipetrace.checks.judge import _finding, _once, every_rule
from pipetrace.parts import Place

NUMERICS = module(PROGRAMS / "numerics.py")


def found(build, id: str) -> list[Finding]:
    return [each for each in program(build) if each.id == id]


def test_a_nan_of_the_inputs_is_blamed_on_no_op():
    assert found(NUMERICS.fires_ptr905_a_row_of_nan, "PTR901") == []
    (told,) = found(NUMERICS.fires_ptr905_a_row_of_nan, "PTR905")
    assert "the inputs hold NaN" in told.message
    assert "1 row of the batch held NaN, first row 3" in told.evidence


def test_a_nan_of_the_weights_is_blamed_on_no_op_that_writes_in_place():
    assert found(NUMERICS.fires_ptr905_passed_on_by_ops_in_place, "PTR901") == []
    (told,) = found(NUMERICS.fires_ptr905_passed_on_by_ops_in_place, "PTR905")
    assert "learning rate of 1e+30" in told.evidence


def test_of_two_rectifiers_the_dead_one_is_named():
    (told,) = found(NUMERICS.fires_ptr903_second_of_two_in_one_forward, "PTR903")
    assert "model.second" in told.text


def test_a_detach_is_named_with_its_own_line():
    def cut(model, x):
        hidden = model.first(x).relu()
        hidden = hidden.detach()
        return model.out(hidden)

    torch.manual_seed(0)
    layers = {"first": nn.Linear(8, 8), "out": nn.Linear(8, 4)}
    (told,) = found(lambda: plain(Called(cut, **layers), nn.CrossEntropyLoss(), classes()),
                    "PTR601")  # fmt: skip
    assert told.text == "hidden = hidden.detach()"
    assert "`first`" in told.message


def test_why_and_fix_are_those_of_the_loss_that_was_called():
    (raw,) = found(lambda: plain(mlp(), nn.NLLLoss(), classes()), "PTR803")
    assert "raw logits" in raw.message
    assert "softmax of probabilities" not in raw.why
    assert raw.fix.startswith("F.log_softmax")


def test_one_line_has_one_finding_of_a_rule():
    rule = every_rule()[0]
    place = Place(file="train.py", line=3, text="optimizer.step()")
    both = [
        Found(message=f"Norm {number}.", evidence="1", fix="x", place=place, severity=severity)
        for number, severity in ((1.5, "warning"), (2.5e3, "warning"), (7, "note"))
    ]
    kept = _once(_finding(rule, each) for each in both)
    assert [each.severity for each in kept] == ["warning"]
