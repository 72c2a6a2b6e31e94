"""Attention and random depth written by hand: the forms of dropout that hide in other ops."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from zoo.handmade import Forward, architecture


@architecture("MultiheadAttention", (2, 5, 8))
def multihead() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> Any:
        return self.attention(x, x, x, need_weights=True)

    return Forward(run, attention=nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True))


@architecture("MultiheadAttention without weights", (2, 5, 8))
def weightless() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> Any:
        hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
        return self.attention(x, x, x, need_weights=False, attn_mask=hidden)[0]

    return Forward(run, attention=nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True))


def _encoder() -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


@architecture("TransformerEncoder", (3, 5, 8))
def encoder() -> nn.Module:
    return _encoder()


@architecture("TransformerEncoder with padding", (3, 5, 8))
def padded() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        padding = torch.arange(5) >= torch.tensor([[5], [3], [2]])
        return self.encoder(x, src_key_padding_mask=padding)

    return Forward(run, encoder=_encoder())


@architecture("TransformerEncoder with padding, no gradients", (3, 5, 8))
def fused() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        # Gradients keep the fused path off: this is how it is really reached.
        with torch.no_grad():
            x = self.encoder(x, src_key_padding_mask=self.padding)
        return self.head(x)

    model = Forward(run, encoder=_encoder(), head=nn.Linear(8, 2))
    model.register_buffer("padding", torch.arange(5) >= torch.tensor([[5], [3], [2]]))
    return model


@architecture("Transformer", (2, 5, 8), (2, 4, 8))
def transformer() -> nn.Module:
    return nn.Transformer(8, 2, 1, 1, 16, dropout=0.1, batch_first=True)


@architecture("scaled dot-product attention with dropout", (2, 5, 8))
def scaled() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).view(2, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(
            q, k, v, dropout_p=0.25 if self.training else 0.0, is_causal=True)  # fmt: skip
        return self.out(y.transpose(1, 2).reshape(2, 5, 8))

    return Forward(run, qkv=nn.Linear(8, 24), out=nn.Linear(8, 8))


@architecture("every dropout", (4, 6, 5))
def dropouts() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        x = self.alpha(self.one(self.plain(x)))
        x = self.feature(x)
        x = functional.dropout(x, 0.5, inplace=True)
        return self.linear(self.two(x.unsqueeze(-1)).squeeze(-1))

    return Forward(run, plain=nn.Dropout(0.2), one=nn.Dropout1d(0.2), two=nn.Dropout2d(0.2),
                   alpha=nn.AlphaDropout(0.2), feature=nn.FeatureAlphaDropout(0.2),
                   linear=nn.Linear(5, 2))  # fmt: skip


def _residual(drop: Any) -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.first, self.second):
            x = x + (drop(layer(x), 0.4) if self.training else layer(x))
        return x

    return Forward(run, first=nn.Linear(6, 6), second=nn.Linear(6, 6))


@architecture("random depth by an empty tensor", (8, 6))
def emptied() -> nn.Module:
    def drop(x: torch.Tensor, p: float) -> torch.Tensor:
        noise = torch.empty([x.shape[0], 1], dtype=x.dtype, device=x.device)
        noise = noise.bernoulli_(1.0 - p)
        noise.div_(1.0 - p)
        return x * noise

    return _residual(drop)


@architecture("random depth by a new tensor", (8, 6))
def renewed() -> nn.Module:
    def drop(x: torch.Tensor, p: float) -> torch.Tensor:
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(1 - p)
        mask.div_(1 - p)
        return x * mask

    return _residual(drop)


@architecture("random depth by a floor", (8, 6))
def floored() -> nn.Module:
    def drop(x: torch.Tensor, p: float) -> torch.Tensor:
        mask = 1 - p + torch.rand((x.shape[0], 1), dtype=x.dtype, device=x.device)
        mask.floor_()
        return x.div(1 - p) * mask

    return _residual(drop)


@architecture("random depth of whole batches", (8, 6))
def batched() -> nn.Module:
    def drop(x: torch.Tensor, p: float) -> torch.Tensor:
        noise = torch.empty(1).bernoulli_(1.0 - p)
        return x * noise / (1.0 - p)

    return _residual(drop)


@architecture("layers left out by Python's random", (8, 6))
def left_out() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            if not (self.training and random.random() < 0.5):
                x = layer(x).relu()
        return x

    return Forward(run, layers=nn.ModuleList(nn.Linear(6, 6) for _ in range(5)))


@architecture("a Bernoulli mask", (8, 6))
def masked() -> nn.Module:
    def run(self: Any, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)
        if self.training:
            x = x * torch.bernoulli(torch.full_like(x, 0.7)) / 0.7
            x = torch.where(torch.rand(x.shape) < 0.1, torch.zeros(()), x)
            x = x * (torch.rand_like(x) > 0.2)
        return x

    return Forward(run, linear=nn.Linear(6, 6))
