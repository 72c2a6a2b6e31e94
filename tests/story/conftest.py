"""Recordings whose every number was computed by torch: small programs, played and written down."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipetrace.blocks import AnyBlock, Flow, Page, Section, Stage
from pipetrace.capture import forward
from pipetrace.capture.models import inventory
from pipetrace.capture.options import Options
from pipetrace.capture.replay import prepare, replay
from pipetrace.examples import dropout as example
from pipetrace.records import (
    Argument,
    Column,
    Dataset,
    Ended,
    Epoch,
    Evaluation,
    Fact,
    Failure,
    Notice,
    Place,
    Prediction,
    Preparation,
    Probe,
    Provenance,
    Score,
    Seed,
    SourceText,
    Training,
)
from pipetrace.tracefile import Recording

torch.set_num_threads(1)
HERE = str(Path(example.__file__))
Losses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def provenance(name: str, origin: str = "script") -> Provenance:
    return Provenance(
        name=name,
        origin=origin,
        path=HERE if origin == "example" else f"/home/ada/{name}",
        folder="/home/ada",
        started="2026-07-01T12:00:00+02:00",
        versions={"torch": torch.__version__, "python": "3.12"},
        threads=1,
    )


def captured(
    model: nn.Module,
    x: torch.Tensor,
    number: int = 0,
    purpose: str = "training",
    root: int = 0,
    epoch: int = 0,
    values: bool = True,
) -> tuple[list[Fact], Exception | None]:
    """Call a model as a user would, then play the call again under the real tracer."""
    call = prepare(model, (x,), {})
    output, failed = None, None
    try:
        output = model(x)
    except Exception as error:
        failed = error
    outcome = replay(
        call, id=number, model_id=root, purpose=purpose, original=output, epoch=epoch, values=values
    )
    return outcome.facts, failed


def score(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Losses, on: bool = False
) -> Score:
    model.train(on)
    with torch.no_grad():
        out = model(x)
        value = float(loss(out, y))
        hits = float((out.argmax(1) == y).float().mean()) if y.dtype == torch.int64 else None
    return Score(rows=len(x), loss=value, accuracy=hits)


def trained(
    model: nn.Module,
    data: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
    loss: Losses,
    training: Training,
    epochs: int,
    rate: float = 0.1,
    seen: float | None = 0.0,
) -> list[Fact]:
    """Train for real, and state what each epoch, probe and evaluation measured."""
    x, y, held_x, held_y = data
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    facts: list[Fact] = [training]
    drops = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    for index in range(1, epochs + 1):
        model.train()
        total, hits, steps = 0.0, 0.0, 0
        for batch in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            out = model(x[batch])
            value = loss(out, y[batch])
            value.backward()
            optimizer.step()
            total += float(value.detach()) * len(batch)
            if y.dtype == torch.int64:
                hits += float((out.argmax(1) == y[batch]).sum())
            steps += 1
        accuracy = hits / len(x) if y.dtype == torch.int64 else None
        facts.append(
            Epoch(
                training=training.id,
                index=index,
                rule="passes of the data loader",
                steps=steps,
                score=Score(rows=len(x), loss=total / len(x), accuracy=accuracy),
                rates=(rate,),
                mode=True,
            )
        )
        ons = [score(model, x, y, loss, on=True) for _ in range(4)]
        losses = [item.loss or 0.0 for item in ons]
        hit = [item.accuracy for item in ons if item.accuracy is not None]
        facts.append(
            Probe(
                training=training.id,
                epoch=index,
                masks=4 if drops else 0,
                on=Score(
                    rows=len(x),
                    loss=math.fsum(losses) / 4,
                    accuracy=math.fsum(hit) / 4 if hit else None,
                ),
                off=score(model, x, y, loss),
                on_low=min(losses),
                on_high=max(losses),
            )
        )
        if seen is not None:
            facts.append(
                Evaluation(
                    training=training.id,
                    epoch=index,
                    index=index - 1,
                    score=score(model, held_x, held_y, loss),
                    forwards=1,
                    mode=False,
                    loss_by="loop",
                    seen=seen,
                )
            )
    return facts


def predicted(
    model: nn.Module, x: torch.Tensor, truth: float, task: str, number: int
) -> list[Fact]:
    model.eval()
    facts, _ = captured(model, x, number, "prediction", epoch=5)
    with torch.no_grad():
        first, second = model(x), model(x)
        model.train()
        other = model(x)
        model.eval()
    shares = tuple(first[0].softmax(0).tolist()) if task == "classes" else ()
    facts.append(
        Prediction(
            capture=number,
            sample=0,
            task=task,
            heldout=True,
            scores=tuple(first[0].tolist()),
            probabilities=shares,
            predicted=int(first[0].argmax()) if shares else None,
            truth=truth,
            passes_equal=torch.equal(first, second),
            train_difference=float((other - first).abs().max()),
        )
    )
    return facts


def recording(*facts: Fact) -> Recording:
    return Recording(list(facts), {}, None)


@pytest.fixture(scope="session")
def dropout_run() -> Recording:
    """The seed pipeline: the example's own data and model, five epochs."""
    data = example.make_rows(0)
    torch.manual_seed(0)
    model = example.make_model(0.3)
    facts, _ = captured(model, data[0][:32])
    training = Training(
        id=0, model=0, optimizer="SGD", settings=(Argument("lr", "0.1"),),
        loss="cross_entropy", task="classes", probe_rows=1000,
    )  # fmt: skip
    facts = [
        provenance("dropout.py", "example"),
        Seed(value=0),
        SourceText(path=HERE, text=Path(HERE).read_text()),
        inventory(model, 0),
        Dataset(role="training", rows=1000, batch=32, features=(20,)),
        Dataset(role="evaluation", rows=500, batch=500, features=(20,)),
        *facts,
        *trained(model, data, F.cross_entropy, training, 5),
        *predicted(model, data[2][:1], float(data[3][0]), "classes", 1),
        Ended(status="finished", seconds=1.9, costs={"captures": 0.05, "probes": 0.02}),
    ]
    return recording(*facts)


