"""Any encoder of timm.

build      the network with random weights, its input and its units from timm's own records
"""

import timm
from timm.data import resolve_model_data_config
from torch import nn

from rosetta_core.config import Input
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.network import Encoder

__all__ = ["build"]

PRESETS = {
    # the depthwise activation of every inverted-residual block, and the last activation
    "tf_efficientnet_lite0": ("blocks.0.0.bn1.act", "blocks.[1-6].*.bn2.act", "bn2.act"),
}


def build(architecture: str | None = None) -> Encoder:
    """Build a timm model by name; RosettaError for a name that timm does not know.

    Its units are `mlp.act` for transformers and the stage outputs for everything else.
    """
    name = architecture or ""
    if not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models())
        raise RosettaError(f"timm has no model {name!r}{hint}")
    network = timm.create_model(name)
    return Encoder(
        network,
        input=_input(network),
        preset=PRESETS.get(name) or _preset(network),
        prefix_tokens=getattr(network, "num_prefix_tokens", 0),
    )


def _input(network: nn.Module) -> Input:
    data = resolve_model_data_config(network)
    bicubic = data["interpolation"] == "bicubic"
    return Input(
        size=data["input_size"][-1],
        interpolation="bicubic" if bicubic else "bilinear",
        mean=list(data["mean"]),
        std=list(data["std"]),
    )


def _preset(network: nn.Module) -> tuple[str, ...]:
    names = [name for name, _ in network.named_modules()]
    if any(name.endswith(".mlp.act") for name in names):
        return ("**.mlp.act",)
    stages = getattr(network, "feature_info", None)
    return tuple(stage["module"] for stage in stages) if stages else ()
