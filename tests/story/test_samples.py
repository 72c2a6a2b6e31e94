"""Other samples, their spread and histograms are told from a real recording of a real training."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import Any

import msgspec
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.blocks import (
    Bars,
    Chart,
    Distributions,
    Flow,
    Graph,
    Network,
    Node,
    Remarks,
    Table,
    Tabs,
    Text,
)
from pipetrace.records import (
    Dataset,
    Histograms,
    Prediction,
    Ranked,
    Ranking,
    Spectrum,
    Spread,
    Weights,
)
from pipetrace.story.distributions import MOST, distributions
from pipetrace.story.epochs import traces
from pipetrace.story.forwards import forwards
from pipetrace.story.network import network
from pipetrace.story.page import page
from pipetrace.story.prediction import chosen, prediction
from pipetrace.story.provenance import provenance
from pipetrace.story.ranking import tables
from pipetrace.story.spreads import spreads
from pipetrace.story.training import training
from pipetrace.tracefile import Recording


def block(content: Any, kind: type[Any]) -> Any:
    return next(item for item in content.blocks if isinstance(item, kind))


@pytest.fixture(scope="module")
def run() -> Recording:
    """Three epochs of a small classifier with dropout, evaluated on 40 held-out rows."""
    torch.manual_seed(0)
    x = torch.randn(120, 6)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 1).long()
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as recorded:
        for _ in range(3):
            model.train()
            for rows in torch.randperm(80).split(20):
                optimizer.zero_grad()
                F.cross_entropy(model(x[rows]), y[rows]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                F.cross_entropy(model(x[80:]), y[80:])
    return recorded.recording


def test_each_sample_has_a_tab_with_all_that_one_sample_had(run: Recording):
    content = prediction(run)
    assert content is not None
    tabs = block(content, Tabs).tabs
    told = {item.sample: item for item in run.all(Prediction)}
    assert next(tab.id for tab in tabs) == "sample-0"
    assert {tab.id for tab in tabs} == {f"sample-{sample}" for sample in told}
    assert len(tabs) == 5
    for tab in tabs:
        item = told[int(tab.id.partition("-")[2])]
        kinds = [type(each) for each in tab.blocks]
        assert kinds[:3] == [Flow, Bars, Text]
        assert f"class {item.predicted}" in tab.note
        right = item.truth == item.predicted
        assert tab.tone == ("good" if right else "warning")
        start = next(each for each in tab.blocks if isinstance(each, Flow)).stages[0].id
        assert start == f"capture-{item.capture}-input"
    words = [tab.label.partition(", ")[2] for tab in tabs]
    assert words[0] == ""
    assert set(words[1:3]) <= {"most wrong", "highest loss"}
    assert words[3:] == ["least certain"] * 2
    assert "2 of highest loss and 2 least certain" in content.intro
    assert content.title == "Prediction trace, 5 layers"


def test_with_one_sample_there_are_no_tabs(run: Recording):
    facts = [f for f in run.facts if not isinstance(f, Prediction) or f.role == "chosen"]
    content = prediction(Recording(facts, {}, None))
    assert content is not None
    assert not any(isinstance(each, Tabs) for each in content.blocks)
    assert isinstance(content.blocks[0], Flow)


def test_the_chosen_sample_stays_the_one_that_others_quote(run: Recording):
    found = chosen(run)
    assert found is not None
    assert found.role == "chosen"
    assert found == run.last(Prediction)
    captures = {item.capture.id for item in forwards(run)}
    assert found.capture in captures
    assert not captures & {item.capture for item in run.all(Prediction) if item is not found}
    assert len(forwards(run, samples=True)) == len(captures) + 4
    receipt = provenance(run)
    assert receipt is not None
    assert "3 of 3 traced forwards" in str(receipt.blocks)


def test_the_ranking_has_a_table_for_each_list(run: Recording):
    content, ranking = prediction(run), run.last(Ranking)
    assert content is not None
    assert ranking is not None
    wrong, uncertain = (item for item in content.blocks if isinstance(item, Table))
    assert [row[0] for row in wrong.rows] == [str(each.sample) for each in ranking.wrong]
    assert [row[0] for row in uncertain.rows] == [str(each.sample) for each in ranking.uncertain]
    assert wrong.rows[0][1:3] == (
        f"class {ranking.wrong[0].truth:.0f}", f"class {ranking.wrong[0].predicted:.0f}",
    )  # fmt: skip
    assert wrong.caption.startswith("Most wrong: the rows of highest loss, of the 40 held-out rows")
    assert [head.label for head in uncertain.heads][-2:] == ["margin", "loss"]


def test_values_are_ranked_with_their_errors():
    rows = (Ranked(sample=7, loss=4.0, truth=3.0, predicted=5.0),)
    found = Ranking(training=0, rows=10, total=30, heldout=None, task="values", wrong=rows)
    (table,) = tables(found, str)
    assert isinstance(table, Table)
    assert [head.label for head in table.heads] == ["sample", "truth", "predicted", "error", "loss"]
    assert table.rows == (("7", "3.000", "5.000", "2.000", "4.000"),)
    assert "of the first 10 of 30 evaluated rows" in table.caption


def told(task: str, **fields: Any) -> Prediction:
    return Prediction(capture=0, sample=0, task=task, heldout=None, scores=(0.0,), **fields)


def test_the_spread_is_a_sentence_with_its_counts(run: Recording):
    found = told(
        "classes", probabilities=(0.2, 0.8), predicted=1,
        spread=Spread(draws=100, kind="probabilities", low=(0.1, 0.5), mean=(0.3, 0.7),
                      high=(0.5, 0.9), votes=(17, 83)),
    )  # fmt: skip
    text, table = spreads(run, found, "class {}".format)
    assert isinstance(text, Text)
    assert text.text == (
        "Over 100 draws of dropout, everything else in eval mode, the model chose class 1 in 83 "
        "and class 0 in 17; the probability of class 1 lay between 0.500 and 0.900 in 90 % of the "
        "draws."
    )
    assert isinstance(table, Table)
    assert table.rows[1] == ("class 1", "0.800", "0.700", "0.500", "0.900", "83")


def test_the_spread_of_one_logit_is_told_for_the_class_predicted(run: Recording):
    spread = Spread(draws=20, kind="probabilities", low=(0.1,), mean=(0.3,), high=(0.6,),
                    votes=(15, 5))  # fmt: skip
    found = told("binary", probabilities=(0.25,), predicted=0, spread=spread)
    text, table = spreads(run, found, "class {}".format)
    assert isinstance(text, Text)
    assert "class 0 in 15 and class 1 in 5" in text.text
    assert "the probability of class 0 lay between 0.400 and 0.900" in text.text
    assert isinstance(table, Table)
    assert table.rows == (("class 1", "0.250", "0.300", "0.100", "0.600"),)


def test_the_spread_of_a_value_is_told_in_its_unit(run: Recording):
    spread = Spread(draws=20, low=(1.0,), mean=(2.0,), high=(3.0,))
    text, _ = spreads(run, told("values", spread=spread), str)
    assert isinstance(text, Text)
    assert "the output was 2.000 on average; 90 % of the draws gave 1.000 to 3.000" in text.text


def test_histograms_stand_behind_the_layers(run: Recording):
    content = training(run)
    assert content is not None
    found = block(content, Distributions)
    records = run.all(Histograms)
    assert found.moments == tuple(float(item.epoch) for item in records) == (0.0, 1.0, 2.0, 3.0)
    labels = [panel.label for panel in found.panels]
    assert labels == [
        "weights of 0.weight", "weights of 0.bias", "weights of 3.weight", "weights of 3.bias",
        "outputs of 0 Linear", "outputs of 1 ReLU", "outputs of 3 Linear",
    ]  # fmt: skip
    assert found.panels[0].histograms[1].counts == records[1].weights[0].counts
    assert found.panels[0].note == "all 48 numbers counted"
    # Before the first step no fixed row was looked at.
    assert found.panels[4].histograms[0] is None
    assert (
        found.panels[4].note == "outputs for 80 fixed training rows, dropout off: all 640 counted"
    )
    assert "0 is before the first step" in found.title


def test_numbers_that_are_all_equal_get_an_interval_that_can_be_drawn(run: Recording):
    even = Spectrum(path="0.bias", low=2.0, high=2.0, counts=(8,), total=8)
    facts = [f for f in run.facts if not isinstance(f, Histograms)]
    facts.append(Histograms(training=0, epoch=1, weights=(even,)))
    (found,) = distributions(traces(Recording(facts, {}, None))[0], None)
    (histogram,) = found.panels[0].histograms
    assert histogram is not None
    assert histogram.low < 2.0 < histogram.high
    assert histogram.counts == (8,)


def test_a_note_tells_numbers_that_are_not_finite_from_numbers_left_out(run: Recording):
    broken = Spectrum(path="0.bias", low=0.0, high=1.0, counts=(6,), total=8)
    facts = [f for f in run.facts if not isinstance(f, Histograms)]
    facts.append(Histograms(training=0, epoch=1, weights=(broken,)))
    (found,) = distributions(traces(Recording(facts, {}, None))[0], None)
    assert found.panels[0].note == "6 of 8 numbers counted, the others are not finite"


def test_of_many_epochs_a_few_are_shown_the_best_among_them(run: Recording):
    item = run.all(Histograms)[1]
    facts = [f for f in run.facts if not isinstance(f, Histograms)]
    facts += [msgspec.structs.replace(item, epoch=epoch) for epoch in range(100)]
    trace = traces(Recording(facts, {}, None))[0]
    (found,) = distributions(trace, 37)
    assert len(found.moments) <= MOST
    assert {0.0, 37.0, 99.0} <= set(found.moments)
    assert f"{len(found.moments)} of 100 are shown" in found.title


def test_observations_are_pinned_to_their_epochs(run: Recording):
    content = training(run)
    assert content is not None
    pins = block(content, Chart).pins
    (remarks,) = (
        item.remarks
        for item in content.blocks
        if isinstance(item, Remarks) and item.title == "Epoch by epoch"
    )
    assert [(pin.x, pin.id, pin.text, pin.tone) for pin in pins] == [
        (float(each.where.removeprefix("epoch ")), each.id, each.text, each.tone)
        for each in remarks
    ]
    assert [pin.x for pin in pins] == [1.0, 2.0, 3.0]


def test_a_small_network_adds_up(run: Recording):
    content = network(run)
    assert content is not None
    found = block(content, Network)
    assert [column.label for column in found.columns] == [
        "Input", "Linear 0", "ReLU 1", "Dropout 2", "Linear 3",
    ]  # fmt: skip
    assert [len(column.values) for column in found.columns] == [6, 8, 8, 8, 3]
    for wires in found.wires:
        before, after = found.columns[wires.source].values, found.columns[wires.target].values
        for at, row in enumerate(wires.weights):
            given = sum(a * b for a, b in zip(row, before, strict=True)) + wires.bias[at]
            # Of each weight there are four digits.
            terms = [abs(a * b) for a, b in zip(row, before, strict=True)]
            error = 5e-4 * (sum(terms) + abs(wires.bias[at])) + 1e-6
            assert given == pytest.approx(after[at], abs=error)
    assert [bool(wires.weights) for wires in found.wires] == [True, False, False, True]
    struck = found.columns[3].struck
    dropped = [at for at, gone in enumerate(struck) if gone]
    assert all(found.columns[3].values[at] == 0 for at in dropped)
    assert found.title == "33 units, 72 weights"
    assert f"{len(dropped)} unit" in found.note or not dropped
    assert "the first training batch and the weights, both before the first step" in found.note


def test_the_network_names_features_and_classes_where_they_are_known(run: Recording):
    names = Dataset(role="training", rows=80, names=tuple("abcdef"), classes=("x", "y", "z"))
    facts = [names if isinstance(f, Dataset) and f.role == "training" else f for f in run.facts]
    content = network(Recording(facts, {}, None))
    assert content is not None
    columns = block(content, Network).columns
    assert (columns[0].names, columns[-1].names) == (tuple("abcdef"), ("x", "y", "z"))
    assert columns[1].names == ()


def recorded(model: nn.Module, *shape: int) -> Recording:
    x, y = torch.randn(8, *shape), torch.randint(2, (8,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pipetrace.record() as run:
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return run.recording


class Residual(nn.Module):
    """Adds what it was given to what it made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((x + self.body(x)).view(-1, 4))


