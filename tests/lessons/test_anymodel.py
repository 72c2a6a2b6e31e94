"""Questions for any model are drafted from real small runs, executed, and counted."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable

import msgspec
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import pipetrace as pt
from pipetrace.lessons import select
from pipetrace.lessons.answering import answer
from pipetrace.lessons.registry import Template, templates
from pipetrace.probes.execute import execute
from pipetrace.records import Capture, Epoch, Fact, Metrics, Model, Op, Prediction, Question
from pipetrace.tracefile import Recording

SEEDS = range(6)
assert select.FAMILIES, "importing the choice registers the templates"


class Picture(nn.Module):
    """A convolutional net as in torchvision: convolutions, normalisation, pooling, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)
        self.second = nn.Conv2d(8, 6, 3, bias=False)
        self.mean = nn.AdaptiveAvgPool2d((2, 2))
        self.head = nn.Linear(24, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.second(self.pool(functional.relu(self.norm(self.first(images)))))
        maps = maps + maps.mean((2, 3), keepdim=True)
        scores: torch.Tensor = self.head(torch.flatten(self.mean(maps), 1))
        return scores


class Language(nn.Module):
    """A small language model: embedding, LSTM, normalisation, a score for each word."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 12)
        self.memory = nn.LSTM(12, 16, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 50)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.norm(self.memory(self.words(ids))[0]))
        return scores


def train(
    model: nn.Module, rows: torch.Tensor, targets: torch.Tensor,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    optimizer: torch.optim.Optimizer, *, values: bool = True, epochs: int = 2,
) -> Recording:  # fmt: skip
    """Train on two thirds of the rows and evaluate on the others, recorded."""
    cut = 2 * len(rows) // 3
    loader = DataLoader(TensorDataset(rows[:cut], targets[:cut]), batch_size=16, shuffle=True)
    held = DataLoader(TensorDataset(rows[cut:], targets[cut:]), batch_size=len(rows) - cut)
    with pt.record(values=values) as run:
        for _ in range(epochs):
            model.train()
            for inputs, wanted in loader:
                optimizer.zero_grad()
                loss(model(inputs), wanted).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                for inputs, wanted in held:
                    loss(model(inputs), wanted)
    return run.recording


def classification(*, values: bool = True, frozen: bool = False) -> Recording:
    torch.manual_seed(0)
    rows = torch.randn(105, 6)
    targets = (rows[:, 0] > 0).long() + 2 * (rows[:, 1] > 0.5).long()
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))
    if frozen:
        model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(
        [each for each in model.parameters() if each.requires_grad], lr=0.1, momentum=0.9
    )
    return train(model, rows, targets, nn.CrossEntropyLoss(), optimizer, values=values)


def regression() -> Recording:
    torch.manual_seed(0)
    rows = torch.randn(90, 4)
    targets = rows @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]]) + 0.1 * torch.randn(90, 1)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    return train(model, rows, targets, nn.MSELoss(), torch.optim.Adam(model.parameters(), lr=0.02))


def labels() -> Recording:
    torch.manual_seed(0)
    rows = torch.randn(90, 4)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return train(
        model, rows, (rows[:, :3] > 0).float(), nn.BCEWithLogitsLoss(),
        torch.optim.AdamW(model.parameters()),
    )  # fmt: skip


def language() -> Recording:
    torch.manual_seed(0)
    model, ids = Language(), torch.randint(0, 50, (48, 10))

    def loss(scores: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(scores.flatten(0, 1), wanted.flatten())

    return train(
        model, ids[:, :-1], ids[:, 1:], loss, torch.optim.Adam(model.parameters(), lr=0.01)
    )


def diverging() -> Recording:
    """Train with so large a learning rate that losses have no end."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 1))
    return train(
        model, torch.randn(60, 4), torch.randn(60, 1), nn.MSELoss(),
        torch.optim.SGD(model.parameters(), lr=1e9), epochs=3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs() -> dict[str, Recording]:
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return {
        "classification": classification(),
        "no values": classification(values=False),
        "frozen": classification(frozen=True),
        "regression": regression(),
        "labels": labels(),
        "language": language(),
        "diverging": diverging(),
        "picture": pt.trace(Picture(), torch.randn(4, 3, 32, 32)).recording,
        "half": pt.trace(Picture().half(), torch.randn(2, 3, 32, 32).half()).recording,
        "block": pt.trace(block, torch.randn(4, 7, 16)).recording,
    }


def own() -> list[Template]:
    return [template for template in templates() if template.lesson == "anymodel"]


def new() -> list[Template]:
    """Return the templates beyond the first eleven, which other tests cover."""
    return [template for template in own() if template.id >= "A4"]


def ask(template: Template, run: Recording, seed: int) -> tuple[bool, Question | None]:
    """Return whether a question was drafted, and the question if it stood its execution."""
    drawn = template.draft(run, seed)
    if drawn is None:
        return False, None
    answers = answer([drawn], execute, seed)
    return True, next(iter(answers.questions), None)


def key(question: Question) -> int:
    return next(index for index, choice in enumerate(question.choices) if choice.correct)


Asked = dict[tuple[str, str], list[Question | None]]


@pytest.fixture(scope="module")
def asked(runs: dict[str, Recording]) -> Asked:
    """Ask every new template of every run; those that need no run, of one of them."""
    found: Asked = {}
    for template in new():
        names = ["classification"] if template.needs == "nothing" else list(runs)
        for name in names:
            drawn = [ask(template, runs[name], seed) for seed in SEEDS]
            if any(drafted for drafted, _ in drawn):
                found[template.id, name] = [each for drafted, each in drawn if drafted]
    return found


def test_there_are_many_of_every_kind() -> None:
    counts = Counter((each.group, each.level) for each in own())
    assert len(own()) >= 30
    assert sum(number for (group, _), number in counts.items() if group == "practice") >= 8
    assert sum(number for (group, _), number in counts.items() if group == "challenge") >= 6
    for level in ("easy", "medium", "hard"):
        assert counts["quiz", level] >= 5
        assert counts["challenge", level] >= 2
        assert counts["practice", level] >= 3


@pytest.mark.parametrize(
    ("name", "least"), [("picture", 12), ("block", 12), ("classification", 20)]
)
def test_a_run_is_asked_much_about_itself(
    runs: dict[str, Recording], name: str, least: int
) -> None:
    quizzes = [each for each in own() if each.group == "quiz"]
    drafted = {each.id for each in quizzes if each.draft(runs[name], 0) is not None}
    assert len(drafted) >= least


def test_every_template_is_asked_of_some_run(asked: Asked) -> None:
    assert {name for name, _ in asked} == {template.id for template in new()}


def test_drafts_stand_their_execution(asked: Asked) -> None:
    by_template: dict[str, list[Question | None]] = defaultdict(list)
    for (name, _), drawn in asked.items():
        by_template[name] += drawn
    often = {n: len(d) for n, d in by_template.items() if 4 * d.count(None) >= len(d)}
    assert often == {}


def test_every_question_is_whole(asked: Asked) -> None:
    for question in questions(asked):
        texts = [choice.text.casefold() for choice in question.choices]
        assert len(set(texts)) == 4, question.id
        assert sum(choice.correct for choice in question.choices) == 1
        assert all(bool(choice.misconception) != choice.correct for choice in question.choices)
        assert question.steps
        assert question.hint
        assert question.check
        assert question.answer
        assert question.subject
        assert question.place
        assert bool(question.mistakes) or question.group == "quiz", question.id
        told = [question.text, *question.steps, question.check, *question.mistakes]
        assert not [text for text in told if "{" in text], question.id


def test_parallel_forms_differ(asked: Asked) -> None:
    for (name, _), drawn in asked.items():
        forms = {
            (each.text, each.code, frozenset(choice.text for choice in each.choices))
            for each in drawn
            if each is not None
        }
        assert len(forms) >= 2 or len([each for each in drawn if each]) < 2, name
    general = {
        template.id: {(q.text, q.code, frozenset(c.text for c in q.choices)) for q in drawn if q}
        for template in new()
        if template.needs == "nothing"
        for drawn in [asked[template.id, "classification"]]
    }
    assert {name for name, forms in general.items() if len(forms) < 4} == set()


@pytest.mark.parametrize("name", ["A105", "A203", "A301", "A302", "A303"])
def test_older_forms_differ_too(runs: dict[str, Recording], name: str) -> None:
    drawn = [one(name, runs["classification"], seed) for seed in range(10)]
    assert len({frozenset(choice.text for choice in each.choices) for each in drawn}) >= 3


def test_the_key_stands_anywhere(asked: Asked) -> None:
    counts = Counter(key(question) for question in questions(asked))
    expected = sum(counts.values()) / 4
    # 16.27: the 99.9 % point of chi-square with three degrees of freedom
    assert sum((counts[place] - expected) ** 2 / expected for place in range(4)) < 16.27


def test_the_length_of_an_option_is_no_clue(asked: Asked) -> None:
    for pick in (max, min):
        hits = []
        for question in questions(asked):
            lengths = [len(choice.text) for choice in question.choices]
            best = [index for index, size in enumerate(lengths) if size == pick(lengths)]
            hits.append((key(question) in best) / len(best))
        assert 0.15 < sum(hits) / len(hits) < 0.35, pick


def one(name: str, run: Recording, seed: int = 0) -> Question:
    template = next(each for each in templates() if each.id == name)
    drawn = template.draft(run, seed)
    assert drawn is not None, name
    answers = answer([drawn], execute, seed)
    assert answers.rejections == ()
    return answers.questions[0]


def answered(name: str, run: Recording, seed: int = 0) -> str:
    question = one(name, run, seed)
    return question.choices[key(question)].text


def test_keys_are_what_the_picture_run_recorded(runs: dict[str, Recording]) -> None:
    run = runs["picture"]
    assert {answered("A401", run, seed) for seed in range(12)} == {"16", "6"}
    assert answered("A402", run) == "8"
    assert answered("A403", run) == "(4, 24)"
    assert answered("A405", run) == "(4, 6, 6, 6)"
    assert {answered("A411", run, seed) for seed in range(12)} == {"224", "432"}
    assert answered("A413", run) == "16"
    assert {answered("A415", run, seed) for seed in range(12)} == {
        "`second` (Conv2d)",
        "`norm` (BatchNorm2d)",
    }
    sizes = {answered("A461", runs["half"], seed) for seed in range(40)}
    assert "8192 bytes" in sizes, "float16 takes two bytes a number: 2 x 8 x 16 x 16 of them"


def test_keys_are_what_the_language_run_recorded(runs: dict[str, Recording]) -> None:
    run = runs["language"]
    assert answered("A404", run) == "(16, 9, 12)"
    assert answered("A412", run) == "600"
    assert answered("A414", run) == str(4 * 16 * (12 + 16 + 2)) == "1920"
    model = run.first(Model)
    assert model is not None
    assert answered("A418", run) == f"{16 * model.parameters} bytes"
    assert answered("A434", run) == "0.01"


def test_keys_are_what_the_classification_run_recorded(runs: dict[str, Recording]) -> None:
    run = runs["classification"]
    assert answered("A421", run) == str(round(math.log(4), 4)) == "1.3863"
    assert answered("A431", run) == "5"
    assert answered("A432", run) == "10"
    assert answered("A417", runs["frozen"]) == str(7 * 16)
    metrics, prediction = run.last(Metrics), chosen(run)
    assert metrics is not None
    assert metrics.classification is not None
    assert float(answered("A441", run)) == round(metrics.classification.accuracy, 4)
    assert float(answered("A444", run)) == round(metrics.classification.majority, 4)
    order = sorted(range(4), key=lambda index: prediction.scores[index])
    assert prediction.predicted == order[-1]
    ends = {answered("A451", run, seed) for seed in range(12)}
    assert ends == {f"Class {order[0]}", f"Class {order[-1]}"}
    assert prediction.truth is not None
    p = prediction.probabilities[int(prediction.truth)]
    assert math.isclose(float(answered("A422", run)), -math.log(p), abs_tol=1e-3)


def test_no_question_tells_of_a_loss_without_end(runs: dict[str, Recording]) -> None:
    run = runs["diverging"]
    assert any(e.score.loss is None or not math.isfinite(e.score.loss) for e in run.all(Epoch))
    for template in new():
        drafted, question = ask(template, run, 0)
        if drafted and template.needs == "run":
            assert question is not None, template.id
            assert not any(word in question.text for word in ("nan", "inf ", "inf."))


def test_a_model_of_a_billion_parameters_is_asked_quickly(runs: dict[str, Recording]) -> None:
    facts = [enlarged(fact) for fact in runs["picture"].facts]
    huge = Recording(facts, {}, None)
    found = 0
    for template in new():
        if template.needs == "run":
            for seed in range(3):
                drafted, question = ask(template, huge, seed)
                found += question is not None
                assert not drafted or question is not None, template.id
    assert found >= 15


def test_without_facts_no_question(bare_run: Recording) -> None:
    for run in (Recording([], {}, None), bare_run):
        for template in new():
            drawn = template.draft(run, 0)
            assert (drawn is None) == (template.needs == "run"), template.id


def test_braces_in_names_do_no_harm(runs: dict[str, Recording]) -> None:
    facts = [renamed(fact) for fact in runs["picture"].facts]
    for template in new():
        for seed in range(3):
            drafted, question = ask(template, Recording(facts, {}, None), seed)
            assert not drafted or question is not None, template.id


def questions(asked: Asked) -> list[Question]:
    return [each for drawn in asked.values() for each in drawn if each is not None]


def chosen(run: Recording) -> Prediction:
    return next(each for each in run.all(Prediction) if each.role == "chosen")


def enlarged(fact: Fact) -> Fact:
    """State everything for 4096 times as many rows, and a model 10 million times as large."""
    if isinstance(fact, Op):
        shapes = tuple(
            (4096 * shape[0], *shape[1:]) if index == 0 and len(shape) == 4 else shape
            for index, shape in enumerate(fact.input_shapes)
        )
        if fact.function == "add":
            shapes = tuple((4096 * shape[0], *shape[1:]) for shape in fact.input_shapes)
        outputs = tuple(
            msgspec.structs.replace(each, shape=(4096 * each.shape[0], *each.shape[1:]))
            if each.shape
            else each
            for each in fact.outputs
        )
        linear = fact.function == "linear"
        return msgspec.structs.replace(
            fact,
            input_shapes=((4096 * shapes[0][0], *shapes[0][1:]), *shapes[1:]) if linear else shapes,
            outputs=outputs,
            memory=4096 * fact.memory,
            flops=4096 * fact.flops if fact.flops else fact.flops,
        )
    if isinstance(fact, Capture):
        inputs = tuple(
            (name, msgspec.structs.replace(each, shape=(4096 * each.shape[0], *each.shape[1:])))
            for name, each in fact.inputs
        )
        return msgspec.structs.replace(fact, inputs=inputs)
    if isinstance(fact, Model):
        parts = tuple(
            msgspec.structs.replace(each, parameters=each.parameters + 10**9)
            if each.type == "Linear"
            else each
            for each in fact.modules
        )
        return msgspec.structs.replace(fact, modules=parts, parameters=fact.parameters + 10**9)
    return fact


def renamed(fact: Fact) -> Fact:
    if isinstance(fact, Op):
        return msgspec.structs.replace(fact, module=fact.module and f"{{key}}.{fact.module}")
    if isinstance(fact, Model):
        parts = tuple(
            msgspec.structs.replace(each, path=each.path and f"{{key}}.{each.path}")
            for each in fact.modules
        )
        return msgspec.structs.replace(fact, modules=parts, type="{letter}")
    return fact
