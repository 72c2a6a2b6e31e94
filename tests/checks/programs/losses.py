"""Programs whose loss gets the wrong thing, in the wrong shape, and look-alikes."""

from __future__ import annotations

from typing import Any

import torch
from making import (
    Called,
    Program,
    classes,
    mlp,
    plain,
    sequences,
    values,
)
from torch import nn
from torch.nn import functional as F


def fires_ptr803_softmax_in_the_loop() -> Program:
    def loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(torch.softmax(logits, -1), y)

    return plain(mlp(), loss, classes())


def fires_ptr803_sigmoid_before_logits() -> Program:
    x, y = values()
    return plain(mlp(6, 1, nn.Sigmoid()), nn.BCEWithLogitsLoss(), (x, (y > 0).float()))


def fires_ptr803_probabilities_for_nll() -> Program:
    return plain(mlp(8, 4, nn.Softmax(dim=1)), nn.NLLLoss(), classes())


def fires_ptr803_raw_logits_for_nll() -> Program:
    return plain(mlp(), F.nll_loss, classes())


def fires_ptr803_probabilities_for_kl() -> Program:
    x, y = classes()
    soft = F.one_hot(y, 4) * 0.9 + 0.025

    def loss(logits: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
        return F.kl_div(logits.softmax(-1), soft, reduction="batchmean")

    return plain(mlp(), loss, (x, soft))


def fires_ptr803_log_softmax_of_a_softmax() -> Program:
    def loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.nll_loss(F.log_softmax(scores, 1), y)

    return plain(mlp(8, 4, nn.Softmax(1)), loss, classes())


def _alignments(of: Any) -> Program:
    """Return a program of one label for each sequence, found by `of` its logits."""

    def loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        steps, rows = logits.shape[1], logits.shape[0]
        lengths = torch.full((rows,), steps)
        found = of(logits).transpose(0, 1)
        return F.ctc_loss(found, y[:, None] + 1, lengths, torch.ones_like(lengths))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    return plain(model, loss, sequences())


def fires_ptr803_raw_logits_for_ctc() -> Program:
    return _alignments(lambda logits: logits)


def silent_ptr803_log_softmax_for_ctc() -> Program:
    return _alignments(lambda logits: logits.log_softmax(-1))


def silent_ptr803_sigmoid_for_bce() -> Program:
    x, y = values()
    return plain(mlp(6, 1, nn.Sigmoid()), nn.BCELoss(), (x, (y > 0).float()))


def silent_ptr803_log_softmax_for_nll() -> Program:
    return plain(mlp(8, 4, nn.LogSoftmax(1)), nn.NLLLoss(), classes())


def silent_ptr803_log_softmax_twice() -> Program:
    return plain(mlp(8, 4, nn.LogSoftmax(1)), nn.CrossEntropyLoss(), classes())


def silent_ptr803_soft_targets_and_a_gate() -> Program:
    def gated(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(model.body(x) * torch.softmax(model.gate(x), -1))

    torch.manual_seed(0)
    model = Called(gated, body=nn.Linear(8, 16), gate=nn.Linear(8, 16), out=nn.Linear(16, 4))
    x, y = classes()
    return plain(model, nn.CrossEntropyLoss(label_smoothing=0.1), (x, F.one_hot(y, 4).float()))


def silent_ptr803_mixture_of_experts_by_nll() -> Program:
    def mixed(model: Any, x: torch.Tensor) -> torch.Tensor:
        experts = torch.stack([model.one(x), model.other(x)], 1).softmax(-1)
        return (model.gate(x).softmax(-1)[..., None] * experts).sum(1).log()

    torch.manual_seed(0)
    model = Called(mixed, one=nn.Linear(8, 4), other=nn.Linear(8, 4), gate=nn.Linear(8, 2))
    return plain(model, nn.NLLLoss(), classes())


def fires_ptr804_module_loss() -> Program:
    x, y = values()
    return plain(mlp(6, 1), nn.MSELoss(), (x, y.squeeze(1)))


def fires_ptr804_squeezed_prediction() -> Program:
    x, y = values()
    return plain(mlp(6, 1, nn.Flatten(0)), F.smooth_l1_loss, (x, y))


def fires_ptr804_absolute_by_hand() -> Program:
    def loss(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.abs(target - prediction).sum() / len(target)

    x, y = values()
    return plain(mlp(6, 1), loss, (x, y[:, 0]))


def fires_ptr804_squeezed_by_hand() -> Program:
    x, y = values()
    return plain(mlp(6, 1, nn.Flatten(0)), lambda p, t: (p - t).pow(2).mean(), (x, y))


def silent_ptr804_same_shapes() -> Program:
    return plain(mlp(6, 1), lambda p, t: ((p - t) ** 2).mean(), values())


def silent_ptr804_ranking_pairs() -> Program:
    def loss(score: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        higher = (target > target.t()).float()
        return (F.softplus(score.t() - score) * higher).sum() / higher.sum()

    return plain(mlp(6, 1), loss, values())


def silent_ptr804_distances_between_samples() -> Program:
    def loss(drawn: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        apart = (drawn[:, None] - target[None]).abs().mean()
        return apart - 0.5 * (drawn[:, None] - drawn[None]).abs().mean()

    x, y = values()
    return plain(mlp(6, 1, nn.Flatten(0)), loss, (x, y[:, 0]))


def silent_ptr804_quantiles_share_a_target() -> Program:
    levels = torch.tensor([0.1, 0.5, 0.9])

    def loss(quantiles: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        off = target - quantiles
        return torch.maximum(levels * off, (levels - 1) * off).mean()

    return plain(mlp(6, 3), loss, values())


def silent_ptr804_hazards_of_a_risk_set() -> Program:
    def loss(hazard: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        at_risk = (time <= time.t()).float()
        return (torch.log((hazard.exp() * at_risk).sum(0)) - hazard[:, 0]).mean()

    return plain(mlp(6, 1), loss, values())
