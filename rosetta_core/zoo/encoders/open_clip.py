"""Image towers of open_clip: CLIP (Radford et al., 2021) and its successors.

The text tower is not built. Modules and weights are named as in the image tower; files of whole
models prefix them with `visual.`. OpenAI's own weights were trained with another GELU and need the
architectures whose names end in -quickgelu.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

import open_clip
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transform import PreprocessCfg
from torch import nn

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.construction import construct
from rosetta_core.zoo.encoders.timm import preset_of
from rosetta_core.zoo.encoders.timm_layouts import hints_of
from rosetta_core.zoo.model_spec import Input, input_size
from rosetta_core.zoo.network import Encoder

__all__ = ["build"]

MODEL_ARGUMENTS = ("embed_dim", "quick_gelu")  # of the whole model; its image tower needs them


def build(
    architecture: str | None = None, *, arguments: Mapping[str, Any] | None = None
) -> Encoder:
    """Build an image tower with random weights.

    Args:
        architecture: name of the model in open_clip.
        arguments: replacements for embed_dim, quick_gelu, and entries of open_clip's `vision_cfg`
            (image_size, layers, width, …).

    Raises:
        RosettaError: open_clip does not have the architecture, or refuses an argument.
    """
    name = architecture or ""
    known = open_clip.list_models()
    if name not in known:
        hint = did_you_mean(name, known)
        raise RosettaError(
            f"open_clip: unknown architecture {name!r}{hint}; see open_clip.list_models()"
        )
    tower = construct(
        partial(_tower, open_clip.get_model_config(name)), arguments, name=f"open_clip's {name}"
    )
    preset, prefix_tokens = _preset_of(tower)
    return Encoder(
        network=tower,
        input=_input(name, tower),
        preset=preset,
        prefix_tokens=prefix_tokens,
        hint_for=hints_of(tower),
    )


def _tower(model: Mapping[str, Any], **arguments: Any) -> nn.Module:
    """Build the image tower of a model's configuration, with some of its entries replaced."""
    known = {field.name for field in fields(CLIPVisionCfg)} - {"timm_model_pretrained"}
    for name in arguments:
        if name not in known and name not in MODEL_ARGUMENTS:
            raise TypeError(f"no argument {name!r}{did_you_mean(name, [*known, *MODEL_ARGUMENTS])}")
    tower_arguments = {key: value for key, value in arguments.items() if key in known}
    model = {**model, **{k: value for k, value in arguments.items() if k in MODEL_ARGUMENTS}}
    config = {**model["vision_cfg"], **tower_arguments, "timm_model_pretrained": False}
    # open_clip's public functions build the text tower too, which some models download
    network = _build_vision_tower(
        model["embed_dim"], CLIPVisionCfg(**config), model.get("quick_gelu", False)
    )
    if isinstance(network, TimmModel) and "image_size" in tower_arguments:
        network.set_input_size(tower_arguments["image_size"])
    return network


def _preset_of(tower: nn.Module) -> tuple[tuple[str, ...], int]:
    """Return the default layers of a tower, as patterns, and its number of prefix tokens.

    The layers are the GELUs of a transformer's MLPs, the four stages of a ResNet, and the default
    layers of a tower of timm.
    """
    if isinstance(tower, ModifiedResNet):
        return ("layer[1-4]",), 0
    if isinstance(tower, TimmModel):
        patterns = tuple(f"trunk.{pattern}" for pattern in preset_of(tower.trunk))
        return patterns, getattr(tower.trunk, "num_prefix_tokens", 0)
    return ("transformer.resblocks.*.mlp.gelu",), 1


def _input(name: str, tower: nn.Module) -> Input:
    """Return the preprocessing of an architecture's published weights, or CLIP's if they differ."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    published = [_preprocessing(open_clip.get_pretrained_cfg(name, tag)) for tag in tags]
    agree = bool(published) and all(one == published[0] for one in published)
    chosen = published[0] if agree else PreprocessCfg()
    size: Any = tower.image_size  # a side, or (h, w)
    return Input(
        size=input_size(size),
        interpolation="bilinear" if chosen.interpolation == "bilinear" else "bicubic",
        mean=list(chosen.mean),
        std=list(chosen.std),
    )


def _preprocessing(weights: Mapping[str, Any]) -> PreprocessCfg:
    names = ("mean", "std", "interpolation")
    return PreprocessCfg(**{name: weights[name] for name in names if weights.get(name)})
