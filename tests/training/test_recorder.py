"""What is recorded of scripts that people might have written is what they printed."""

from __future__ import annotations

import ast
import contextlib
import gc
import re
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook

import pipetrace
from pipetrace.records import (
    Capture,
    Epoch,
    Evaluation,
    Failure,
    Notice,
    Prediction,
    Probe,
    Seed,
    Training,
)
from pipetrace.story.training import training
from pipetrace.training.course import Course
from pipetrace.training.passes import Passes
from pipetrace.training.phases import FULL, LOADER, LOOP, MARKED, OPEN, SECTION

Run = Callable[[str], Any]

SHAPES = {
    "accelerator": (LOOP, [4] * 3, [1, 2, 3]),
    "accumulation": (LOADER, [4] * 3, []),
    "batchnorm_scheduler": (LOADER, [6] * 5, [1, 2, 3, 4, 5]),
    "binary_bce": (LOADER, [7] * 4, [1, 2, 3, 4]),
    "cross_entropy_object": (LOADER, [8] * 3, [1, 2, 3]),
    "early_stopping": (LOADER, [6] * 6, [1, 2, 3, 4, 5, 6]),
    "eval_forgotten": (LOADER, [4] * 3, [1, 2, 3]),
    "example_digest": (LOADER, [32] * 2, [1, 2]),
    "exits": (LOADER, [4], []),
    "full_batch": (FULL, [1] * 12, []),
    "functional_loss": (LOADER, [4] * 3, []),
    "hf_like": (LOADER, [4] * 3, [1, 2, 3]),
    "kfold": (LOOP, [3] * 9, [1, 2, 3] * 3),
    "lbfgs": (FULL, [1] * 4, []),
    "manual_nll": (OPEN, [30], []),
    "manual_softmax": (LOADER, [5] * 4, [1, 2, 3, 4]),
    "noisy": (OPEN, [20], []),
    "numpy_random": (LOOP, [3] * 3, [1, 2, 3]),
    "plain_slices": (LOOP, [4] * 4, [1, 2, 3, 4]),
    "raises": (LOADER, [4], []),
    "regression_mse": (LOADER, [10] * 5, [1, 2, 3, 4, 5]),
    "several_optimizers": (LOADER, [10] * 3, []),
    "step_based": (SECTION, [10, 10, 10, 1], [0, 0, 1, 1, 2, 2, 3, 3]),
    "workers": (LOADER, [6] * 2, []),
}
"""Rule of the epochs, steps in each, and after which epoch each evaluation ran."""
FORGOTTEN = {"eval_forgotten"}
FAST_PATH = {"hf_like"}
"""An encoder's fast path is not taken under a function mode: the receipt says so."""


@pytest.mark.parametrize("name", SHAPES)
def test_epochs_and_evaluations_of_a_script(name: str, ran: Run):
    recording = ran(name).recording
    rule, steps, evaluated = SHAPES[name]
    epochs, evaluations = recording.all(Epoch), recording.all(Evaluation)
    assert {epoch.rule for epoch in epochs} == {rule}
    assert [epoch.steps for epoch in epochs] == steps
    assert [evaluation.epoch for evaluation in evaluations] == evaluated
    assert {epoch.mode for epoch in epochs} == {True}
    assert {each.mode for each in evaluations} <= {name in FORGOTTEN}
    captures = recording.all(Capture)
    unequal = [c.purpose for c in captures if c.receipt is not None and not c.receipt.equal]
    assert unequal == (["evaluation"] if name in FAST_PATH else [])
    checks = [check for c in captures if c.receipt is not None for check in c.receipt.checks]
    assert len(checks) >= 4
    assert [check for check in checks if check.ok is not True] == []
    notices = {"raises": ["prediction"], "several_optimizers": ["optimizers-0", "terms-0"]}
    assert [notice.id for notice in recording.all(Notice)] == notices.get(name, [])


def numbers(lines: list[str]) -> list[list[float]]:
    """Return the numbers in each line; hexadecimal ones too."""
    found = []
    for line in lines:
        words = re.findall(r"-?0x[0-9a-f.]+p[+-]\d+|-?\d+\.?\d*(?:e-?\d+)?", line)
        found.append([float.fromhex(w) if "0x" in w else float(w) for w in words])
    return found


def printed(run: Any, start: str = "") -> list[list[float]]:
    return numbers([line for line in run.printed if line.startswith(start)][: len(run.printed)])


