"""Programs that train in eval mode or add modules after `eval()`, and programs that mean to."""

from __future__ import annotations

import torch
from nets import Attention, rows, steps
from torch import nn
from torch.nn import functional as F


def layers(rate=0.3):
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(rate), nn.Linear(8, 3))


def program(model, epoch=None, judge=None, data=None, optimizer=None):
    """Return a program; `epoch` gets the model, its inputs, its targets and what steps them."""
    x, y = data or rows()
    wanted = [each for each in model.parameters() if each.requires_grad]
    optimizer = optimizer or torch.optim.SGD(wanted, lr=0.05)

    def step(x, y):
        optimizer.zero_grad()
        value = F.cross_entropy(model(x), y)
        value.backward()
        optimizer.step()
        return value.item()

    def train_step(model):
        if epoch is not None:
            return epoch(model, x[:24], y[:24], step)
        return [step(*part) for part in zip(x[:24].split(8), y[:24].split(8), strict=True)][-1]

    def eval_step(model):
        return (judge or in_eval)(model, x[24:], y[24:])

    return {"model": model, "batch": (x[:8],), "target": y[:8], "loss_fn": F.cross_entropy,
            "optimizer": optimizer, "train_step": train_step, "eval_step": eval_step}  # fmt: skip


def in_eval(model, x, y):
    model.eval()
    with torch.no_grad():
        return F.cross_entropy(model(x), y).item()


class Adapter(nn.Module):
    def __init__(self, inner, rate=0.3):
        super().__init__()
        self.inner, self.drop = inner, nn.Dropout(rate)
        self.down, self.up = nn.Linear(6, 2, bias=False), nn.Linear(2, 8, bias=False)

    def forward(self, x):
        return self.inner(x) + self.up(self.down(self.drop(x)))


def adapted(rate=0.3):
    model = layers(0.0)
    model.requires_grad_(False)
    model[0] = Adapter(model[0], rate)
    return model


def fires_ptr304_adapter_of_a_frozen_model():
    return program(adapted().eval())


def fires_ptr304_recurrent():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(6, 8, num_layers=2, dropout=0.4, batch_first=True)
            self.last = nn.Linear(8, 3)

        def forward(self, x):
            return self.last(self.rnn(x.reshape(len(x), 4, 6))[0][:, -1])

    return program(Net().eval(), data=tuple(steps().values()))


def fires_ptr304_attention_gated_by_hand():
    def attend(net, q, k, v):
        rate = 0.3 if net.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=rate)

    return program(Attention(attend).eval(), data=tuple(steps().values()))


def fires_ptr304_told_so_in_each_epoch():
    def epoch(model, x, y, step):
        model.train(False)
        return [step(*part) for part in zip(x.split(6), y.split(6), strict=True)][-1]

    return program(layers(), epoch)


def silent_ptr304_head_on_a_frozen_body():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.ReLU())
            self.head = nn.Linear(8, 3)
            self.body.requires_grad_(False)

        def forward(self, x):
            return self.head(self.body(x))

    return program(Net().eval())


def silent_ptr304_rate_zero():
    return program(layers(0.0).eval())


def silent_ptr304_inputs_are_optimised():
    model = layers().eval()
    x, y = rows()
    wanted = x[:8].clone().requires_grad_()
    optimizer = torch.optim.Adam([wanted], lr=0.1)

    def train_step(model):
        for _ in range(4):
            optimizer.zero_grad()
            value = F.cross_entropy(model(wanted), y[:8])
            value.backward()
            optimizer.step()
        return value.item()

    return {"model": model, "batch": (x[:8],), "target": y[:8], "loss_fn": F.cross_entropy,
            "optimizer": optimizer, "train_step": train_step}  # fmt: skip


def silent_ptr304_adversarial_rows():
    def epoch(model, x, y, step):
        for part, wanted in zip(x.split(8), y.split(8), strict=True):
            model.eval()
            close = part.clone().requires_grad_()
            (slope,) = torch.autograd.grad(F.cross_entropy(model(close), wanted), close)
            model.train()
            value = step(part + 0.05 * slope.sign(), wanted)
        return value

    return program(layers(), epoch)


