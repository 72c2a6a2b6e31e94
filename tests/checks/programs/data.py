"""Programs for the rules on data and loss: each is a model with its loop, as its user wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  # as everybody calls it
from torch.utils.data import DataLoader, TensorDataset

Rows = tuple[torch.Tensor, torch.Tensor]
Batches = Callable[[], Iterator[Rows]]
Program = dict[str, Any]


def classes(rows: int = 64, features: int = 8, count: int = 4, seed: int = 0) -> Rows:
    """Return rows around one centre for each class, and their classes."""
    source = torch.Generator().manual_seed(seed)
    centres = torch.randn(count, features, generator=source) * 1.5
    y = torch.randint(0, count, (rows,), generator=source)
    return centres[y] + torch.randn(rows, features, generator=source), y


def sequences(rows: int = 48, steps: int = 5, features: int = 8) -> Rows:
    """Return sequences whose mean tells their class, one of three."""
    x, y = classes(rows, features, 3)
    source = torch.Generator().manual_seed(1)
    return x[:, None] + torch.randn(rows, steps, features, generator=source), y


def values(rows: int = 64, features: int = 6) -> Rows:
    """Return rows and one number for each, (N, 1)."""
    source = torch.Generator().manual_seed(0)
    x = torch.randn(rows, features, generator=source)
    noise = torch.randn(rows, 1, generator=source)
    return x, x @ torch.randn(features, 1, generator=source) + 0.1 * noise


def sliced(x: torch.Tensor, y: torch.Tensor, size: int = 16) -> Batches:
    """Return what gives slices in their order, epoch by epoch."""
    return lambda: ((x[i : i + size], y[i : i + size]) for i in range(0, len(x), size))


def loaded(x: torch.Tensor, y: torch.Tensor, size: int = 16) -> Batches:
    """Return what gives batches of a loader that shuffles."""
    loader = DataLoader(TensorDataset(x, y), batch_size=size, shuffle=True)
    return lambda: iter(loader)


def looped(
    model: nn.Module, loss_fn: Callable[..., torch.Tensor], train: Batches, held: Batches,
    call: Callable[[nn.Module, torch.Tensor], Any] = lambda model, x: model(x),
    rate: float = 1e-2,
) -> Program:  # fmt: skip
    """Return the plain loop: train over batches, then evaluate with a weighted mean."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)

    def train_step(model: nn.Module) -> float:
        model.train()
        total = rows = 0.0
        for x, y in train():
            optimizer.zero_grad()
            loss = loss_fn(call(model, x), y)
            loss.backward()
            optimizer.step()
            total, rows = total + loss.item() * len(x), rows + len(x)
        return total / rows

    @torch.no_grad()
    def eval_step(model: nn.Module) -> float:
        model.eval()
        total = rows = 0.0
        for x, y in held():
            total, rows = total + loss_fn(call(model, x), y).item() * len(x), rows + len(x)
        return total / rows

    x, y = next(train())
    return {"model": model, "batch": (x,), "target": y, "loss_fn": loss_fn,
            "optimizer": optimizer, "train_step": train_step, "eval_step": eval_step}  # fmt: skip


