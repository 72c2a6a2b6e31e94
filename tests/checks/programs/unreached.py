"""Programs whose randomness `eval()` does not reach, and programs that look alike."""

from __future__ import annotations

import copy
import functools
import warnings

import torch
from nets import Between, Images, images, program, rows
from torch import nn
from torch.nn import functional as F


def fires_ptr104_kept_in_an_attribute():
    def drop(net, x):
        net.newest = nn.Dropout(net.rate)
        return net.newest(x)

    return program(Between(drop, rate=0.3))


def fires_ptr104_a_stack_that_is_made_in_each_call():
    return program(Between(lambda net, x: nn.Sequential(nn.ReLU(), nn.Dropout(0.4))(x)))


def fires_ptr104_channels_of_images():
    return program(Images(lambda net, x: nn.Dropout2d(p=0.3)(x)), **images())


def silent_ptr104_told_the_mode():
    return program(Between(lambda net, x: nn.Dropout(0.3).train(net.training)(x)))


def silent_ptr104_has_no_mode():
    return program(Between(lambda net, x: nn.GELU()(nn.Dropout(0.0)(x))))


def silent_ptr104_made_in_training_only():
    return program(Between(lambda net, x: nn.Dropout(0.3)(x) if net.training else x))


def silent_ptr104_made_at_the_first_call():
    def lazy(net, x):
        if not hasattr(net, "late"):
            net.late = nn.Dropout(0.3)
        return net.late(x)

    return program(Between(lazy))


def fires_ptr105_by_name():
    def drop(net, x):
        return net.parts["hidden"](x)

    return program(Between(drop, parts={"hidden": nn.Dropout(0.2)}))


def fires_ptr105_in_a_closure():
    noisy = nn.Dropout(0.3)
    return program(Between(lambda net, x: noisy(x)))


def fires_ptr105_bound_to_a_function():
    def apply(drop, x):
        return drop(x) * 1.0

    net = Between(lambda net, x: net.after(x), after=functools.partial(apply, nn.Dropout(0.25)))
    return program(net)


def fires_ptr105_inside_of_a_plain_object():
    class Recipe:
        def __init__(self):
            self.steps = (nn.ReLU(), nn.Sequential(nn.Dropout(0.3), nn.Identity()))

    def follow(net, x):
        for step in net.recipe.steps:
            x = step(x)
        return x

    return program(Between(follow, recipe=Recipe()))


def silent_ptr105_modules_without_a_mode():
    def both(net, x):
        return net.steps[1](net.steps[0](x))

    return program(Between(both, steps=[nn.GELU(), nn.Softplus()]))


def silent_ptr105_told_the_mode_by_hand():
    class Net(Between):
        def train(self, mode=True):
            for each in self.drops:
                each.train(mode)
            return super().train(mode)

    return program(Net(lambda net, x: net.drops[0](x), drops=[nn.Dropout(0.3)]))


def silent_ptr105_registered_too():
    net = Between(lambda net, x: net.order[0](x), drop=nn.Dropout(0.3))
    net.order = [net.drop]
    return program(net)


def fires_ptr106_dropout_of_images():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

        def forward(self, x):
            x = torch.relu(self.conv(x.reshape(-1, 1, 6, 6)))
            return self.last(F.dropout2d(x, 0.3, training=self.training).mean((2, 3)))

    return program(torch.fx.symbolic_trace(Net()), **images())


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(F.dropout(torch.relu(self.first(x)), 0.4, self.training))


def fires_ptr106_a_part_is_traced():
    return program(nn.Sequential(nn.Linear(6, 6), torch.fx.symbolic_trace(Gated())))


def fires_ptr106_torchscript():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return program(torch.jit.trace(Gated(), torch.ones(2, 6), check_trace=False))


def fires_ptr106_trained_without_dropout():
    return program(torch.fx.symbolic_trace(Gated().eval()))


def silent_ptr106_modules_keep_their_mode():
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    return program(torch.fx.symbolic_trace(net))


def silent_ptr106_traced_to_predict():
    made = program(Gated())
    traced = torch.fx.symbolic_trace(copy.deepcopy(made["model"]).eval())
    x, y = rows()

    def eval_step(model):
        model.eval()
        with torch.no_grad():
            return F.cross_entropy(traced(x[24:]), y[24:]).item()

    return {**made, "eval_step": eval_step}


def silent_ptr106_scripted():
    return program(torch.jit.script(Gated()))


def fires_ptr107_scaled_and_added():
    return program(Between(lambda net, x: x + 0.1 * torch.randn_like(x)))


def fires_ptr107_drawn_with_a_width():
    return program(Between(lambda net, x: x + torch.normal(0.0, 0.2, x.shape)))


def fires_ptr107_relative_to_the_data():
    return program(Between(lambda net, x: x + torch.randn_like(x) * (x.detach() * 0.3)))


def fires_ptr107_factors():
    return program(Images(lambda net, x: x * (1 + 0.2 * torch.randn_like(x))), **images())


def silent_ptr107_asks_for_the_mode():
    return program(Between(lambda net, x: x + 0.1 * torch.randn_like(x) if net.training else x))


def silent_ptr107_latent_of_a_learned_width():
    def sample(net, x):
        mean, width = net.code(x).chunk(2, -1)
        return mean + torch.randn_like(mean) * (0.5 * width).exp()

    return program(Between(sample, code=nn.Linear(8, 16)))


def silent_ptr107_diffusion():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 6))
            self.register_buffer("kept", torch.linspace(0.99, 0.01, 10))

        def forward(self, x):
            time = torch.randint(0, 10, (len(x), 1))
            noise, kept = torch.randn_like(x), self.kept[time]
            noisy = kept.sqrt() * x + (1 - kept).sqrt() * noise
            return F.mse_loss(self.net(torch.cat([noisy, time / 10], 1)), noise)

    x, y = rows()
    return program(Net(), x, y, lambda loss, _: loss)


def silent_ptr107_score_matching_at_one_level():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 6))

        def forward(self, x):
            noise = torch.randn_like(x)
            return self.net(x + 0.3 * noise), noise

    x, y = rows()
    return program(Net(), x, y, lambda output, _: F.mse_loss(*output))


def silent_ptr107_soft_choices():
    def choose(net, x):
        return F.gumbel_softmax(net.code(x), tau=0.5) @ net.table

    net = Between(choose, code=nn.Linear(8, 4), table=nn.Parameter(torch.randn(4, 8)))
    return program(net)


def silent_ptr107_noisy_layer_of_a_learned_width():
    def noisy(net, x):
        return F.linear(x, net.mean + net.spread * torch.randn_like(net.spread))

    mean, spread = torch.randn(8, 8) / 3, torch.full((8, 8), 0.1)
    return program(Between(noisy, mean=nn.Parameter(mean), spread=nn.Parameter(spread)))


def silent_ptr107_a_policy_that_acts_at_random():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            mean = self.last(torch.relu(self.first(x)))
            return torch.tanh(mean + 0.1 * torch.randn_like(mean))

    x, _ = rows()
    return program(Net(), x, torch.randn(len(x), 3), F.mse_loss)
