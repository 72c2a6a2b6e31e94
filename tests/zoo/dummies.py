"""Dummy inputs by modality, from the names in a forward's signature and the configuration."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

BATCH = 2
TOKENS = 8
FRAMES = 2
SAMPLES = 4_000
"""Length of a piece of sound."""
WORDS = 90
"""Token ids of text stay below this: shrunken special tokens stand above."""


def inputs(model: nn.Module) -> Iterator[dict[str, Any]]:
    """Yield keyword inputs to try, the fullest first.

    Args:
        model: A Hugging Face model whose forward names its inputs.
    """
    parameters = inspect.signature(model.forward).parameters
    required = {name for name, parameter in parameters.items()
                if parameter.default is parameter.empty
                and parameter.kind is parameter.POSITIONAL_OR_KEYWORD}  # fmt: skip
    main = getattr(model, "main_input_name", "input_ids")
    mains = {main} if isinstance(main, str) else set(main)
    needed = (required | mains) & parameters.keys()
    if "inputs_embeds" in needed and "input_ids" in parameters:
        needed = needed - {"inputs_embeds"} | {"input_ids"}
    if getattr(model.config, "is_encoder_decoder", False):
        needed |= {"decoder_input_ids"} & parameters.keys()
    texts = {"input_ids"} & parameters.keys()
    wished = needed | {"token_type_ids", "bbox"} & parameters.keys()
    padded = wished | {"attention_mask"} & parameters.keys()
    modal = needed | {"input_ids", "pixel_values"} & parameters.keys()
    seen = []
    for names in (padded if texts <= padded else needed, wished, needed, modal, needed | texts,
                  texts):  # fmt: skip
        if names not in seen:
            seen.append(names)
            yield from _made(model.config, names)


def _made(config: Any, names: set[str]) -> Iterator[dict[str, Any]]:
    known = {name: MAKERS[name](config) for name in sorted(names) if name in MAKERS}
    if known:
        yield known
        for name in sorted(known.keys() & OTHERS.keys()):
            for other in OTHERS[name]:
                yield known | {name: other(config)}


def find(config: Any, *names: str, otherwise: int) -> Any:
    """Return the first of these attributes that the configuration or one inside it has."""
    found = [vars(config)]
    found += [vars(value) for value in vars(config).values() if dataclasses.is_dataclass(value)]
    for name in names:
        for space in found:
            if space.get(name) is not None:
                return space[name]
    return otherwise


def words(config: Any) -> torch.Tensor:
    """Return token ids, shape (2, 8)."""
    most = find(config, "vocab_size", "n_vocab", otherwise=WORDS)
    # A largest id below that of every special token; 0 to 2 are special often.
    low, high = (3, min(WORDS, most)) if most > 8 else (0, most)
    return torch.randint(low, high, (BATCH, TOKENS))


def picture(config: Any) -> torch.Tensor:
    """Return pixels, shape (2, channels, height, width)."""
    size = find(config, "image_size", "img_size", "resolution", otherwise=64)
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return torch.randn(BATCH, _channels(config), height, width)


def film(config: Any) -> torch.Tensor:
    """Return pixels, shape (2, frames, channels, height, width)."""
    size = find(config, "image_size", "crop_size", otherwise=64)
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    frames = find(config, "num_frames", "frames_per_clip", otherwise=FRAMES)
    return torch.randn(BATCH, frames, _channels(config), height, width)


def sound(config: Any) -> torch.Tensor:
    """Return a waveform, shape (2, samples)."""
    return torch.randn(BATCH, SAMPLES)


def spectrum(config: Any) -> torch.Tensor:
    """Return log-mel features, shape (2, mels, frames)."""
    mels = find(config, "num_mel_bins", "feature_size", otherwise=80)
    return torch.randn(BATCH, mels, 2 * find(config, "max_source_positions", otherwise=32))


def mel(config: Any) -> torch.Tensor:
    """Return log-mel features, shape (2, frames, mels)."""
    mels = find(config, "num_mel_bins", "feature_size", otherwise=80)
    return torch.randn(BATCH, find(config, "max_length", otherwise=64), mels)


def series(config: Any) -> torch.Tensor:
    """Return past values, shape (2, length, channels)."""
    length = find(config, "context_length", otherwise=32)
    return torch.rand(BATCH, length, find(config, "num_input_channels", otherwise=1))


def zeros(*shape: int) -> Callable[[Any], torch.Tensor]:
    return lambda config: torch.zeros(shape, dtype=torch.long)


def _padded(config: Any) -> torch.Tensor:
    mask = torch.ones(BATCH, TOKENS, dtype=torch.long)
    mask[1, -2:] = 0
    return mask


def _boxes(config: Any) -> torch.Tensor:
    corner = torch.randint(0, 20, (BATCH, TOKENS, 2))
    return torch.cat([corner, corner + torch.randint(1, 20, (BATCH, TOKENS, 2))], dim=-1)


def _channels(config: Any) -> int:
    return int(find(config, "num_channels", "in_channels", "in_chans", otherwise=3))


MAKERS: dict[str, Callable[[Any], Any]] = {
    "attention_mask": _padded,
    "bbox": _boxes,
    "decoder_input_ids": words,
    "input_features": spectrum,
    "input_ids": words,
    "input_values": sound,
    "past_values": series,
    "pixel_values": picture,
    "pixel_values_videos": film,
    "token_type_ids": zeros(BATCH, TOKENS),
}
"""How an input is made, by its name in the signature."""

OTHERS: dict[str, tuple[Callable[[Any], Any], ...]] = {
    "input_features": (lambda config: spectrum(config).transpose(1, 2),),
    "input_values": (lambda config: sound(config)[:, None], mel),
    "pixel_values": (film,),
}
"""Other shapes that an input of that name may have."""
