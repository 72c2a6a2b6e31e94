"""Loops around a line are read from the source, and their values from the frames."""

from __future__ import annotations

import functools
import gc
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pipetrace.training.nests import Nest, Standing, nest, reread, site


def here() -> Nest:
    return nest(sys._getframe(1))


def values(found: Nest) -> list[Any]:
    return [value for _, value in found]


def twice(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


def in_loops() -> list[Nest]:
    found = []
    for epoch in range(2):
        for name in ("train", "val"):
            found.append(here())
            assert name
        assert values(here())[-1] == epoch
    return found


def on_one_line() -> list[Nest]:
    found: list[Nest] = []
    for number in (5, 6): found.append((number, here())[1])  # fmt: skip # noqa: E701
    return found


@twice
@twice
def decorated() -> list[Nest]:
    return [here() for _ in range(2)] + [here() for step in [0]] + in_loops()[:1]


@twice
def decorated_loop() -> list[Nest]:
    found = []
    for number in range(3):
        found.append(here())
        assert number < 3
    return found


def called_in_a_loop() -> list[Nest]:
    found = []
    for fold in (10, 20):
        found += in_loops()
        assert fold
    return found


def test_loops_are_named_from_the_outermost_inwards():
    assert list(map(values, in_loops())) == [[0, "train"], [0, "val"], [1, "train"], [1, "val"]]
    lines = {tuple(key for key, _ in found) for found in in_loops()}
    assert len(lines) == 1
    assert {key[0] for found in in_loops() for key, _ in found} == {__file__}


def test_callers_loops_come_first():
    found = called_in_a_loop()
    assert values(found[0]) == [10, 0, "train"]
    assert values(found[-1]) == [20, 1, "val"]


def test_a_loop_on_one_line_is_a_loop():
    assert list(map(values, on_one_line())) == [[5], [6]]


def test_decorated_functions_and_comprehensions():
    assert list(map(values, decorated())) == [[], [], [], [0, "train"]]
    assert list(map(values, decorated_loop())) == [[0], [1], [2]]


def test_a_line_after_a_loop_is_not_inside():
    for _ in range(2):
        pass
    assert here() == ()


def test_a_while_loop_has_no_value():
    count = 0
    found = []
    while count < 2:
        found.append(here())
        count += 1
    assert list(map(values, found)) == [[None], [None]]


def test_a_tensor_counts_by_where_it_lies():
    rows = torch.arange(6).split(2)
    found = []
    for batch in rows:
        found.append(here())
        assert len(batch)
    assert values(found[1]) == [f"at {rows[1].data_ptr()}"]


def test_reading_the_values_keeps_nothing_alive():
    def visit() -> tuple[weakref.ref[torch.Tensor], bool]:
        for batch in (torch.zeros(3), torch.ones(3)):
            watched = weakref.ref(batch)
            here()
        del batch
        gc.collect()
        return watched, watched() is None

    watched, freed = visit()
    assert freed
    assert watched() is None


def test_source_that_was_edited_is_read_anew(tmp_path: Path):
    file = tmp_path / "cell.py"
    found: list[Nest] = []
    for text, loops in (("for i in range(1):\n", 1), ("for i in [7]:\n    for j in [8]:\n", 2)):
        file.write_text(f"{text}{'    ' * loops}found.append(here())\n")
        reread()
        exec(compile(file.read_text(), str(file), "exec"), {"here": here, "found": found})
    assert [values(each)[1:] for each in found] == [[0], [7, 8]]


def test_a_site_is_the_lines_that_a_call_comes_through():
    def called() -> tuple[int, ...]:
        return site(sys._getframe(1))

    sites = [called() for _ in range(2)]
    sites += [called(), called()]
    assert sites[0] == sites[1]
    assert len(set(sites)) == 3


def test_code_without_source_has_no_loops():
    names: dict[str, Any] = {"here": here, "found": []}
    exec("for i in range(2):\n    found.append(here())", names)
    assert names["found"][0] == ()


def standing(known: list[Standing], depth: int) -> bool:
    """Tell what the first of these calls' loops say now."""
    if not known:
        known.append(Standing(sys._getframe(1), depth))
    return known[0].holds(sys._getframe(1))


def test_outer_loops_stand_until_they_move_on():
    known: list[Standing] = []
    found = []
    for _epoch in range(2):
        for _start in (0, 8, 16):
            found.append(standing(known, 1))
    assert found == [True, True, True, False, False, False]


def test_outer_loops_of_callers_are_looked_at_too():
    known: list[Standing] = []

    def epoch() -> list[bool]:
        found = []
        for _start in (0, 8):
            found.append(standing(known, 1))
        return found

    found = []
    for number in range(2):
        found += epoch()
        assert number < 2
    assert found == [True, True, False, False]


def test_another_line_or_another_caller_is_not_the_same_place():
    known: list[Standing] = []

    def step() -> bool:
        return standing(known, 1)

    for _ in range(1):
        first = step()
        second = step()
    assert (first, second) == (True, False)


def test_what_a_function_keeps_of_its_own_variables_is_left_alone():
    found = []
    settings, kept = "mine", locals()
    exec("made = 1")
    before = set(kept)
    for number in range(3):
        found.append(here())
        assert number < 3
    assert kept["settings"] == settings
    assert sys.version_info >= (3, 13) or set(kept) == before
    assert eval("made", None, kept) == 1  # what `exec` has made lives in the snapshot alone
    assert [key for key, _ in found[0]] == [key for key, _ in found[-1]]


def test_an_attribute_called_eval_is_no_look_at_variables():
    model, found = torch.nn.Identity(), []
    for number in range(2):
        model.eval()
        found.append(values(here())[-1])
        assert number < 2
    assert found == [0, 1]