def mlp(features: int = 8, outputs: int = 4, *last: nn.Module) -> nn.Sequential:
    """Return two layers, and what comes after them."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(features, 24), nn.Tanh(), nn.Linear(24, outputs), *last)


def plain(model: nn.Module, loss_fn: Callable[..., torch.Tensor], data: Rows) -> Program:
    """Return the plain loop over slices of data, the last 16 rows of which are held out."""
    x, y = data
    return looped(model, loss_fn, sliced(x[:-16], y[:-16]), sliced(x[-16:], y[-16:]))


class Called(nn.Module):
    """A model with a forward that is a function of its layers."""

    def __init__(self, forward: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *inputs: Any) -> Any:
        """Compute it."""
        return self.function(self, *inputs)


def fires_ptr801_targets_permuted() -> Program:
    x, y = classes(80)

    def train() -> Iterator[Rows]:
        return sliced(x[:64], y[torch.randperm(64)])()

    return looped(mlp(), nn.CrossEntropyLoss(), train, sliced(x[64:], y[64:]))


def fires_ptr801_two_loaders() -> Program:
    x, y = values(80)
    one, other = (DataLoader(each[:64], batch_size=16, shuffle=True) for each in (x, y))
    model = mlp(6, 1)
    return looped(model, nn.MSELoss(), lambda: zip(one, other, strict=True),
                  sliced(x[64:], y[64:]))  # fmt: skip


def fires_ptr801_images_in_one_batch() -> Program:
    source = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 1, 6, 6, generator=source), torch.randint(0, 5, (40,))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))

    def train() -> Iterator[Rows]:
        order = torch.randperm(len(x))
        yield x[order], y

    return looped(model, F.cross_entropy, train, sliced(x[:8], y[:8], 8))


def silent_ptr801_shuffled_together() -> Program:
    x, y = classes(80)

    def train() -> Iterator[Rows]:
        order = torch.randperm(64)
        return sliced(x[order], y[order])()

    return looped(mlp(), nn.CrossEntropyLoss(), train, sliced(x[64:], y[64:]))


def silent_ptr801_rows_are_each_others_classes() -> Program:
    x, _ = classes(80)

    def train() -> Iterator[Rows]:
        order = torch.randperm(64)
        return sliced(x[order], torch.arange(16).repeat(4))()

    def loss(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        z = F.normalize(z, dim=1)
        return F.cross_entropy(z @ z.t().roll(1, 0) / 0.1, y)

    return looped(mlp(), loss, train, sliced(x[64:], torch.arange(16)))


def silent_ptr801_similarities_from_the_model() -> Program:
    x, _ = classes(80)

    def compare(model: Any, x: torch.Tensor) -> torch.Tensor:
        one, other = model.one(x), model.other(x)
        return one @ other.t()

    model = Called(compare, one=mlp(), other=mlp())
    labels = torch.arange(16).repeat(4)

    def train() -> Iterator[Rows]:
        return sliced(x[torch.randperm(64)], labels)()

    return looped(model, nn.CrossEntropyLoss(), train, sliced(x[64:], torch.arange(16)))


def silent_ptr801_pseudo_labels() -> Program:
    x, y = classes(80)
    model = mlp()

    def train() -> Iterator[Rows]:
        with torch.no_grad():
            labels = (model(x[:64]) + 0.3 * torch.randn(64, 4)).argmax(1)
        return sliced(x[:64], labels)()

    return looped(model, nn.CrossEntropyLoss(), train, sliced(x[64:], y[64:]))


def silent_ptr801_moving_value_targets() -> Program:
    x, _ = values(80)
    model = mlp(6, 1)

    def train() -> Iterator[Rows]:
        with torch.no_grad():
            bootstrapped = torch.randn(64, 1) + 0.9 * model(x[:64].roll(1, 0))
        return sliced(x[:64], bootstrapped)()

    return looped(model, nn.SmoothL1Loss(), train, sliced(*values(16)))


def fires_ptr802_raw_evaluation() -> Program:
    x, y = classes(80)
    raw = x * 9 - 30
    mean, std = raw[:64].mean(0), raw[:64].std(0)
    return looped(mlp(), nn.CrossEntropyLoss(), loaded((raw[:64] - mean) / std, y[:64]),
                  sliced(raw[64:], y[64:], 8))  # fmt: skip


def fires_ptr802_bytes_in_evaluation() -> Program:
    source = torch.Generator().manual_seed(0)
    shown = torch.randint(0, 2, (4, 3, 6, 6), generator=source) * 160
    y = torch.arange(64) % 4
    x = (shown[y] + torch.randint(0, 90, (64, 3, 6, 6), generator=source)).float()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 16), nn.ReLU(), nn.Linear(16, 4))
    return looped(model, F.cross_entropy, sliced(x[:48] / 255, y[:48]), sliced(x[48:], y[48:]))


def fires_ptr802_standardised_in_evaluation_only() -> Program:
    x, y = values(80)
    x = x * 40 + 100
    model, raw = mlp(6, 1), x[:64]
    model[0] = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 24))
    held = (x[64:] - raw.mean(0)) / raw.std(0)
    return looped(model, nn.L1Loss(), sliced(raw, y[:64]), sliced(held, y[64:]), rate=3e-2)


def silent_ptr802_outliers() -> Program:
    x, y = classes(80)
    x[70:73] *= 9
    return looped(mlp(), nn.CrossEntropyLoss(), sliced(x[:64], y[:64]), sliced(x[64:], y[64:]))


def silent_ptr802_other_data() -> Program:
    x, y = classes(80)
    source = torch.Generator().manual_seed(5)
    return looped(mlp(), nn.CrossEntropyLoss(), sliced(x[:64], y[:64]),
                  sliced(torch.randn(16, 8, generator=source) * 8 + 6, y[64:]))  # fmt: skip


def silent_ptr802_corrupted_beside_clean() -> Program:
    x, y = classes(80)
    made = looped(mlp(), nn.CrossEntropyLoss(), sliced(x[:64], y[:64]), sliced(x[64:], y[64:]))
    clean = made["eval_step"]

    @torch.no_grad()
    def eval_step(model: nn.Module) -> tuple[float, float]:
        return clean(model), F.cross_entropy(model(x[64:] * 7 + 20), y[64:]).item()

    return made | {"eval_step": eval_step}


def silent_ptr802_a_trend_goes_on() -> Program:
    time = torch.arange(80.0)
    x = torch.stack([time, time * 0.9, time + 3], 1) / 20
    y = x[:, :1] * 0.5
    return looped(mlp(3, 1), nn.MSELoss(), sliced(x[:32], y[:32]), sliced(x[64:], y[64:]))


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


def fires_ptr805_module_over_the_batch() -> Program:
    return plain(mlp(8, 4, nn.LogSoftmax(dim=0)), nn.NLLLoss(), classes(features=8))


def fires_ptr805_probabilities_over_the_batch() -> Program:
    def loss(probabilities: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.nll_loss(torch.log(probabilities + 1e-9), y)

    return plain(mlp(8, 3, nn.Softmax(0)), loss, classes(count=3))


def fires_ptr805_attention_over_the_batch() -> Program:
    def pooled(model: Any, x: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(model.score(torch.tanh(x)), dim=0)
        return model.out((weights * x).sum(1))

    torch.manual_seed(0)
    return plain(Called(pooled, score=nn.Linear(8, 1), out=nn.Linear(8, 3)),
                 nn.CrossEntropyLoss(), sequences())  # fmt: skip


def fires_ptr805_over_the_width_of_an_image() -> Program:
    torch.manual_seed(0)
    x = torch.randn(32, 2, 5, 7)
    y = (x[:, 0] > x[:, 1]).long()
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.LogSoftmax(dim=-1))
    return plain(model, nn.NLLLoss(), (x, y))


def silent_ptr805_over_the_classes() -> Program:
    return plain(mlp(8, 4, nn.LogSoftmax(dim=-1)), nn.NLLLoss(), classes())


def silent_ptr805_a_bag_of_rows() -> Program:
    torch.manual_seed(0)
    bags = [torch.randn(9, 8) + side for side in (0, 1, 0, 1)]
    labels = [torch.tensor([float(side)]) for side in (0, 1, 0, 1)]

    def pooled(model: Any, bag: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(model.score(torch.tanh(bag)), dim=0)
        return model.out((weights * bag).sum(0))

    model = Called(pooled, score=nn.Linear(8, 1), out=nn.Linear(8, 1))
    return looped(model, nn.BCEWithLogitsLoss(), lambda: zip(bags, labels, strict=True),
                  lambda: zip(bags[:2], labels, strict=False))  # fmt: skip


def silent_ptr805_time_first_attention() -> Program:
    def pooled(model: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(0, 1)
        return model.out((torch.softmax(model.score(x), dim=0) * x).sum(0))

    torch.manual_seed(0)
    return plain(Called(pooled, score=nn.Linear(8, 1), out=nn.Linear(8, 3)),
                 nn.CrossEntropyLoss(), sequences())  # fmt: skip


def silent_ptr805_experts_choose_rows() -> Program:
    def routed(model: Any, x: torch.Tensor) -> torch.Tensor:
        chosen = torch.softmax(model.gate(x), dim=0)
        return model.out(x) + sum(chosen[:, i : i + 1] * each(x)
                                  for i, each in enumerate((model.one, model.other)))  # fmt: skip

    torch.manual_seed(0)
    model = Called(routed, gate=nn.Linear(8, 2), one=nn.Linear(8, 4), other=nn.Linear(8, 4),
                   out=nn.Linear(8, 4))  # fmt: skip
    return plain(model, nn.CrossEntropyLoss(), classes())


def fires_ptr806_lstm() -> Program:
    def last(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(model.rnn(x)[0][:, -1])

    torch.manual_seed(0)
    return plain(Called(last, rnn=nn.LSTM(8, 12), out=nn.Linear(12, 3)), nn.CrossEntropyLoss(),
                 sequences())  # fmt: skip


def fires_ptr806_transformer_encoder() -> Program:
    def mean(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(model.encoder(x).mean(1))

    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
    encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    return plain(Called(mean, encoder=encoder, out=nn.Linear(8, 3)), nn.CrossEntropyLoss(),
                 sequences())  # fmt: skip


def fires_ptr806_gru_on_tokens() -> Program:
    def last(model: Any, ids: torch.Tensor) -> torch.Tensor:
        return model.out(model.gru(model.embedding(ids))[0].mean(1))

    torch.manual_seed(0)
    ids = torch.randint(0, 12, (48, 6))
    model = Called(last, embedding=nn.Embedding(12, 8), gru=nn.GRU(8, 8), out=nn.Linear(8, 1))
    return plain(model, nn.BCEWithLogitsLoss(), (ids, (ids.sum(1, keepdim=True) > 33).float()))


def fires_ptr806_tagger_with_a_loader() -> Program:
    def tags(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(model.rnn(x)[0])

    torch.manual_seed(0)
    x, _ = sequences(48, 5)
    y = (x.sum(-1) > 0).long()
    model = Called(tags, rnn=nn.GRU(8, 10), out=nn.Linear(10, 2))

    def loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(scores.reshape(-1, 2), y.reshape(-1))

    return looped(model, loss, loaded(x[:32], y[:32], 8), sliced(x[32:], y[32:], 8))


def silent_ptr806_time_first_language_model() -> Program:
    def scores(model: Any, ids: torch.Tensor) -> torch.Tensor:
        return model.out(model.rnn(model.embedding(ids))[0])

    torch.manual_seed(0)
    text = torch.randint(0, 10, (41, 6))
    model = Called(scores, embedding=nn.Embedding(10, 8), rnn=nn.LSTM(8, 8), out=nn.Linear(8, 10))

    def loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(scores.reshape(-1, 10), y.reshape(-1))

    batches = sliced(text[:-1], text[1:], 10)
    return looped(model, loss, batches, batches)


def silent_ptr806_time_first_classifier() -> Program:
    def last(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(model.rnn(x)[0][-1])

    torch.manual_seed(0)
    x, y = sequences()
    model = Called(last, rnn=nn.GRU(8, 8), out=nn.Linear(8, 3))
    batches = [(x[i : i + 12].transpose(0, 1), y[i : i + 12]) for i in range(0, 48, 12)]
    made = looped(model, nn.CrossEntropyLoss(), lambda: iter(batches[:3]),
                  lambda: iter(batches[3:]))  # fmt: skip
    return made


def silent_ptr806_one_series() -> Program:
    def values(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(model.rnn(x)[0]).squeeze(-1)

    torch.manual_seed(0)
    series = torch.sin(torch.arange(41.0) / 4)
    model = Called(values, rnn=nn.LSTM(1, 8), out=nn.Linear(8, 1))
    batches = sliced(series[:-1, None], series[1:], 20)
    return looped(model, nn.MSELoss(), batches, batches)


def silent_ptr806_rows_of_a_set() -> Program:
    def together(model: Any, x: torch.Tensor) -> torch.Tensor:
        h = x[None]
        return model.out(x + model.attention(h, h, h)[0][0])

    torch.manual_seed(0)
    model = Called(together, attention=nn.MultiheadAttention(8, 2, batch_first=True),
                   out=nn.Linear(8, 4))  # fmt: skip
    x, y = classes()
    return looped(model, nn.CrossEntropyLoss(), loaded(x[:48], y[:48]), sliced(x[48:], y[48:]))


def uneven(
    summed: Callable[[list[tuple[float, int]]], Any], loss_fn: Any, data: Rows
) -> Program:  # fmt: skip
    """Return a loop whose last batch of evaluation is small and odd."""
    x, y = data
    x = x.clone()
    x[-3:] *= 5
    made = looped(mlp(x.shape[1], 1 if y.is_floating_point() else 4), loss_fn,
                  sliced(x[:45], y[:45], 15), sliced(x, y))  # fmt: skip

    @torch.no_grad()
    def eval_step(model: nn.Module) -> Any:
        model.eval()
        told = [(loss_fn(model(a), b).item(), len(a)) for a, b in sliced(x[45:], y[45:], 8)()]
        return summed(told)

    return made | {"eval_step": eval_step}


def fires_ptr807_regression() -> Program:
    return uneven(lambda told: sum(loss for loss, _ in told) / len(told), nn.MSELoss(), values())


def fires_ptr807_in_a_dictionary() -> Program:
    data = classes(64)
    return uneven(lambda told: {"loss": torch.tensor([loss for loss, _ in told]).mean()},
                  nn.L1Loss(), (data[0], data[1][:, None].float()))  # fmt: skip


def fires_ptr807_running_mean() -> Program:
    def running(told: list[tuple[float, int]]) -> tuple[float, int]:
        mean = 0.0
        for number, (loss, _) in enumerate(told, 1):
            mean += (loss - mean) / number
        return mean, len(told)

    return uneven(running, nn.SmoothL1Loss(), values())


def silent_ptr807_weighted() -> Program:
    return uneven(lambda told: sum(loss * n for loss, n in told) / sum(n for _, n in told),
                  nn.MSELoss(), values())  # fmt: skip


def silent_ptr807_both_are_told() -> Program:
    def both(told: list[tuple[float, int]]) -> tuple[float, float]:
        weighted = sum(loss * n for loss, n in told) / sum(n for _, n in told)
        return sum(loss for loss, _ in told) / len(told), weighted

    return uneven(both, nn.MSELoss(), values())


def silent_ptr807_equal_batches() -> Program:
    x, y = values(80)
    x[-3:] *= 5
    made = looped(mlp(6, 1), nn.MSELoss(), sliced(x[:64], y[:64]), sliced(x[64:], y[64:], 4))
    model_loss = nn.MSELoss()

    @torch.no_grad()
    def eval_step(model: nn.Module) -> float:
        model.eval()
        losses = [model_loss(model(a), b).item() for a, b in sliced(x[64:], y[64:], 4)()]
        return sum(losses) / len(losses)

    return made | {"eval_step": eval_step}


def tokens(rows: int = 48, length: int = 7, seed: int = 0) -> torch.Tensor:
    """Return rows of tokens from 1 to 11 that end in zeros, some sooner than others."""
    source = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 12, (rows, length), generator=source)
    ends = torch.randint(2, length, (rows, 1), generator=source)
    return ids * (torch.arange(length) < ends)


def masked(forward: Callable[..., torch.Tensor], float_mask: bool = False) -> Program:
    """Return a classifier of token rows that is given a mask beside them."""
    torch.manual_seed(0)
    ids = tokens()
    model = Called(forward, embedding=nn.Embedding(12, 8), out=nn.Linear(8, 2),
                   attention=nn.MultiheadAttention(8, 2, batch_first=True))  # fmt: skip
    y = (ids[:, 0] > 5).long()

    def call(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
        return model(ids, (ids != 0).float() if float_mask else ids == 0)

    made = looped(model, nn.CrossEntropyLoss(), sliced(ids[:32], y[:32]),
                  sliced(ids[32:], y[32:]), call)  # fmt: skip
    return made | {"batch": (ids[:16], ids[:16] == 0)}


def fires_ptr808_mask_not_used() -> Program:
    return masked(lambda model, ids, mask: model.out(model.embedding(ids).mean(1)))


def fires_ptr808_mask_not_passed_on() -> Program:
    def forward(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        h = model.embedding(ids)
        return model.out(model.attention(h, h, h)[0][:, 0])

    return masked(forward)


def fires_ptr808_mask_added_as_a_constant() -> Program:
    def forward(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        scores = model.embedding(ids).sum(-1) + mask.sum() * 0
        weights = scores.softmax(1)
        return model.out((weights[..., None] * model.embedding(ids)).sum(1))

    return masked(forward, float_mask=True)


def silent_ptr808_mask_in_attention() -> Program:
    def forward(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        h = model.embedding(ids)
        return model.out(model.attention(h, h, h, key_padding_mask=mask)[0][:, 0])

    return masked(forward)


def silent_ptr808_mask_in_the_mean() -> Program:
    def forward(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        h, kept = model.embedding(ids), mask[..., None]
        return model.out((h * kept).sum(1) / kept.sum(1))

    return masked(forward, float_mask=True)


def silent_ptr808_mask_marks_nothing() -> Program:
    torch.manual_seed(0)
    ids = torch.randint(1, 12, (48, 5))
    model = Called(lambda model, ids, mask: model.out(model.embedding(ids).mean(1)),
                   embedding=nn.Embedding(12, 8), out=nn.Linear(8, 2))  # fmt: skip

    def call(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
        return model(ids, torch.zeros_like(ids, dtype=torch.bool))

    y = (ids[:, 0] > 5).long()
    made = looped(model, nn.CrossEntropyLoss(), sliced(ids[:32], y[:32]),
                  sliced(ids[32:], y[32:]), call)  # fmt: skip
    return made | {"batch": (ids[:16], ids[:16] == 0)}


def language(
    loss_fn: Callable[..., torch.Tensor], padding: int | None = 0, shifted: bool = True
) -> Program:  # fmt: skip
    """Return a language model over padded rows."""
    torch.manual_seed(0)
    ids = tokens(48, 9)
    rnn = nn.GRU(8, 8, batch_first=True)
    model = Called(lambda model, ids: model.out(model.rnn(model.embedding(ids))[0]), rnn=rnn,
                   embedding=nn.Embedding(12, 8, padding_idx=padding), out=nn.Linear(8, 12))
    x, y = (ids[:, :-1], ids[:, 1:]) if shifted else (ids, ids)
    return looped(model, loss_fn, sliced(x[:32], y[:32]), sliced(x[32:], y[32:]))


def fires_ptr809_flattened() -> Program:
    return language(lambda s, y: F.cross_entropy(s.reshape(-1, 12), y.reshape(-1)))


def fires_ptr809_classes_second() -> Program:
    loss = nn.CrossEntropyLoss()
    return language(lambda scores, y: loss(scores.transpose(1, 2), y))


def fires_ptr809_shifted_in_the_loss() -> Program:
    def loss(scores: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        logs = scores[:, :-1].log_softmax(-1)
        return F.nll_loss(logs.reshape(-1, 12), ids[:, 1:].reshape(-1), ignore_index=-1)

    return language(loss, shifted=False)


def silent_ptr809_left_out() -> Program:
    loss = nn.CrossEntropyLoss(ignore_index=0)
    return language(lambda scores, y: loss(scores.transpose(1, 2), y))


def silent_ptr809_masked_after() -> Program:
    def loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        each = F.cross_entropy(scores.transpose(1, 2), y, reduction="none")
        return (each * (y != 0)).sum() / (y != 0).sum()

    return language(loss)


def silent_ptr809_weight_of_nothing() -> Program:
    weight = torch.ones(12)
    weight[0] = 0
    loss = nn.CrossEntropyLoss(weight=weight)
    return language(lambda scores, y: loss(scores.reshape(-1, 12), y.reshape(-1)))


def silent_ptr809_zero_is_a_token() -> Program:
    return language(lambda s, y: F.cross_entropy(s.reshape(-1, 12), y.reshape(-1)), padding=None)
