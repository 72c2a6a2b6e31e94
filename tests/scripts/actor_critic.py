"""Advantage actor-critic in a small world of its own: acts without gradient, then learns."""

import torch
import torch.nn.functional as F
from digest import digest
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(107)


class Walk:
    """A walk on a line: the goal lies to the right."""

    def reset(self):
        self.at, self.time = torch.zeros(1, 2), 0
        return self.at

    def step(self, action):
        self.time += 1
        self.at = self.at + torch.tensor([[0.2 * (2 * action - 1), 0.1]])
        return self.at, float(self.at[0, 0]), self.time == 10


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 16), nn.Tanh())
        self.actor, self.critic = nn.Linear(16, 2), nn.Linear(16, 1)

    def forward(self, state):
        features = self.body(state)
        return self.actor(features), self.critic(features).squeeze(1)


model, world = ActorCritic(), Walk()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
losses = []
for episode in range(6):
    states, actions, rewards, state, done = [], [], [], world.reset(), False
    while not done:
        with torch.no_grad():
            logits, _ = model(state)
        action = torch.distributions.Categorical(logits=logits).sample()
        states.append(state)
        actions.append(action)
        state, reward, done = world.step(int(action))
        rewards.append(reward)
    returns = torch.tensor(rewards).flip(0).cumsum(0).flip(0)
    logits, values = model(torch.cat(states))
    chosen = logits.log_softmax(1).gather(1, torch.stack(actions)).squeeze(1)
    loss = F.mse_loss(values, returns) - (chosen * (returns - values).detach()).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    print(episode, losses[-1].hex(), sum(rewards))
TRUTH = [[sum(losses) / len(losses)]]
digest(model)
