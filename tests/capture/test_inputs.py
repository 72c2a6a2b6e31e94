"""Images and token ids are kept of the sample's row, and texts where the program keeps them."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch
from torch import nn

import pipetrace as pt
from pipetrace.capture.inputs import LONGEST, Ids
from pipetrace.capture.vocabulary import spelled
from pipetrace.records import InputImage, InputTokens


def found(run: pt.Run, kind: type) -> list[Any]:
    return [fact for fact in run.facts if isinstance(fact, kind)]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the globals of a script of one's own."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return vars(module)


@pytest.mark.parametrize("receipt", [True, False])
def test_an_image_is_the_samples_row(receipt: bool):
    x = torch.rand(3, 1, 8, 12) * 4 - 1
    with pt.options(sample=2, receipt=receipt):
        run = pt.trace(nn.Conv2d(1, 2, 3), x)
    (image,) = found(run, InputImage)
    assert (image.height, image.width, image.channels, image.shape) == (8, 12, 1, (8, 12))
    assert (image.low, image.high) == (x[2].min().item(), x[2].max().item())
    scaled = (x[2] - x[2].min()) / (x[2].max() - x[2].min()) * 255
    assert list(image.pixels) == scaled.reshape(-1).round().int().tolist()


def test_a_large_image_is_made_smaller_by_means_over_areas():
    x = torch.arange(3 * 128 * 256, dtype=torch.float32).reshape(1, 3, 128, 256)
    (image,) = found(pt.trace(nn.Conv2d(3, 1, 3), x), InputImage)
    assert (image.height, image.width, image.shape) == (LONGEST // 2, LONGEST, (128, 256))
    means = x[0].reshape(3, 32, 4, 64, 4).mean((2, 4))
    assert (image.low, image.high) == pytest.approx((means.min().item(), means.max().item()))
    assert image.pixels[:3] == bytes(
        round(255 * (means[c, 0, 0] - means.min()).item() / (means.max() - means.min()).item())
        for c in range(3)
    )


@pytest.mark.parametrize(
    "shape", [(2, 2, 16, 16), (2, 3, 4, 16), (2, 16)], ids=["two channels", "low", "vectors"]
)
def test_what_is_no_image_is_none(shape: tuple[int, ...]):
    assert found(pt.trace(nn.Identity(), torch.rand(shape)), InputImage) == []


def test_an_image_with_nan_is_drawn_from_what_is_finite():
    x = torch.rand(1, 1, 8, 8)
    x[0, 0, 0, 0], x[0, 0, 0, 1] = float("nan"), float("inf")
    (image,) = found(pt.trace(nn.Identity(), x), InputImage)
    assert image.pixels[:2] == bytes([0, 255])


class Letters(nn.Module):
    def __init__(self, entries: int = 5) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(entries, 4), nn.Linear(4, entries)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(ids.long()))


VOCABULARIES = {
    "a dict of 5 entries": [dict(enumerate("abcde")), {c: i for i, c in enumerate("abcde")}],
    "a list of 5 texts": [list("abcde")],
    "a tuple of 5 texts": [tuple("abcde")],
    "a string of 5 characters": ["abcde"],
}


@pytest.mark.parametrize(
    ("words", "value"), [(words, each) for words, all_ in VOCABULARIES.items() for each in all_]
)
def test_ids_are_spelled_with_a_global(words: str, value: Any, main: dict[str, Any]):
    main["itos"] = value
    run = pt.trace(Letters(), torch.tensor([[4, 0, 1]], dtype=torch.int32))
    (tokens,) = found(run, InputTokens)
    assert (tokens.ids, tokens.count, tokens.texts) == ((4, 0, 1), 3, ("e", "a", "b"))
    assert tokens.source == f"`itos`, {words}"


@pytest.mark.parametrize("value", ["aabbc", list("abcdef"), {"a": 1}, dict(enumerate(range(5)))])
def test_what_is_no_vocabulary_of_this_embedding_is_not_used(value: Any, main: dict[str, Any]):
    main["thing"] = value
    (tokens,) = found(pt.trace(Letters(), torch.tensor([[4, 0]])), InputTokens)
    assert (tokens.ids, tokens.texts, tokens.source) == ((4, 0), (), "")


def test_a_vocabulary_may_be_an_attribute_of_the_model_or_of_an_object(main: dict[str, Any]):
    class Data:
        def __init__(self) -> None:
            self.words = ("x", "y", "z")

    model = Letters()
    model.letters = "vwxyz"  # type: ignore[assignment]  # a plain attribute
    (tokens,) = found(pt.trace(model, torch.tensor([[0, 1]])), InputTokens)
    assert (tokens.texts, tokens.source) == (
        ("v", "w"), "`Letters.letters`, a string of 5 characters",
    )  # fmt: skip
    main["data"] = Data()
    (tokens,) = found(pt.trace(Letters(3), torch.tensor([[2, 1]])), InputTokens)
    assert (tokens.texts, tokens.source) == (("z", "y"), "`data.words`, a tuple of 3 texts")


def test_a_hostile_global_is_passed_over(main: dict[str, Any]):
    class Hostile(dict):  # type: ignore[type-arg]  # of anything
        def __len__(self) -> int:
            raise RuntimeError("not for you")

    main["a"], main["b"] = Hostile(), dict(enumerate("abcde"))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    tokens = spelled(Ids(0, "input", (1,), 1, 5), None)
    assert tokens.texts == ("b",)
    assert torch.equal(state, torch.get_rng_state())


def test_no_code_of_the_program_runs_while_a_vocabulary_is_looked_for(main: dict[str, Any]):
    called = []

    class Proxy:
        @property
        def __class__(self) -> type:  # type: ignore[override]  # as stand-ins have it
            called.append("class")
            raise RuntimeError("outside of a request")

    class Words(list):  # type: ignore[type-arg]  # of texts
        def __len__(self) -> int:
            called.append("length")
            return super().__len__()

    main["a"], main["b"], main["c"] = Proxy(), Words("abcde"), "abcde"
    tokens = spelled(Ids(0, "input", (1,), 1, 5), Letters())
    assert (tokens.texts, tokens.source) == (("b",), "`c`, a string of 5 characters")
    assert called == []


def test_a_tokenizer_spells(main: dict[str, Any]):
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"[UNK]": 0, "dropout": 1, "helps": 2}
    main["tokenizer"] = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]")
    )
    (tokens,) = found(pt.trace(Letters(3), torch.tensor([[1, 2]])), InputTokens)
    assert tokens.texts == ("dropout", "helps")
    assert tokens.source == "`tokenizer`, a Tokenizer of 3 tokens"
    (tokens,) = found(pt.trace(Letters(2), torch.tensor([[1, 0]])), InputTokens)
    assert tokens.texts == ()


def test_without_values_nothing_is_kept(main: dict[str, Any]):
    main["itos"] = "abcde"
    with pt.options(values=False):
        run = pt.trace(Letters(), torch.tensor([[4, 0]]))
        image = pt.trace(nn.Conv2d(1, 2, 3), torch.rand(1, 1, 8, 8))
    assert found(run, InputTokens) == found(image, InputImage) == []
    assert run.actions == image.actions == {}
