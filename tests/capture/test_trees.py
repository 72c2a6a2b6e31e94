"""Tensors are found in, and copied with, whatever people pass to their models."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from pipetrace.capture.trees import (
    DEPTH,
    Copier,
    first,
    is_generator,
    is_open,
    leaves,
    rebuild,
    rows,
)

A, B, C = torch.ones(2, 3), torch.zeros(4), torch.full((1,), 7.0)
Pair = namedtuple("Pair", "left right")


@dataclass
class Output:
    logits: torch.Tensor
    hidden: tuple = ()
    note: str = "text"


@dataclass(frozen=True)
class Frozen:
    logits: torch.Tensor


@dataclass(slots=True)
class Slotted:
    logits: torch.Tensor


class ModelOutput(OrderedDict):
    """A mapping whose items are attributes too, as Hugging Face returns."""

    def __init__(self, **items) -> None:
        super().__init__()
        for key, item in items.items():
            self[key] = item

    def __setitem__(self, key, item) -> None:
        super().__setitem__(key, item)
        super().__setattr__(key, item)

    def __reduce__(self):
        return type(self), (), self.__dict__, None, iter(self.items())


class Layer:
    def __init__(self) -> None:
        self.keys = None


class Cache:
    """Keys of past tokens, which the forward appends to."""

    def __init__(self) -> None:
        self.layers = [Layer()]

    def update(self, keys: torch.Tensor) -> None:
        layer = self.layers[0]
        layer.keys = keys if layer.keys is None else torch.cat([layer.keys, keys])


class Loop:
    def __init__(self) -> None:
        self.me, self.tensor = self, A


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        (A, [""]),
        ((A, [B, {"k": C}]), ["[0]", "[1][0]", "[1][1]['k']"]),
        (Pair(A, (B,)), [".left", ".right[0]"]),
        (Output(A, hidden=(B, C)), [".logits", ".hidden[0]", ".hidden[1]"]),
        (Frozen(A), [".logits"]),
        (Slotted(A), [".logits"]),
        (ModelOutput(logits=A, past=(B,)), ["['logits']", "['past'][0]"]),
        (UserDict({"ids": A}), ["['ids']"]),
        (MappingProxyType({"ids": A}), ["['ids']"]),
        (Loop(), [".tensor"]),
        (torch.max(A, 1), ["[0]", "[1]"]),
        (torch.distributions.Normal(A, A + 1, validate_args=False), [".loc", ".scale"]),
        (pack_sequence([B, C]), [".data", ".batch_sizes"]),
        ((1, "text", None, 2.5, range(3), print, nn.Linear(1, 1), Output, Colour.RED), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_tensor_is_found_by_the_path_a_person_would_write(value, paths: list[str]):
    found = [path for path, _ in leaves(value)]
    if isinstance(value, Loop):
        assert found[-1:] == paths, "a loop is followed to its depth, and no further"
        assert len(found) <= DEPTH
    else:
        assert found == paths


def test_what_is_nested_too_deep_is_not_looked_into():
    value = A
    for _ in range(DEPTH):
        value = [value]
    assert len(list(leaves(value))) == 1
    assert list(leaves([value])) == []


def test_first_and_rows():
    assert first(((A, B), {"k": C})) is A
    assert first(((), {"k": C})) is C, "a model with keyword inputs only"
    assert first(((1, A), {})) is A
    assert first((((B,),), A)) is B
    assert first(("text", 3)) is None
    assert (rows((A, B)), rows(torch.tensor(1.0)), rows(())) == (2, None, None)


def negated(tensor: torch.Tensor) -> torch.Tensor:
    return -tensor


SOME = {
    "tensor": A,
    "nested": (A, [B, {"k": C}]),
    "namedtuple": Pair(A, [B]),
    "dataclass": Output(A, hidden=(B, C)),
    "frozen": Frozen(A),
    "slots": Slotted(A),
    "model output": ModelOutput(logits=A, past=(B,)),
    "user dict": UserDict({"ids": A}),
    "ordered": OrderedDict(a=A, b=B),
    "defaulted": defaultdict(list, a=[A]),
    "deque": deque([A, B], maxlen=5),
    "packed": pack_sequence([B, C]),
    "object": torch.distributions.Normal(A, A + 1, validate_args=False),
}


@pytest.mark.parametrize("name", SOME)
def test_a_copy_has_the_same_paths_and_changed_tensors(name: str):
    value = SOME[name]
    before = [(path, tensor, tensor.clone()) for path, tensor in leaves(value)]
    twin = rebuild(value, negated)
    assert type(twin) is type(value)
    for (path, tensor, kept), (twin_path, changed), (_, now) in zip(
        before, leaves(twin), leaves(value), strict=True
    ):
        assert (twin_path, now) == (path, tensor) or now is tensor
        assert torch.equal(changed, -kept)
        assert torch.equal(tensor, kept)


def test_details_of_a_container_survive():
    assert rebuild(SOME["deque"], negated).maxlen == 5
    assert rebuild(SOME["defaulted"], negated).default_factory is list
    assert rebuild(Counter(a=2), negated) == Counter(a=2)
    output = rebuild(SOME["model output"], negated)
    assert output.logits is output["logits"]
    packed = rebuild(SOME["packed"], torch.clone)
    assert isinstance(packed, PackedSequence)


@pytest.mark.parametrize(
    "value", [3, "text", None, (1, "a"), nn.Linear(1, 1), print, Output, Colour.RED, range(3)]
)
def test_what_holds_no_tensors_is_shared(value):
    assert rebuild(value, negated) is value


def test_the_same_thing_becomes_the_same_copy():
    shared = [A]
    twin = rebuild((A, shared, {"again": shared, "tensor": A}), torch.clone)
    assert twin[1] is twin[2]["again"]
    assert twin[0] is twin[1][0] is twin[2]["tensor"]
    loop: list = [A]
    loop.append(loop)
    looped = rebuild(loop, torch.clone)
    assert looped[1] is looped
    assert looped is not loop


def test_an_object_that_is_written_to_leaves_the_original_alone():
    cache = Cache()
    cache.update(B)
    keys = cache.layers[0].keys
    twin = rebuild(cache, torch.clone)
    twin.update(C)
    assert len(twin.layers[0].keys) == 5
    assert cache.layers[0].keys is keys


def test_an_object_that_cannot_be_copied_is_shared():
    class Alone:
        def __init__(self) -> None:
            self.tensor = A

        def __copy__(self):
            raise TypeError("there is one of me")

    alone = Alone()
    assert rebuild([alone], torch.clone)[0] is alone


def test_arrays_and_random_generators_are_copied_with_their_state():
    values = [np.ones(3), torch.Generator().manual_seed(1), np.random.default_rng(1),
              np.random.RandomState(1), random.Random(1)]  # fmt: skip
    array, *generators = Copier(torch.clone, objects=False)(values)
    array += 1
    assert values[0].tolist() == [1, 1, 1]
    draw = [
        lambda g: torch.rand(1, generator=g).item(),
        lambda g: g.random(),
        lambda g: g.random_sample(),
        lambda g: g.random(),
    ]
    for drawn, twin, original in zip(draw, generators, values[1:], strict=True):
        assert drawn(twin) == drawn(original), "the copy's draw did not move the original"


def test_objects_are_copied_only_where_that_is_asked_for():
    cache, values = Cache(), [A]
    shared, copied = Copier(torch.clone, objects=False)([cache, values])
    assert shared is cache
    assert copied is not values


def test_a_huge_structure_is_shared_from_some_point_on():
    values = [[[index] for index in range(100)] for _ in range(300)]
    twin = rebuild(values, torch.clone)
    assert twin == values
    assert twin[0][0] is not values[0][0]
    assert twin[-1] is values[-1]
    long = [[index] for index in range(30_000)]
    flat = rebuild(long, torch.clone)
    assert flat is not long
    assert flat[0] is long[0]


def test_which_objects_are_open():
    assert is_open(Cache())
    assert is_open(Output(A))
    assert not any(map(is_open, [print, Cache, nn.Linear(1, 1), torch, ValueError(), 3, "text"]))


TREES = st.recursive(
    st.sampled_from([A, B, C, 1, "text", None]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=12,
)


@given(TREES)
def test_any_tree_is_copied_leaf_by_leaf(tree):
    twin = rebuild(tree, negated)
    pairs = list(zip(leaves(tree), leaves(twin), strict=True))
    for (path, tensor), (twin_path, changed) in pairs:
        assert path == twin_path
        assert torch.equal(changed, -tensor)


@dataclass
class Meter:
    values: list = field(default_factory=list)


def test_a_dataclass_with_a_list_gets_a_list_of_its_own():
    meter = Meter()
    rebuild(meter, torch.clone).values.append(1)
    assert meter.values == []


def test_a_source_of_random_numbers_without_a_state_is_shared():
    system = random.SystemRandom()
    assert not is_generator(system)
    assert Copier(torch.clone)({"source": system})["source"] is system


def test_a_graph_of_objects_is_walked_once():
    class Node:
        pass

    nodes = [Node() for _ in range(300)]
    for node in nodes:
        node.near = nodes
    nodes[7].value = A
    assert [path for path, _ in leaves(nodes)] == ["[7].value"]
