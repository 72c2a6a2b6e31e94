"""A language model in steps: `while True`, accumulated micro-batches, an evaluation every five."""

import torch
from digest import digest
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
torch.manual_seed(103)
text = torch.cumsum(torch.randint(1, 3, (400,)), 0) % 11
data = {"train": text[:320], "val": text[320:]}
micro_steps, eval_interval, max_iters = 3, 5, 15


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(11, 12), nn.GRU(12, 12, batch_first=True)
        self.head = nn.Linear(12, 11)

    def forward(self, idx, targets):
        logits = self.head(self.rnn(self.embed(idx))[0])
        return logits, F.cross_entropy(logits.view(-1, 11), targets.view(-1))


def get_batch(split):
    starts = torch.randint(len(data[split]) - 9, (4,))
    rows = torch.stack([data[split][i : i + 9] for i in starts])
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


@torch.no_grad()
def estimate_loss():
    model.eval()
    out = {}
    for split in ("train", "val"):
        out[split] = torch.tensor([model(*get_batch(split))[1].item() for _ in range(2)]).mean()
    model.train()
    return out


model = Model()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
TRUTH, HELD, losses, step = [[]], [], [], 0
while True:
    if step % eval_interval == 0:
        HELD += [loss.item() for loss in estimate_loss().values()]
        if losses:
            TRUTH[0].append(sum(losses) / len(losses))
            losses = []
    if step == max_iters:
        break
    for _ in range(micro_steps):
        logits, loss = model(*get_batch("train"))
        losses.append(loss.item())
        (loss / micro_steps).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    step += 1
print([loss.hex() for loss in TRUTH[0] + HELD])
digest(model)
