"""Classifies the nodes of one graph, whose adjacency matrix is sparse in one way or another."""

import warnings

import torch
from digest import digest
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore", message="Sparse CSR")
torch.set_num_threads(1)
torch.manual_seed(72)
nodes = 300
y = torch.randint(0, 3, (nodes,))
near = torch.rand(nodes, nodes) < 0.05 * (y[:, None] == y) + 0.005
adjacency = near.float() + torch.eye(nodes)
adjacency = adjacency / adjacency.sum(1, keepdim=True)
x = F.one_hot(y, 8).float() + torch.rand(nodes, 8)
known, held_out = torch.randperm(nodes).split(150)


class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 3)
        self.norm = nn.BatchNorm1d(16, track_running_stats=False)
        self.drop = nn.Dropout(0.3)

    def forward(self, x, adjacency):
        hidden = self.norm(self.first(adjacency @ x))
        return self.second(adjacency @ self.drop(torch.relu(hidden)))


for edges in (adjacency, adjacency.to_sparse(), adjacency.to_sparse_csr()):
    model = Graph()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(4):
        model.train()
        loss = F.cross_entropy(model(x, edges)[known], y[known])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            found = F.cross_entropy(model(x, edges)[held_out], y[held_out])
        print(epoch, repr(loss.item()), repr(found.item()))
digest(model)
