"""Programs in which randomness is alive in evaluation, and programs in which it is meant."""

from __future__ import annotations

import random

import numpy as np
import torch
from nets import Attention, Between, Images, draws, images, program, rows, steps
from torch import nn
from torch.nn import functional as F


def fires_ptr101_channels_of_images():
    return program(Images(lambda net, x: F.dropout2d(x, 0.25)), **images())


def fires_ptr101_a_flag_of_its_own():
    net = Between(lambda net, x: F.alpha_dropout(x, p=0.2, training=net.noisy), noisy=True)
    return program(net)


def fires_ptr101_slopes():
    return program(Between(lambda net, x: F.rrelu(x - 1, training=True)))


def fires_ptr101_torch_dropout_judged_by_accuracy():
    def judge(model, x, y):
        return (model(x).argmax(-1) == y).float().mean().item()

    return program(Between(lambda net, x: torch.dropout(x, 0.4, True)), judge=judge)


def silent_ptr101_told_the_mode():
    return program(Between(lambda net, x: F.dropout(x, 0.3, net.training)))


def silent_ptr101_several_draws_on_purpose():
    return program(Between(lambda net, x: F.dropout(x, 0.3)), judge=draws(4))


def silent_ptr101_rows_repeated_in_the_batch():
    def judge(model, x, y):
        scores = model(x.repeat_interleave(5, 0)).softmax(-1).reshape(len(x), 5, -1)
        return F.nll_loss(scores.mean(1).log(), y).item()

    return program(Between(lambda net, x: F.dropout(x, 0.3)), judge=judge)


def silent_ptr101_draws_inside_of_the_forward():
    def several(net, x):
        return torch.stack([F.dropout(x, 0.5) for _ in range(4)]).mean(0)

    return program(Between(several))


def silent_ptr101_passes_over_the_data_on_purpose():
    def judge(model, x, y):
        total = 0.0
        for _ in range(3):
            total = total + torch.cat([model(part) for part in x.split(4)])
        return F.cross_entropy(total / 3, y).item()

    return program(Between(lambda net, x: F.dropout(x, 0.3)), judge=judge)


def silent_ptr101_rate_zero():
    return program(Between(lambda net, x: F.dropout(x, 0.0)))


def fires_ptr102_causal():
    def attend(net, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, None, 0.3, True)

    return program(Attention(attend), **steps())


def fires_ptr102_heads_with_a_mask():
    mask = torch.ones(4, 4).tril().bool()

    def attend(net, q, k, v):
        q, k, v = (part.unflatten(-1, (2, 3)).transpose(1, 2) for part in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=0.2)
        return out.transpose(1, 2).flatten(2)

    return program(Attention(attend), **steps())


def functional_attention(training):
    def attend(net, q, k, v):
        q, k, v = (part.transpose(0, 1) for part in (q, k, v))
        eye, zero = torch.eye(6), torch.zeros(18)
        out, _ = F.multi_head_attention_forward(
            q, k, v, 6, 2, torch.cat([eye, eye, eye]), zero, None, None, False, 0.3, eye,
            torch.zeros(6), training=training(net),
        )  # fmt: skip
        return out.transpose(0, 1)

    return attend


def fires_ptr102_functional_heads():
    return program(Attention(functional_attention(lambda net: True)), **steps())


def silent_ptr102_functional_heads_told_the_mode():
    return program(Attention(functional_attention(lambda net: net.training)), **steps())


def silent_ptr102_gated():
    def attend(net, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=0.3 if net.training else 0.0)

    return program(Attention(attend), **steps())


def silent_ptr102_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = nn.MultiheadAttention(6, 2, dropout=0.3, batch_first=True)
            self.last = nn.Linear(6, 3)

        def forward(self, x):
            x = x.reshape(len(x), 4, 6)
            return self.last(self.heads(x, x, x)[0].mean(1))

    return program(Net(), **steps())


def silent_ptr102_several_draws_on_purpose():
    def attend(net, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=0.3)

    return program(Attention(attend), **steps(), judge=draws(3))


def fires_ptr103_uniform_numbers_that_are_compared():
    return program(Between(lambda net, x: x * (torch.rand_like(x) > 0.3) / 0.7))