def losses(run: Any) -> list[float | None]:
    return [epoch.score.loss for epoch in run.recording.all(Epoch)]


def close(values: list[float]) -> Any:
    return pytest.approx(values, abs=1e-6)


def test_the_epochs_losses_are_what_scripts_printed(ran: Run):
    assert losses(ran("accumulation")) == close([n[1] for n in printed(ran("accumulation"))[:3]])
    own = [n[1] for n in printed(ran("cross_entropy_object"), "[")]
    assert losses(ran("cross_entropy_object")) == close(own)
    assert losses(ran("full_batch")) == close([n[1] for n in printed(ran("full_batch"))[:12]])
    assert losses(ran("regression_mse")) == close(
        [n[1] for n in printed(ran("regression_mse"))[:5]]
    )


def test_the_epochs_losses_are_the_means_of_the_steps_that_scripts_printed(ran: Run):
    run = ran("plain_slices")
    steps = [n[2] for n in numbers([line for line in run.printed if line[0].isdigit()])]
    assert losses(run) == close([sum(steps[i : i + 4]) / 4 for i in range(0, 16, 4)])
    run = ran("batchnorm_scheduler")
    steps = [n[-1] for n in printed(run, "Train")]
    assert losses(run) == close([sum(steps[i : i + 6]) / 6 for i in range(0, 30, 6)])


def test_training_accuracy_and_held_out_scores_are_what_a_script_printed(ran: Run):
    run = ran("binary_bce")
    lines = [line.split() for line in run.printed[:8]]
    for facts, phase in (
        (run.recording.all(Epoch), "train"),
        (run.recording.all(Evaluation), "val"),
    ):
        own = [(float(line[2]), float(line[3])) for line in lines if line[1] == phase]
        assert [fact.score.loss for fact in facts] == close([loss for loss, _ in own])
        assert [fact.score.accuracy for fact in facts] == [accuracy for _, accuracy in own]


def test_held_out_accuracy_is_known_where_the_loop_calls_no_loss_function(ran: Run):
    run = ran("cross_entropy_object")
    evaluations = run.recording.all(Evaluation)
    assert [each.score.accuracy for each in evaluations] == [n[0] for n in printed(run, "accuracy")]
    assert {each.loss_by for each in evaluations} == {"pipetrace"}
    run = ran("hf_like")
    own = [ast.literal_eval(line)["accuracy"] for line in run.printed[:3]]
    assert [each.score.accuracy for each in run.recording.all(Evaluation)] == own


def test_held_out_losses_are_what_scripts_printed(ran: Run):
    def found(name: str) -> list[float | None]:
        return [each.score.loss for each in ran(name).recording.all(Evaluation)]

    assert found("early_stopping") == close([n[1] for n in printed(ran("early_stopping"))[:6]])
    assert found("manual_softmax") == close([n[2] for n in printed(ran("manual_softmax"))[:4]])
    assert found("regression_mse") == close([n[2] for n in printed(ran("regression_mse"))[:5]])
    assert found("plain_slices") == close([n[0] for n in printed(ran("plain_slices"), "test")])
    assert found("accelerator") == close([n[0] for n in printed(ran("accelerator"), "held")])
    assert found("eval_forgotten") == close([n[2] for n in printed(ran("eval_forgotten"))[:3]])
    steps = [(n[1], n[2]) for n in printed(ran("step_based"), "step")]
    assert found("step_based") == close([loss for pair in steps for loss in pair])
    names = [each.name for each in ran("step_based").recording.all(Evaluation)]
    assert names == ["train", "val"] * 4


def test_a_sum_of_losses_is_divided_by_the_rows(ran: Run):
    run = ran("batchnorm_scheduler")
    own = printed(run, "Test")
    found = [each.score for each in run.recording.all(Evaluation)]
    assert [score.loss for score in found] == close([n[0] for n in own])
    assert [score.accuracy for score in found] == [n[1] / n[2] for n in own]


