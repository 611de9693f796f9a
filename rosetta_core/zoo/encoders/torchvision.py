"""Any classifier of torchvision.

build      the network with random weights, as torchvision trains it
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn
from torchvision import models
from torchvision.models import ResNet, VisionTransformer

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.construction import construct
from rosetta_core.zoo.encoders.channels_last import channels_first
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder

__all__ = ["build"]

PRESETS = {
    # the depthwise activation of every inverted-residual block, and the last activation
    "mobilenet_v2": ("features.1.conv.0.2", "features.*.conv.1.2", "features.18.2"),
}


def build(
    architecture: str | None = None, *, arguments: Mapping[str, Any] | None = None
) -> Encoder:
    """Build a torchvision model.

    Its units are the four stages for ResNets and the GELUs of the MLPs for ViTs; other networks
    have none unless the configuration names them.

    Args:
        architecture: its name in torchvision.
        arguments: further ones of torchvision.models.get_model, as num_classes and image_size.

    Raises:
        RosettaError: for a name or an argument that torchvision does not know.
    """
    name = architecture or ""
    known = models.list_models(module=models)
    if name not in known:
        raise RosettaError(f"torchvision has no classifier {name!r}{did_you_mean(name, known)}")
    network = construct(
        partial(models.get_model, name, weights=None), arguments, name=f"torchvision's {name}"
    )
    seen = Input(
        size=getattr(network, "image_size", 224),
        interpolation="bilinear",
        mean=[0.485, 0.456, 0.406],
        std=[0.229, 0.224, 0.225],
    )
    return Encoder(
        network=network,
        input=seen,
        preset=PRESETS.get(name) or _units(network),
        prefix_tokens=int(isinstance(network, VisionTransformer)),
        to_maps=channels_first(network),
    )


def _units(network: nn.Module) -> tuple[str, ...]:
    if isinstance(network, ResNet):
        return ("layer[1-4]",)
    if isinstance(network, VisionTransformer):
        return ("encoder.layers.*.mlp.1",)
    return ()
