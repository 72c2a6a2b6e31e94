"""A default configuration becomes a tiny one: every attribute that is a size gets a small value."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, NamedTuple

VOCABULARY = 128
LENGTH = 64
LAYERS = 2
FIRST_SPECIAL = 100
"""Token ids from here on are special, those below are text."""

_TEXT = re.compile(r"(^|_)(n_vocab|vocab(ulary)?_size|vocab_sizes|num_embeddings|hash_buckets"
                   r"|embeds|codebook_size|codevectors_per_group|hash_byte_group_vocab)"
                   r"(_|$)")  # fmt: skip
_KEY_HEADS = re.compile(r"(key_value|kv).*heads|num_key_heads")
_HEADS = re.compile(r"heads?(_per_stage)?$")
_HEAD = re.compile(r"(head_dim|d_head|dim_head|head_size|^d_kv|kv_channels|(key|value)_head_dim"
                   r"|qk_\w*_dim)$")  # fmt: skip
_LAYERS = re.compile(r"(layers|^n_layers?|^depth|_depth|num_blocks|num_res_blocks|hidden_groups"
                     r"|inner_group_num|intraclass_block_number|repeats|num_loops)$")  # fmt: skip
_DEPTHS = re.compile(r"^(depths?|layers|block_sizes|num_block_repeats|stage_num\w*_of_layers"
                     r"|stage_num_blocks|blocks_per_stage|num_layers)$")  # fmt: skip
_EXPERTS = re.compile(r"experts$")
_CHOSEN = re.compile(r"(experts_per_tok|top_?k|moe_k|topk_group|^n_group)$")
_INNER = re.compile(r"(intermediate_size|intermediate_dim|ffn_dim|^d_ff|dff|d_inner|mlp_dim|n_inner"
                    r"|mlp_hidden_size|feedforward|feed_forward_size|ffn_hidden_size|linear_units"
                    r"|lru_width|feedforward_dim|d_ssm|dim_ff)$")  # fmt: skip
_WIDTH = re.compile(r"(hidden_sizes?|hidden_dim|d_model|dim|dims|embd|_size|channels?|filters|units"
                    r"|latents|features|width|channel_list|inplanes|per_stage)$")  # fmt: skip
_LENGTH = re.compile(r"(position_embeddings|positions|n_ctx|seq_len|seq_length|context_length"
                     r"|max_length|max_text_len|max_pos_emb|attention_window(_size)?"
                     r"|sliding_window(_size)?|chunk_size|chunk_length|local_attention"
                     r"|query_tokens|num_queries|num_proposals|relative_residx_bins|num_denoising"
                     r"|num_latents|n_latents|detection_tokens|latent_query_num)$")  # fmt: skip
_RANK = re.compile(r"(_rank|state_size|d_state|lora_rank)$")
_KEPT = re.compile(r"(kernel_size|input_size|spec_size|block_size|window_kernel_size"
                   r"|merge_size|pool_size|group_size|patch_kernel|num_channels|in_channels"
                   r"|audio_channels|input_channels|in_chans|mask_size|roi_size|bins|hash_code_len"
                   r"|quantization_levels|type_vocab_sizes?|tubelet_size|(^|_)channels|mel_bins"
                   r"|feature_layer|feat_sizes|k_sizes|window_size_per_stage|background_size"
                   r"|kernel_sizes|patch_sizes|num_mel_bins|mel_dim|feature_size|input_dim"
                   r"|input_feat_size|input_feat_per_channel|model_in_dim|rotary_dim"
                   r"|latent_size|max_kernel|stride_sizes|keypoint_decoder_dim)$")  # fmt: skip
_DROP = re.compile(r"drop(out|_path)?(_rate|_prob)?$|dropout")
_TOKEN = re.compile(r"(token_ids?|token_index|_index|_idx)$")


class Recipe(NamedTuple):
    """How small: at most so wide, so many heads, so wide a head."""

    width: int
    heads: int
    head: int


RECIPES = (Recipe(32, 4, 8), Recipe(256, 2, 128), Recipe(128, 2, 64), Recipe(10**6, 10**6, 10**6))
"""In the order in which they are tried; the last makes nothing narrower."""


class Shrinker:
    """Shrinks one configuration and those inside it: equal special tokens stay equal."""

    def __init__(self, overrides: dict[str, Any], recipe: Recipe) -> None:
        self._overrides = overrides
        self._recipe = recipe
        self._tokens: dict[int, int] = {}

    def shrink(self, config: Any, path: str = "") -> Any:
        """Return a tiny configuration of the same class.

        Args:
            config: A Hugging Face configuration, made with its defaults.
            path: Where it stands in the whole, with a dot at the end; empty for the root.
        """
        found = vars(config)
        fields = {field.name: found.get(field.name) for field in dataclasses.fields(config)
                  if field.init}  # fmt: skip
        inner = {name: value for name, value in fields.items() if dataclasses.is_dataclass(value)}
        changes: dict[str, Any] = {
            name: self.shrink(value, f"{path}{name}.") for name, value in inner.items()
        }
        fields = {name: value for name, value in fields.items() if name not in inner}
        for name, value in fields.items():
            small = self._small(name, value, fields)
            if small != value:
                changes[name] = small
        changes |= _layers(fields)
        for key, value in self._overrides.items():
            owner, _, name = key.rpartition(".")
            if f"{owner}." * bool(owner) == path:
                changes[name] = value
        return type(config)(**changes)

    def _small(self, name: str, value: Any, fields: dict[str, Any]) -> Any:
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, float):
            return 0.1 if value == 0.0 and _DROP.search(name) else value
        if name in ("rope_parameters", "rope_scaling") and isinstance(value, dict):
            return _rope(value, self._recipe.head)
        if isinstance(value, (list, tuple)) and value and all(type(v) is int for v in value):
            return type(value)(self._several(name, list(value)))
        return self._one(name, value, fields) if isinstance(value, int) else value

    def _one(self, name: str, value: int, fields: dict[str, Any]) -> int:
        width, heads, head = self._recipe
        if _TOKEN.search(name):
            return self._token(value)
        if _TEXT.search(name):
            return min(value, VOCABULARY)
        if name.startswith("mamba") and _HEADS.search(name):
            return min(value, 2 * heads)
        if _KEY_HEADS.search(name):
            return value if value == 1 else min(value, heads if value >= _heads(fields) else 2)
        if _EXPERTS.search(name):
            return min(value, 4 if "shared" not in name else 1)
        if _CHOSEN.search(name):
            return min(value, 1 if "group" in name else LAYERS)
        if _HEADS.search(name):
            return min(value, heads)
        for pattern, most in ((_HEAD, head), (_LAYERS, LAYERS), (_RANK, 2 * head),
                              (_LENGTH, LENGTH), (_INNER, 2 * width)):  # fmt: skip
            if pattern.search(name):
                return min(value, most)
        if name in ("patch_size", "image_size", "img_size", "resolution"):
            return self._picture(name, value, fields)
        if _KEPT.search(name):
            return value
        if name == "window_size":
            return 2
        if name == "num_conv_pos_embeddings":
            return 16
        if "groups" in name:
            return min(value, 2)
        return min(value, width) if _WIDTH.search(name) else value

    def _several(self, name: str, values: list[int]) -> list[int]:
        if _TOKEN.search(name):
            return [self._token(value) for value in values]
        if name in ("image_size", "img_size"):
            return [64] * len(values)
        if _DEPTHS.search(name):
            return [min(value, 1) for value in values]
        if _TEXT.search(name):
            return [min(value, VOCABULARY) for value in values]
        order, width = sorted(set(values)), self._recipe.width
        if _HEADS.search(name) and self._recipe.heads < max(values):
            return [min(value, 2 ** min(order.index(value), 2)) for value in values]
        if _KEPT.search(name) or not _WIDTH.search(name) or max(values) <= width:
            return values
        return [width] * len(values) if len(order) == 1 else [
            width // 2 * 2 ** order.index(value) for value in values]  # fmt: skip

    def _picture(self, name: str, value: int, fields: dict[str, Any]) -> int:
        if self._recipe.width > 1000:
            return value
        patch = fields.get("patch_size")
        if name == "patch_size":
            return min(value, 8)
        return 32 if isinstance(patch, int) and patch >= 8 else 64

    def _token(self, value: int) -> int:
        if value < 0 or value < 3:
            return value
        return self._tokens.setdefault(value, FIRST_SPECIAL + len(self._tokens))


def _heads(fields: dict[str, Any]) -> int:
    names = ("num_attention_heads", "n_heads", "num_heads", "n_head", "attention_heads")
    return next((fields[name] for name in names if isinstance(fields.get(name), int)), 1)


def _layers(fields: dict[str, Any]) -> dict[str, Any]:
    """Return one layer of each type that the architecture has, where it has several."""
    kinds = fields.get("layer_types")
    if not isinstance(kinds, (list, tuple)) or len(set(kinds)) < 2:
        return {}
    kinds = list(dict.fromkeys(kinds))
    return {"layer_types": kinds, "num_hidden_layers": len(kinds)}


def _rope(value: dict[str, Any], head: int) -> dict[str, Any]:
    """Return rotary settings for heads of so many elements."""
    small = {
        key: _rope(each, head) if isinstance(each, dict) else each for key, each in value.items()
    }
    for key in small.keys() & {"mrope_section", "xdrope_section"}:
        few = len(small[key]) - 1
        if sum(small[key]) > head // 2:
            small[key] = [max(head // 2 - few, 1), *[1] * few]
    return small
