"""What is found in our own scripts and models, and was confirmed by hand as a real bug."""

from __future__ import annotations

CONFIRMED: dict[str, set[str]] = {
    # It never calls eval(): that is what it is there for.
    "eval_forgotten": {"PTR301"},
    # A functional dropout that is told p and nothing else; and whole feature vectors are dropped.
    "every-dropout": {"PTR101", "PTR205"},
    # The logarithm of numbers below 0 is all that it computes.
    "not-a-number": {"PTR901"},
    # The embeddings of its text model are dropped twice, with nothing in between.
    "kosmos-2.5": {"PTR203"},
}
"""Ids by script of `tests/scripts` or model of the zoo; of all others nothing grave is said."""
