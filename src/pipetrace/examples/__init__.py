"""Ordinary PyTorch scripts: none of them knows that it may be watched."""
