"""A fifth is held out, from every class, and the seed decides which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipetrace.errors import PipetraceError
from pipetrace.pipeline.split import require_seed, split


@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.integers(0, 2**63 - 1))
def test_parts_are_disjoint_complete_and_stratified(counts, seed):
    groups = np.repeat(np.arange(len(counts)), counts)
    train, heldout = split(groups, seed)
    assert sorted([*train, *heldout]) == list(range(len(groups)))
    for group, count in enumerate(counts):
        out = int((groups[heldout] == group).sum())
        assert 1 <= out < count
        assert abs(out - 0.2 * count) <= 1


def test_the_seed_decides():
    groups = np.zeros(100, dtype=np.int64)
    assert split(groups, 1)[1].tolist() == split(groups, 1)[1].tolist()
    assert split(groups, 1)[1].tolist() != split(groups, 2)[1].tolist()


def test_a_single_row_is_not_held_out():
    train, heldout = split(np.zeros(1, dtype=np.int64), 0)
    assert (train.tolist(), heldout.tolist()) == ([0], [])


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "0", None])
def test_what_is_no_seed(seed):
    with pytest.raises(PipetraceError, match="The seed is"):
        require_seed(seed)
