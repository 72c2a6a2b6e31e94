"""Programs whose batch norm follows the batch or moves, and programs where that is meant."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from loops import Net, loop, rows


def normed(norm, width=16, *after):
    return nn.Sequential(nn.Linear(8, width), norm, nn.ReLU(), *after, nn.Linear(width, 3))


def images(*layers, channels=4):
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3)
    return nn.Sequential(nn.Conv2d(2, channels, 3), *layers, nn.ReLU(), *head)


def fires_ptr401_functional():
    def run(net, x):
        h = F.batch_norm(net.inp(x), None, None, training=True)
        return net.out(torch.relu(h))

    return loop(Net(run, inp=nn.Linear(8, 16), out=nn.Linear(16, 3)))


def fires_ptr401_statistics_that_were_removed():
    model = normed(nn.BatchNorm1d(16))
    model[1].running_mean = model[1].running_var = None
    return loop(model)


def fires_ptr401_images():
    return loop(images(nn.BatchNorm2d(4, affine=False, track_running_stats=False)), rows(2, 6, 6))


def fires_ptr401_by_hand():
    class Standard(nn.Module):
        def forward(self, x):
            return (x - x.mean(0)) / (x.std(0) + 1e-5)

    return loop(normed(Standard()))


def silent_ptr401_nodes_of_one_graph():
    class Pairs(nn.Module):
        def forward(self, x):
            return (x - x.mean(0)) / x.std(dim=0).mean()

    x, y = rows(8)

    def predict(model, _):
        model.eval()
        with torch.no_grad():
            return model(x)[32:].argmax(1)

    def loss(out, _):
        return F.cross_entropy(out[:32], y[:32])

    made = loop(normed(Pairs()), predict=predict)
    optimizer = made["optimizer"]

    def train_step(model):
        model.train()
        for _ in range(2):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()

    return {**made, "batch": (x,), "target": y, "loss_fn": loss, "train_step": train_step}


def silent_ptr401_one_step_on_a_graph_and_a_look_at_it():
    made = silent_ptr401_nodes_of_one_graph()
    (x,), y, optimizer = made["batch"], made["target"], made["optimizer"]

    def train_step(model):
        model.train()
        optimizer.zero_grad()
        made["loss_fn"](model(x), y).backward()
        optimizer.step()

    return {**made, "train_step": train_step}


def silent_ptr401_loss_in_the_forward():
    def run(net, x):
        h = net.inp(x)
        return net.out(h), h.std(0).mean()

    return loop(Net(run, inp=nn.Linear(8, 16), out=nn.Linear(16, 3)),
                loss=lambda out, y: F.cross_entropy(out[0], y) + 0.01 * out[1])  # fmt: skip


def silent_ptr401_instance_norm():
    return loop(images(nn.InstanceNorm2d(4)), rows(2, 6, 6))


def silent_ptr401_group_norm():
    return loop(images(nn.GroupNorm(2, 4)), rows(2, 6, 6))


def silent_ptr401_running_statistics():
    return loop(normed(nn.BatchNorm1d(16, momentum=None)))


def sampling(model, x):
    model.train()
    with torch.no_grad():
        drawn = torch.stack([model(x).softmax(-1) for _ in range(6)])
    return drawn.mean(0), drawn.std(0)


def fires_ptr402_images():
    return loop(images(nn.BatchNorm2d(4), nn.Dropout2d(0.3)), rows(2, 6, 6), predict=sampling)


def fires_ptr402_functional_dropout():
    def run(net, x):
        h = F.dropout(torch.relu(net.norm(net.inp(x))), 0.3, net.training)
        return net.out(h)

    model = Net(run, inp=nn.Linear(8, 16), norm=nn.BatchNorm1d(16), out=nn.Linear(16, 3))
    return loop(model, predict=sampling)


def fires_ptr402_loop_over_samples():
    def predict(model, x):
        total = 0
        model.train(True)
        for _ in range(5):
            with torch.inference_mode():
                total = total + model(x)
        return total / 5

    return loop(normed(nn.BatchNorm1d(16), 16, nn.Dropout(0.4)), predict=predict)


def silent_ptr402_dropout_alone_is_on():
    def predict(model, x):
        model.eval()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.train()
        with torch.no_grad():
            drawn = [model(x) for _ in range(5)]
        model.eval()
        return drawn

    return loop(normed(nn.BatchNorm1d(16), 16, nn.Dropout(0.4)), predict=predict)


def silent_ptr402_layer_norm_in_eval_mode():
    return loop(normed(nn.LayerNorm(16), 16, nn.Dropout(0.4)))


def silent_ptr402_renewed_statistics():
    def predict(model, x):
        before, model[1].momentum = model[1].momentum, None
        model.train()
        with torch.no_grad():
            for start in range(0, 16, 4):
                model(x[start : start + 4])
        model[1].momentum = before
        model.eval()
        with torch.no_grad():
            return model(x).argmax(1)

    made = loop(normed(nn.BatchNorm1d(16), 16, nn.Dropout(0.4)))
    x, _ = rows(8)

    def eval_step(model):
        return predict(model, x[32:])

    return {**made, "eval_step": eval_step}


def frozen(model, *modules):
    for module in modules:
        module.requires_grad_(False)
    return loop(model, parameters=[p for p in model.parameters() if p.requires_grad])


def fires_ptr403_whole_backbone():
    model = images(nn.BatchNorm2d(4))
    model[:3].requires_grad_(False)
    return loop(model, rows(2, 6, 6), parameters=list(model[-1].parameters()))


def fires_ptr403_norm_alone():
    model = normed(nn.BatchNorm1d(16).eval())
    return frozen(model, model[1])


def fires_ptr403_put_to_sleep_before_the_first_epoch():
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16),
                          nn.Tanh(), nn.BatchNorm1d(16), nn.Linear(16, 3))  # fmt: skip
    model[1].eval()
    return frozen(model, model[0], model[1])


def fires_ptr403_eval_mode_alone():
    model = normed(nn.BatchNorm1d(16))
    model[1].eval()
    return loop(model)


def silent_ptr403_kept_in_eval_mode():
    class Backbone(nn.Sequential):
        def train(self, mode=True):
            return super().train(False)

    body = Backbone(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU())
    return frozen(nn.Sequential(body, nn.Linear(16, 3)), body)


def silent_ptr403_asleep_again_in_each_epoch():
    model = normed(nn.BatchNorm1d(16))
    model[1].requires_grad_(False)

    def begin(model):
        model.train()
        model[1].eval()

    return loop(model, before_epoch=begin,
                parameters=[p for p in model.parameters() if p.requires_grad])  # fmt: skip


def silent_ptr403_frozen_at_first_only():
    model = normed(nn.BatchNorm1d(16))
    model[:2].requires_grad_(False)
    epochs = iter(range(100))

    def begin(model):
        model.train()
        if next(epochs):
            model.requires_grad_(True)

    return loop(model, before_epoch=begin)


class Taught(nn.Module):
    """A model beside an average of itself, which answers in evaluation and may teach it."""

    def __init__(self, teaches=False):
        super().__init__()
        self.body = normed(nn.BatchNorm1d(16))
        self.mean = copy.deepcopy(self.body).requires_grad_(False)
        self.teaches = teaches

    @torch.no_grad()
    def follow(self):
        for mean, own in zip(self.mean.parameters(), self.body.parameters(), strict=True):
            mean.lerp_(own, 0.2)
        if not self.teaches:
            for mean, own in zip(self.mean.buffers(), self.body.buffers(), strict=True):
                mean.copy_(own)

    def forward(self, x):
        if not self.training:
            return self.mean(x)
        if not self.teaches:
            return self.body(x)
        with torch.no_grad():
            taught = self.mean(x + 0.1 * torch.randn_like(x))
        return 0.9 * self.body(x) + 0.1 * taught


def silent_ptr403_an_average_that_is_given_statistics():
    model = Taught()
    return loop(model, before_step=lambda step: model.follow(),
                parameters=list(model.body.parameters()))  # fmt: skip


def silent_ptr403_an_average_that_teaches_in_train_mode():
    model = Taught(teaches=True)
    return loop(model, before_step=lambda step: model.follow(),
                parameters=list(model.body.parameters()))  # fmt: skip


def silent_ptr403_without_weights():
    return loop(normed(nn.BatchNorm1d(16, affine=False)))


class Running(nn.Module):
    """Normalises with numbers that it keeps itself."""

    def __init__(self, width, moves):
        super().__init__()
        self.moves = moves
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, x):
        if self.moves(self):
            self.mean.lerp_(x.detach().mean(0), 0.1)
        return x - self.mean


def fires_ptr404_normaliser_that_always_moves():
    return loop(normed(Running(16, lambda layer: True)))


def fires_ptr404_codebook():
    class Codes(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("codes", torch.randn(8, 16))
            self.register_buffer("uses", torch.zeros(8))

        def forward(self, x):
            nearest = torch.cdist(x, self.codes).argmin(1)
            self.uses += torch.bincount(nearest, minlength=8)
            return x + 0.1 * (self.codes[nearest] - x)

    return loop(normed(Codes()))


def fires_ptr404_counter():
    class Counting(nn.Linear):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.register_buffer("calls", torch.zeros((), dtype=torch.long))

        def forward(self, x):
            self.calls += 1
            return super().forward(x)

    return loop(nn.Sequential(Counting(8, 16), nn.ReLU(), Counting(16, 3)))


def silent_ptr404_moves_in_training():
    return loop(normed(Running(16, lambda layer: layer.training)))


def silent_ptr404_batch_norm():
    return loop(normed(nn.BatchNorm1d(16)))


def silent_ptr404_self_normalising():
    return loop(nn.Sequential(Running(8, lambda layer: True), normed(nn.LayerNorm(16))))


def fires_ptr405_batches_of_two():
    return loop(normed(nn.BatchNorm1d(16)), batch=2)


def fires_ptr405_pooled_maps():
    def run(net, x):
        return net.out(net.norm(F.adaptive_avg_pool2d(net.conv(x), 1)).flatten(1))

    net = Net(run, conv=nn.Conv2d(2, 4, 3), norm=nn.BatchNorm2d(4), out=nn.Linear(4, 3))
    return loop(net, rows(2, 6, 6), batch=2)


def fires_ptr405_two_steps_of_one_row():
    def run(net, x):
        return net.out(net.norm(net.conv(x)).flatten(1))

    net = Net(run, conv=nn.Conv1d(3, 4, 5), norm=nn.BatchNorm1d(4), out=nn.Linear(8, 3))
    return loop(net, rows(3, 6), batch=1)


def silent_ptr405_two_rows_that_nobody_trains_on():
    return {"model": normed(nn.BatchNorm1d(16)), "batch": (rows(8)[0][:2],)}


def silent_ptr405_small_batches_of_images():
    return loop(images(nn.BatchNorm2d(4)), rows(2, 6, 6), batch=2)


def silent_ptr405_small_last_batch():
    return loop(normed(nn.BatchNorm1d(16)), rows(8, count=51), batch=16)


def silent_ptr405_asleep():
    def begin(model):
        model.train()
        model[1].eval()

    return loop(normed(nn.BatchNorm1d(16)), batch=2, before_epoch=begin)