def test_each_fold_is_a_training_of_its_own(ran: Run):
    recording = ran("kfold").recording
    assert [(t.id, t.model) for t in recording.all(Training)] == [(0, 0), (1, 1), (2, 2)]
    assert [e.training for e in recording.all(Epoch)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [e.index for e in recording.all(Epoch)] == [1, 2, 3] * 3
    assert [e.seen for e in recording.all(Evaluation)] == [0.0] * 9


def test_two_optimizers_at_once_are_one_training(ran: Run):
    assert len(ran("several_optimizers").recording.all(Training)) == 1


def test_rates_follow_the_scheduler(ran: Run):
    run = ran("batchnorm_scheduler")
    after = [0.1, *(n[0] for n in printed(run, "lr"))]
    assert [epoch.rates[0] for epoch in run.recording.all(Epoch)] == after[:5]


@pytest.mark.parametrize("name", ["binary_bce", "regression_mse", "plain_slices", "numpy_random"])
def test_held_out_rows_were_not_trained_on(name: str, ran: Run):
    evaluation = ran(name).recording.first(Evaluation)
    assert evaluation.seen == 0.0 or name == "numpy_random"
    prediction = ran(name).recording.first(Prediction)
    # Rows that are changed at random never come twice: then no comparison tells anything.
    assert prediction.heldout is (None if name == "numpy_random" else True)
    assert prediction.passes_equal is True


def test_a_script_that_raises_keeps_its_epoch_and_its_place(ran: Run):
    failure = ran("raises").recording.last(Failure)
    assert (failure.module, failure.module_type) == ("second", "Linear")
    assert failure.input_shapes[0] == (10, 10)


def test_without_a_model_nothing_is_claimed(ran: Run):
    recording = ran("no_model").recording
    assert recording.all(Epoch) == recording.all(Training) == []
    assert [notice.id for notice in recording.all(Notice)] == ["no-forward"]


def test_the_seed_is_stated(ran: Run):
    assert ran("kfold").recording.first(Seed).value == 31


def two_passes(task: Any) -> None:
    for _ in range(2):
        for x, y in task.loader:
            step(task, x, y)


def slices_in_loops(task: Any) -> None:
    for _ in range(2):
        for start in range(0, 24, 8):
            step(task, task.x[start : start + 8], task.y[start : start + 8])


def steps_between_evaluations(task: Any) -> None:
    taken = 0
    while taken < 6:
        if taken % 2 == 0:
            with torch.no_grad():
                F.cross_entropy(task.model(task.x), task.y)
        rows = torch.randint(24, (8,))
        step(task, task.x[rows], task.y[rows])
        taken += 1


def full_batches(task: Any) -> None:
    for _ in range(6):
        step(task, task.x, task.y)


@pytest.mark.parametrize(
    "loop", [two_passes, slices_in_loops, steps_between_evaluations, full_batches]
)
def test_marks_win(loop: Callable[[Any], None], task: Any):
    with pipetrace.record() as alone:
        loop(task)
    assert MARKED not in {epoch.rule for epoch in alone.recording.all(Epoch)}
    assert len(alone.recording.all(Epoch)) > 1
    with pipetrace.record() as run:
        for _ in pipetrace.epochs(range(2)):
            loop(task)
    epochs = run.recording.all(Epoch)
    assert [(epoch.rule, epoch.steps) for epoch in epochs] == [(MARKED, 6)] * 2
    told = training(run.recording)
    assert told is not None
    assert f"how epochs were recognised: {MARKED}" in str(told.blocks)
    assert told.title == "Training trace, 2 epochs"


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
@pytest.mark.parametrize("loader", [True, False])
def test_an_epoch_that_was_broken_off_is_no_epoch(stop: int, loader: bool, task: Any):
    with contextlib.suppress(KeyboardInterrupt), pipetrace.record() as run:
        for epoch in range(3):
            for number, rows in enumerate(torch.arange(24).split(8) if not loader else task.loader):
                if epoch == 2 and number == stop:
                    raise KeyboardInterrupt
                x, y = rows if loader else (task.x[rows], task.y[rows])
                step(task, x, y)
            if epoch == 2:
                raise KeyboardInterrupt
    told = training(run.recording)
    assert told is not None
    epochs = "2 complete epochs and a part of one" if 0 < stop < 3 else f"{2 + stop // 3} epochs"
    assert told.title == f"Training trace, {epochs}"


def step(task: Any, x: torch.Tensor, y: torch.Tensor) -> float:
    task.optimizer.zero_grad()
    loss = F.cross_entropy(task.model(x), y)
    loss.backward()
    task.optimizer.step()
    return loss.item()


def fit(task: Any, epochs: int = 2) -> list[float]:
    torch.manual_seed(9)
    return [step(task, x, y) for _ in range(epochs) for x, y in task.loader]


@pytest.mark.parametrize(
    "name", ["called", "loss_called", "backward_called", "stepped", "came", "ended", "close",
             "finish"],
)  # fmt: skip
def test_an_error_of_our_own_never_reaches_the_program(
    name: str, task: Any, monkeypatch: pytest.MonkeyPatch
):
    start = {key: value.clone() for key, value in task.model.state_dict().items()}
    alone = fit(task)
    ended = {key: value.clone() for key, value in task.model.state_dict().items()}
    task.model.load_state_dict(start)

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("ours")

    owner = Passes if name in ("came", "ended") else Course
    monkeypatch.setattr(owner, name, fail)
    with pipetrace.record() as run:
        assert fit(task) == alone
    assert all(torch.equal(task.model.state_dict()[key], ended[key]) for key in ended)
    notices = [notice for notice in run.recording.all(Notice) if notice.id == "recorder"]
    assert len(notices) == 1
    assert "raised ValueError: ours (test_recorder.py" in notices[0].text


def test_an_error_of_our_own_leaves_other_hooks_of_optimizers_alone(
    task: Any, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("ours")

    monkeypatch.setattr(Course, "stepped", fail)
    heard = []
    with pipetrace.record():
        handle = register_optimizer_step_post_hook(lambda *_: heard.append(True))
        fit(task, 1)
        handle.remove()
    assert len(heard) == 3


def test_nothing_of_the_program_is_kept_after_the_block():
    def program() -> tuple[Any, list[weakref.ref[Any]]]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = torch.randn(12, 4), torch.randint(2, (12,))
        with pipetrace.record():
            from torch.nn.functional import cross_entropy

            for _ in range(2):
                optimizer.zero_grad()
                loss = cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                with torch.no_grad():
                    cross_entropy(model(x), y)
        after = cross_entropy(model(x), y)
        return cross_entropy, [weakref.ref(o) for o in (model, optimizer, x, y, loss, after)]

    wrapped, watched = program()
    gc.collect()
    assert [ref() for ref in watched] == [None] * 6
    assert wrapped(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long)).item() > 0


def test_no_graph_is_held_between_steps(task: Any):
    class Packed:
        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor.detach()

    kept: list[weakref.ref[Packed]] = []

    def pack(tensor: torch.Tensor) -> Packed:
        packed = Packed(tensor)
        kept.append(weakref.ref(packed))
        return packed

    with pipetrace.record():
        for x, y in task.loader:
            task.optimizer.zero_grad()
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed.tensor):
                loss = F.cross_entropy(task.model(x), y)
            loss.backward(retain_graph=True)
            task.optimizer.step()
            assert any(ref() is not None for ref in kept)
            del loss
            assert [ref() for ref in kept] == [None] * len(kept)
    assert len(kept) > 9


