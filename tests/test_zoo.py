"""A fixed sample of the zoo: 13 architectures written by hand and 12 of transformers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipetrace.records import Link, Op
from zoo import catalogue, check, peace
from zoo.architectures import Architecture, NotBuilt

BY_HAND = (
    "LSTM-two-layers-with-dropout",
    "LSTM-packed",
    "U-Net",
    "GAN-pair",
    "mixture-of-experts",
    "graph-convolution",
    "loop-that-depends-on-data",
    "tied-weights",
    "hooks-of-the-user-s-own",
    "hooks-that-the-first-forward-registers",
    "TransformerEncoder-with-padding-no-gradients",
    "checkpointing",
    "embedding-with-a-largest-norm",
)
OF_TRANSFORMERS = ("bert", "clip", "detr", "gpt2", "llama", "mamba", "mixtral", "resnet", "swin",
                   "t5", "vit", "wav2vec2")  # fmt: skip
MODES = pytest.mark.parametrize("mode", ["eval", "train"])


@MODES
@pytest.mark.parametrize("name", BY_HAND)
def test_an_architecture_written_by_hand_does_not_notice(name: str, mode: str):
    verdict = check.examine(catalogue.find(name), training=mode == "train")
    assert (verdict.status, verdict.reasons) == ("pass", ())
    assert verdict.ops > 0


@MODES
@pytest.mark.parametrize("name", OF_TRANSFORMERS)
def test_an_architecture_of_transformers_does_not_notice(name: str, mode: str):
    pytest.importorskip("transformers", reason="needs transformers: `make test` installs it, or "
                        "`pip install --group zoo`")  # fmt: skip
    verdict = check.examine(catalogue.find(name), training=mode == "train")
    assert (verdict.status, verdict.reasons) == ("pass", ())
    assert verdict.ops > 0


@pytest.mark.parametrize("name", [*BY_HAND[:3], "every-dropout"])
def test_an_architecture_written_by_hand_is_left_in_peace(name: str):
    assert peace.judged(catalogue.find(name))[1:4] == ("check", "pass", ())


@pytest.mark.parametrize("name", OF_TRANSFORMERS)
def test_an_architecture_of_transformers_is_left_in_peace(name: str):
    pytest.importorskip("transformers", reason="needs transformers: `make test` installs it, or "
                        "`pip install --group zoo`")  # fmt: skip
    assert peace.judged(catalogue.find(name))[1:4] == ("check", "pass", ())


def test_what_is_found_in_an_architecture_fails_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(peace.CONFIRMED, "every-dropout", {"PTR205"})
    verdict = peace.judged(catalogue.find("every-dropout"))
    assert verdict.status == "fail"
    assert all("PTR101" in reason for reason in verdict.reasons)


class Watchful(nn.Module):
    """Computes something else under a function mode."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + torch._C._len_torch_function_stack()


class Restless(nn.Module):
    """Computes something else in every forward of the process."""

    calls = 0

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Restless.calls += 1
        return self.linear(x) * Restless.calls


class Counting(nn.Module):
    """Leaves something else behind whenever it is called once more than its user called it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.linear(x)


def an(kind: type[nn.Module]) -> Architecture:
    def inputs(model: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (torch.randn(3, 4),), {}

    return Architecture(kind.__name__, kind, inputs)


def test_a_model_that_notices_the_tracer_fails():
    verdict = check.examine(an(Watchful), training=False)
    assert verdict.status == "fail"
    assert any("equal=False" in reason for reason in verdict.reasons)


def test_a_model_that_does_not_repeat_itself_is_said_to_be_one():
    verdict = check.examine(an(Restless), training=False)
    assert verdict.status == "pass"
    assert any("does not repeat itself" in note for note in verdict.notes)


def test_what_a_forward_leaves_is_compared():
    once = check.observe(an(Counting), training=True, traced=False)
    twice = check.observe(an(Counting), training=True, traced=False)
    assert list(check.differences(once, twice)) == []
    twice.after_forward["buffer calls"] = None
    gradient = twice.gradients["linear.weight"]
    twice.gradients["linear.weight"] = (*gradient[:3], gradient[3] + 1)
    assert list(check.differences(once, twice)) == [
        "gradient: linear.weight differs",
        "after the forward: buffer calls differs",
    ]


def test_a_mode_that_the_forward_sets_is_compared():
    trained = check.observe(an(Counting), training=True, traced=False)
    evaluated = check.observe(an(Counting), training=False, traced=False)
    found = list(check.differences(trained, evaluated))
    assert "after the forward: mode of the root and 1 more differs" in found


@pytest.mark.parametrize(("link", "word"), [
    (Link(source="constant"), "an unnamed constant"),
    (Link(source="parameter"), "a parameter without a name"),
    (Link(source="op", name="relu", index=1), "an op 1 that has not run yet"),
])  # fmt: skip
def test_an_input_from_nowhere_is_told(link: Link, word: str):
    linked = Op(capture=0, index=0, function="relu", inputs=(Link(source="input", name="input"),))
    lost = Op(capture=0, index=1, function="add", module="head", inputs=(link,))
    assert list(check.link_problems([linked])) == []
    assert list(check.link_problems([linked, lost])) == [
        f"link: add input 0: {word} (op 1 in head)"]  # fmt: skip


def test_an_unknown_architecture_is_not_built():
    pytest.importorskip("transformers")
    with pytest.raises(NotBuilt, match="no architecture of that name"):
        catalogue.find("none such")


def test_the_zoo_says_what_failed():
    finished = subprocess.run(
        [sys.executable, "-m", "zoo", "--only", "tied-weights", "U-Net", "--jobs", "1"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert [line.split()[:3] for line in finished.stdout.splitlines()] == [
        ["pass", name, mode] for name in ("tied-weights", "U-Net")
        for mode in ("eval", "train", "check")
    ]  # fmt: skip
    assert finished.stderr.startswith("2 architectures pass in eval, in train and checked")
