"""pipetrace makes any PyTorch pipeline show its work."""

__version__ = "0.1.0"
