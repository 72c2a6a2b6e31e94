"""Programs whose masks have a wrong shape, scale or reader, and programs that look like them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from loops import Net, loop, rows, tokens


def hidden(run, width=16, **modules):
    return loop(Net(run, inp=nn.Linear(8, width), out=nn.Linear(width, 3), **modules))


class ByHand(nn.Module):
    def __init__(self, kind, p=0.4):
        super().__init__()
        self.kind, self.p = kind, p

    def forward(self, x):
        return self.kind(self, x)


def fires_ptr207_where_in_the_root():
    def run(net, x):
        h = F.relu(net.inp(x))
        if net.training:
            h = torch.where(torch.rand(h.shape) < 0.3, 0.0, h)
        return net.out(h)

    return hidden(run)


def fires_ptr207_channels_of_a_convolution():
    def shed(drop, x):
        if not drop.training:
            return x
        return x * torch.bernoulli(torch.full((*x.shape[:2], 1, 1), 1 - drop.p))

    def run(net, x):
        return net.out(net.drop(F.relu(net.conv(x))).mean((2, 3)))

    net = Net(run, conv=nn.Conv2d(2, 6, 3), drop=ByHand(shed), out=nn.Linear(6, 3))
    return loop(net, rows(2, 6, 6))


def fires_ptr207_stochastic_depth():
    def depth(drop, x):
        if drop.training:
            return x * (torch.rand(len(x), *[1] * (x.dim() - 1)) >= drop.p)
        return x

    def run(net, x):
        h = net.inp(x)
        return net.out(h + net.drop(torch.relu(net.line(h))))

    return hidden(run, line=nn.Linear(16, 16), drop=ByHand(depth))


def fires_ptr207_written_into():
    def fill(drop, x):
        if drop.training:
            x = x.clone()
            x[torch.rand_like(x) < drop.p] = 0
        return x

    def run(net, x):
        return net.out(net.drop(torch.relu(net.inp(x))))

    return hidden(run, drop=ByHand(fill, 0.5))


def fires_ptr207_beside_dropout_and_batch_norm():
    def shed(drop, x):
        return x.masked_fill(torch.rand_like(x) < drop.p, 0.0) if drop.training else x

    def run(net, x):
        h = net.right(torch.relu(net.norm(net.inp(x))))
        return net.out(net.drop(torch.relu(net.line(h))))

    return hidden(run, norm=nn.BatchNorm1d(16), right=nn.Dropout(0.2), line=nn.Linear(16, 16),
                  drop=ByHand(shed))  # fmt: skip


def fires_ptr207_divided_by_the_wrong_share():
    def shed(drop, x):
        return x * (torch.rand_like(x) > drop.p) / drop.p if drop.training else x

    def run(net, x):
        return net.out(net.drop(torch.relu(net.inp(x))))

    return hidden(run, drop=ByHand(shed))


def fires_ptr207_scaled_in_both_modes():
    def shed(drop, x):
        keep = 1 - drop.p
        return x * (torch.rand_like(x) > drop.p) / keep if drop.training else x * keep

    def run(net, x):
        return net.out(net.drop(torch.relu(net.inp(x))))

    return hidden(run, drop=ByHand(shed))


def silent_ptr207_scaled_in_eval_mode():
    def classical(drop, x):
        return x * (torch.rand_like(x) > drop.p) if drop.training else x * (1 - drop.p)

    def run(net, x):
        return net.out(net.drop(torch.relu(net.inp(x))))

    return hidden(run, drop=ByHand(classical))


def silent_ptr207_scaled_before_the_mask():
    def early(drop, x):
        if not drop.training:
            return x
        keep = 1 - drop.p
        return (x / keep) * torch.empty_like(x).bernoulli_(keep)

    def run(net, x):
        return net.out(net.drop(torch.relu(net.inp(x))))

    return hidden(run, drop=ByHand(early))


def silent_ptr207_scaled_some_ops_later():
    def run(net, x):
        h = torch.relu(net.inp(x))
        if net.training:
            h = h * (torch.rand_like(h) > 0.4)
        h = torch.relu(h).reshape(len(h), 4, 4).flatten(1)
        return net.out(h / 0.6 if net.training else h)

    return hidden(run)


def silent_ptr207_corrupted_input():
    def run(net, x):
        if net.training:
            x = x * (torch.rand_like(x) > 0.3)
        return net.out(torch.relu(net.inp(x)))

    return hidden(run)


def silent_ptr207_dropped_words():
    def run(net, x):
        h = net.embed(x)
        if net.training:
            h = h * (torch.rand(*x.shape, 1) > 0.2)
        return net.out(net.rnn(h)[0][:, -1])

    return loop(Net(run, embed=nn.Embedding(12, 8), rnn=nn.GRU(8, 8, batch_first=True),
                    out=nn.Linear(8, 3)), tokens())  # fmt: skip


def silent_ptr207_condition_that_is_left_out():
    def run(net, x):
        h = torch.relu(net.inp(x[:, :4]))
        c = net.condition(x[:, 4:])
        if net.training:
            c = c * (torch.rand(len(c), 1) > 0.1)
        return net.out(h + c)

    return loop(Net(run, inp=nn.Linear(4, 16), condition=nn.Linear(4, 16), out=nn.Linear(16, 3)))


def fires_ptr209_statement_of_its_own():
    def run(net, x):
        h = torch.relu(net.inp(x))
        net.drop(h)
        return net.out(h)

    return hidden(run, drop=nn.Dropout(0.3))


def fires_ptr209_functional_in_a_block():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(3, 3, 3, padding=1)

        def forward(self, x):
            h = F.relu(self.conv(x))
            F.dropout1d(h, 0.2, self.training)
            return x + h

    return loop(nn.Sequential(Block(), nn.Flatten(), nn.Linear(18, 3)), rows(3, 6))


def fires_ptr209_other_name():
    def run(net, x):
        h, _ = net.rnn(x)
        dropped = net.drop(h)
        del dropped
        return net.out(h[:, -1])

    return loop(Net(run, rnn=nn.GRU(6, 8, batch_first=True), drop=nn.Dropout(0.3),
                    out=nn.Linear(8, 3)), rows(5, 6))  # fmt: skip


def silent_ptr209_in_place():
    def run(net, x):
        h = net.inp(x)
        net.drop(h)
        return net.out(h)

    return hidden(run, drop=nn.Dropout(0.3, inplace=True))


def silent_ptr209_returned_beside():
    def run(net, x):
        h = torch.relu(net.inp(x))
        return net.out(h), net.drop(h)

    def loss(out, y):
        return F.cross_entropy(out[0], y) + 0.01 * out[1].square().mean()

    return loop(Net(run, inp=nn.Linear(8, 16), out=nn.Linear(16, 3), drop=nn.Dropout(0.3)),
                loss=loss)  # fmt: skip


def silent_ptr209_two_views_of_one():
    def run(net, x):
        h = torch.relu(net.inp(x))
        return net.out(net.drop(h)) + 0.5 * net.out(h)

    return hidden(run, drop=nn.Dropout(0.3))


def fires_ptr210_functional_residual():
    def run(net, x):
        h = net.inp(x)
        return net.out(h + torch.tanh(net.line(F.dropout(h, 0.3, net.training, inplace=True))))

    return hidden(run, line=nn.Linear(16, 16))


def fires_ptr210_two_branches():
    def run(net, x):
        h = net.inp(x)
        a = torch.tanh(net.drop(h))
        return net.out(a) + net.other(h)

    return hidden(run, other=nn.Linear(16, 3), drop=nn.Dropout(0.5, inplace=True))


def fires_ptr210_view_of_a_feature_map():
    def run(net, x):
        h = net.conv(x)
        flat = net.drop(h.flatten(1))
        return net.out(flat) + net.pooled(h.mean(2))

    net = Net(run, conv=nn.Conv1d(3, 4, 3), drop=nn.Dropout(0.3, inplace=True),
              out=nn.Linear(16, 3), pooled=nn.Linear(4, 3))  # fmt: skip
    return loop(net, rows(3, 6))


def silent_ptr210_nobody_else_reads():
    return loop(nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16),
                              nn.Dropout(0.3, inplace=True), nn.Linear(16, 3)))  # fmt: skip


def silent_ptr210_on_the_branch_alone():
    def run(net, x):
        h = net.inp(x)
        return net.out(h + net.drop(net.line(torch.tanh(h))))

    return hidden(run, line=nn.Linear(16, 16), drop=nn.Dropout(0.3, inplace=True))


def silent_ptr210_on_the_sum():
    def run(net, x):
        h = net.inp(x)
        return net.out(net.drop(h + torch.tanh(net.line(h))))

    return hidden(run, line=nn.Linear(16, 16), drop=nn.Dropout(0.3, inplace=True))


def fires_ptr211_convolution():
    def run(net, x):
        return net.out(F.relu(net.norm(net.drop(net.conv(x)))).mean((2, 3)))

    net = Net(run, conv=nn.Conv2d(2, 4, 3), drop=nn.Dropout(0.4), norm=nn.BatchNorm2d(4),
              out=nn.Linear(4, 3))  # fmt: skip
    return loop(net, rows(2, 6, 6))


def fires_ptr211_functional_and_an_activation():
    def run(net, x):
        h = F.relu(F.dropout(net.inp(x), 0.5, net.training))
        return net.out(net.norm(h))

    return hidden(run, norm=nn.BatchNorm1d(16))


def fires_ptr211_channels_of_sequences():
    def run(net, x):
        return net.out(net.norm(net.drop(F.relu(net.conv(x)))).mean(2))

    net = Net(run, conv=nn.Conv1d(3, 8, 3), drop=nn.Dropout1d(0.5), norm=nn.BatchNorm1d(8),
              out=nn.Linear(8, 3))  # fmt: skip
    return loop(net, rows(3, 6))


def block(width=16, inside=16):
    return nn.Linear(inside, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3)


def silent_ptr211_mainstream_order():
    return loop(nn.Sequential(*block(inside=8), *block(), nn.Linear(16, 3)))


def silent_ptr211_batch_norm_that_stands_still():
    class Frozen(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), Frozen(16).train(), nn.Linear(16, 3))
    return loop(model)


def silent_ptr211_layer_norm():
    return loop(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.LayerNorm(16),
                              nn.Linear(16, 3)))  # fmt: skip


def fires_ptr212_percent():
    def run(net, x):
        h = torch.relu(net.inp(x))
        skipped = net.side(x)
        if net.training:
            h = h * (torch.rand_like(h) > 30).float()
        return net.out(h + skipped)

    return hidden(run, side=nn.Linear(8, 16))


def fires_ptr212_negative():
    def run(net, x):
        h = net.inp(x)
        if net.training:
            h = h.masked_fill(torch.rand(h.shape) < -0.2, 0.0)
        return net.out(torch.relu(h))

    return hidden(run)


def fires_ptr212_rows_of_a_residual():
    def depth(drop, x):
        if not drop.training:
            return x
        mask = torch.empty(len(x), 1).uniform_() >= drop.p
        return x * mask

    def run(net, x):
        h = net.inp(x)
        return net.out(h + net.drop(torch.relu(net.line(h))))

    return hidden(run, line=nn.Linear(16, 16), drop=ByHand(depth, 10))


def silent_ptr212_share():
    def run(net, x):
        h = torch.relu(net.inp(x))
        return net.out(h * (torch.rand_like(h) > 0.3) / 0.7 if net.training else h)

    return hidden(run)


def silent_ptr212_wider_uniform_numbers():
    def run(net, x):
        h = torch.relu(net.inp(x))
        if net.training:
            h = h * (torch.empty_like(h).uniform_(0, 100) > 30) / 0.7
        return net.out(h)

    return hidden(run)


def silent_ptr212_probability_of_zero():
    def run(net, x):
        h = torch.relu(net.inp(x))
        return net.out(h * (torch.rand_like(h) >= 0.0) if net.training else h)

    return hidden(run)
