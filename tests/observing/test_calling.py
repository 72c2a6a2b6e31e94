"""Of a program's calls it is told which were trained on, judged, repeated, fed on and dropped."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.observed import Calls
from pipetrace.session import Session

X, Y = torch.randn(8, 3), torch.zeros(8, dtype=torch.long)


def seen(program) -> list[Calls]:
    session = Session("program", "python", checking=True, lean=True)
    session.begin()
    try:
        program()
    finally:
        session.end()
    return session.close().all(Calls)


def step(model, optimizer, x=X):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(x), Y[: len(x)]).backward()
    optimizer.step()


def test_calls_after_the_last_backward_are_counted_with_their_losses():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def program():
        for _ in range(2):
            step(model, optimizer)
            with torch.no_grad():
                torch.nn.functional.cross_entropy(model(X + 1), Y)

    trained, judged = seen(program)
    assert (trained.count, trained.trained, trained.after, trained.learned) == (2, 2, 0, True)
    assert (judged.count, judged.trained, judged.after, judged.losses) == (2, 0, 1, 2)


def test_a_call_between_the_forward_and_the_backward_is_not_after_it():
    model, teacher = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def program():
        made = model(X)
        with torch.no_grad():
            wanted = teacher(X)
        F.mse_loss(made, wanted).backward()
        optimizer.step()

    _, taught = seen(program)
    assert (taught.trained, taught.after, taught.learned) == (0, 0, False)


def test_the_same_rows_are_told_until_an_optimizer_steps():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def program():
        for _ in range(2):
            for part in (X[:4], X[4:], X[:4], X[4:]):
                with torch.no_grad():
                    kept.append(model(part))
            step(model, optimizer)

    kept: list[torch.Tensor] = []
    judged, _ = seen(program)
    assert (judged.count, judged.again, judged.repeated) == (8, 4, 0)


def test_an_output_that_another_model_is_given_and_learns_from():
    maker, critic = nn.Linear(3, 3), nn.Linear(3, 2)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)

    def program():
        with torch.no_grad():
            made = maker(X)
        step(critic, optimizer, made)
        with torch.no_grad():
            shown.append(maker(X))

    shown: list[torch.Tensor] = []
    first, _, last = seen(program)
    assert (first.fed, first.taught, first.discarded) == (1, 1, False)
    assert (last.fed, last.taught) == (0, 0)


def test_a_statement_that_throws_the_output_away():
    model = nn.Linear(3, 2)

    def program():
        model(X)
        kept.append(model(X))

    kept: list[torch.Tensor] = []
    assert [calls.discarded for calls in seen(program)] == [True, False]


def test_a_recorded_graph_is_named():
    model = nn.Sequential(nn.Linear(3, 3), torch.fx.symbolic_trace(nn.Sequential(nn.ReLU())))

    def program():
        kept.append(model(X))

    kept: list[torch.Tensor] = []
    assert [calls.fixed for calls in seen(program)] == [("1",)]