def fires_ptr103_rows_are_left_out():
    def path(net, x):
        kept = torch.floor(0.8 + torch.rand(len(x), 1))
        return x + net.inner(x).div(0.8) * kept

    return program(Between(path, inner=nn.Linear(8, 8)))


def fires_ptr103_filled_with_zeros():
    def fill(net, x):
        return x.masked_fill(torch.rand(x.shape) < 0.25, 0.0)

    return program(Images(fill), **images())


def fires_ptr103_layers_skipped_at_random():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(6)])
            self.last = nn.Linear(6, 3)

        def forward(self, x):
            for layer in self.layers:
                if random.random() < 0.4:
                    continue
                x = x + torch.tanh(layer(x))
            return self.last(x)

    return program(Net())


def fires_ptr103_mask_of_numpy():
    def mask(net, x):
        return x * torch.as_tensor(np.random.binomial(1, 0.7, tuple(x.shape)), dtype=x.dtype)

    return program(Between(mask))


def silent_ptr103_asks_for_the_mode():
    def mask(net, x):
        return x * torch.bernoulli(torch.full_like(x, 0.7)) / 0.7 if net.training else x

    return program(Between(mask))


def silent_ptr103_gates_of_a_learned_probability():
    def gate(net, x):
        open_ = torch.sigmoid(net.gate(x))
        return x * (torch.bernoulli(open_) + open_ - open_.detach())

    return program(Between(gate, gate=nn.Linear(8, 8)))


def silent_ptr103_masked_autoencoder():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.code, self.back = nn.Linear(6, 8), nn.Linear(8, 6)

        def forward(self, x):
            seen = (torch.rand_like(x) > 0.5).float()
            return self.back(torch.relu(self.code(x * seen))), seen

    def loss_fn(output, target):
        made, seen = output
        return ((made - target) ** 2 * (1 - seen)).mean()

    x, _ = rows()
    return program(Net(), x, x, loss_fn)


def silent_ptr103_patches_chosen_at_random():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.code, self.back = nn.Linear(6, 8), nn.Linear(8, 24)

        def forward(self, x):
            parts = x.reshape(len(x), 4, 6)
            order = torch.rand(len(x), 4).argsort(1)[:, :2]
            seen = parts.gather(1, order[..., None].expand(-1, -1, 6))
            return self.back(self.code(seen).mean(1))

    x, _ = rows(width=24)
    return program(Net(), x, x, F.mse_loss)


def silent_ptr103_chosen_rows_and_a_dropout_after_them():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = nn.MultiheadAttention(6, 2, dropout=0.2, batch_first=True)
            self.back = nn.Linear(6, 24)

        def forward(self, x):
            order = torch.rand(len(x), 4).argsort(1)[:, :2, None].expand(-1, -1, 6)
            seen = x.reshape(len(x), 4, 6).gather(1, order)
            return self.back(self.heads(seen, seen, seen, need_weights=False)[0].mean(1))

    made = program(Net(), rows(width=24)[0], rows(width=24)[0], F.mse_loss)
    return {**made, "eval_step": None}


def silent_ptr103_several_draws_on_purpose():
    net = Between(lambda net, x: x * (torch.rand_like(x) > 0.3) / 0.7)
    return program(net, judge=draws(4))


def silent_ptr103_teacher_forcing_off_in_evaluation():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.last = nn.GRUCell(6, 8), nn.Linear(8, 6)

        def forward(self, x, forced=0.5):
            parts = x.reshape(len(x), 4, 6)
            state, given, made = torch.zeros(len(x), 8), parts[:, 0], []
            for step in range(1, 4):
                state = self.cell(given, state)
                made.append(self.last(state))
                given = parts[:, step] if random.random() < forced else made[-1]
            return torch.stack(made, 1)

    def judge(model, x, y):
        return loss_fn(model(x, 0.0), y).item()

    def loss_fn(output, target):
        return F.mse_loss(output, target.reshape(len(target), 4, 6)[:, 1:])

    x, _ = rows(width=24)
    return program(Net(), x, x, loss_fn, judge)