def test_a_probe_follows_every_epoch(ran: Run):
    for name in ("plain_slices", "batchnorm_scheduler", "kfold"):
        epochs, probes = (ran(name).recording.all(kind) for kind in (Epoch, Probe))
        assert [(p.training, p.epoch) for p in probes] == [(e.training, e.index) for e in epochs]


class Marked(torch.Tensor):
    """A tensor of somebody's own class."""


@pytest.mark.parametrize("kind", ["none", "subclass"])
def test_losses_of_several_numbers_and_of_other_classes_are_recorded(task: Any, kind: str):
    printed = []
    with pipetrace.record() as run:
        for x, y in task.loader:
            task.optimizer.zero_grad()
            logits = task.model(x)
            if kind == "none":
                loss = F.cross_entropy(logits, y, reduction="none").mean() * 2
            else:
                loss = F.cross_entropy(logits.as_subclass(Marked), y)
                assert type(loss) is Marked
            loss.backward()
            printed.append(loss.item())
            task.optimizer.step()
    assert list(run.recording.series["loss/0"]) == pytest.approx(printed)
    (epoch,) = run.recording.all(Epoch)
    assert epoch.score.loss == pytest.approx(sum(printed) / len(printed))
    assert epoch.score.accuracy is not None


def test_losses_that_cannot_be_read_are_told_once(task: Any):
    from torch.testing._internal.two_tensor import TwoTensor

    with pipetrace.record() as run:
        for x, y in task.loader:
            task.optimizer.zero_grad()
            logits = task.model(x)
            F.mse_loss(TwoTensor(logits.detach(), logits.detach()), TwoTensor(logits, logits))
            F.cross_entropy(logits, y).backward()
            task.optimizer.step()
    (notice,) = [each for each in run.recording.all(Notice) if each.id == "loss-type"]
    assert "mse_loss returned is a TwoTensor" in notice.text
    assert len(run.recording.series["loss/0"]) == 3
