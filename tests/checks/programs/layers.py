"""Programs whose dropout layers are never called or change, and programs where that is meant."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from loops import loop, rows


def mlp(*dropouts, width=32):
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), *dropouts, nn.Linear(width, 3))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.out = nn.Linear(8, 16), nn.Linear(16, 3)
        self.regular = nn.Dropout(0.4)

    def forward(self, x):
        return self.out(torch.tanh(self.inp(x)))


def fires_ptr208_other_dropouts_run():
    class Inner(Unused):
        def forward(self, x):
            return self.out(F.dropout(torch.tanh(self.inp(x)), 0.1, self.training))

    return loop(Inner())


def fires_ptr208_in_a_block():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.shed = nn.Conv1d(3, 3, 3, padding=1), nn.Dropout1d(0.2)

        def forward(self, x):
            return x + F.relu(self.conv(x))

    return loop(nn.Sequential(Block(), Block(), nn.Flatten(), nn.Linear(18, 3)), rows(3, 6))


def fires_ptr208_list_that_is_never_read():
    class Listed(Unused):
        def __init__(self):
            super().__init__()
            self.several = nn.ModuleList([nn.Dropout(0.3)])
            del self.regular

    return loop(Listed())


def fires_ptr208_functional_that_is_told_not_to():
    class Told(Unused):
        def __init__(self):
            super().__init__()
            del self.regular

        def forward(self, x):
            return self.out(F.dropout(torch.tanh(self.inp(x)), 0.4, training=False))

    return loop(Told())


def silent_ptr208_switched_off_by_an_option():
    class Optional(Unused):
        use = False

        def forward(self, x):
            h = torch.tanh(self.inp(x))
            return self.out(self.regular(h) if self.use else h)

    return loop(Optional())


def silent_ptr208_rate_for_the_kernel():
    class Attention(Unused):
        def forward(self, x):
            h = self.inp(x)[:, None].expand(-1, 2, -1)
            p = self.regular.p if self.training else 0.0
            return self.out(F.scaled_dot_product_attention(h, h, h, dropout_p=p).mean(1))

    return loop(Attention())


def silent_ptr208_expert_without_work():
    class Experts(Unused):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleList(
                nn.Sequential(nn.Linear(16, 16), nn.Dropout(0.3)) for _ in range(2)
            )

        def forward(self, x):
            return self.out(self.experts[0](self.regular(torch.tanh(self.inp(x)))))

    return loop(Experts())


def silent_ptr208_begins_after_some_steps():
    class Later(Unused):
        count = 0

        def forward(self, x):
            self.count += self.training
            h = torch.tanh(self.inp(x))
            return self.out(self.regular(h) if self.count > 2 else h)

    return loop(Later())


def rescheduled(model, change):
    count = iter(range(100))

    def before(step):
        change(model, next(count))

    return loop(model, before_step=before)


def fires_ptr213_schedule():
    def change(model, number):
        model[2].p = 0.1 * number

    return rescheduled(mlp(nn.Dropout(0.0)), change)


def fires_ptr213_switched_off_after_some_steps():
    def change(model, number):
        model[2].p = 0.4 if number < 2 else 0.0

    return rescheduled(mlp(nn.Dropout(0.4)), change)


def fires_ptr213_all_layers_of_a_model():
    def change(model, number):
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.2 if number == 0 else 0.3

    layers = nn.Dropout(0.2), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.2)
    return rescheduled(mlp(*layers), change)


def silent_ptr213_set_once_before_training():
    model = mlp(nn.Dropout(0.9))
    model[2].p = 0.2
    return loop(model)


def silent_ptr213_zero_for_a_prediction():
    def predict(model, x):
        model.eval()
        before, model[2].p = model[2].p, 0.0
        with torch.no_grad():
            model(x)
        model[2].p = before

    return loop(mlp(nn.Dropout(0.2)), predict=predict)


def silent_ptr213_linear_schedule():
    def change(model, number):
        model[2].p = min(0.3, 0.05 * number)

    return rescheduled(mlp(nn.Dropout(0.0)), change)
