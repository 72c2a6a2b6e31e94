"""Views are told of what they look at, and everything that a forward returned is named."""

from __future__ import annotations

import torch
from torch import nn

from pipetrace.blocks import Stage
from pipetrace.records import Capture
from pipetrace.story.flow import flow
from pipetrace.tracefile import Recording


def staged(recording: Recording) -> tuple[Stage, ...]:
    return flow(recording).blocks[0].stages


def told(stage: Stage, label: str) -> list[tuple[str, str]]:
    return [(fact.value, fact.note) for fact in stage.facts if fact.label == label]


class Positions(nn.Module):
    """Token and position embeddings, the positions out of a longer buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ids", torch.arange(512).reshape(1, 512))
        self.kinds = nn.Parameter(torch.zeros(1, 512))
        self.words = nn.Embedding(50, 8)
        self.places = nn.Embedding(512, 8)

    def forward(self, tokens):
        places = self.places(self.ids.gather(1, self.ids[:, : tokens.shape[1]]))
        return self.words(tokens) + places


class Reader(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.entry = Positions()
        self.layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(depth)))

    def forward(self, tokens):
        return self.layers(self.entry(tokens))


def test_a_view_of_a_buffer_is_told_where_it_is_used_not_at_the_input(traced):
    found = staged(traced(Reader(1), torch.randint(50, (2, 6))))
    assert told(found[0], "then") == []
    gather = found[1]
    assert gather.name == "gather"
    ((value, note),) = told(gather, "before")
    assert value.endswith("of the buffer `entry.ids`, 1 × 512 → 1 × 6")
    assert note == "some of its values"
    total = next(stage for stage in found if stage.name == "add")
    assert total.shape == "2 × 6 × 8 and 1 × 6 × 8 → 2 × 6 × 8"


def test_a_module_is_shown_with_the_shape_that_came_from_the_input(traced):
    found = staged(traced(Reader(41), torch.randint(50, (2, 6))))
    entry = next(stage for stage in found if stage.name == "Positions")
    assert entry.stages[0].name == "gather"
    assert entry.shape == "2 × 6 → 2 × 6 × 8"


class First(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x.flatten(1)[:, :4])


def test_a_view_with_fewer_elements_has_some_of_the_values(traced):
    found = staged(traced(First(), torch.randn(3, 2, 4)))
    (flat, some) = told(found[0], "then")
    assert flat[1] == "the same values"
    assert some[0].endswith("3 × 8 → 3 × 4")
    assert some[1] == "some of its values"


class Diagonal(nn.Module):
    def forward(self, x):
        return (x * 2).diagonal().relu()


def test_a_view_behind_an_operation_says_how_much_it_has(traced):
    found = staged(traced(Diagonal(), torch.randn(5, 5)))
    ((value, note),) = told(found[1], "then")
    assert value.endswith("5 × 5 → 5")
    assert note == "some of its values"


class Several(nn.Module):
    def __init__(self, kind: type) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)
        self.kind = kind

    def forward(self, x):
        hidden = self.layer(x)
        found = {"logits": self.head(hidden), "hidden": hidden}
        return found if self.kind is dict else tuple(found.values())


def test_a_dict_is_shown_key_by_key(traced):
    recording = traced(Several(dict), torch.randn(8, 4))
    out = staged(recording)[-1]
    assert out.name == "Output"
    assert out.words == (
        "The forward returned 2 tensors: `output['logits']` (8 × 3) and `output['hidden']` (8 × 4)."
    )
    tensors = [tensor for _, tensor in recording.all(Capture)[0].outputs]
    assert [strip.values for strip in out.strips] == [tensor.row for tensor in tensors]
    assert told(out, "output['hidden'], shape") == [("8 × 4", "float32")]
    assert [stage.name for stage in staged(recording)] == ["Input", "Linear", "Linear", "Output"]


def test_a_tuple_is_shown_item_by_item(traced):
    out = staged(traced(Several(tuple), torch.randn(8, 4)))[-1]
    assert (
        out.words == "The forward returned 2 tensors: `output[0]` (8 × 3) and `output[1]` (8 × 4)."
    )


class Keyed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return {"logits": self.layer(x)}


def test_a_dict_of_one_tensor_has_an_output_too(traced):
    found = staged(traced(Keyed(), torch.randn(8, 4)))
    assert [stage.name for stage in found] == ["Input", "Linear", "Output"]
    assert found[-1].words == "The forward returned 1 tensor: `output['logits']` (8 × 2)."
    assert found[-1].shape == "8 × 2"
