"""A model that takes a dict and returns an object with `.loss` and `.logits`."""

from collections import namedtuple
from dataclasses import dataclass

import torch
from digest import digest
from torch import nn
from torch.utils.data import DataLoader


@dataclass
class Output:
    loss: torch.Tensor | None
    logits: torch.Tensor


Config = namedtuple("Config", "vocabulary width labels dropout")


class TinyForSequenceClassification(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embeddings = nn.Embedding(config.vocabulary, config.width, padding_idx=0)
        self.encoder = nn.TransformerEncoderLayer(
            config.width, 2, 2 * config.width, config.dropout, batch_first=True
        )
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.width, config.labels)

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        hidden = self.encoder(
            self.embeddings(input_ids), src_key_padding_mask=attention_mask.logical_not()
        )
        logits = self.classifier(self.dropout(hidden[:, 0]))
        loss = None
        if labels is not None:
            loss = nn.CrossEntropyLoss()(logits.view(-1, self.config.labels), labels.view(-1))
        return Output(loss=loss, logits=logits)


def collate(rows):
    length = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row["input_ids"])] = row["input_ids"]
    labels = torch.tensor([row["label"] for row in rows])
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": labels}


def make(count):
    rows = []
    for _ in range(count):
        ids = torch.randint(1, 15, (int(torch.randint(3, 8, ())),))
        rows.append({"input_ids": ids, "label": int(ids[0] > 7)})
    return rows


def main():
    torch.set_num_threads(1)
    torch.manual_seed(61)
    train = DataLoader(make(64), batch_size=16, shuffle=True, collate_fn=collate)
    evaluation = DataLoader(make(32), batch_size=16, collate_fn=collate)
    model = TinyForSequenceClassification(Config(15, 8, 2, 0.1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for epoch in range(3):
        model.train()
        for batch in train:
            outputs = model(**batch)
            outputs.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        hits = 0
        for batch in evaluation:
            with torch.no_grad():
                outputs = model(**batch)
            hits += int((outputs.logits.argmax(dim=-1) == batch["labels"]).sum())
        print({"epoch": epoch, "loss": outputs.loss.item(), "accuracy": hits / 32})
    digest(model)


main()
