"""Programs that mistake one dimension for another, or read padding, and look-alikes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from making import (
    Called,
    Program,
    Rows,
    classes,
    loaded,
    looped,
    mlp,
    plain,
    sequences,
    sliced,
)
from torch import nn
from torch.nn import functional as F


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


def fires_ptr805_positions_whose_last_dimension_is_gone() -> Program:
    def pooled(model: Any, x: torch.Tensor) -> torch.Tensor:
        weights = model.score(torch.tanh(x)).squeeze(-1).softmax(0)
        return model.out(torch.einsum("bt,btd->bd", weights, x))

    torch.manual_seed(0)
    return plain(Called(pooled, score=nn.Linear(8, 1), out=nn.Linear(8, 3)),
                 nn.CrossEntropyLoss(), sequences())  # fmt: skip


def silent_ptr805_experts_that_choose_their_rows() -> Program:
    def routed(model: Any, x: torch.Tensor) -> torch.Tensor:
        share = model.gate(x).softmax(0)
        return sum(share[:, i : i + 1] * expert(x) for i, expert in enumerate(model.experts))

    torch.manual_seed(0)
    experts = nn.ModuleList(nn.Linear(8, 4) for _ in range(2))
    return plain(Called(routed, gate=nn.Linear(8, 2), experts=experts), nn.CrossEntropyLoss(),
                 classes(features=8))  # fmt: skip


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


def silent_ptr805_scores_of_a_list() -> Program:
    def one(model: Any, documents: torch.Tensor) -> torch.Tensor:
        return model.score(documents).flatten().log_softmax(0)

    torch.manual_seed(0)
    lists = [(torch.randn(10, 6), torch.rand(10).softmax(0)) for _ in range(6)]
    return looped(Called(one, score=nn.Linear(6, 1)), nn.KLDivLoss(reduction="sum"),
                  lambda: iter(lists), lambda: iter(lists[:2]))  # fmt: skip


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
    return looped(model, nn.CrossEntropyLoss(), lambda: iter(batches[:3]),
                  lambda: iter(batches[3:]))  # fmt: skip


def silent_ptr806_one_series() -> Program:
    def values(model: Any, x: torch.Tensor) -> torch.Tensor:
        return model.out(model.rnn(x)[0]).squeeze(-1)

    torch.manual_seed(0)
    series = torch.sin(torch.arange(41.0) / 4)
    model = Called(values, rnn=nn.LSTM(1, 8), out=nn.Linear(8, 1))
    batches = sliced(series[:-1, None], series[1:], 20)
    return looped(model, nn.MSELoss(), batches, batches)


def silent_ptr806_pieces_of_a_series_in_any_order() -> Program:
    torch.manual_seed(0)
    series = torch.sin(torch.arange(81.0) / 5)[:, None]
    model = Called(lambda model, x: model.out(model.rnn(x)[0]), rnn=nn.GRU(1, 8),
                   out=nn.Linear(8, 1))  # fmt: skip

    def train() -> Iterator[Rows]:
        for start in torch.randperm(4) * 20:
            yield series[start : start + 20], series[start + 1 : start + 21]

    return looped(model, nn.MSELoss(), train, sliced(series[:20], series[1:21], 20))


def silent_ptr806_rows_of_a_set() -> Program:
    def together(model: Any, x: torch.Tensor) -> torch.Tensor:
        h = x[None]
        return model.out(x + model.attention(h, h, h)[0][0])

    torch.manual_seed(0)
    model = Called(together, attention=nn.MultiheadAttention(8, 2, batch_first=True),
                   out=nn.Linear(8, 4))  # fmt: skip
    x, y = classes()
    return looped(model, nn.CrossEntropyLoss(), loaded(x[:48], y[:48]), sliced(x[48:], y[48:]))


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
    model = Called(
        lambda model, ids: model.out(model.rnn(model.embedding(ids))[0]),
        rnn=rnn,
        embedding=nn.Embedding(12, 8, padding_idx=padding),
        out=nn.Linear(8, 12),
    )
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
