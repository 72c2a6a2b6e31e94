"""Counterfactual runs: a captured forward once more, with one thing changed."""
