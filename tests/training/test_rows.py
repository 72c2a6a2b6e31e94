"""Rows are known by their numbers, and places by who owns the memory."""

from __future__ import annotations

import gc

import pytest
import torch

from pipetrace.training.rows import Numbers, Places, Rows, columns


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.long])
def test_the_share_of_rows_that_were_trained_on(kind: torch.dtype):
    torch.manual_seed(0)
    x = torch.randint(1000, (60, 5)).to(kind)
    rows = Rows()
    for batch in x[torch.randperm(40)].split(8):
        rows.add(columns(batch))
    assert rows.share([columns(x[:40])]) == 1.0
    assert rows.share([columns(x[40:])]) == 0.0
    assert rows.share([columns(x[30:40]), columns(x[40:50])]) == 0.5


def test_nothing_is_said_where_nothing_is_known():
    rows = Rows()
    assert rows.share([torch.zeros(2, 2)]) is None
    rows.add(torch.zeros(2, 2))
    assert rows.share([]) is None
    rows.add(torch.arange(50_001.0).unsqueeze(1))
    assert rows.full
    assert rows.share([torch.zeros(2, 2)]) is None


def test_rows_of_few_values_tell_nothing_where_they_equal_training_rows():
    torch.manual_seed(1)
    rows, x = Rows(), torch.randint(2, (300, 4)).float()
    rows.add(x[:200])
    assert rows.share([x[200:]]) is None
    assert rows.share([x[200:] + 2]) == 0.0


def test_training_rows_that_never_come_again_tell_nothing():
    x = torch.randn(60, 4)
    rows = Rows()
    rows.add(x[:40])
    assert rows.repeated() is None
    assert rows.share([x[40:]]) == 0.0
    rows.add(torch.randn(40, 4), 1)
    assert rows.repeated() == 0.0
    assert rows.share([x[40:]]) is None
    assert rows.share([x[:10]]) == 1.0
    rows.add(x[:40], 1)
    assert rows.repeated() == 0.5
    assert rows.share([x[40:]]) == 0.0


def test_windows_drawn_at_random_tell_nothing_where_few_of_them_come_again():
    x = torch.arange(4000.0).unfold(0, 16, 1)
    rows, draw = Rows(), torch.Generator().manual_seed(0)

    def windows(count: int) -> torch.Tensor:
        return x[torch.randint(len(x), (count,), generator=draw)]

    rows.add(windows(200))
    rows.add(windows(200), 1)
    again = rows.repeated()
    assert again is not None
    assert 0 < again < 0.15
    assert rows.share([x[:2] + 0.5]) is None
    assert rows.share([windows(200) + 0.5]) == 0.0


def test_wide_rows_are_known_by_64_numbers():
    x = torch.randn(3, 10, 100)
    taken = columns(x)
    assert taken is not None
    assert taken.shape[1] <= 64
    assert set(taken[0].tolist()) <= set(x[0].flatten().tolist())
    x.zero_()
    assert taken.abs().sum() > 0
    assert columns(torch.zeros(3)) is None
    assert columns(torch.zeros(3, 3).to_sparse()) is None


def test_a_number_is_never_given_again():
    class Thing:
        pass

    numbers, given = Numbers(), []
    for _ in range(20):
        given.append(numbers.of(Thing()))
        gc.collect()
    kept = Thing()
    assert len(set(given)) == 20
    assert numbers.of(kept) == numbers.of(kept)
    plain = [[0, 1]]
    assert numbers.of(plain) == id(plain)


def test_a_place_is_the_owner_and_the_address():
    places, x = Places(), torch.randn(10, 3)
    assert places.of(x[:4]) == places.of(x[:4])
    assert places.of(x[:4]) != places.of(x[4:])
    seen = {places.of(torch.zeros(64)) for _ in range(10)}
    assert len(seen) == 10
    assert places.of(x.to_sparse()) is None
