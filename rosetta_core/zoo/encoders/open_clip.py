"""Any image tower of open_clip: CLIP (Radford et al., 2021) and its descendants.

build      the tower with random weights; the text's half is never built

Names of modules and weights are those of the tower: files of whole models have `visual.` before
them. OpenAI's own weights were trained with another GELU, so they belong to the architectures
whose names end with -quickgelu.
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
from rosetta_core.zoo.encoders.channels_last import channels_first
from rosetta_core.zoo.encoders.timm import preset_of
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder

__all__ = ["build"]

WHOLE = ("embed_dim", "quick_gelu")  # arguments of the whole model that its tower needs


def build(
    architecture: str | None = None, *, arguments: Mapping[str, Any] | None = None
) -> Encoder:
    """Build an image tower.

    Its units are the GELUs of the MLPs for transformers, the four stages for ResNets, and for
    towers of timm the same as there.

    Args:
        architecture: the model's name in open_clip.
        arguments: in place of its own, those of open_clip's `vision_cfg` (image_size, layers,
            width, …), embed_dim and quick_gelu.

    Raises:
        RosettaError: for a name or an argument that open_clip does not know.
    """
    name = architecture or ""
    known = open_clip.list_models()
    if name not in known:
        raise RosettaError(f"open_clip has no model {name!r}{did_you_mean(name, known)}")
    tower = construct(
        partial(_tower, open_clip.get_model_config(name)), arguments, name=f"open_clip's {name}"
    )
    preset, prefix_tokens = _units(tower)
    return Encoder(
        network=tower,
        input=_input(name, tower),
        preset=preset,
        prefix_tokens=prefix_tokens,
        to_maps=channels_first(tower),
    )


def _tower(model: Mapping[str, Any], **arguments: Any) -> nn.Module:
    """The image tower of a model's configuration, with arguments in place of some of its own."""
    tower = {field.name for field in fields(CLIPVisionCfg)} - {"timm_model_pretrained"}
    for name in arguments:
        if name not in tower and name not in WHOLE:
            raise TypeError(f"no argument {name!r}{did_you_mean(name, [*tower, *WHOLE])}")
    changed = {key: value for key, value in arguments.items() if key in tower}
    whole = {**model, **{key: value for key, value in arguments.items() if key in WHOLE}}
    config = {**model["vision_cfg"], **changed, "timm_model_pretrained": False}
    # what open_clip offers instead builds the text's half too, which some models download
    network = _build_vision_tower(
        whole["embed_dim"], CLIPVisionCfg(**config), whole.get("quick_gelu", False)
    )
    if isinstance(network, TimmModel) and "image_size" in changed:
        network.set_input_size(changed["image_size"])
    return network


def _units(tower: nn.Module) -> tuple[tuple[str, ...], int]:
    """The patterns of a tower's units, and how many tokens stand before the grid."""
    if isinstance(tower, ModifiedResNet):
        return ("layer[1-4]",), 0
    if isinstance(tower, TimmModel):
        patterns = tuple(f"trunk.{pattern}" for pattern in preset_of(tower.trunk))
        return patterns, getattr(tower.trunk, "num_prefix_tokens", 0)
    return ("transformer.resblocks.*.mlp.gelu",), 1


def _input(name: str, tower: nn.Module) -> Input:
    """How all published weights of an architecture see images, or else as CLIP does."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    seen = [_preprocess(open_clip.get_pretrained_cfg(name, tag)) for tag in tags]
    chosen = seen[0] if seen and all(one == seen[0] for one in seen) else PreprocessCfg()
    size: Any = tower.image_size  # a side, or height and width
    return Input(
        size=size if isinstance(size, int) else size[0],
        interpolation="bilinear" if chosen.interpolation == "bilinear" else "bicubic",
        mean=list(chosen.mean),
        std=list(chosen.std),
    )


def _preprocess(weights: Mapping[str, Any]) -> PreprocessCfg:
    names = ("mean", "std", "interpolation")
    return PreprocessCfg(**{name: weights[name] for name in names if weights.get(name)})
