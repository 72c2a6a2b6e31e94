"""Programs that drop along a dimension with or without the features, whatever their layout."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from loops import Net, loop, rows, tokens


def fires_ptr205_rows_of_features():
    def run(net, x):
        return net.out(net.drop(F.relu(net.inp(x))))

    net = Net(run, inp=nn.Linear(8, 16), drop=nn.Dropout1d(0.3), out=nn.Linear(16, 3))
    return loop(net)


def fires_ptr205_channels_last_images():
    def run(net, x):
        h = F.relu(net.conv(x)).permute(0, 2, 3, 1)
        h = F.dropout2d(net.norm(h), 0.2, training=net.training)
        return net.out(h.mean((1, 2)))

    net = Net(run, conv=nn.Conv2d(2, 5, 3), norm=nn.LayerNorm(5), out=nn.Linear(5, 3))
    return loop(net, rows(2, 6, 6))


def fires_ptr205_before_a_recurrent_layer():
    def run(net, x):
        return net.out(net.rnn(net.drop(x))[0][:, -1])

    rnn = nn.GRU(6, 8, batch_first=True)
    return loop(Net(run, drop=nn.Dropout1d(0.2), rnn=rnn, out=nn.Linear(8, 3)), rows(5, 6))


def fires_ptr205_volumes_that_are_images():
    def run(net, x):
        return net.out(net.drop(F.relu(net.conv(x))).mean((2, 3)))

    net = Net(run, conv=nn.Conv2d(2, 4, 3), drop=nn.Dropout3d(0.2), out=nn.Linear(4, 3))
    return loop(net, rows(2, 6, 6))


def fires_ptr205_transformer_tokens():
    def run(net, x):
        h = net.norm(net.inp(x) + net.place)
        return net.out(net.drop(h).mean(1))

    net = Net(run, inp=nn.Linear(6, 8), norm=nn.LayerNorm(8), drop=nn.FeatureAlphaDropout(0.2),
              out=nn.Linear(8, 3))  # fmt: skip
    net.place = nn.Parameter(torch.zeros(5, 8))
    return loop(net, rows(5, 6))


def silent_ptr205_features_brought_to_the_front():
    def run(net, x):
        h = net.drop(net.embed(x).permute(0, 2, 1)).permute(0, 2, 1)
        return net.out(net.rnn(h)[0][:, -1])

    return loop(Net(run, embed=nn.Embedding(12, 8), drop=nn.Dropout1d(0.2),
                    rnn=nn.GRU(8, 8, batch_first=True), out=nn.Linear(8, 3)), tokens())  # fmt: skip


def silent_ptr205_trick_with_a_fourth_dimension():
    def run(net, x):
        h = net.inp(x).unsqueeze(2).permute(0, 3, 2, 1)
        h = F.dropout2d(h, 0.2, net.training).permute(0, 3, 2, 1).squeeze(2)
        return net.out(h.mean(1))

    return loop(Net(run, inp=nn.Linear(6, 8), out=nn.Linear(8, 3)), rows(5, 6))


def silent_ptr205_after_pooling_of_a_convolution():
    def run(net, x):
        h = F.max_pool1d(F.relu(net.norm(net.conv(x))), 2)
        return net.out(net.drop(h).flatten(1))

    net = Net(run, conv=nn.Conv1d(3, 4, 3), norm=nn.BatchNorm1d(4), drop=nn.Dropout1d(0.2),
              out=nn.Linear(8, 3))  # fmt: skip
    return loop(net, rows(3, 6))


def silent_ptr205_words_that_are_dropped():
    def run(net, x):
        return net.out(net.drop(net.embed(x)).mean(1))

    return loop(Net(run, embed=nn.Embedding(12, 8), drop=nn.Dropout1d(0.2), out=nn.Linear(8, 3)),
                tokens())  # fmt: skip
