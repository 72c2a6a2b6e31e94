"""The Hugging Face Trainer on a tiny GPT-2, evaluated every four steps of two batches each."""

import tempfile

import torch
from digest import digest
from rows import report
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import set_seed
from transformers.utils import logging

logging.set_verbosity_error()
set_seed(6)
model = GPT2LMHeadModel(
    GPT2Config(
        vocab_size=30,
        n_positions=16,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
)
tokens = torch.randint(0, 30, (60, 12))
texts = [{"input_ids": row, "labels": row} for row in tokens]
with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        model,
        TrainingArguments(
            folder,
            max_steps=12,
            per_device_train_batch_size=4,
            per_device_eval_batch_size=4,
            gradient_accumulation_steps=2,
            learning_rate=5e-3,
            lr_scheduler_type="cosine",
            warmup_steps=3,
            eval_strategy="steps",
            eval_steps=4,
            save_strategy="no",
            logging_strategy="steps",
            logging_steps=1,
            disable_tqdm=True,
            report_to=[],
            use_cpu=True,
            seed=1,
        ),
        train_dataset=texts[:48],
        eval_dataset=texts[48:],
    )
    trainer.remove_callback(PrinterCallback)  # it prints how fast it was
    trainer.train()
history = trainer.state.log_history
steps = [entry["loss"] for entry in history if "loss" in entry]
report(
    steps=steps,
    loss=[sum(steps[i : i + 6]) / 6 for i in range(0, 12, 6)],
    heldout=[entry["eval_loss"] for entry in history if "eval_loss" in entry],
    rates=[entry["learning_rate"] for entry in history if "learning_rate" in entry],
)
digest(model)