def leaves(nodes: tuple[Node, ...]) -> dict[str, Node]:
    inside = [leaves(node.nodes) if node.nodes else {node.id: node} for node in nodes]
    return dict(chain.from_iterable(each.items() for each in inside))


def test_what_is_no_chain_is_a_graph_alone():
    content = network(recorded(Residual(), 4))
    assert content is not None
    (found,) = content.blocks
    assert isinstance(found, Graph)
    (given, body, add, head) = found.nodes
    assert (given.name, body.name, add.name, head.name) == (
        "Input", "Sequential (body)", "add", "Linear",
    )  # fmt: skip
    assert [node.name for node in body.nodes] == ["Linear", "ReLU"]
    assert body.words == "2 operations, 20 parameters"
    assert body.nodes[0].sources == (given.id,)
    assert body.nodes[1].sources == (body.nodes[0].id,)
    assert add.sources == (given.id, body.nodes[1].id)
    # Through the view.
    assert head.sources == (add.id,)


@pytest.mark.parametrize("levels", [False, True])
def test_every_source_is_a_leaf(levels: bool, monkeypatch: pytest.MonkeyPatch):
    if levels:
        monkeypatch.setattr("pipetrace.story.graph.LEAVES", 10)
    layer = partial(nn.TransformerEncoderLayer, 8, 2, 16, batch_first=True)
    model = nn.Sequential(
        nn.TransformerEncoder(layer(), 3, enable_nested_tensor=False),
        nn.Flatten(),
        nn.Linear(40, 2),
    )
    content = network(recorded(model, 5, 8))
    assert content is not None
    found = block(content, Graph)
    every = leaves(found.nodes)
    ids = [node.id for node in every.values()]
    assert len(ids) == len(set(ids))
    assert {source for node in every.values() for source in node.sources} <= set(ids)
    assert all(node.sources for node in list(every.values())[1:])
    if levels:
        assert len(ids) == 5
        assert "modules more than 3 levels deep are not unfolded" in found.note
    else:
        (encoder,) = (node for node in found.nodes if node.nodes)
        assert len(encoder.nodes) >= 3


def test_a_softmax_behind_the_last_layer_is_named_and_not_drawn():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2), nn.LogSoftmax(1))
    content = network(recorded(model, 4))
    assert content is not None
    found = block(content, Network)
    assert [column.label for column in found.columns] == ["Input", "Linear 0", "Tanh 1", "Linear 2"]
    assert "not drawn: LogSoftmax behind the last layer" in found.note


def test_the_page_of_all_this_stands_and_says_what_it_holds(run: Recording):
    told = page(run)
    assert not any("Crash" in type(item).__name__ for s in told.sections for item in s.blocks)
    numbers = sum(len(item.values) for item in run.all(Weights))
    assert f"{numbers} weights of the model" in told.contents
