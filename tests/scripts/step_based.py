"""A small language model counted in steps, with an evaluation every ten."""

import math

import torch
from digest import digest
from torch import nn
from torch.nn import functional as F

block_size, vocab_size, batch_size = 8, 12, 8
max_iters, eval_interval, eval_iters = 30, 10, 3
torch.set_num_threads(1)
torch.manual_seed(1337)
stream = torch.cumsum(torch.randint(1, 3, (600,)), 0) % vocab_size
parts = {"train": stream[:500], "val": stream[500:]}


class GPT(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.wte = nn.Embedding(vocab_size, width)
        self.wpe = nn.Embedding(block_size, width)
        self.drop = nn.Dropout(0.1)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab_size, bias=False)

    def forward(self, idx, targets=None):
        x = self.drop(self.wte(idx) + self.wpe(torch.arange(idx.shape[1])))
        q, k, v = self.qkv(x).unsqueeze(1).chunk(3, dim=-1)
        p = 0.1 if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p).squeeze(1)
        logits = self.head(self.ln(x + self.proj(y)))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, vocab_size), targets.view(-1))


def get_batch(split):
    data = parts[split]
    ix = torch.randint(len(data) - block_size, (batch_size,))
    x = torch.stack([data[i : i + block_size] for i in ix])
    y = torch.stack([data[i + 1 : i + 1 + block_size] for i in ix])
    return x, y


@torch.no_grad()
def estimate_loss():
    out = {}
    model.eval()
    for split in ("train", "val"):
        losses = torch.zeros(eval_iters)
        for k in range(eval_iters):
            _, loss = model(*get_batch(split))
            losses[k] = loss.item()
        out[split] = losses.mean().item()
    model.train()
    return out


def get_lr(it):
    return 1e-3 + 0.5 * (1e-2 - 1e-3) * (1 + math.cos(math.pi * it / max_iters))


model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
iter_num = 0
while True:
    for group in optimizer.param_groups:
        group["lr"] = get_lr(iter_num)
    if iter_num % eval_interval == 0:
        losses = estimate_loss()
        print(f"step {iter_num}: train {losses['train']!r}, val {losses['val']!r}")
    xb, yb = get_batch("train")
    logits, loss = model(xb, yb)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    iter_num += 1
    if iter_num > max_iters:
        break
digest(model)
