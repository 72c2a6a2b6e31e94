"""Epochs are told from plain events, while they come."""

from __future__ import annotations

from typing import Any

import pytest

from pipetrace.training.nests import Nest
from pipetrace.training.phases import FULL, LOADER, LOOP, MARKED, SECTION, Phases


class Heard:
    """Plays events to `Phases`, and closes an epoch whenever one has ended."""

    def __init__(self) -> None:
        self.phases = Phases()
        self.closed: list[tuple[str, int]] = []

    def ends(self, ended: bool) -> None:
        if ended and self.phases.steps:
            self.closed.append((self.phases.rule, self.phases.steps))
            self.phases.closed()

    def run(self, key: Any, batches: int, *, trained: bool = True, left: bool = False) -> None:
        """Play a pass over a loader; `left` says that a `break` ends it."""
        for _ in range(batches):
            self.ends(self.phases.batch(key, key[0]))
            if trained:
                self.phases.step((), None)
        if not left:
            self.ends(self.phases.end_pass(key))

    def step(self, nest: Nest, address: Any = None) -> None:
        """Play a forward and a step outside of any loader."""
        self.ends(self.phases.forward(nest, address, False))
        self.phases.step(nest, address)

    def evaluate(self, nest: Nest) -> None:
        self.ends(self.phases.forward(nest, None, True))


def loops(*values: int | str | None) -> Nest:
    """Return a nest of loops, one a line, with these values of their variables."""
    return tuple((("train.py", line), value) for line, value in enumerate(values, start=1))


def test_a_pass_over_the_loader_is_an_epoch():
    heard = Heard()
    for epoch in range(3):
        heard.run(("training", epoch), 5)
        heard.run(("validation", epoch), 2, trained=False)
    assert heard.closed == [(LOADER, 5)] * 3


def test_a_pass_that_was_left_ends_when_its_loader_starts_again():
    heard = Heard()
    heard.run(("training", 1), 3, left=True)
    assert heard.closed == []
    heard.run(("training", 2), 4, left=True)
    assert heard.closed == [(LOADER, 3)]
    heard.run(("training", 3), 5)
    assert heard.closed == [(LOADER, 3), (LOADER, 4), (LOADER, 5)]


def test_an_evaluation_inside_a_training_pass_ends_nothing():
    heard = Heard()
    outer = ("training", 1)
    for batch in range(6):
        heard.ends(heard.phases.batch(outer, outer[0]))
        heard.phases.step((), None)
        if batch == 2:
            heard.run(("validation", 2), 2, trained=False)
            assert heard.phases.training(outer)
            assert not heard.phases.training(("validation", 2))
    heard.ends(heard.phases.end_pass(outer))
    assert heard.closed == [(LOADER, 6)]


def test_loops_are_asked_for_only_where_nothing_better_tells():
    phases = Phases()
    assert phases.wants_nest
    phases.batch(("training", 1), "training")
    assert not phases.wants_nest
    phases.end_pass(("training", 1))
    assert phases.wants_nest
    phases.mark()
    assert not phases.wants_nest
    phases.unmark()
    assert phases.wants_nest


def test_the_loop_around_the_batches_is_the_epoch():
    heard = Heard()
    for epoch in range(3):
        for batch in range(4):
            heard.step(loops(epoch, batch))
    heard.evaluate(())
    assert heard.closed == [(LOOP, 4)] * 3


def test_a_step_may_be_taken_outside_of_the_loop_over_batches():
    heard = Heard()
    for _ in range(2):
        for batch in range(4):
            heard.step(loops("run", batch))
        heard.step(loops("run"))
    heard.evaluate(())
    assert sum(steps for _, steps in heard.closed) == 10


def test_a_loop_over_folds_lies_further_out():
    heard = Heard()
    for fold in range(2):
        for epoch in range(3):
            for batch in range(4):
                heard.step(loops(fold, epoch, batch))
            heard.evaluate(loops(fold, epoch))
    assert heard.closed == [(LOOP, 4)] * 6


def test_batches_in_a_while_loop_inside_epochs():
    heard = Heard()
    for epoch in range(3):
        for start in range(0, 8, 2):
            heard.step(loops(epoch, None), address=start)
        heard.evaluate(loops(epoch))
    assert [steps for _, steps in heard.closed] == [4, 4, 4]


