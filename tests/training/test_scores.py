"""Accuracy is scikit-learn's, and the loss function's input is traced back to the output."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from pipetrace.training import scores
from pipetrace.training.scores import LossCall

metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


def called(name: str, *args: torch.Tensor, **options: object) -> LossCall:
    value = getattr(F, name)(*args, **options)
    call = scores.loss_call(name, args, options, value)
    assert call is not None
    return call


@pytest.mark.parametrize("ignore", [-100, 2])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_classes(ignore: int, kind: torch.dtype):
    logits, target = torch.randn(64, 5).to(kind), torch.randint(5, (64,))
    call = called("cross_entropy", logits, target, ignore_index=ignore)
    right, counted = scores.correct(call) or (0, 0)
    kept = target != ignore
    expected = metrics.accuracy_score(target[kept], logits.argmax(1)[kept], normalize=False)
    assert (right, counted) == (expected, int(kept.sum()))
    assert 0 < right < counted
    assert scores.correct(called("nll_loss", logits.float().log_softmax(1), target)) is not None


def test_class_probabilities():
    logits, chances = torch.randn(40, 4), torch.randn(40, 4).softmax(1)
    expected = metrics.accuracy_score(chances.argmax(1), logits.argmax(1), normalize=False)
    assert scores.correct(called("cross_entropy", logits, chances)) == (expected, 40)


def test_every_pixel_counts():
    logits, target = torch.randn(3, 4, 5, 6), torch.randint(4, (3, 5, 6))
    target[0, 0] = 255
    call = called("cross_entropy", logits, target, ignore_index=255)
    kept = target != 255
    expected = metrics.accuracy_score(target[kept], logits.argmax(1)[kept], normalize=False)
    assert scores.correct(call) == (expected, 84)


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
def test_binary_and_several_labels(shape: tuple[int, ...]):
    logits, target = torch.randn(shape), torch.randint(2, shape).float()
    expected = metrics.accuracy_score(
        target.flatten(), (logits > 0).flatten().float(), normalize=False
    )
    with_logits = called("binary_cross_entropy_with_logits", logits, target)
    assert scores.correct(with_logits) == (expected, target.numel())
    chances = called("binary_cross_entropy", logits.sigmoid(), target)
    assert scores.correct(chances) == (expected, target.numel())
    signs = called("soft_margin_loss", logits, target * 2 - 1)
    assert scores.correct(signs) == (expected, target.numel())


def test_values_have_no_accuracy():
    assert scores.correct(called("mse_loss", torch.randn(4, 1), torch.randn(4, 1))) is None
    assert (scores.task("huber_loss"), scores.task("kl_div")) == ("values", "")


def test_a_loss_function_may_be_called_in_every_way():
    logits, target, weight = torch.randn(8, 3), torch.randint(3, (8,)), torch.rand(3)
    for args, kwargs in (
        ((logits, target, weight), {}),
        ((logits, target), {"weight": weight}),
        ((logits,), {"target": target, "weight": weight}),
        ((), {"input": logits, "target": target, "weight": weight}),
    ):
        value = F.cross_entropy(*args, **kwargs)
        call = scores.loss_call("cross_entropy", args, kwargs, value)
        assert call is not None
        assert torch.equal(call.input, logits)
        assert torch.equal(call.target, target)
        assert torch.equal(scores.apply(call, logits, target), value)
    assert scores.loss_call("cross_entropy", (logits, None), {}, torch.zeros(())) is None
    assert scores.loss_call("cross_entropy", (logits,), {}, torch.zeros(())) is None


def test_a_sum_is_stated_by_row():
    logits, target = torch.randn(8, 3), torch.randint(3, (8,))
    call = called("cross_entropy", logits, target, reduction="sum")
    mean = F.cross_entropy(logits, target).item()
    assert call.value.item() == pytest.approx(mean)
    assert scores.apply(call, logits, target).item() == pytest.approx(mean)


def test_an_input_that_was_written_into_is_known():
    logits, target = torch.randn(8, 3), torch.randint(3, (8,))
    call = called("cross_entropy", logits, target)
    assert call.unchanged()
    logits.add_(1)
    assert not call.unchanged()


def test_large_logits_are_thinned_evenly():
    logits, target = torch.randn(300, 5000), torch.randint(5000, (300,))
    logits[torch.arange(0, 300, 2), target[::2]] = 50.0
    call = called("cross_entropy", logits, target)
    thin = scores.thinned(call)
    kept = [int((logits == row).all(1).nonzero()) for row in thin.input]
    assert len(kept) == 13
    assert [row * 13 // 300 for row in kept] == list(range(13))
    assert torch.equal(thin.target, target[kept])
    assert thin.input.data_ptr() != logits.data_ptr()
    assert (thin.rows, thin.value) == (300, call.value)
    small = called("cross_entropy", logits[:4, :10].clone(), target[:4] % 10)
    assert scores.thinned(small) is small


def test_a_small_slice_does_not_keep_a_large_storage_alive():
    logits, target = torch.randn(300, 5000), torch.randint(10, (300,))
    thin = scores.thinned(called("cross_entropy", logits[:4, :10], target[:4]))
    assert thin.input.untyped_storage().nbytes() == thin.input.nbytes
    assert torch.equal(thin.input, logits[:4, :10])
    logits.zero_()
    assert thin.unchanged()


def test_a_thousand_steps_of_a_batch_cut_in_two_hold_little_memory():
    waiting = []
    for _ in range(3):
        rows = torch.randn(500, 200)  # 0.4 MB, features and target in one tensor
        waiting.append(scores.thinned(called("mse_loss", torch.randn(500, 1), rows[:, -1:])))
    held = [t.untyped_storage().nbytes() for call in waiting for t in (call.input, call.target)]
    assert sum(held) == 3 * 2 * 500 * 4


@pytest.mark.parametrize("rows", [1, 16])
def test_of_large_pictures_evenly_spread_pixels_of_all_rows_are_kept(rows: int):
    logits = torch.randn(rows, 5, 256, 256)
    target = torch.arange(rows * 256 * 256).reshape(rows, 256, 256)
    name, values = "cross_entropy", torch.zeros(())
    call = scores.loss_call(name, (logits, target), {}, values)
    assert call is not None
    thin = scores.thinned(call)
    kept = thin.target.tolist()
    assert len(kept) == len(set(kept)) == (1 << 16) // 5
    gaps = [after - before for before, after in itertools.pairwise([0, *kept, target.numel()])]
    assert max(gaps) <= 2 * target.numel() / len(kept) + 1
    assert {place % 256 for place in kept} == set(range(256))
    assert torch.equal(thin.input, logits.movedim(1, -1).reshape(-1, 5)[kept])
    assert (thin.whole, int(thin.weight())) == (logits.numel(), target.numel())
    shares = scores.loss_call(name, (logits, logits), {}, values)
    assert shares is not None
    assert torch.equal(scores.thinned(shares).target, thin.input)


MADE: dict[str, tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "identity": ("as it is", lambda t: t),
    "log_softmax": ("log-softmax", lambda t: t.log_softmax(1)),
    "softmax": ("softmax", lambda t: t.softmax(1)),
    "softmax and log": ("log of softmax", lambda t: t.softmax(1).log()),
    "by hand": (
        "manual softmax, then log",
        lambda t: (t.exp() / t.exp().sum(1, keepdim=True)).log(),
    ),
    "sigmoid": ("sigmoid", lambda t: t.sigmoid()),
}


@pytest.mark.parametrize("name", MADE)
def test_how_the_input_was_made_is_found(name: str):
    words, make = MADE[name]
    output = torch.randn(6, 4)
    call = called("mse_loss", make(output), torch.randn(6, 4))
    found = scores.pair({"hidden": torch.randn(2), "logits": output}, call)
    assert found is not None
    assert found.words == words
    other = torch.randn(9, 4)
    assert torch.equal(found.of({"hidden": torch.randn(3), "logits": other}), make(other))


def test_shapes_are_found_for_batches_of_any_size():
    tokens = torch.randn(2, 5, 7)
    cases = [
        (tokens, lambda t: t.reshape(-1, 7), torch.randn(4, 5, 7)),
        (tokens, lambda t: t.transpose(1, 2), torch.randn(4, 5, 7)),
        (tokens, lambda t: t[:, :-1].reshape(-1, 7), torch.randn(4, 5, 7)),
        (torch.randn(6, 1), lambda t: t.squeeze(1), torch.randn(3, 1)),
        (torch.randn(6, 1), lambda t: t.sigmoid().squeeze(1), torch.randn(3, 1)),
    ]
    for output, make, other in cases:
        wanted = make(output)
        found = scores.pair(output, called("mse_loss", wanted, torch.randn(wanted.shape)))
        assert found is not None
        assert torch.equal(found.of(other), make(other))


def test_a_square_that_was_transposed_is_not_taken_as_it_is():
    output = torch.randn(6, 4, 4)
    call = called("cross_entropy", output.transpose(1, 2), torch.randint(4, (6, 4)))
    found = scores.pair(output, call)
    assert found is not None
    assert found.words == "transposed"


def test_what_nobody_knows_is_not_found():
    output = torch.randn(6, 4)
    assert scores.pair(output, called("mse_loss", output * 3, torch.randn(6, 4))) is None
