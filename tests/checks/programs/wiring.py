"""Programs whose layers are cut off or left out, and others that only look like it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from building import CLASSES, HIDDEN, ROWS, SIZE, Piped, adam, body, loop, rows
from torch import Tensor, nn
from torch.nn import functional as F


class Unwatched(nn.Module):
    """A body that runs without autograd, and a head."""

    def __init__(self, inside: nn.Module | None = None):
        super().__init__()
        self.body = body() if inside is None else inside
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = self.body(x)
        return self.head(hidden.relu())


def fires_ptr601_data_in_a_convolution() -> dict[str, Any]:
    inside = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, HIDDEN))
    model = Piped(lambda hidden: hidden.data.relu(), inside)
    x, y = rows(1, SIZE)
    return loop(model, adam(model), x=x, y=y)


def fires_ptr601_through_numpy() -> dict[str, Any]:
    def scaled(hidden: Tensor) -> Tensor:
        return torch.from_numpy(hidden.detach().numpy() / 2)

    model = Piped(scaled)
    return loop(model, torch.optim.SGD(model.parameters(), lr=0.1))


def fires_ptr601_rounded() -> dict[str, Any]:
    model = Piped(lambda hidden: torch.round(hidden * 4) / 4)
    return loop(model, adam(model))


def fires_ptr601_tokens_chosen_between() -> dict[str, Any]:
    class Chosen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Linear(SIZE, 5)
            self.table = nn.Embedding(5, HIDDEN)
            self.out = nn.Linear(HIDDEN, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.table(self.scores(x).argmax(-1)))

    model = Chosen()
    return loop(model, adam(model))


def fires_ptr601_between_two_models() -> dict[str, Any]:
    first, second = body(), nn.Linear(HIDDEN, CLASSES)

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(first(x).detach()), y)

    return {**loop(second, adam(first, second), loss=loss), "batch": (torch.randn(8, HIDDEN),)}


def fires_ptr601_state_of_a_recurrent_net() -> dict[str, Any]:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(2, HIDDEN)
            self.rnn = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
            self.out = nn.Linear(HIDDEN, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            _, state = self.rnn(torch.tanh(self.embed(x)))
            return self.out(torch.tensor(state[-1].tolist()))

    model = Steps()
    x, y = rows(4, 2)
    return loop(model, adam(model), x=x, y=y)


def silent_ptr601_straight_through() -> dict[str, Any]:
    model = Piped(lambda hidden: hidden + (hidden.round() - hidden).detach())
    return loop(model, adam(model))


def silent_ptr601_stop_gradient_of_two_views() -> dict[str, Any]:
    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.predictor = body(), nn.Linear(HIDDEN, HIDDEN)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            hidden = self.body(x)
            return self.predictor(hidden), hidden.detach()

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        one, two = model(x), model(x + 0.1)
        return -F.cosine_similarity(one[0], two[1]).mean()

    model = Siamese()
    return {**loop(model, adam(model), loss=loss), "loss_fn": lambda out, y: out[0].mean()}


def silent_ptr601_auxiliary_head_on_detached_features() -> dict[str, Any]:
    class Probed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body()
            self.head, self.probe = nn.Linear(HIDDEN, CLASSES), nn.Linear(HIDDEN, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.body(x)
            return self.head(hidden) + 0 * self.head(hidden) + self.probe(hidden.detach())

    model = Probed()
    return loop(model, adam(model))


def silent_ptr601_codebook_moved_by_averages() -> dict[str, Any]:
    class Quantised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = nn.Linear(SIZE, 4), nn.Linear(4, CLASSES)
            self.codes = nn.Parameter(torch.randn(6, 4))

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.encoder(x)
            chosen = torch.cdist(hidden, self.codes).argmin(-1)
            picked = self.codes.detach()[chosen]
            if self.training:
                self.codes.data[chosen] += 0.1 * (hidden.detach() - picked)
            return self.decoder(hidden + (picked - hidden).detach())

    model = Quantised()
    return loop(model, adam(model))


def silent_ptr601_unused_expert() -> dict[str, Any]:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList([nn.Linear(SIZE, CLASSES) for _ in range(3)])

        def forward(self, x: Tensor) -> Tensor:
            return self.experts[0](x) + self.experts[1](x)

    model = Experts()
    return loop(model, adam(model))


def fires_ptr602_decorated_encoder() -> dict[str, Any]:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = body()

        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)

    model = Piped(torch.relu, Encoder())
    return loop(model, adam(model))


def fires_ptr602_autograd_switched_off_by_flag() -> dict[str, Any]:
    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, HIDDEN)
            self.rnn = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
            self.out = nn.Linear(HIDDEN, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            torch.set_grad_enabled(False)
            words = self.table(x)
            torch.set_grad_enabled(True)
            return self.out(self.rnn(words)[0][:, -1])

    model = Embedded()
    x, y = torch.randint(0, 10, (ROWS, 5)), rows()[1]
    return loop(model, torch.optim.SGD(model.parameters(), lr=0.1), x=x, y=y)


def fires_ptr602_convolution_in_inference() -> dict[str, Any]:
    inside = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, HIDDEN))
    model = Unwatched(inside)
    x, y = rows(1, SIZE)
    return loop(model, torch.optim.AdamW(model.parameters(), lr=1e-2), x=x, y=y)


def fires_ptr602_one_of_two_models_in_the_loop() -> dict[str, Any]:
    first, second = body(), nn.Linear(HIDDEN, CLASSES)

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = first(x)
        return F.cross_entropy(model(hidden), y)

    return {**loop(second, adam(first, second), loss=loss), "batch": (torch.randn(8, HIDDEN),)}


def silent_ptr602_features_of_another_model() -> dict[str, Any]:
    first, second = body(), nn.Linear(HIDDEN, CLASSES)

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = first(x)
        return F.cross_entropy(model(hidden), y)

    return {**loop(second, adam(second), loss=loss), "batch": (torch.randn(8, HIDDEN),)}


def silent_ptr602_features_with_an_optimizer_of_the_head() -> dict[str, Any]:
    model = Unwatched()
    return loop(model, adam(model.head))


def silent_ptr602_teacher_inside() -> dict[str, Any]:
    class Distilled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.teacher, self.student = nn.Linear(SIZE, CLASSES), nn.Linear(SIZE, CLASSES)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                told = self.teacher(x)
            return self.student(x), told

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        out, told = model(x)
        return F.cross_entropy(out, y) + F.mse_loss(out, told)

    model = Distilled()
    made = loop(model, adam(model), loss=loss)
    return {**made, "loss_fn": lambda out, y: F.cross_entropy(out[0], y)}


def silent_ptr602_frozen_backbone() -> dict[str, Any]:
    model = Unwatched()
    model.body.requires_grad_(False)
    return loop(model, adam(model))


def silent_ptr602_target_copied_from_the_online_net() -> dict[str, Any]:
    class Bootstrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.online, self.predictor = body(), nn.Linear(HIDDEN, HIDDEN)
            self.target = copy.deepcopy(self.online)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                goal = self.target(x)
            return F.mse_loss(self.predictor(self.online(x)), goal)

    model = Bootstrapped()
    made = loop(model, adam(model), loss=lambda model, x, y: model(x))
    return {**made, "loss_fn": lambda out, y: out}


def fires_ptr603_layer_added_after_the_optimizer() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(SIZE, HIDDEN), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.append(nn.Linear(HIDDEN, CLASSES))
    return loop(model, optimizer)


def fires_ptr603_optimizer_of_a_copy() -> dict[str, Any]:
    model = Piped(torch.relu)
    optimizer = adam(model)
    return loop(copy.deepcopy(model), optimizer)


def fires_ptr603_forgotten_group() -> dict[str, Any]:
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start, self.neck = nn.Linear(SIZE, 32), nn.Linear(32, HIDDEN)
            self.end = nn.Linear(HIDDEN, CLASSES)
            self.middle = nn.LayerNorm(HIDDEN)

        def forward(self, x: Tensor) -> Tensor:
            return self.end(self.middle(self.neck(self.start(x).relu())))

    model = Three()
    groups = [{"params": part.parameters()} for part in (model.start, model.neck, model.end)]
    return loop(model, torch.optim.AdamW(groups, lr=1e-2))


def fires_ptr603_embedding_replaced() -> dict[str, Any]:
    model = nn.Sequential(nn.Embedding(10, 8), nn.Flatten(), nn.Linear(40, CLASSES))
    optimizer = adam(model)
    model[0] = nn.Embedding(12, 8)
    return loop(model, optimizer, x=torch.randint(0, 12, (ROWS, 5)), y=rows()[1])


def silent_ptr603_optimizer_of_the_head_alone() -> dict[str, Any]:
    model = Piped(torch.relu)
    return loop(model, adam(model.head))


def silent_ptr603_prompt_before_a_model() -> dict[str, Any]:
    class Prompted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.prompt = nn.Parameter(torch.zeros(HIDDEN))
            self.model = Piped(torch.relu)

        def forward(self, x: Tensor) -> Tensor:
            return self.model.head((self.model.body(x) + self.prompt).relu())

    model = Prompted()
    return loop(model, torch.optim.Adam([model.prompt], lr=0.1))


def silent_ptr603_loss_through_another_network() -> dict[str, Any]:
    judge = nn.Sequential(nn.Linear(CLASSES, 8), nn.ReLU(), nn.Linear(8, 1))
    model = body().append(nn.Linear(HIDDEN, CLASSES))

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        out = model(x)
        return F.cross_entropy(out, y) - 0.01 * judge(out).mean()

    return loop(model, adam(model), loss=loss)


def silent_ptr603_low_rank_without_freezing() -> dict[str, Any]:
    class Adapted(nn.Module):
        def __init__(self, inside: nn.Linear) -> None:
            super().__init__()
            self.inside = inside
            self.down = nn.Parameter(torch.randn(2, inside.in_features) / 4)
            self.up = nn.Parameter(torch.zeros(inside.out_features, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.inside(x) + x @ self.down.T @ self.up.T

    model = nn.Sequential(
        Adapted(nn.Linear(SIZE, HIDDEN)), nn.ReLU(), Adapted(nn.Linear(HIDDEN, CLASSES))
    )
    added = [p for layer in (model[0], model[2]) for p in (layer.down, layer.up)]
    return loop(model, torch.optim.Adam(added, lr=1e-2))


class Kept(nn.Module):
    """A model that keeps layers somewhere, and a head."""

    def __init__(self, kept: Any, use: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.start, self.kept, self.use = nn.Linear(SIZE, HIDDEN), kept, use
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.use(self.kept, self.start(x)).relu())


def fires_ptr604_layers_in_a_dict() -> dict[str, Any]:
    kept = {"one": nn.Linear(HIDDEN, HIDDEN), "two": nn.Linear(HIDDEN, HIDDEN)}
    model = Kept(kept, lambda kept, x: kept["two"](kept["one"](x).relu()))
    return loop(model, adam(model))


def fires_ptr604_parameters_in_a_tuple() -> dict[str, Any]:
    kept = tuple(nn.Parameter(torch.randn(HIDDEN, HIDDEN) / 4) for _ in range(2))
    model = Kept(kept, lambda kept, x: x @ kept[0] @ kept[1])
    return loop(model, torch.optim.SGD(model.parameters(), lr=0.1))


def fires_ptr604_tensor_that_wants_a_gradient() -> dict[str, Any]:
    kept = torch.ones(HIDDEN, requires_grad=True)
    model = Kept(kept, lambda kept, x: kept * x)
    return loop(model, adam(model))


def fires_ptr604_blocks_of_a_transformer() -> dict[str, Any]:
    kept = [nn.TransformerEncoderLayer(HIDDEN, 2, 8, dropout=0.0, batch_first=True)]
    model = Kept(kept, lambda kept, x: kept[0](x[:, None])[:, 0])
    return loop(model, adam(model))


def silent_ptr604_points_that_a_derivative_is_taken_of() -> dict[str, Any]:
    class Physics(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.points = rows()[0].requires_grad_(True)
            self.net = nn.Sequential(nn.Linear(SIZE, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))

        def forward(self, x: Tensor) -> Tensor:
            value = self.net(self.points)
            (slope,) = torch.autograd.grad(value.sum(), self.points, create_graph=True)
            return (slope.sum(-1) - value[:, 0]).square().mean() + self.net(x).square().mean()

    model = Physics()
    made = loop(model, adam(model), loss=lambda model, x, y: model(x))
    return {**made, "loss_fn": lambda out, y: out, "eval_step": lambda model: None}


def silent_ptr604_hidden_teacher() -> dict[str, Any]:
    teacher = nn.Linear(HIDDEN, HIDDEN)

    def use(kept: list[nn.Module], x: Tensor) -> Tensor:
        with torch.no_grad():
            told = kept[0](x)
        return x + told

    model = Kept([teacher], use)
    return loop(model, adam(model))


def silent_ptr604_list_of_registered_layers() -> dict[str, Any]:
    model = Kept(None, lambda kept, x: x)
    model.kept = [model.start, model.head]
    return loop(model, adam(model))


def silent_ptr604_hidden_layers_given_by_hand() -> dict[str, Any]:
    kept = [nn.Linear(HIDDEN, HIDDEN)]
    model = Kept(kept, lambda kept, x: kept[0](x))
    return loop(model, adam(model, kept[0]))


def silent_ptr604_frozen_features_in_a_list() -> dict[str, Any]:
    kept = [nn.Linear(HIDDEN, HIDDEN).requires_grad_(False)]
    model = Kept(kept, lambda kept, x: kept[0](x))
    return loop(model, adam(model))
