"""Programs that evaluate in train mode or in parts of it, and programs that mean to."""

from __future__ import annotations

import copy

import torch
from nets import images, rows
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset


def layers(rate=0.3):
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(rate), nn.Linear(8, 3))


def normed():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def pictures():
    return nn.Sequential(
        nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Dropout2d(0.3), nn.Flatten(), nn.Linear(64, 3),
    )  # fmt: skip


def program(model, judge, *, before=nn.Module.train, data=None, loss_fn=F.cross_entropy):
    """Return a program: `before` readies the model for an epoch, `judge` is the evaluation."""
    x, y = data or rows()
    wanted = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(wanted, lr=0.05) if wanted else None

    def train_step(model):
        before(model)
        for start in range(0, 24, 8):
            optimizer.zero_grad()
            loss = loss_fn(model(x[start : start + 8]), y[start : start + 8])
            loss.backward()
            optimizer.step()
        return loss.item()

    def eval_step(model):
        return judge(model, x[24:], y[24:])

    return {"model": model, "batch": (x[:8],), "target": y[:8], "loss_fn": loss_fn,
            "optimizer": optimizer, "train_step": train_step, "eval_step": eval_step}  # fmt: skip


def loss(model, x, y):
    with torch.no_grad():
        return F.cross_entropy(model(x), y).item()


def in_eval(model, x, y):
    model.eval()
    return loss(model, x, y)


def nothing(model):
    """Leave the mode as it is."""


def fires_ptr301_accuracy_over_a_loader():
    def judge(model, x, y):
        right = 0
        with torch.inference_mode():
            for part, wanted in DataLoader(TensorDataset(x, y), batch_size=4):
                right += (model(part).argmax(-1) == wanted).sum().item()
        return right / len(x)

    return program(layers(), judge)


def fires_ptr301_batch_norm_of_images_is_moved():
    data = tuple(images().values())
    return program(pictures(), loss, data=data)


def fires_ptr301_one_function_for_both():
    x, y = rows()
    model = layers()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def run(model, x, y, learn):
        total = 0.0
        for part, wanted in zip(x.split(8), y.split(8), strict=True):
            value = F.cross_entropy(model(part), wanted)
            if learn:
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
            total += value.item()
        return total

    return {"model": model, "batch": (x[:8],), "target": y[:8], "loss_fn": F.cross_entropy,
            "optimizer": optimizer, "train_step": lambda model: run(model, x[:16], y[:16], True),
            "eval_step": lambda model: run(model, x[16:], y[16:], False)}  # fmt: skip


def fires_ptr301_method_named_and_not_called():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(6, 8, num_layers=2, dropout=0.4, batch_first=True)
            self.last = nn.Linear(8, 3)

        def forward(self, x):
            return self.last(self.rnn(x.reshape(len(x), 1, 6))[0][:, -1])

    def judge(model, x, y):
        model.eval  # noqa: B018  # the bug
        return loss(model, x, y)

    return program(Net(), judge)


def fires_ptr301_prediction_alone():
    x, y = rows()
    return {"model": layers(), "batch": (x[:8],), "target": y[:8], "loss_fn": F.cross_entropy,
            "eval_step": lambda model: loss(model, x, y)}  # fmt: skip


def silent_ptr301_nothing_that_has_a_mode():
    return program(nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)),
                   loss)  # fmt: skip


def silent_ptr301_rate_zero():
    return program(layers(0.0), loss)


def silent_ptr301_accuracy_of_the_rows_trained_on():
    x, y = rows()
    model = layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train_step(model):
        model.train()
        right = 0
        for part, wanted in zip(x[:24].split(8), y[:24].split(8), strict=True):
            optimizer.zero_grad()
            F.cross_entropy(model(part), wanted).backward()
            optimizer.step()
            with torch.no_grad():
                right += (model(part).argmax(-1) == wanted).sum().item()
        return 1 - right / 24

    return {"model": model, "batch": (x[:8],), "target": y[:8], "loss_fn": F.cross_entropy,
            "optimizer": optimizer, "train_step": train_step,
            "eval_step": lambda model: in_eval(model, x[24:], y[24:])}  # fmt: skip


def silent_ptr301_many_draws():
    def judge(model, x, y):
        with torch.no_grad():
            scores = torch.stack([model(x).softmax(-1) for _ in range(5)])
        return F.nll_loss(scores.mean(0).log(), y).item()

    return program(layers(), judge)


def silent_ptr301_statistics_are_renewed():
    made = program(normed(), in_eval)
    averaged = AveragedModel(made["model"])
    x, y = rows()

    def eval_step(model):
        averaged.update_parameters(model)
        update_bn(x[:24].split(8), averaged)
        return in_eval(averaged, x[24:], y[24:])

    return {**made, "eval_step": eval_step}


def silent_ptr301_statistics_are_renewed_by_hand():
    def judge(model, x, y):
        model.train()
        with torch.no_grad():
            for part in x.split(4):
                model(part)
        return in_eval(model, x, y)

    return program(normed(), judge)


