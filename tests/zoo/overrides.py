"""What introspection cannot know: settings and inputs of single architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from zoo import dummies

BACKBONE = {
    "model_type": "resnet",
    "embedding_size": 16,
    "hidden_sizes": [16, 32, 64, 128],
    "depths": [1, 1, 1, 1],
    "out_features": ["stage4"],
}
"""In the place of a backbone from a package of its own."""

SEVERAL = BACKBONE | {"out_features": ["stage2", "stage3", "stage4"]}
SERIES = {"prediction_length": 4, "context_length": 12, "lags_sequence": [1, 2],
          "num_time_features": 1}  # fmt: skip

SETTINGS: dict[str, dict[str, Any]] = {
    "autoformer": SERIES,
    "bamba": {"attn_layer_indices": [1]},
    "codegen": {"rotary_dim": 4},
    "conditional_detr": {"backbone_config": BACKBONE},
    "dab-detr": {"backbone_config": BACKBONE},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "deformable_detr": {"backbone_config": SEVERAL},
    "detr": {"backbone_config": BACKBONE},
    "diffllama": {"attention_dropout": 0.0},
    "esm": {"vocab_size": 33, "mask_token_id": 32, "pad_token_id": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_layers": 2},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "grounding-dino": {"num_queries": 4},
    "informer": SERIES,
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8},
    "lilt": {"hidden_size": 48},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "mm-grounding-dino": {"num_queries": 4},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "rf_detr": {"num_queries": 4},
    "table-transformer": {"backbone_config": BACKBONE},
    "time_series_transformer": SERIES,
    "xlnet": {"d_head": 8, "d_model": 32, "n_head": 4},
    "xmod": {"default_language": "en_XX"},
}
"""Attributes of a configuration, by model type; `inner.name` stands for one of an inner one."""


def _series(config: Any) -> dict[str, Any]:
    past, future = config.context_length + max(config.lags_sequence), config.prediction_length
    return {
        "past_values": torch.rand(dummies.BATCH, past),
        "past_time_features": torch.rand(dummies.BATCH, past, config.num_time_features),
        "past_observed_mask": torch.ones(dummies.BATCH, past),
        "future_values": torch.rand(dummies.BATCH, future),
        "future_time_features": torch.rand(dummies.BATCH, future, config.num_time_features),
    }


def _decisions(config: Any) -> dict[str, Any]:
    steps = (dummies.BATCH, 3)
    return {
        "states": torch.randn(*steps, config.state_dim),
        "actions": torch.randn(*steps, config.act_dim),
        "rewards": torch.randn(*steps, 1),
        "returns_to_go": torch.randn(*steps, 1),
        "timesteps": torch.arange(3).repeat(dummies.BATCH, 1),
        "attention_mask": torch.ones(steps, dtype=torch.long),
    }


def _grid(config: Any) -> dict[str, Any]:
    """Return patches of one picture of four by four, and its grid."""
    channels = dummies.find(config, "in_channels", "in_chans", "num_channels", otherwise=3)
    frames = dummies.find(config, "temporal_patch_size", otherwise=1)
    return {
        "hidden_states": torch.randn(16, channels * frames * config.patch_size**2),
        "grid_thw": torch.tensor([[1, 4, 4]]),
    }


def _patches(config: Any) -> dict[str, Any]:
    """Return pictures as lists of patches, with the sizes of their grids."""
    inner = getattr(config, "vision_config", config)
    count = inner.num_patches
    side = int(count**0.5)
    return {
        "pixel_values": torch.randn(dummies.BATCH, count, 3 * inner.patch_size**2),
        "pixel_attention_mask": torch.ones(dummies.BATCH, count, dtype=torch.long),
        "spatial_shapes": torch.tensor([[side, side]] * dummies.BATCH),
    }


def _regions(config: Any) -> dict[str, Any]:
    return {
        "input_ids": dummies.words(config),
        "visual_feats": torch.randn(dummies.BATCH, 4, config.visual_feat_dim),
        "visual_pos": torch.rand(dummies.BATCH, 4, 4),
    }


INPUTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "autoformer": _series,
    "blip_2_qformer": lambda config: {
        "query_embeds": torch.randn(2, 4, config.hidden_size),
        "encoder_hidden_states": torch.randn(2, 6, config.encoder_hidden_size),
    },
    "decision_transformer": _decisions,
    "informer": _series,
    "lxmert": _regions,
    "perceiver": lambda config: {"inputs": torch.randn(2, 8, config.d_model)},
    "siglip2": lambda config: {"input_ids": dummies.words(config), **_patches(config)},
    "siglip2_vision_model": _patches,
    "time_series_transformer": _series,
    "wav2vec2-bert": lambda config: {
        "input_features": torch.randn(2, 32, config.feature_projection_input_dim)
    },
    **dict.fromkeys(
        ("cohere_compass_vision", "exaone4_5_vision", "glm4v_moe_vision", "glm4v_vision",
         "glm_ocr_vision", "qwen2_5_vl_vision", "qwen3_5_moe_vision",
         "qwen3_5_vision", "qwen3_vl_moe_vision", "qwen3_vl_vision"),
        _grid,
    ),
}  # fmt: skip
"""Makers of inputs from the configuration, by model type."""
