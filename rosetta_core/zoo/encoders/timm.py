"""Encoders of timm, with preprocessing and default layers from timm's own records."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import timm
from timm.data import resolve_model_data_config
from timm.models.resnet import ResNet
from torch import nn

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.construction import construct
from rosetta_core.zoo.encoders.timm_layouts import hints_of
from rosetta_core.zoo.model_spec import Input, input_size
from rosetta_core.zoo.network import Encoder

__all__ = ["build", "preset_of"]

PRESETS = {
    # depthwise activations of the inverted-residual blocks, and the last activation
    "tf_efficientnet_lite0": ("blocks.0.0.bn1.act", "blocks.[1-6].*.bn2.act", "bn2.act"),
}
PRESETS_BY_CLASS = {
    # without attention over global pooling, or without modules that return several tensors
    "CSATv2": ("stages.[0-3]",),
    "EfficientViM": ("stages.*.blocks.*.ffn",),
    "HighResolutionNet": ("layer1", "incre_modules.*"),
    "SelecSls": ("stem.2", "from_seq", "head.1", "head.3"),
}

# MLPs of attention pooling, of relative positions, and of blocks for the class token only
NO_PLACES = re.compile(r"attn_pool|rel_pos|blocks_token_only|cls_attn_blocks|post_network")


def build(
    architecture: str | None = None, *, arguments: Mapping[str, Any] | None = None
) -> Encoder:
    """Build a timm model with random weights.

    Args:
        architecture: name in timm, with or without the tag of its weights.
        arguments: further arguments of `timm.create_model`, for example img_size or num_classes.

    Raises:
        RosettaError: timm does not have the architecture, or refuses an argument.
    """
    name = architecture or ""
    if not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models())
        raise RosettaError(f"timm: unknown architecture {name!r}{hint}; see timm.list_models()")
    network = construct(partial(timm.create_model, name), arguments, name=f"timm's {name}")
    return Encoder(
        network=network,
        input=_input(network, arguments or {}),
        preset=PRESETS.get(name) or preset_of(network),
        prefix_tokens=getattr(network, "num_prefix_tokens", 0),
        hint_for=hints_of(network),
    )


def _input(network: nn.Module, arguments: Mapping[str, Any]) -> Input:
    data = resolve_model_data_config(network)
    size = arguments.get("img_size") or data["input_size"][-2:]  # a side, or (h, w)
    bicubic = data["interpolation"] == "bicubic"
    return Input(
        size=input_size(size),
        interpolation="bicubic" if bicubic else "bilinear",
        mean=list(data["mean"]),
        std=list(data["std"]),
    )


def preset_of(network: nn.Module) -> tuple[str, ...]:
    """Return the default layers of a timm network, as patterns.

    These are the activations of the MLPs of a transformer, the four stages of a ResNet, and timm's
    stages of any other network.
    """
    if type(network).__name__ in PRESETS_BY_CLASS:
        return PRESETS_BY_CLASS[type(network).__name__]
    activations = [name for name, _ in network.named_modules() if name.endswith(".mlp.act")]
    spatial = [name for name in activations if not NO_PLACES.search(name)]
    if len(spatial) < len(activations):
        return tuple(dict.fromkeys(re.sub(r"\b\d+\b", "*", name) for name in spatial))
    if activations:
        return ("**.mlp.act",)
    if isinstance(network, ResNet):
        return ("layer[1-4]",)
    modules = {name for name, _ in network.named_modules() if name}
    stages = [stage["module"] for stage in getattr(network, "feature_info", None) or []]
    return tuple(dict.fromkeys(stage for stage in stages if stage in modules))
