"""The callback of the Hugging Face Trainer finds what the rules find, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import set_seed

from pipetrace.errors import FindingError
from pipetrace.integrations.huggingface import Check

pytestmark = pytest.mark.filterwarnings("ignore")


class Dropping(BertForSequenceClassification):
    """Drops of its logits in every mode."""

    def forward(self, *args, **kwargs):
        found = super().forward(*args, **kwargs)
        found.logits = F.dropout(found.logits, 0.2)
        return found


def train(kind: type, folder: Path, *callbacks: Check) -> torch.nn.Module:
    set_seed(5)
    model = kind(BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1,
                            num_attention_heads=2, intermediate_size=32,
                            max_position_embeddings=16, num_labels=2))  # fmt: skip
    tokens = torch.randint(1, 40, (24, 8))
    rows = [{"input_ids": row, "labels": int(row[0] > 20)} for row in tokens]
    settings = TrainingArguments(
        str(folder), num_train_epochs=2, per_device_train_batch_size=8, eval_strategy="epoch",
        per_device_eval_batch_size=8, save_strategy="no", disable_tqdm=True, report_to=[],
        use_cpu=True, seed=1, remove_unused_columns=False,
    )  # fmt: skip
    trainer = Trainer(model, settings, train_dataset=rows[:16], eval_dataset=rows[16:],
                      callbacks=list(callbacks))  # fmt: skip
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)
    trainer.train()
    return model


def test_a_healthy_model_is_left_in_peace_and_learns_the_same_bits(tmp_path: Path):
    check = Check(raises=True)
    watched = train(BertForSequenceClassification, tmp_path, check)
    alone = train(BertForSequenceClassification, tmp_path)
    assert [each.id for each in check.findings if each.grave] == []
    for one, other in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_bug_is_reported_at_its_line(tmp_path: Path, capsys):
    check = Check()
    train(Dropping, tmp_path, check)
    found = [each for each in check.findings if each.id == "PTR101"]
    assert found
    assert found[0].file == __file__
    assert "F.dropout(found.logits, 0.2)" in capsys.readouterr().err
    with pytest.raises(FindingError, match=r"PTR101"):
        train(Dropping, tmp_path, Check(raises=True, select=["PTR101"]))
