"""The texts of token ids are looked for where a program keeps them; what was found is named."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from torch import nn

from pipetrace.capture.guard import Streams
from pipetrace.capture.handlers import pass_on
from pipetrace.capture.inputs import Ids
from pipetrace.probed import InputTokens

_MOST = 1_000_000
_LOOKED = 2000
"""So many objects are looked at."""
_TOKENIZERS = (
    ("transformers.tokenization_utils_base", "PreTrainedTokenizerBase", "__len__",
     "convert_ids_to_tokens"),
    ("tokenizers", "Tokenizer", "get_vocab_size", "id_to_token"),
)  # fmt: skip
"""Where the class is, and what tells the size of its vocabulary and the text of an id."""
_PADDED = 50
"""An embedding may have more rows than there are tokens: by one in so many, or by 64."""

_PLAIN = (dict, list, tuple, str, OrderedDict, defaultdict, Counter)

Spell = Callable[[int], object]


def spelled(found: Ids, model: nn.Module | None) -> InputTokens:
    """Add the texts of ids where a vocabulary of the embedding's size is found.

    It is looked for among the globals of `__main__`, then among the attributes of what these and
    the model hold. Nothing of the program is called but a tokenizer's own lookup.

    Args:
        found: The ids.
        model: The model that took them.
    """
    texts: tuple[str, ...] = ()
    source = ""
    streams = Streams.take()
    try:
        for name, value in _candidates(model):
            told = _told(value, found)
            if told is not None:
                texts, source = told[1], f"`{name}`, {told[0]}"
                break
    finally:
        streams.put_back()
    return InputTokens(capture=found.capture, input=found.input, ids=found.ids, count=found.total,
                       texts=texts, source=source)  # fmt: skip


def _candidates(model: nn.Module | None) -> Iterator[tuple[str, Any]]:
    """Yield what may be a vocabulary with its name: globals first, then attributes."""
    main = sys.modules.get("__main__")
    inner: list[tuple[str, Any]] = []
    looked = 0
    for name, value in list(vars(main).items()) if main is not None else ():
        if not name.startswith("_"):
            looked += 1
            yield name, value
            inner.append((name, value))
    if model is not None:
        inner.insert(0, (type(model).__name__, model))
        for name, value in list(vars(model).items()):
            inner.append((f"{type(model).__name__}.{name}", value))
    for name, value in inner:
        if looked > _LOOKED or not _has_attributes(value):
            continue
        for key, item in list(object.__getattribute__(value, "__dict__").items()):
            if not key.startswith("_"):
                looked += 1
                yield f"{name}.{key}", item


def _has_attributes(value: Any) -> bool:
    """Tell what may hold a vocabulary, by its type: a stand-in's `__class__` is a call of its own.

    >>> _has_attributes(nn.Linear(1, 1)), _has_attributes(sys), _has_attributes(3)
    (True, False, False)
    """
    kind = type(value)
    if not kind.__dictoffset__ or issubclass(kind, (ModuleType, BaseException, type)):
        return False
    return issubclass(kind, nn.Module) or not callable(value)


def _told(value: Any, found: Ids) -> tuple[str, tuple[str, ...]] | None:
    """Return what a vocabulary is and the texts that it has for ids; None where it is none."""
    try:
        known = _vocabulary(value, found.entries)
        texts = () if known is None else tuple(map(known[1], found.ids))
    except Exception as error:
        # What a program holds may be anything.
        pass_on(error)
        return None
    told = tuple(text for text in texts if isinstance(text, str))
    return (known[0], told) if known and told and len(told) == len(texts) else None


def _vocabulary(value: Any, entries: int) -> tuple[str, Spell] | None:
    """Return what kind of vocabulary a value is and how an id is looked up in it, if it is one."""
    for module, kind, size, lookup in _TOKENIZERS:
        tokenizer = getattr(sys.modules.get(module), kind, None)
        if isinstance(tokenizer, type) and issubclass(type(value), tokenizer):
            tokens = getattr(value, size)()
            fits = 0 <= entries - tokens <= max(64, tokens // _PADDED)
            words = f"a {type(value).__name__} of {tokens} tokens"
            return (words, getattr(value, lookup)) if fits else None
    # Of a class that the program wrote, asking for the length alone would run its code.
    if type(value) not in _PLAIN or not 1 < entries <= _MOST:
        return None
    if len(value) != entries:
        return None
    if isinstance(value, str):
        # Of a text that has this length by chance letters come twice.
        distinct = len(set(value)) == entries
        return (f"a string of {entries} characters", value.__getitem__) if distinct else None
    if isinstance(value, dict):
        table = _table(value)
        return None if table is None else (f"a dict of {entries} entries", table.get)
    texts = all(type(item) is str for item in value) and len(set(value)) == entries
    word = "list" if isinstance(value, list) else "tuple"
    return (f"a {word} of {entries} texts", value.__getitem__) if texts else None


def _table(value: Mapping[Any, Any]) -> Mapping[int, str] | None:
    """Return a dict from ids to texts, turned round where it is one from texts to ids."""
    first, second = next(iter(value.items()))
    if type(first) is int and type(second) is str:
        return value
    if type(first) is str and type(second) is int:
        return {number: text for text, number in value.items()}
    return None