def test_an_epoch_of_one_batch_is_told_once_another_has_two():
    heard = Heard()
    for epoch, batches in enumerate((3, 1, 3)):
        for batch in range(batches):
            heard.step(loops(epoch, batch))
    heard.evaluate(())
    assert heard.closed == [(LOOP, 3), (LOOP, 1), (LOOP, 3)]


def test_the_same_rows_at_every_step_make_an_iteration_an_epoch():
    heard = Heard()
    for epoch in range(4):
        heard.step(loops(epoch), address=(7, 4096))
    heard.evaluate(())
    assert heard.closed == [(FULL, 1)] * 4


def test_without_loops_evaluations_cut_the_steps():
    heard = Heard()
    for number in range(9):
        heard.step(loops(None), address=number)
        if number % 3 == 2:
            heard.evaluate(loops(None))
    assert heard.closed == [(SECTION, 3)] * 3


def beside(heard: Heard, *loaders: tuple[Any, int], ticks: int) -> None:
    """Play `ticks` steps, before each of which every loader is asked; they start anew at once."""
    passes = {name: [0, 0] for name, _ in loaders}
    for _ in range(ticks):
        for name, batches in loaders:
            state = passes[name]
            if state[1] == batches:
                heard.ends(heard.phases.end_pass((name, state[0])))
                state[:] = state[0] + 1, 0
            state[1] += 1
            heard.ends(heard.phases.batch((name, state[0]), name))
        if heard.phases.overdue():
            heard.ends(True)
        heard.phases.step((), None)


@pytest.mark.parametrize("other", [2, 3, 5, 8, 12, 40])
def test_a_loader_that_goes_round_beside_another_ends_nothing(other: int):
    heard = Heard()
    beside(heard, ("main", 8), ("other", other), ticks=24)
    heard.ends(heard.phases.end_pass(("main", 2)))
    assert heard.closed == [(LOADER, 8)] * 3


@pytest.mark.parametrize(("one", "other"), [(4, 4), (4, 9), (9, 4)])
def test_loaders_side_by_side_end_with_the_shorter(one: int, other: int):
    heard = Heard()
    for epoch in range(3):
        for _ in range(4):
            for name in ("one", "other"):
                heard.ends(heard.phases.batch((name, epoch), name))
            if heard.phases.overdue():
                heard.ends(True)
            heard.phases.step((), None)
        if one > 4:
            heard.ends(heard.phases.batch(("one", epoch), "one"))
        heard.ends(heard.phases.end_pass(("other" if one > 4 else "one", epoch)))
    assert heard.closed in ([(LOADER, 4)] * 3, [(LOADER, 4)] * 2)
    assert len(heard.closed) == 3 or heard.phases.complete


def test_a_validation_that_is_left_early_ends_no_epoch():
    heard = Heard()
    for epoch in range(2):
        for batch in range(12):
            heard.ends(heard.phases.batch(("training", epoch), "training"))
            heard.phases.step((), None)
            if batch % 4 == 3:
                for _ in range(2):
                    heard.ends(heard.phases.batch(("valid", 12 * epoch + batch), "valid"))
        heard.ends(heard.phases.end_pass(("training", epoch)))
    assert heard.closed == [(LOADER, 12)] * 2


def test_epochs_in_a_while_loop_begin_where_the_loop_inside_begins_anew():
    heard = Heard()
    for _ in range(3):
        for batch in range(4):
            heard.step(loops(None, batch))
    assert heard.closed == [(LOOP, 4)] * 2
    assert heard.phases.steps == 4


def test_what_comes_with_every_step_cuts_nothing():
    heard = Heard()
    for number in range(9):
        heard.evaluate(loops(None))
        heard.step(loops(None), address=number)
    assert heard.closed == []


def test_marks_win():
    heard = Heard()
    for _ in range(2):
        heard.ends(heard.phases.mark())
        heard.run(("training", 1), 3)
        heard.run(("training", 2), 3)
        heard.step(loops(1), address=1)
        heard.evaluate(())
    heard.ends(heard.phases.steps > 0)
    heard.phases.unmark()
    assert heard.closed == [(MARKED, 7)] * 2
