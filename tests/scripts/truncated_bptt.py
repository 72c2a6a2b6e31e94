"""Backpropagation through time in chunks, with the hidden state carried on."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(117)
series = torch.sin(torch.arange(129) * 0.3 + torch.rand(6, 1) * 6)
inputs, targets = series[:, :-1], series[:, 1:]


class Forecast(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.RNN(1, 12, batch_first=True), nn.Linear(12, 1)

    def forward(self, x, hidden=None):
        out, hidden = self.rnn(x.unsqueeze(2), hidden)
        return self.head(out).squeeze(2), hidden


model = Forecast()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
TRUTH = [[]]
for epoch in range(3):
    hidden, total = None, 0.0
    for start in range(0, 128, 32):
        x, y = inputs[:, start : start + 32], targets[:, start : start + 32]
        predicted, hidden = model(x, hidden)
        hidden = hidden.detach()
        loss = F.mse_loss(predicted, y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item() / 4
    TRUTH[0].append(total)
    print(epoch, total.hex())
digest(model)
