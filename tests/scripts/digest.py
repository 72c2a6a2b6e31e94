"""Prints one line that differs as soon as any weight or any random stream differs.

Importing it seeds Python's and numpy's generators: two processes can then be compared.
"""

import hashlib
import random

import numpy
import torch

random.seed(0)
numpy.random.seed(0)


def feed(digest, value):
    if isinstance(value, torch.Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    else:
        digest.update(repr(value).encode())


def digest(*models):
    state = hashlib.sha256()
    for model in models:
        for name, value in model.state_dict().items():
            state.update(name.encode())
            feed(state, value)
        state.update(str([module.training for module in model.modules()]).encode())
        for parameter in model.parameters():
            feed(state, parameter.grad)
    streams = hashlib.sha256()
    streams.update(torch.get_rng_state().numpy().tobytes())
    streams.update(repr(numpy.random.get_state()).encode())
    streams.update(numpy.random.get_state()[1].tobytes())
    streams.update(repr(random.getstate()).encode())
    print("digest", state.hexdigest(), streams.hexdigest())