def silent_ptr301_generated_rows_in_a_game_of_two():
    torch.manual_seed(0)
    maker = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))
    critic = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(8, 1))
    model = nn.ModuleDict({"maker": maker, "critic": critic})
    makers, critics = (torch.optim.Adam(each.parameters(), lr=1e-3) for each in (maker, critic))
    x, _ = rows()

    def train_step(model):
        for step in range(5):
            with torch.no_grad():
                fake = maker(torch.randn(8, 4))
            critics.zero_grad()
            (F.softplus(critic(fake)).mean() + F.softplus(-critic(x[:8])).mean()).backward()
            critics.step()
            if step % 2 == 0:
                makers.zero_grad()
                F.softplus(-critic(maker(torch.randn(8, 4)))).mean().backward()
                makers.step()
        return 0.0

    def eval_step(model):
        with torch.no_grad():
            shown = maker(torch.randn(8, 4))
        return shown.mean().item()

    return {"model": model, "batch": (x[:8],), "target": None, "optimizers": [makers, critics],
            "train_step": train_step, "eval_step": eval_step}  # fmt: skip


def silent_ptr301_pseudo_labels():
    x, y = rows()
    model = layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    def train_step(model):
        model.train()
        for part, wanted in zip(x[:16].split(4), y[:16].split(4), strict=True):
            with torch.no_grad():
                guessed = model(x[16:24]).argmax(-1)
            value = F.cross_entropy(model(part), wanted)
            value = value + 0.1 * F.cross_entropy(model(x[16:24] + 0.1), guessed)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        return value.item()

    return {"model": model, "batch": (x[:8],), "target": y[:8], "loss_fn": F.cross_entropy,
            "optimizer": optimizer, "train_step": train_step,
            "eval_step": lambda model: in_eval(model, x[24:], y[24:])}  # fmt: skip


def silent_ptr301_a_teacher_in_train_mode():
    x, y = rows()
    model = layers()
    teacher = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    def train_step(model):
        model.train()
        for part, wanted in zip(x[:24].split(8), y[:24].split(8), strict=True):
            made = model(part)
            with torch.no_grad():
                soft = teacher(part).softmax(-1)
            value = F.cross_entropy(made, wanted) + 0.1 * F.mse_loss(made.softmax(-1), soft)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(teacher.parameters(), model.parameters(), strict=True):
                    slow.lerp_(fast, 0.1)
        return value.item()

    return {"model": model, "batch": (x[:8],), "target": y[:8], "loss_fn": F.cross_entropy,
            "optimizer": optimizer, "train_step": train_step,
            "eval_step": lambda model: in_eval(model, x[24:], y[24:])}  # fmt: skip


def silent_ptr301_a_first_look():
    made = program(layers(), in_eval)
    x, _ = rows()
    first = made["train_step"]

    def train_step(model):
        print(model(x[:2]).shape)
        return first(model)

    return {**made, "train_step": train_step}


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = layers(), nn.Sequential(nn.Dropout(0.4), nn.Linear(3, 3))

    def forward(self, x):
        return self.two(self.one(x))


def fires_ptr302_a_part_is_switched_back():
    def judge(model, x, y):
        model.eval()
        model.two.train()
        return loss(model, x, y)

    return program(Halves(), judge)


def fires_ptr302_one_part_is_forgotten():
    def judge(model, x, y):
        model.two.eval()
        return loss(model, x, y)

    return program(Halves(), judge)


def fires_ptr302_only_some_classes_are_told():
    def judge(model, x, y):
        for each in model.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.eval()
        return loss(model, x, y)

    return program(pictures(), judge, data=tuple(images().values()))


def silent_ptr302_dropout_alone_on_purpose():
    def judge(model, x, y):
        model.eval()
        for each in model.modules():
            if isinstance(each, nn.Dropout):
                each.train()
        with torch.no_grad():
            made = torch.stack([model(x).softmax(-1) for _ in range(4)]).mean(0)
        model.eval()
        return F.nll_loss(made.log(), y).item()

    return program(Halves(), judge)


def silent_ptr302_a_part_that_has_no_mode():
    def judge(model, x, y):
        model.eval()
        model.two[1].train()
        return loss(model, x, y)

    return program(Halves(), judge)


def silent_ptr302_a_frozen_part_stays_in_eval_mode():
    class Net(Halves):
        def train(self, mode=True):
            super().train(mode)
            self.one.eval()
            return self

    model = Net()
    model.one.requires_grad_(False)
    return program(model, in_eval)


def fires_ptr303_a_method_that_passes_nothing_on():
    class Net(Halves):
        def train(self, mode=True):
            self.training = mode
            return self

    return program(Net(), in_eval)


def fires_ptr303_flag_of_a_stack():
    def judge(model, x, y):
        model.training = False
        try:
            return loss(model, x, y)
        finally:
            model.training = True

    return program(layers(), judge)


def fires_ptr303_training_begins_with_the_flag():
    def flag(model):
        model.training = True

    return program(layers().eval(), in_eval, before=flag)


def silent_ptr303_flag_of_a_model_without_a_mode():
    def judge(model, x, y):
        model.training = False
        return loss(model, x, y)

    return program(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), judge)


def silent_ptr303_flags_of_all():
    def judge(model, x, y):
        for each in model.modules():
            each.training = False
        return loss(model, x, y)

    return program(layers(), judge)


def silent_ptr303_functional_dropout_of_the_root():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.last(F.dropout(self.first(x), 0.3, self.training))

    def judge(model, x, y):
        model.training = False
        return loss(model, x, y)

    return program(Net(), judge)
