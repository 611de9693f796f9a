"""Small networks of every family with random weights, and runs of 8 images with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["ENCODERS", "GENERATORS", "small_run"]

SIDE = 32  # of images
ALIAS_FREE = {
    "z_dim": 16,
    "w_dim": 16,
    "img_channels": 3,
    "channel_base": 512,
    "channel_max": 16,
    "num_layers": 6,
}
BIGGAN = {
    "output_dim": SIDE,
    "z_dim": 16,
    "class_embed_dim": 16,
    "channel_width": 4,
    "num_classes": 10,
    "layers": [[False, 16, 16], [True, 16, 8], [False, 8, 8], [True, 8, 4], [True, 4, 1]],
    "attention_layer_position": 2,
    "eps": 1e-4,
    "n_stats": 51,
}
GENERATORS: dict[str, dict[str, Any]] = {
    "stylegan2": {
        "family": "stylegan2",
        "arguments": {
            "z_dim": 16,
            "c_dim": 0,
            "w_dim": 16,
            "img_resolution": SIDE,
            "img_channels": 3,
            "mapping_kwargs": {"num_layers": 2},
            "synthesis_kwargs": {"channel_base": 256, "channel_max": 16},
        },
    },
    "stylegan2_rosinality": {
        "family": "stylegan2_rosinality",
        "arguments": {
            "size": SIDE,
            "style_dim": 16,
            "n_mlp": 2,
            "channels": {4: 16, 8: 16, 16: 16, 32: 8},
        },
    },
    "stylegan3_t": {
        "family": "stylegan3",
        "arguments": {**ALIAS_FREE, "c_dim": 0, "img_resolution": SIDE},
    },
    "stylegan3_r": {
        "family": "stylegan3",
        "arguments": {
            **ALIAS_FREE,
            "c_dim": 0,
            "img_resolution": SIDE,
            "conv_kernel": 1,
            "use_radial_filters": True,
        },
    },
    "stylegan_xl": {
        "family": "stylegan_xl",
        "arguments": {
            **ALIAS_FREE,
            "c_dim": 10,
            "img_resolution": 16,
            "stages": [{"img_resolution": SIDE, "head_layers": 4, "up_factor": 2}],
            "class_embedding_shape": [10, 8],
        },
    },
    "biggan": {"family": "biggan", "arguments": BIGGAN},
}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
ENCODERS: dict[str, dict[str, Any]] = {
    "resnet": {
        "family": "torchvision",
        "architecture": "resnet18",
        "input": {"size": SIDE, **IMAGENET},
    },
    "vit": {
        "family": "timm",
        "architecture": "vit_tiny_patch16_224",
        "arguments": {"img_size": SIDE, "patch_size": 8, "depth": 2},
    },
    "clip": {
        "family": "open_clip",
        "architecture": "RN50",
        "arguments": {"image_size": SIDE, "width": 8, "layers": [1, 1, 1, 1]},
    },
}


def small_run(
    generator: str, encoders: Sequence[str], *, results: Path, resources: Path, **changes: Any
) -> dict[str, Any]:
    """A run of 8 images of one of GENERATORS and some of ENCODERS, as a configuration file has it.

    Its weights are random. It inverts an image, in w+ where there is one, shows a concept, and
    shifts an image. `changes` are to its sections.
    """
    described = GENERATORS[generator]
    has_classes = described["family"] in ("stylegan_xl", "biggan")
    jobs: dict[str, Any] = {
        "invert": [
            {
                "name": "inverted",
                "image": {"sample": "chelsea"},
                "space": "z" if generator == "biggan" else "w+",
                "steps": 8,
                "restarts": 1,
                "pairs": "best_buddies",
            }
        ],
        "show": [{"name": "shown", "concept": 0, "steps": 8, "restarts": 2}],
        "edit": [
            {
                "name": "shifted",
                "source_seed": 1,
                "kind": "shift",
                "steps": 8,
                "learning_rate": 0.02,
            }
        ],
    }
    if has_classes:
        for job in (*jobs["invert"], *jobs["show"], *jobs["edit"]):
            job["class_label"] = 3
    content: dict[str, Any] = {
        "run": generator,
        "results": str(results),
        "resources": str(resources),
        "device": "cpu",
        "pivot": {"name": generator, "weights": "random", **described},
        "encoders": [{"name": n, "weights": "random", **ENCODERS[n]} for n in encoders],
        "sampling": {"images": 8, "shard_size": 4, "truncation": 0.7},
        "dictionary": {"examples": 2, "unit_examples": 2},
        "steering": jobs,
    }
    if has_classes:
        content["sampling"]["classes"] = [3, 7]
    for key, value in changes.items():
        content[key] = {**content.get(key, {}), **value}
    return content
