"""The Lightning callback finds what the rules find, changes nothing, and lets a fit fail alone."""

from __future__ import annotations

import lightning
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import pipetrace as pt
from pipetrace.checks.judge import every_rule
from pipetrace.errors import FindingError, RunFileError
from pipetrace.integrations.lightning import Check

pytestmark = pytest.mark.filterwarnings("ignore")


class Healthy(lightning.LightningModule):
    """A classifier with dropout in a module, validated by Lightning."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 12)
        self.drop = nn.Dropout(0.4)
        self.last = nn.Linear(12, 3)

    def forward(self, x):
        return self.last(self.drop(F.relu(self.first(x))))

    def training_step(self, batch, index):
        return F.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log("held", F.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Functional(Healthy):
    """Its dropout is not told the mode."""

    def forward(self, x):
        return self.last(F.dropout(F.relu(self.first(x)), 0.4))


class Forgetful(Healthy):
    """Predicts at the end of each epoch, where Lightning has put the model into train mode."""

    def on_train_epoch_end(self):
        with torch.no_grad():
            self.predicted = self(self.trainer.train_dataloader.dataset.tensors[0])


class Failing(Healthy):
    """Raises in its second step."""

    def training_step(self, batch, index):
        if index:
            raise ValueError("in the second step")
        return super().training_step(batch, index)


def fit(kind: type[Healthy], *callbacks: lightning.Callback) -> Healthy:
    lightning.seed_everything(3, verbose=False)
    model = kind()
    x, y = torch.randn(24, 6), torch.randint(0, 3, (24,))
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(model, DataLoader(TensorDataset(x, y), 8, shuffle=True),
                DataLoader(TensorDataset(x, y), 8))  # fmt: skip
    return model


def grave(check: Check) -> list[str]:
    return [each.id for each in check.findings if each.grave]


def test_a_healthy_module_is_left_in_peace_and_learns_the_same_bits():
    check = Check(raises=True)
    watched, alone = fit(Healthy, check), fit(Healthy)
    assert grave(check) == []
    for one, other in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_bug_is_reported_at_its_line(capsys):
    check = Check()
    fit(Functional, check)
    assert grave(check) == ["PTR101"]
    told = capsys.readouterr().err
    assert "PTR101 warning" in told
    assert "F.dropout(F.relu(self.first(x)), 0.4)" in told
    silent = Check(ignore=["PTR101"], quiet=True)
    fit(Functional, silent)
    assert grave(silent) == []


@pytest.mark.skipif(
    not any(rule.id == "PTR301" for rule in every_rule()), reason="there is no rule on it"
)
def test_a_forgotten_eval_is_found():
    check = Check(quiet=True)
    fit(Forgetful, check)
    assert grave(check) == ["PTR301"]


def test_it_raises_where_it_was_asked_to():
    with pytest.raises(FindingError, match=r"PTR101"):
        fit(Functional, Check(raises=True))


def test_a_fit_that_fails_leaves_nothing_on():
    check = Check()
    with pytest.raises(ValueError, match="in the second step"):
        fit(Failing, check)
    assert check.findings == []
    with pt.record():
        fit(Healthy)


def test_inside_of_a_recording_it_is_silent():
    check = Check()
    with pt.record():
        fit(Functional, check)
        with pytest.raises(RunFileError), pt.record():
            pass
    assert check.findings == []