@pytest.fixture(scope="session")
def train_for_real() -> Callable[..., list[Fact]]:
    """Return what trains a model and states what each epoch, probe and evaluation measured."""
    return trained


@pytest.fixture(scope="session")
def regression_run() -> Recording:
    """Values instead of classes, no dropout, and an evaluation of unknown rows."""
    torch.manual_seed(1)
    x = torch.randn(256, 5)
    y = x @ torch.randn(5, 1) + 0.1 * torch.randn(256, 1)
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1))
    facts, _ = captured(model, x[:32])
    training = Training(id=0, model=0, optimizer="SGD", loss="mse_loss", task="values")
    return recording(
        provenance("regression.py"),
        inventory(model, 0),
        Dataset(role="training", rows=192, batch=32, features=(5,)),
        *facts,
        *trained(model, (x[:192], y[:192], x[192:], y[192:]), F.mse_loss, training, 4, seen=None),
        *predicted(model, x[200:201], float(y[200]), "values", 1),
        Ended(status="finished", seconds=0.8),
    )


class Block(nn.Module):
    """A transformer block written out, so that it makes many operations."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.drop = nn.Dropout(0.1)
        self.mix = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(x)
        q, k, v = self.query(h), self.key(h), self.value(h)
        share = self.drop((q @ k.transpose(1, 2) / 4.0).softmax(-1))
        x = x + share @ v
        return x + self.mix(self.norm(x))


class Reader(nn.Module):
    def __init__(self, depth: int, classes: int = 4) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.blocks = nn.ModuleList(Block(16) for _ in range(depth))
        self.shared = Block(16)
        self.head = nn.Linear(16, classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.table(ids)
        for block in self.blocks:
            x = block(x)
        for _ in range(4):
            x = self.shared(x)
        out: torch.Tensor = self.head(x.mean(1))
        return out


@pytest.fixture(scope="session")
def big_run() -> Recording:
    """A transformer of 16 blocks: some hundreds of operations."""
    torch.manual_seed(2)
    model = Reader(12)
    facts, _ = captured(model, torch.randint(50, (8, 6)), purpose="trace")
    return recording(provenance("reader.py"), inventory(model, 0), *facts)


@pytest.fixture(scope="session")
def failed_run() -> Recording:
    """A second layer of the wrong width; the forward raises."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(16, 3))
    facts, error = captured(model, torch.randn(8, 20))
    assert error is not None
    line = Place("/home/ada/wrong.py", 12, "out = model(x)", "main")
    failure = Failure(
        type=type(error).__name__,
        message=str(error),
        frames=(line,),
        module="2",
        module_type="Linear",
        function="linear",
        input_shapes=((8, 10), (3, 16)),
    )
    return recording(
        provenance("wrong.py"),
        inventory(model, 0),
        *facts,
        failure,
        Ended(status="raised", code=1, seconds=0.2),
    )


