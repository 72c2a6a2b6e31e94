"""Every architecture that transformers maps to a model, built tiny, random and offline."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import nn

from zoo import dummies
from zoo.overrides import INPUTS, SETTINGS
from zoo.shrink import RECIPES, Recipe, Shrinker

os.environ.setdefault("HF_HUB_OFFLINE", "1")

MOST_PARAMETERS = 12_000_000
"""A model of more is not tiny: it is not built."""


Inputs = Callable[[nn.Module], tuple[tuple[Any, ...], dict[str, Any]]]
"""Makes the arguments of a model, by position and by name."""


class NotBuilt(Exception):
    """An architecture that its tiny configuration or our dummy inputs do not fit."""


class Architecture(NamedTuple):
    """A model that can be made anew from the same seed, and its inputs."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Inputs


def names() -> list[str]:
    """Return every model type of transformers that an auto-mapping maps to a model."""
    return sorted(_classes())


@lru_cache(maxsize=4)
def find(name: str) -> Architecture:
    """Return the architecture of a model type, `bert` for example.

    Raises:
        NotBuilt: it has no tiny configuration, or no dummy input fits.
    """
    from transformers import logging

    logging.set_verbosity_error()
    errors: list[NotBuilt] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for recipe in RECIPES:
            try:
                return _made(name, recipe)
            except NotBuilt as error:
                errors.append(error)
    raise errors[0]


def _made(name: str, recipe: Recipe) -> Architecture:
    import transformers

    try:
        kind = getattr(transformers, _classes()[name])
        config = partial(_shrunken, kind, SETTINGS.get(name, {}), recipe)
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in kind(config()).parameters())
    except Exception as error:
        raise NotBuilt(f"no tiny configuration: {_words(error)}") from error
    if count > MOST_PARAMETERS:
        raise NotBuilt(f"the tiny configuration has {count:,} parameters")

    def build() -> nn.Module:
        return kind(config())

    return Architecture(name, build, _fitting(name, build))


def _shrunken(kind: Any, settings: dict[str, Any], recipe: Recipe) -> Any:
    return Shrinker(settings, recipe).shrink(kind.config_class())


def _fitting(name: str, build: Callable[[], nn.Module]) -> Inputs:
    """Return a maker of the first dummy inputs that the model takes."""
    try:
        torch.manual_seed(0)
        model = build().eval()
    except Exception as error:
        raise NotBuilt(f"no tiny configuration: {_words(error)}") from error
    maker = INPUTS.get(name)
    error: Exception | None = None
    for number, candidate in enumerate(_candidates(model, maker)):
        try:
            with torch.no_grad():
                model(**candidate)
        except Exception as raised:
            error = error or raised
            continue

        def make(model: nn.Module, number: int = number) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return (), list(_candidates(model, maker))[number]

        return make
    raise NotBuilt(f"no dummy input fits: {_words(error)}") from error


def _candidates(
    model: nn.Module, maker: Callable[[Any], dict[str, Any]] | None
) -> Iterator[dict[str, Any]]:
    if maker is None:
        yield from dummies.inputs(model)
    else:
        yield maker(model.config)


def _classes() -> dict[str, str]:
    """Return the model class of every model type: the plain model, else that of a task."""
    from transformers.models.auto import modeling_auto

    found: dict[str, str] = {}
    mappings = [
        name
        for name in dir(modeling_auto)
        if name.startswith("MODEL_") and name.endswith("MAPPING_NAMES")
    ]
    for mapping in ["MODEL_MAPPING_NAMES", *mappings]:
        for kind, model in getattr(modeling_auto, mapping).items():
            if isinstance(model, (tuple, list)):
                model = model[0]
            found.setdefault(kind, model)
    return found


def _words(error: Exception | None) -> str:
    if error is None:
        return "its signature names no input that we know"
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}"
