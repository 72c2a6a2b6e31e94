"""Each observation speaks on a case of its own, with its numbers, and is silent on a near miss."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pipetrace
from pipetrace.records import (
    Capture,
    Epoch,
    Evaluation,
    Layer,
    Layers,
    Notice,
    Probe,
    Score,
    Tensor,
    Training,
    Units,
)
from pipetrace.story.epochs import traces
from pipetrace.story.observations import OBSERVATIONS, OVERALL, observe, overall
from pipetrace.story.observations.rules import noise
from pipetrace.story.training import training
from pipetrace.tracefile import Recording

NAN = float("nan")


def made(
    losses: Sequence[float],
    *,
    held: Sequence[float] = (),
    offs: Sequence[float] = (),
    rights: tuple[float, float] | None = None,
    rates: Sequence[float] = (),
    decays: Sequence[float] = (),
    memory: Sequence[int] = (),
    seconds: Sequence[float] = (),
    mode: bool | None = True,
    steps: Sequence[Sequence[float]] = (),
    layers: dict[int, Any] | None = None,
    units: Sequence[Units] = (),
) -> Recording:
    """State a training; `rights` are the accuracies of training and held-out rows."""
    facts: list[Any] = [Training(id=0, model=0, loss="cross_entropy", task="classes")]
    out = Tensor(shape=(32, 3), dtype="float32")
    facts.append(
        Capture(id=0, model=0, purpose="training", training=True, outputs=(("output", out),))
    )
    ours, theirs = rights or (None, None)
    for at, value in enumerate(losses):
        index = at + 1
        facts.append(
            Epoch(
                training=0, index=index, rule="r", steps=len(steps[at]) if steps else 10, mode=mode,
                score=Score(rows=1000, loss=value), rates=(rates[at] if rates else 0.1,),
                decays=(decays[at],) if decays else (), seconds=seconds[at] if seconds else 1.0,
                memory=memory[at] if memory else None, memory_kind="resident",
            )
        )  # fmt: skip
        if offs:
            off = Score(rows=500, loss=offs[at], accuracy=ours)
            facts.append(Probe(training=0, epoch=index, masks=0, on=off, off=off))
        if held:
            facts.append(
                Evaluation(
                    training=0, epoch=index, index=index, forwards=1, mode=False, seen=0.0,
                    score=Score(rows=500, loss=held[at], accuracy=theirs),
                )
            )  # fmt: skip
        if layers and index in layers:
            told = tuple(
                Layer(path=path, type="Linear", parameters=6, gradient=g, weight=1.0, update=u)
                for path, (g, u) in layers[index].items()
            )
            facts.append(
                Layers(training=0, epoch=index, step=10, layers=told, activations=tuple(units))
            )
    series = {"loss/0": array("d", [value for epoch in steps for value in epoch])} if steps else {}
    return Recording(facts, series, None)


def said(recording: Recording) -> dict[str, tuple[str, str]]:
    """Return every remark by its rule: on the last epoch, and on the whole."""
    (trace,) = traces(recording)
    return {remark.id: (remark.where, remark.text) for remark in overall(trace)}


FALL = [1.0, 0.8, 0.6, 0.5, 0.45, 0.4]
GOOD = {"a": (1.0, 1e-3), "b": (1.0, 1e-3), "c": (1.0, 1e-3)}
QUIET = [1.0, 1.1] * 8

WHOLE: dict[str, tuple[Recording, tuple[str, str], Recording]] = {
    "OBS201": (
        made(FALL, held=[1.0, 0.8, 0.7, 0.75, 0.8, 0.85], offs=FALL),
        (
            "epochs 4 to 6",
            "Held-out loss was lowest after epoch 3 (0.700) and ends at 0.850 (21.4 % higher), "
            "while the loss on training rows in eval mode went from 0.600 to 0.400. Held-out "
            "losses scatter by 0.03680 around a smooth course.",
        ),
        made(FALL, held=[0.9, 0.7, 0.9, 0.7, 0.9, 0.8], offs=FALL),
    ),
    "OBS202": (
        made([1.0, 0.5, 0.401, 0.4, 0.402]),
        (
            "epochs 3 to 5",
            "The loop's mean loss stayed between 0.4000 and 0.4020 in the last 3 epochs.",
        ),
        made([1.0, 0.5, 0.401, 0.4, 0.41]),
    ),
    "OBS203": (
        made([1.0, 0.9, 0.8], held=[1.0, 0.5, 0.51]),
        ("epoch 2", "Held-out loss was lowest here: 0.500; 1 epoch followed, the last with 0.510."),
        made([1.0, 0.9, 0.8], held=[1.0, 0.5, 0.49]),
    ),
    "OBS204": (
        made([1.0, 0.6], offs=[0.9, 0.5]),
        (
            "epoch 2",
            "The loop's mean loss is 0.600 in train mode, over weights that change; at the last "
            "weights in eval mode 500 training rows have 0.500.",
        ),
        made([1.0, 0.6], offs=[0.9, 0.59]),
    ),
    "OBS205": (
        made([1.0, 0.9, 0.8], held=[1.0, 0.9, 0.81]),
        (
            "epoch 3",
            "Both losses still fell in the last epoch: the loop's by 11.1 % to 0.800, the "
            "held-out one by 10.0 % to 0.810.",
        ),
        made([1.0, 0.9, 0.8], held=[1.0, 0.9, 0.899]),
    ),
    "OBS206": (
        made([1.1, 1.1], offs=[1.1, 1.1], rights=(0.34, 0.3)),
        (
            "epoch 2",
            "Accuracy 0.340 on 500 training rows at the end; guessing evenly among 3 classes "
            "gives up to 0.375 in 97.5 % of cases.",
        ),
        made([1.1, 1.1], offs=[1.1, 1.1], rights=(0.4, 0.3)),
    ),
    "OBS207": (
        made([1.0, 0.9], layers={1: GOOD, 2: {**GOOD, "b": (250.0, 1e-3)}}),
        (
            "epochs 1 to 2",
            "The gradient norm of `b` (Linear) went from 1.000 to 250.0 (250.0 times); 1 of 3 "
            "layers grew at least 100-fold.",
        ),
        made([1.0, 0.9], layers={1: GOOD, 2: {**GOOD, "b": (50.0, 1e-3)}}),
    ),
    "OBS208": (
        made([1.0, 0.9], layers={2: {**GOOD, "a": (2e-4, 1e-3)}}),
        (
            "epoch 2",
            "Gradient norm 0.0002000 in the first layer, `a` (Linear), and 1.000 in the last, "
            "`c` (Linear), 0.0002000 of it, at step 10 of epoch 2.",
        ),
        made([1.0, 0.9], layers={2: {**GOOD, "a": (2e-2, 1e-3)}}),
    ),
    "OBS209": (
        made([1.0, 0.9], layers={2: {**GOOD, "b": (1.0, 0.3)}}),
        (
            "epoch 2",
            "The update at step 10 of epoch 2 changed `b` (Linear) by 30.0 % of its norm, and 1 of "
            "3 layers by over 10.0 %; the usual rule of thumb is about 0.1 %.",
        ),
        made([1.0, 0.9], layers={2: {**GOOD, "b": (1.0, 0.05)}}),
    ),
    "OBS210": (
        made([1.0, 0.9], layers={2: {"a": (1.0, 1e-7), "b": (1.0, 2e-6)}}),
        (
            "epoch 2",
            "The update at step 10 of epoch 2 changed no layer by more than 2.000e-6 of its norm; "
            "the usual rule of thumb is about 0.001.",
        ),
        made([1.0, 0.9], layers={2: {"a": (1.0, 1e-7), "b": (1.0, 2e-5)}}),
    ),
    "OBS211": (
        made(
            [1.0],
            layers={1: GOOD},
            units=[
                Units(path="r", function="relu", dead=3, units=10, rows=64),
                Units(path="s", function="relu", dead=0, units=10, rows=64),
            ],
        ),
        (
            "epoch 1",
            "3 of 10 units of `relu` in `r` gave 0 for all 64 fixed training rows in eval mode; "
            "over all 2 activations 3 of 20.",
        ),
        made(
            [1.0],
            layers={1: GOOD},
            units=[Units(path="r", function="relu", dead=1, units=20, rows=64)],
        ),
    ),
    "OBS212": (
        made([1.0, 1.0], steps=[QUIET, [value - 0.01 for value in QUIET]]),
        (
            "epoch 2",
            "From epoch 1 to 2 the mean of the steps' losses fell by 0.01000: less than twice "
            "the standard error of that change (twice it is 0.03651), which follows from how far "
            "the losses of 16 steps lie apart (standard deviation 0.05164).",
        ),
        made([1.0, 1.0], steps=[QUIET, [value - 0.1 for value in QUIET]]),
    ),
    "OBS213": (
        made([1.0] * 5, memory=[90_000_000, 100_000_000, 110_000_000, 120_000_000, 130_000_000]),
        (
            "epochs 2 to 5",
            "Memory held in RAM grew at each of 3 looks, from 100.0 MB to 130.0 MB (30.0 % "
            "higher).",
        ),
        made([1.0] * 5, memory=[90_000_000, 100_000_000, 110_000_000, 110_000_000, 130_000_000]),
    ),
    "OBS214": (
        made([1.0, 0.9], held=[1.0, 0.7], offs=[1.0, 0.9], rights=(0.7, 0.8)),
        (
            "epoch 2",
            "In eval mode, 500 held-out rows have accuracy 0.800 and 500 training rows 0.700; the "
            "standard error of the difference is 0.027.",
        ),
        made([1.0, 0.9], held=[1.0, 0.7], offs=[1.0, 0.9], rights=(0.7, 0.74)),
    ),
    "OBS215": (
        made([1.0, 0.9], mode=False),
        (
            "all epochs",
            "The root module was in eval mode in every training forward of 2 epochs: dropout was "
            "off, and batch normalisation used its running statistics.",
        ),
        made([1.0, 0.9], mode=None),
    ),
    "OBS216": (
        made([1.0, 0.9], layers={2: {**GOOD, "a": (0.0, 0.0)}}),
        (
            "epoch 2",
            "1 of 3 layers that the optimizer has did not change at step 10 of epoch 2: `a` "
            "(Linear).",
        ),
        made([1.0, 0.9], layers={2: {**GOOD, "a": (0.0, None)}}),
    ),
    "OBS217": (
        made([1.0, 0.9, 0.81, 0.405, 0.2025], rates=[0.1, 0.1, 0.1, 0.01, 0.01]),
        (
            "all epochs",
            "Learning rate 0.1 to 0.01 in epoch 4: the loop's mean loss changed by -10.0 % an "
            "epoch over 2 epochs before, by -50.0 % an epoch over 2 epochs from then on.",
        ),
        made(FALL, rates=[0.1, 0.05, 0.02, 0.01, 0.005, 0.002]),
    ),
}


@pytest.mark.parametrize("rule", WHOLE)
def test_a_rule_on_a_training_speaks_and_is_silent(rule: str):
    case, words, miss = WHOLE[rule]
    assert said(case)[rule] == words
    assert rule not in said(miss)


ONE: dict[str, tuple[Recording, str, Recording]] = {
    "OBS112": (
        made([1.0, 0.9], decays=[0.0, 0.01]),
        "The weight decay went from 0 to 0.01; the loop's mean loss went from 1.000 to 0.900 "
        "(10.0 % lower).",
        made([1.0, 0.9], decays=[0.01, 0.01]),
    ),
    "OBS113": (
        made([1.0, 1.0], steps=[QUIET, [*QUIET[:5], 9.0, *QUIET[5:]]]),
        "Step 6 of 17 has loss 9.000; the other steps have 1.050 on average, with a standard "
        "deviation of 0.05000.",
        made([1.0, 1.0], steps=[QUIET, [*QUIET[:5], 1.9, *QUIET[5:]]]),
    ),
    "OBS114": (
        made([1.0, 0.9, 0.8, 0.7], seconds=[1.0, 1.1, 0.9, 4.0]),
        "250 examples per second; the median of the 3 epochs before is 1000.",
        made([1.0, 0.9, 0.8, 0.7], seconds=[1.0, 1.1, 0.9, 1.9]),
    ),
}


@pytest.mark.parametrize("rule", ONE)
def test_a_rule_on_an_epoch_speaks_and_is_silent(rule: str):
    case, words, miss = ONE[rule]
    last = observe(traces(case)[0])[-1]
    assert (last.id, last.text) == (rule, words)
    assert rule not in {remark.id for remark in observe(traces(miss)[0])}


def test_a_loss_of_several_terms_is_not_compared_with_one_of_them():
    recording = made([1.0, 0.6], offs=[0.9, 0.5])
    notice = Notice(id="terms-0", text="The loop steps on more terms.")
    several = Recording([*recording.facts, notice], {}, None)
    assert "OBS204" in said(recording)
    assert "OBS204" not in said(several)
    first = next(each for each in observe(traces(several)[0]) if each.id == "OBS106")
    assert "ln" not in first.text.split()


def test_every_rule_has_a_case_a_docstring_and_a_line_in_the_documents():
    assert sorted(entry.id for entry in OVERALL) == sorted(WHOLE)
    document = (Path(__file__).parents[2] / "docs" / "observations.md").read_text(encoding="utf-8")
    for entry in (*OBSERVATIONS, *OVERALL):
        line = (entry.rule.__doc__ or "").partition("\n")[0]
        assert f"| {entry.id} | {line} |" in document, entry.id
    assert len({entry.id for entry in (*OBSERVATIONS, *OVERALL)}) >= 20


def test_a_gradient_that_is_not_finite_is_told_of_its_layer():
    where, text = said(made([1.0], layers={1: {**GOOD, "b": (NAN, 1e-3)}}))["OBS207"]
    assert where == "epoch 1"
    assert text == "The gradient norm of 1 layer, the first of them `b` (Linear), is NaN at step " \
        "10 of epoch 1."  # fmt: skip


def test_noise_is_that_of_a_known_scatter():
    torch.manual_seed(0)
    values = [1 - 0.01 * at for at in range(4000)] + torch.randn(0).tolist()
    assert noise(values) == pytest.approx(0, abs=1e-12)
    rough = [value + 0.1 * float(torch.randn(())) for value in values]
    assert noise(rough) == pytest.approx(0.1, rel=0.05)
    assert noise([1.0, 2.0, 3.0]) is None


def test_no_rule_on_a_training_claims_a_cause():
    for case, _, _ in WHOLE.values():
        for _, text in said(case).values():
            assert not any(word in text.lower() for word in ("because", "due to", "overfit"))


def loop(model: nn.Module, rate: float, epochs: int = 3, after: Callable[[], None] | None = None):
    """Train for real on 128 rows in batches of 16, recorded."""
    torch.manual_seed(0)
    x = torch.randn(128, 6)
    y = (x[:, 0] > 0).long()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 16)
    with pipetrace.record() as run:
        for _ in range(epochs):
            for rows, targets in loader:
                F.cross_entropy(model(rows), targets).backward()
                optimizer.step()
                optimizer.zero_grad()
    return run.recording


def test_deep_sigmoids_have_small_gradients_in_the_first_layer():
    torch.manual_seed(0)
    parts = [part for _ in range(7) for part in (nn.Linear(6, 6), nn.Sigmoid())]
    found = said(loop(nn.Sequential(*parts, nn.Linear(6, 2)), 0.1))
    assert "`0` (Linear)" in found["OBS208"][1]
    assert "OBS208" not in said(loop(nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 2)), 0.1))


def test_steps_that_are_too_large_too_small_or_none():
    def model() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

    assert "OBS209" in said(loop(model(), 20.0))
    assert "OBS210" in said(loop(model(), 1e-6))
    assert "OBS216" in said(loop(model(), 0.0))
    assert not {"OBS209", "OBS210", "OBS216"} & said(loop(model(), 0.05)).keys()


def test_units_that_are_dead_are_told():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].bias[:4] = -50
    assert said(loop(model, 0.05))["OBS211"][1].startswith("4 of 8 units of `relu` in `1` gave 0")


def test_a_loop_that_never_calls_train_after_eval_is_told():
    torch.manual_seed(0)
    assert "OBS215" in said(loop(nn.Sequential(nn.Linear(6, 2)).eval(), 0.05))


def test_the_page_shows_the_layers_of_the_last_epoch():
    torch.manual_seed(0)
    recording = loop(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), 0.05)
    content = training(recording)
    assert content is not None
    (table,) = (b for b in content.blocks if getattr(b, "caption", "").startswith("Layers at"))
    assert table.caption == "Layers at step 8 of epoch 3"
    assert [row[0] for row in table.rows] == ["0 Linear", "1 relu", "2 Linear"]
    last = recording.all(Layers)[-1]
    assert table.rows[0][1] == "56"
    assert float(table.rows[0][2]) == pytest.approx(last.layers[0].gradient, rel=1e-3)
    assert table.rows[1][-1].endswith("of 8") or "%" in table.rows[1][-1]


def test_of_many_layers_some_are_shown():
    many = {f"m{at}": (1.0, 1e-3) for at in range(40)}
    content = training(made([1.0], layers={1: many}))
    assert content is not None
    (table,) = (b for b in content.blocks if getattr(b, "caption", "").startswith("Layers at"))
    assert len(table.rows) == 12
    assert table.caption == "Layers at step 10 of epoch 1; 12 of 40 are shown"
    assert (table.rows[0][0], table.rows[-1][0]) == ("m0 Linear", "m39 Linear")