@pytest.fixture(scope="session")
def table_run() -> Recording:
    """Columns and stages of a table before the model; the values come from the rows below."""
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(3, 2))
    facts, _ = captured(model, torch.randn(16, 3))
    return recording(
        provenance("penguins.csv", "table"),
        Column(name="id", type="text", role="left out", distinct=40, reason="a name of each row"),
        Column(name="island", type="category", role="feature", distinct=2,
               encoded=("island=Biscoe", "island=Dream")),
        Column(name="mass", type="number", role="feature", missing=3, distinct=35,
               encoded=("mass",)),
        Column(name="species", type="category", role="target", distinct=2),
        Preparation(index=0, name="Read", words="Reads 40 rows and 4 columns.", before=(40, 4),
                    after=(40, 4), names=("island", "mass"), row=("Dream", "3750")),
        Preparation(index=1, name="Impute", words="Fills 3 gaps in mass.", before=(32, 2),
                    after=(32, 2), facts=(Argument("median of mass", "3750"),)),
        Dataset(role="training", rows=32, batch=16, features=(3,), name="penguins.csv",
                names=("island=Biscoe", "island=Dream", "mass"), classes=("Adelie", "Gentoo")),
        inventory(model, 0),
        *facts,
        Ended(status="finished", seconds=0.5),
    )  # fmt: skip


@pytest.fixture(scope="session")
def folds_run() -> Recording:
    """Three trainings, one after the other, each on its own model."""
    facts: list[Fact] = [provenance("folds.py")]
    for fold in range(3):
        torch.manual_seed(fold)
        data = example.make_rows(fold)
        model = example.make_model(0.5)
        training = Training(
            id=fold, model=fold, optimizer="SGD", loss="cross_entropy", task="classes"
        )
        found, _ = captured(model, data[0][:32], fold, root=fold)
        facts += [inventory(model, fold), *found]
        facts += trained(model, data, F.cross_entropy, training, 2)
    return recording(*facts, Ended(status="finished", seconds=3.0))


@pytest.fixture(scope="session")
def empty_run() -> Recording:
    """A program that never called a model."""
    return recording(
        provenance("hello.py"),
        Notice(id="N1", text="No forward of an nn.Module was seen; 3 lines were printed."),
        Ended(status="finished", seconds=0.1),
    )


@pytest.fixture
def traced() -> Callable[..., Recording]:
    """Return what `pt.trace` states of one call, without the questions that a run asks."""

    def trace(model: nn.Module, *args: object, **chosen: bool) -> Recording:
        found = forward.trace(model, args, {}, Options(**chosen))
        facts = found.facts()
        if chosen.get("gradients"):
            sum(item.sum() for item in [found.output]).backward()
        return recording(provenance("try.py", "python"), *facts, *found.gradients())

    return trace


@pytest.fixture
def record_forward() -> Callable[..., list[Fact]]:
    """Return the facts of one traced forward, with the line that made its modules, if given."""

    def record(
        model: nn.Module, x: torch.Tensor, made: Place | None = None, values: bool = True
    ) -> list[Fact]:
        facts, error = captured(model, x, values=values)
        assert error is None
        found = inventory(model, 0)
        parts = tuple(msgspec.structs.replace(part, made=made) for part in found.modules)
        return [msgspec.structs.replace(found, modules=parts), *facts]

    return record


@pytest.fixture
def words_of() -> Callable[[object], str]:
    """Return every text of a piece of a page, one to a line."""

    def words(piece: object) -> str:
        if isinstance(piece, str):
            return piece
        if isinstance(piece, tuple):
            return "\n".join(words(item) for item in piece)
        if hasattr(piece, "__struct_fields__"):
            return "\n".join(words(getattr(piece, name)) for name in piece.__struct_fields__)
        return ""

    return words


@pytest.fixture
def section_of() -> Callable[[Page, str], Section]:
    def find(page: Page, id: str) -> Section:
        return next(section for section in page.sections if section.id == id)

    return find


@pytest.fixture
def stages_of() -> Callable[[Section], tuple[Stage, ...]]:
    def find(section: Section) -> tuple[Stage, ...]:
        flows: list[AnyBlock] = [block for block in section.blocks if isinstance(block, Flow)]
        return flows[0].stages if flows and isinstance(flows[0], Flow) else ()

    return find
