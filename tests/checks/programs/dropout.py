"""Programs with dropout of a wrong rate, in a wrong place or in none, and with dropout as meant."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from loops import Net, loop, rows, tokens


def mlp(*dropouts, width=32, inside=8, out=3):
    return nn.Sequential(nn.Linear(inside, width), nn.ReLU(), *dropouts, nn.Linear(width, out))


def fires_ptr201_functional():
    def run(net, x):
        return net.out(net.skip(x) + F.dropout(torch.tanh(net.branch(x)), 1.0, net.training))

    return loop(Net(run, skip=nn.Linear(8, 16), branch=nn.Linear(8, 16), out=nn.Linear(16, 3)))


def fires_ptr201_channels_of_a_branch():
    def run(net, x):
        return net.out((net.conv(x) + net.drop(net.branch(x))).mean((2, 3)))

    conv = [nn.Conv2d(2, 4, 3, padding=1) for _ in range(2)]
    net = Net(run, conv=conv[0], branch=conv[1], drop=nn.Dropout2d(1), out=nn.Linear(4, 3))
    return loop(net, rows(2, 6, 6))


def fires_ptr201_attention():
    def run(net, x):
        h = net.inp(x)
        y = F.scaled_dot_product_attention(h, h, h, dropout_p=1.0 if net.training else 0.0)
        return net.out((h + y).mean(1))

    return loop(Net(run, inp=nn.Linear(6, 8), out=nn.Linear(8, 3)), rows(5, 6))


def silent_ptr201_probability_of_zero():
    return loop(mlp(nn.Dropout(0.0)))


def silent_ptr201_small_mask_that_happens_to_drop_all():
    def run(net, x):
        return net.out(net.inp(x) + net.drop(net.gate(x)) * net.up.weight.mean())

    net = Net(run, inp=nn.Linear(8, 16), gate=nn.Linear(8, 1), drop=nn.Dropout(0.6),
              up=nn.Linear(1, 16), out=nn.Linear(16, 3))  # fmt: skip
    return loop(net, batch=4)


def silent_ptr201_first_block_of_stochastic_depth():
    class Drop(nn.Module):
        def __init__(self, p):
            super().__init__()
            self.p = p

        def forward(self, x):
            if not self.training or not self.p:
                return x
            mask = torch.rand(len(x), 1) >= self.p
            return x * mask / (1 - self.p)

    def run(net, x):
        x = net.inp(x)
        for block, drop in zip(net.blocks, net.drops, strict=True):
            x = x + drop(torch.relu(block(x)))
        return net.out(x)

    blocks = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
    drops = nn.ModuleList(Drop(p) for p in (0.0, 0.2, 0.4))
    return loop(Net(run, inp=nn.Linear(8, 16), blocks=blocks, drops=drops, out=nn.Linear(16, 3)))


def fires_ptr202_one_layer():
    return loop(mlp(nn.Dropout(0.9)))


def fires_ptr202_functional_in_a_convolution():
    def run(net, x):
        h = F.dropout(F.relu(net.conv(x)), p=0.95, training=net.training)
        return net.out(h.flatten(1))

    return loop(Net(run, conv=nn.Conv1d(3, 4, 3), out=nn.Linear(16, 3)), rows(3, 6))


def fires_ptr202_stacked_recurrent():
    def run(net, x):
        return net.out(net.drop(net.rnn(x)[0][:, -1]))

    rnn = nn.GRU(6, 12, num_layers=2, dropout=0.85, batch_first=True)
    return loop(Net(run, rnn=rnn, drop=nn.Dropout(0.85), out=nn.Linear(12, 3)), rows(5, 6))


def silent_ptr202_denoising_autoencoder():
    x, _ = rows(12)
    model = nn.Sequential(nn.Dropout(0.8), nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 12))
    return loop(model, (x, x), loss=F.mse_loss)


def silent_ptr202_masked_patches():
    def run(net, x):
        if net.training:
            x = x * (torch.rand(*x.shape[:2], 1) > 0.75)
        return net.decode(torch.relu(net.encode(x)))

    x, _ = rows(6, 4)
    return loop(Net(run, encode=nn.Linear(4, 16), decode=nn.Linear(16, 4)), (x, x),
                loss=F.mse_loss)  # fmt: skip


def silent_ptr202_ordinary_rates():
    return loop(mlp(nn.Dropout(0.5), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.7), width=32))


def fires_ptr203_two_layers_in_a_row():
    return loop(mlp(nn.Dropout(0.2), nn.Dropout(0.3)))


def fires_ptr203_past_a_view_and_an_activation():
    def run(net, x):
        h = F.dropout(net.conv(x), 0.2, net.training)
        return net.out(net.drop(F.relu(h).flatten(1)))

    net = Net(run, conv=nn.Conv1d(3, 4, 3), drop=nn.Dropout(0.2), out=nn.Linear(16, 3))
    return loop(net, rows(3, 6))


def fires_ptr203_block_and_its_caller():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.line, self.drop = nn.LayerNorm(8), nn.Linear(8, 8), nn.Dropout(0.1)

        def forward(self, x):
            return self.drop(F.gelu(self.line(self.norm(x))))

    def run(net, x):
        return net.out((x + net.drop(net.block(x))).mean(1))

    return loop(Net(run, block=Block(), drop=nn.Dropout(0.1), out=nn.Linear(8, 3)), rows(4, 8))


def silent_ptr203_one_layer_in_two_places():
    def run(net, x):
        h = net.drop(F.relu(net.one(x)))
        return net.out(net.drop(F.relu(net.two(h))))

    return loop(Net(run, one=nn.Linear(8, 16), two=nn.Linear(16, 16), drop=nn.Dropout(0.2),
                    out=nn.Linear(16, 3)))  # fmt: skip


def silent_ptr203_stochastic_depth_after_dropout():
    def run(net, x):
        h = net.drop(F.relu(net.inner(x)))
        if net.training:
            h = h * (torch.rand(len(h), 1) > 0.1) / 0.9
        return net.out(x + h)

    return loop(Net(run, inner=nn.Linear(8, 8), drop=nn.Dropout(0.2), out=nn.Linear(8, 3)))


def silent_ptr203_residual_stream_that_was_dropped():
    def run(net, x):
        h = net.first(net.embed(x))
        return net.out((h + F.relu(net.line(net.second(h)))).mean(1))

    return loop(Net(run, embed=nn.Embedding(12, 8), first=nn.Dropout(0.1), second=nn.Dropout(0.1),
                    line=nn.Linear(8, 8), out=nn.Linear(8, 3)), tokens())  # fmt: skip


def fires_ptr204_functional_on_logits():
    def run(net, x):
        return F.dropout(net.out(F.relu(net.inp(x))), 0.3, training=net.training)

    return loop(Net(run, inp=nn.Linear(8, 16), out=nn.Linear(16, 3)))


def fires_ptr204_regression_by_hand():
    x, _ = rows(8)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1), nn.Dropout(0.2))
    return loop(model, (x, x.sum(1)), loss=lambda out, y: ((out.squeeze(1) - y) ** 2).mean())


def fires_ptr204_one_of_two_heads():
    def run(net, x):
        h = F.relu(net.inp(x))
        return {"classes": net.drop(net.classes(h)), "score": net.score(h)}

    def loss(out, y):
        return F.cross_entropy(out["classes"], y) + 0.1 * out["score"].square().mean()

    return loop(Net(run, inp=nn.Linear(8, 16), classes=nn.Linear(16, 3), score=nn.Linear(16, 1),
                    drop=nn.Dropout(0.2)), loss=loss)  # fmt: skip


def fires_ptr204_token_logits():
    def run(net, ids):
        h, _ = net.rnn(net.embed(ids))
        return net.drop(net.out(h)).log_softmax(-1)

    x, _ = tokens()
    model = Net(run, embed=nn.Embedding(12, 8), rnn=nn.LSTM(8, 16, batch_first=True),
                out=nn.Linear(16, 12), drop=nn.Dropout(0.1))  # fmt: skip
    return loop(model, (x[:, :-1], x[:, 1:]),
                loss=lambda out, y: F.nll_loss(out.flatten(0, 1), y.flatten()))  # fmt: skip


def silent_ptr204_encoder_whose_features_a_head_reads():
    encoder = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Dropout(0.2))
    head = nn.Linear(16, 3)
    both = nn.ModuleDict({"encoder": encoder, "head": head})

    def step(train):
        def run(model):
            model.train(train)
            with torch.set_grad_enabled(train):
                value = F.cross_entropy(head(encoder(x[:32])), y[:32])
            if train:
                optimizer.zero_grad()
                value.backward()
                optimizer.step()

        return run

    x, y = rows(8)
    optimizer = torch.optim.SGD(both.parameters(), lr=0.05)
    return {"model": both, "batch": (), "target": None, "optimizer": optimizer,
            "train_step": step(True), "eval_step": step(False)}  # fmt: skip


def silent_ptr204_contrastive_features():
    def run(net, x):
        two = [net.drop(net.line(F.relu(net.inp(x)))) for _ in range(2)]
        return [F.normalize(each, dim=-1) for each in two]

    def loss(out, y):
        return F.cross_entropy(out[0] @ out[1].t() / 0.1, torch.arange(len(y)))

    return loop(Net(run, inp=nn.Linear(8, 16), line=nn.Linear(16, 16), drop=nn.Dropout(0.2)),
                loss=loss)  # fmt: skip


def silent_ptr204_before_the_last_layer():
    return loop(mlp(nn.Dropout(0.4)))


def fires_ptr206_gru():
    def run(net, x):
        return net.out(net.gru(x)[1][-1])

    return loop(Net(run, gru=nn.GRU(6, 8, dropout=0.3, batch_first=True), out=nn.Linear(8, 3)),
                rows(5, 6))  # fmt: skip


def fires_ptr206_bidirectional_of_packed_sequences():
    def run(net, x):
        packed = nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor([4] * len(x)), batch_first=True, enforce_sorted=False
        )
        return net.out(net.lstm(packed)[1][0].transpose(0, 1).flatten(1))

    lstm = nn.LSTM(6, 8, dropout=0.4, bidirectional=True, batch_first=True)
    return loop(Net(run, lstm=lstm, out=nn.Linear(16, 3)), rows(5, 6))


def fires_ptr206_plain_and_time_first():
    def run(net, x):
        return net.out(net.inner.rnn(net.embed(x).transpose(0, 1))[0][-1])

    inner = nn.ModuleDict({"rnn": nn.RNN(8, 8, dropout=0.2)})
    return loop(Net(run, embed=nn.Embedding(12, 8), inner=inner, out=nn.Linear(8, 3)), tokens())


def silent_ptr206_two_layers():
    def run(net, x):
        return net.out(net.rnn(x)[0].mean(1))

    rnn = nn.LSTM(6, 8, num_layers=2, dropout=0.3, batch_first=True)
    return loop(Net(run, rnn=rnn, out=nn.Linear(8, 3)), rows(5, 6))


def silent_ptr206_dropout_after_one_layer():
    def run(net, x):
        return net.out(net.drop(net.rnn(x)[0][:, -1]))

    return loop(Net(run, rnn=nn.GRU(6, 8, batch_first=True), drop=nn.Dropout(0.3),
                    out=nn.Linear(8, 3)), rows(5, 6))  # fmt: skip


def silent_ptr206_option_of_zero():
    def run(net, x):
        return net.out(net.rnn(x)[0][:, -1])

    rnn = nn.LSTM(6, 8, num_layers=1, dropout=0.0, batch_first=True)
    return loop(Net(run, rnn=rnn, out=nn.Linear(8, 3)), rows(5, 6))
