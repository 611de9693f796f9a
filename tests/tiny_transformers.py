"""Tiny configurations of vision models of Hugging Face transformers, by type of model."""

from collections.abc import Mapping
from typing import Any

PLAIN = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
BY_RATIO = {key: value for key, value in PLAIN.items() if key != "intermediate_size"}
SWIN = {
    "image_size": 64,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}
CONVNEXT = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "image_size": 64}
PYRAMID = {
    "hidden_sizes": [8, 16, 24, 32],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 3, 4],
}
RESNET = {"embedding_size": 16, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
MOBILEVIT = {"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": 2}

TINY: Mapping[str, Mapping[str, Any]] = {
    # the types of the presets
    "vit": PLAIN,
    "dinov2": BY_RATIO,
    "dinov2_with_registers": {**BY_RATIO, "num_register_tokens": 2},
    "dinov3_vit": {**PLAIN, "num_register_tokens": 2},
    "dinov3_convnext": CONVNEXT,
    "siglip_vision_model": PLAIN,
    "siglip2_vision_model": {
        **{key: value for key, value in PLAIN.items() if key != "image_size"},
        "num_patches": 16,
    },
    "clip_vision_model": PLAIN,
    "vit_mae": PLAIN,
    "swin": SWIN,
    "convnext": CONVNEXT,
    "hiera": {
        "image_size": [64, 64],
        "embed_dim": 16,
        "depths": [1, 1, 1],
        "num_heads": [1, 2, 4],
        "masked_unit_size": [4, 4],
        "num_query_pool": 2,
    },
    "beit": PLAIN,
    # others
    "aimv2_vision_model": PLAIN,
    "bit": {**RESNET, "embedding_size": 32, "hidden_sizes": [32, 32, 64, 64], "num_groups": 8},
    "chinese_clip_vision_model": PLAIN,
    "convnextv2": CONVNEXT,
    "cvt": {
        "embed_dim": [8, 16, 32],
        "num_heads": [1, 1, 2],
        "depth": [1, 2, 3],
    },
    "data2vec-vision": PLAIN,
    "deit": PLAIN,
    "dpt": {**PLAIN, "backbone_out_indices": [0, 1, 1, 1]},
    "efficientnet": {
        "image_size": 64,
        "width_coefficient": 0.25,
        "depth_coefficient": 0.25,
        "hidden_dim": 320,
    },
    "focalnet": {"image_size": 64, "embed_dim": 8, "depths": [1, 1, 1, 1]},
    "glpn": PYRAMID,
    "ijepa": PLAIN,
    "levit": {
        "image_size": 64,
        "hidden_sizes": [16, 32, 48],
        "num_attention_heads": [2, 2, 2],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
    "metaclip_2_vision_model": PLAIN,
    "mlcd_vision_model": PLAIN,
    "mobilenet_v1": {"depth_multiplier": 0.25, "image_size": 64},
    "mobilenet_v2": {"depth_multiplier": 0.25, "image_size": 64},
    "mobilevit": {**MOBILEVIT, "neck_hidden_sizes": [8, 8, 12, 16, 24, 32, 64]},
    "mobilevitv2": {"image_size": 64, "width_multiplier": 0.25},
    "pixio": {**BY_RATIO, "n_cls_tokens": 3},
    "poolformer": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "pvt": {**PYRAMID, "image_size": 64},
    "pvt_v2": {**PYRAMID, "image_size": 64},
    "regnet": {**RESNET, "groups_width": 8},
    "resnet": {**RESNET, "layer_type": "basic"},
    "segformer": PYRAMID,
    "swiftformer": {"image_size": 64, "embed_dims": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "swin2sr": {
        "image_size": 32,
        "embed_dim": 16,
        "depths": [2, 2],
        "num_heads": [2, 2],
        "window_size": 4,
    },
    "swinv2": SWIN,
    "tipsv2_vision_model": BY_RATIO,
    "vit_msn": PLAIN,
    "vitdet": {**BY_RATIO, "pretrain_image_size": 32},
    "yolos": {**PLAIN, "image_size": [32, 48], "num_detection_tokens": 3},
}


def tiny_size(kind: str) -> int | list[int]:
    """Return the size of the images of a tiny configuration."""
    size: int | list[int] = TINY[kind].get("image_size", 32 if "patch_size" in TINY[kind] else 64)
    return size
