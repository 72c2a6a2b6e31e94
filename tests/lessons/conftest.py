"""Recordings made by hand from what real torch layers computed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pipetrace.records import (
    Argument,
    Capture,
    Epoch,
    Evaluation,
    Fact,
    Link,
    Mask,
    Model,
    ModulePart,
    Op,
    Prediction,
    Probe,
    Score,
    Tensor,
    Training,
)
from pipetrace.tracefile import Recording


def tensor(value: torch.Tensor, sample: int = 0) -> Tensor:
    row = value[sample].flatten().tolist()
    return Tensor(
        shape=tuple(value.shape), dtype="float32", row=tuple(row[:16]), row_count=len(row)
    )


def forward(
    model: nn.Sequential, rows: torch.Tensor, capture: int, purpose: str
) -> tuple[list[Fact], torch.Tensor]:
    """Run a model layer by layer and state what each layer did."""
    facts: list[Fact] = []
    value, source = rows, Link(source="input", name="input")
    for index, layer in enumerate(model):
        out, mask = layer(value), None
        if isinstance(layer, nn.Dropout) and layer.training:
            kept = out != 0
            mask = Mask(
                p=layer.p,
                kept=int(kept.sum()),
                total=kept.numel(),
                low=0,
                high=kept.numel(),
                scale=1 / (1 - layer.p) if layer.p < 1 else 0.0,
                row=tuple(kept[0].flatten().tolist()[:16]),
            )
        name = type(layer).__name__
        facts.append(
            Op(
                capture=capture,
                index=index,
                function=name.lower(),
                module=str(index),
                module_type=name,
                training=layer.training,
                arguments=(Argument("p", str(layer.p)), Argument("training", str(layer.training)))
                if isinstance(layer, nn.Dropout)
                else (),
                inputs=(source,),
                input_shapes=(tuple(value.shape),),
                outputs=(tensor(out.detach()),),
                mask=mask,
            )
        )
        value, source = out, Link(source="op", index=index)
    facts.append(
        Capture(
            id=capture,
            model=0,
            purpose=purpose,
            training=model.training,
            rows=len(rows),
            inputs=(("input", tensor(rows)),),
            outputs=(("output", tensor(value.detach())),),
        )
    )
    return facts, value


def count(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def record(
    model: nn.Sequential, rows: torch.Tensor, *, epochs: int = 5, seed: int = 0
) -> Recording:
    """Train for real, a full-batch step an epoch, and state it as the recorder would."""
    torch.manual_seed(seed)
    targets = torch.randint(0, 3, (len(rows),))
    held = torch.randn(rows.shape), torch.randint(0, 3, (len(rows),))
    facts: list[Fact] = [
        Model(
            id=0,
            type="Sequential",
            parameters=count(model),
            trainable=count(model),
            device="cpu",
            modules=tuple(
                ModulePart(path=name, type=type(layer).__name__, parameters=count(layer))
                for name, layer in model.named_children()
            ),
        )
    ]
    model.train()
    facts += forward(model, rows, 0, "training")[0]
    if epochs:
        facts.append(Training(id=0, model=0, optimizer="SGD", loss="cross_entropy"))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for index in range(1, epochs + 1):
        model.train()
        loss = nn.functional.cross_entropy(model(rows), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        facts.append(
            Epoch(
                training=0,
                index=index,
                rule="full batch",
                steps=1,
                score=Score(rows=len(rows), loss=loss.item()),
            )
        )
        with torch.no_grad():
            on = [nn.functional.cross_entropy(model(rows), targets).item() for _ in range(4)]
            model.eval()
            off = nn.functional.cross_entropy(model(rows), targets).item()
            heldout = nn.functional.cross_entropy(model(held[0]), held[1]).item()
        facts.append(
            Probe(
                training=0,
                epoch=index,
                masks=4,
                on=Score(rows=len(rows), loss=sum(on) / 4),
                off=Score(rows=len(rows), loss=off),
                on_low=min(on),
                on_high=max(on),
            )
        )
        facts.append(
            Evaluation(
                training=0,
                epoch=index,
                index=index - 1,
                score=Score(rows=len(rows), loss=heldout),
                forwards=1,
                mode=False,
                seen=0.0,
            )
        )
    if epochs:
        model.eval()
        more, scores = forward(model, held[0], 1, "evaluation")
        again = model(held[0])
        model.train()
        moved = model(held[0])
        model.eval()
        facts += more
        facts.append(
            Prediction(
                capture=1,
                sample=0,
                task="classes",
                heldout=True,
                scores=tuple(scores[0].tolist()),
                probabilities=tuple(scores[0].softmax(0).tolist()),
                predicted=int(scores[0].argmax()),
                truth=float(held[1][0]),
                passes_equal=torch.equal(scores, again),
                train_difference=(moved - scores)[0].abs().max().item(),
            )
        )
    return Recording(facts, {}, None)


def seed_model(p: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(p), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3))


@pytest.fixture(scope="session")
def seed_run() -> Recording:
    torch.manual_seed(1)
    return record(seed_model(0.3), torch.randn(32, 20))


@pytest.fixture(scope="session")
def plain_run() -> Recording:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3))
    return record(model, torch.randn(32, 20))


@pytest.fixture(scope="session")
def bare_run() -> Recording:
    """One forward of a model of which nothing is known but that it ran."""
    return Recording([Capture(id=0, model=0, purpose="trace", training=False)], {}, None)


@pytest.fixture(scope="session")
def run_with() -> Callable[[float, torch.Tensor], Recording]:
    return lambda p, rows: record(seed_model(p), rows, epochs=0)