def fires_ptr305_in_the_middle_of_an_epoch():
    x, y = rows()

    def epoch(model, x, y, step):
        model.train()
        for place, part in enumerate(zip(x.split(4), y.split(4), strict=True)):
            value = step(*part)
            if place == 2:
                in_eval(model, x, y)
        return value

    return program(layers(), epoch, data=(x, y))


def fires_ptr305_batch_norm_is_frozen():
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    return program(model)


def fires_ptr305_mode_is_set_once_before_all():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            block = nn.TransformerEncoderLayer(6, 2, 12, dropout=0.2, batch_first=True)
            self.blocks, self.last = nn.TransformerEncoder(block, 1), nn.Linear(6, 3)

        def forward(self, x):
            return self.last(self.blocks(x.reshape(len(x), 4, 6)).mean(1))

    return program(Net().train(), data=tuple(steps().values()))


def silent_ptr305_validation_puts_it_back():
    def judge(model, x, y):
        value = in_eval(model, x, y)
        model.train()
        return value

    return program(layers(), judge=judge)


def silent_ptr305_nothing_has_a_mode():
    return program(nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3)))


def silent_ptr305_a_second_stage_in_eval_mode():
    done = []

    def epoch(model, x, y, step):
        if not done:
            done.append(1)
            model.train()
            return [step(*part) for part in zip(x.split(8), y.split(8), strict=True)][-1]
        model.eval()
        parts = zip(x.split(8), y.split(8), strict=True)
        optimizer = torch.optim.SGD(model[3].parameters(), lr=0.01)
        for part, wanted in parts:
            optimizer.zero_grad()
            value = F.cross_entropy(model(part), wanted)
            value.backward()
            optimizer.step()
        return value.item()

    return program(layers(), epoch)


def silent_ptr305_adversarial_rows_on_the_same_line():
    def epoch(model, x, y, step):
        def score(x, y):
            return F.cross_entropy(model(x), y)

        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for part, wanted in zip(x.split(8), y.split(8), strict=True):
            model.eval()
            close = part.clone().requires_grad_()
            (slope,) = torch.autograd.grad(score(close, wanted), close)
            model.train()
            optimizer.zero_grad()
            value = score(part + 0.05 * slope.sign(), wanted)
            value.backward()
            optimizer.step()
        return value.item()

    return program(layers(), epoch)


def predicting(model):
    """Return a program that only predicts, with a model that somebody has put in eval mode."""
    x, y = rows()

    def eval_step(model):
        with torch.no_grad():
            return F.cross_entropy(model(x), y).item()

    return {"model": model, "batch": (x[:8],), "target": y[:8], "loss_fn": F.cross_entropy,
            "eval_step": eval_step}  # fmt: skip


def fires_ptr306_a_new_head():
    model = layers(0.0).eval()
    model[3] = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    return predicting(model)


def fires_ptr306_a_block_is_appended():
    model = layers(0.0).eval()
    block = nn.Sequential(nn.Linear(3, 6), nn.Unflatten(1, (3, 2)), nn.BatchNorm1d(3),
                          nn.Dropout1d(0.4), nn.Flatten(), nn.Linear(6, 3))  # fmt: skip
    return predicting(model.append(block))


def fires_ptr306_recurrent_layer_is_swapped():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.last = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x):
            return self.last(self.rnn(x[:, None].expand(-1, 3, -1))[0][:, -1])

    model = Net().eval()
    model.rnn = nn.LSTM(6, 8, 2, dropout=0.3, batch_first=True)
    return predicting(model)


def silent_ptr306_told_once_more():
    model = layers(0.0).eval()
    model[0] = Adapter(model[0])
    return predicting(model.eval())


def silent_ptr306_adapter_without_dropout():
    model = layers(0.0).eval()
    model[0] = Adapter(model[0], 0.0)
    return predicting(model)


def silent_ptr306_added_before_training():
    def epoch(model, x, y, step):
        model.train()
        return [step(*part) for part in zip(x.split(8), y.split(8), strict=True)][-1]

    return program(adapted(), epoch)
