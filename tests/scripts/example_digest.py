"""The built-in example, with a digest of how it leaves the process."""

import importlib.util
from pathlib import Path

import torch
from digest import digest

path = Path(__file__).resolve().parents[2] / "src/pipetrace/examples/dropout.py"
spec = importlib.util.spec_from_file_location("dropout", path)
dropout = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dropout)
torch.set_num_threads(1)
digest(dropout.train(epochs=2))
