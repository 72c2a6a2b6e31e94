"""Programs whose random numbers repeat or differ where they must not, and their look-alikes."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from loops import Net, loop, rows


def deep(run, **modules):
    return Net(run, inp=nn.Linear(8, 16), out=nn.Linear(16, 3), **modules)


def block(*dropout):
    return nn.Sequential(nn.Linear(16, 16), nn.ReLU(), *dropout)


def fires_ptr501_reentrant():
    def run(net, x):
        h = net.inp(x)
        h = checkpoint(net.block, h, use_reentrant=True, preserve_rng_state=False)
        return net.out(h)

    return loop(deep(run, block=block(nn.Dropout(0.3))))


def fires_ptr501_method_of_a_layer():
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(16, 16)

        def inner(self, x):
            return F.dropout(torch.tanh(self.line(x)), 0.4, self.training)

        def forward(self, x):
            return x + checkpoint(self.inner, x, use_reentrant=False, preserve_rng_state=False)

    return loop(nn.Sequential(nn.Linear(8, 16), Layer(), nn.Linear(16, 3)))


def fires_ptr501_several_at_once():
    def run(net, x):
        h = checkpoint_sequential(net.blocks, 2, net.inp(x), use_reentrant=False,
                                  preserve_rng_state=False)  # fmt: skip
        return net.out(h)

    blocks = nn.Sequential(*(block(nn.Dropout(0.3)) for _ in range(3)))
    return loop(deep(run, blocks=blocks))


def fires_ptr501_attention():
    def run(net, x):
        h = net.inp(x)[:, None].expand(-1, 4, -1)
        h = checkpoint(net.layer, h, use_reentrant=False, preserve_rng_state=False)
        return net.out(h.mean(1))

    layer = nn.TransformerEncoderLayer(16, 2, 16, dropout=0.2, batch_first=True)
    return loop(deep(run, layer=layer))


def silent_ptr501_backward_that_rounds_at_random():
    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, slope):
            return (slope * 1e3 + torch.rand_like(slope)).floor() / 1e3

    def run(net, x):
        return net.out(F.dropout(Rounded.apply(net.inp(x)), 0.2, net.training))

    return loop(deep(run))


def silent_ptr501_stream_is_kept():
    def run(net, x):
        h = checkpoint(net.block, net.inp(x), use_reentrant=False)
        return net.out(checkpoint(net.block, h, use_reentrant=True))

    return loop(deep(run, block=block(nn.Dropout(0.3))))


def silent_ptr501_nothing_random_inside():
    def run(net, x):
        h = checkpoint(net.block, net.inp(x), use_reentrant=False, preserve_rng_state=False)
        return net.out(net.drop(h))

    return loop(deep(run, block=block(), drop=nn.Dropout(0.3)))


def silent_ptr501_probability_of_zero():
    def run(net, x):
        h = checkpoint(net.block, net.inp(x), use_reentrant=False, preserve_rng_state=False)
        return net.out(h)

    return loop(deep(run, block=block(nn.Dropout(0.0))))


def dropping():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def fires_ptr502_state_that_is_put_back():
    state = torch.get_rng_state()
    return loop(dropping(), before_step=lambda step: torch.set_rng_state(state), batch=8)


def fires_ptr502_seeded_in_the_forward():
    def run(net, x):
        if net.training:
            torch.manual_seed(0)
        return net.out(F.dropout(torch.relu(net.inp(x)), 0.3, net.training))

    return loop(deep(run))


def fires_ptr502_noise():
    def run(net, x):
        h = torch.relu(net.inp(x))
        return net.out(h + 0.1 * torch.randn_like(h) if net.training else h)

    return loop(deep(run), before_step=lambda step: torch.manual_seed(1))


def silent_ptr502_another_seed_for_each_step():
    return loop(dropping(), before_step=lambda step: torch.manual_seed(step))


def silent_ptr502_seeded_in_each_epoch():
    def begin(model):
        torch.manual_seed(7)
        model.train()

    return loop(dropping(), before_epoch=begin)


def silent_ptr502_seeded_for_the_evaluation():
    def predict(model, x):
        torch.manual_seed(0)
        model.eval()
        with torch.no_grad():
            return model(x + torch.randn_like(x))

    return loop(dropping(), predict=predict)


def silent_ptr502_one_mask_for_two_views():
    def loss(out, y):
        return F.cross_entropy(out[0], y) + F.mse_loss(out[0], out[1])

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = dropping()

        def forward(self, x):
            state = torch.get_rng_state()
            one = self.net(x)
            torch.set_rng_state(state)
            return one, self.net(x + 0.01)

    return loop(Twice(), loss=loss)


def ensemble(members):
    def run(net, x):
        return torch.stack([member(x) for member in net.members]).mean(0)

    return Net(run, members=nn.ModuleList(members))


def small():
    return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 3))


def fires_ptr503_copies_in_an_ensemble():
    member = small()
    return loop(ensemble([member, copy.deepcopy(member), copy.deepcopy(member)]))


def fires_ptr503_seeded_alike():
    members = []
    for _ in range(2):
        torch.manual_seed(0)
        members.append(small())
    return loop(ensemble(members))


def fires_ptr503_each_trained_alone():
    members = []
    for _ in range(2):
        torch.manual_seed(3)
        members.append(loop(small()))

    def train_step(model):
        for each in members:
            each["train_step"](each["model"])

    def eval_step(model):
        return [each["eval_step"](each["model"]) for each in members]

    return {**members[0], "train_step": train_step, "eval_step": eval_step}


def silent_ptr503_other_seeds():
    return loop(ensemble([small(), small(), small()]))


def silent_ptr503_layers_that_begin_as_copies():
    def run(net, x):
        return net.out(net.layers(net.inp(x)[:, None].expand(-1, 3, -1)).mean(1))

    layer = nn.TransformerEncoderLayer(16, 2, 16, dropout=0.0, batch_first=True)
    layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return loop(deep(run, layers=layers))


def silent_ptr503_teacher():
    def run(net, x):
        with torch.no_grad():
            soft = net.teacher(x).softmax(-1)
        return net.student(x), soft

    def loss(out, y):
        return F.cross_entropy(out[0], y) + 0.1 * F.mse_loss(out[0].softmax(-1), out[1])

    student = small()
    teacher = copy.deepcopy(student).requires_grad_(False)
    return loop(Net(run, student=student, teacher=teacher), loss=loss,
                parameters=list(student.parameters()))  # fmt: skip


def silent_ptr503_clients_that_are_averaged():
    first = small()
    clients = [loop(copy.deepcopy(first)) for _ in range(2)]
    x, y = rows(8, count=24)

    def train_step(model):
        clients[0]["train_step"](clients[0]["model"])
        other = clients[1]
        other["optimizer"].zero_grad()
        F.cross_entropy(other["model"](x), y).backward()
        other["optimizer"].step()
        with torch.no_grad():
            pairs = [each["model"].parameters() for each in clients]
            for one, two in zip(*pairs, strict=True):
                mean = (one + two) / 2
                one.copy_(mean)
                two.copy_(mean)

    return {**clients[0], "train_step": train_step}


class Shared(nn.Module):
    def __init__(self, shape, p=0.3):
        super().__init__()
        self.shape, self.p = shape, p

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(self.shape(x)) > self.p) / (1 - self.p)


def fires_ptr504_features():
    def run(net, x):
        return net.out(net.drop(torch.relu(net.inp(x))))

    return loop(deep(run, drop=Shared(lambda x: (x.shape[-1],))))


def fires_ptr504_channels_of_images():
    def run(net, x):
        return net.out(net.drop(F.relu(net.conv(x))).mean((2, 3)))

    net = Net(run, conv=nn.Conv2d(2, 5, 3), out=nn.Linear(5, 3),
              drop=Shared(lambda x: (1, x.shape[1], 1, 1)))  # fmt: skip
    return loop(net, rows(2, 6, 6))


def fires_ptr504_row_that_is_repeated():
    def run(net, x):
        h = torch.relu(net.inp(x))
        if net.training:
            flags = torch.empty(1, h.shape[1]).bernoulli_(0.7)
            h = torch.where(flags.bool(), h / 0.7, 0.0)
        return net.out(h)

    return loop(deep(run))


def silent_ptr504_one_mask_over_time():
    def run(net, x):
        return net.out(net.rnn(net.drop(net.embed(x)))[0][:, -1])

    net = Net(run, embed=nn.Linear(6, 8), rnn=nn.GRU(8, 8, batch_first=True), out=nn.Linear(8, 3),
              drop=Shared(lambda x: (x.shape[0], 1, x.shape[2])))  # fmt: skip
    return loop(net, rows(5, 6))


def silent_ptr504_one_mask_over_time_that_comes_first():
    def run(net, x):
        h = net.drop(torch.tanh(net.embed(x.transpose(0, 1))))
        return net.out(net.rnn(h)[0][-1])

    net = Net(run, embed=nn.Linear(6, 8), rnn=nn.GRU(8, 8), out=nn.Linear(8, 3),
              drop=Shared(lambda x: (1, *x.shape[1:])))  # fmt: skip
    return loop(net, rows(5, 6))


def silent_ptr504_whole_layer():
    def run(net, x):
        h = net.inp(x)
        return net.out(h + net.drop(torch.tanh(net.line(h))))

    return loop(deep(run, line=nn.Linear(16, 16), drop=Shared(lambda x: (1, 1))))


def silent_ptr504_weights():
    class Connect(nn.Linear):
        def forward(self, x):
            weight = self.weight
            if self.training:
                weight = weight * (torch.rand_like(weight) > 0.2) / 0.8
            return F.linear(x, weight, self.bias)

    return loop(nn.Sequential(Connect(8, 16), nn.ReLU(), Connect(16, 3)))
