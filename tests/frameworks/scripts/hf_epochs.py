"""The Hugging Face Trainer on a tiny BERT that was never trained, evaluated each epoch."""

import tempfile

import torch
from digest import digest
from rows import report
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import set_seed
from transformers.utils import logging

logging.set_verbosity_error()
set_seed(5)
model = BertForSequenceClassification(
    BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        num_labels=2,
    )
)
tokens = torch.randint(1, 40, (60, 12))
sentences = [
    {"input_ids": row, "attention_mask": torch.ones_like(row), "labels": int(row[0] > 20)}
    for row in tokens
]
with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        model,
        TrainingArguments(
            folder,
            num_train_epochs=3,
            per_device_train_batch_size=8,
            per_device_eval_batch_size=8,
            learning_rate=2e-3,
            eval_strategy="epoch",
            save_strategy="no",
            logging_strategy="steps",
            logging_steps=1,
            disable_tqdm=True,
            report_to=[],
            use_cpu=True,
            seed=1,
        ),
        train_dataset=sentences[:40],
        eval_dataset=sentences[40:],
        compute_metrics=lambda found: {
            "accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())
        },
    )
    trainer.remove_callback(PrinterCallback)  # it prints how fast it was
    trainer.train()
steps = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
held = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
report(
    steps=steps,
    loss=[sum(steps[i : i + 5]) / 5 for i in range(0, 15, 5)],
    heldout=[entry["eval_loss"] for entry in held],
    accuracy=[entry["eval_accuracy"] for entry in held],
)
digest(model)
