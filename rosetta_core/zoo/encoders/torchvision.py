"""Classifiers of torchvision, with the preprocessing of its training recipes."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torchvision import models
from torchvision.models import VisionTransformer

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.construction import construct
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder

__all__ = ["build"]

PRESETS = {
    # depthwise activations of the inverted-residual blocks, and the last activation
    "mobilenet_v2": ("features.1.conv.0.2", "features.*.conv.1.2", "features.18.2"),
}
PRESETS_BY_CLASS = {  # MLP activations of transformers and ConvNeXt; stages of other networks
    "ConvNeXt": ("features.*.*.block.4",),
    "DenseNet": ("features.denseblock*",),
    "EfficientNet": ("features.*",),
    "GoogLeNet": ("inception*",),
    "Inception3": ("Mixed_*",),
    "MNASNet": ("layers.[89]", "layers.1[0-3]"),
    "MaxVit": ("blocks.*",),
    "MobileNetV3": ("features.*",),
    "RegNet": ("trunk_output.*",),
    "ResNet": ("layer[1-4]",),
    "ShuffleNetV2": ("stage[2-4]",),
    "SqueezeNet": ("features.*.expand3x3_activation",),
    "SwinTransformer": ("features.*.*.mlp.1",),
    "VisionTransformer": ("encoder.layers.*.mlp.1",),
}


def build(
    architecture: str | None = None, *, arguments: Mapping[str, Any] | None = None
) -> Encoder:
    """Build a torchvision classifier with random weights.

    Args:
        architecture: name in torchvision.
        arguments: further arguments of `torchvision.models.get_model`, for example num_classes or
            image_size.

    Raises:
        RosettaError: torchvision does not have the architecture, or refuses an argument.
    """
    name = architecture or ""
    known = models.list_models(module=models)
    if name not in known:
        hint = did_you_mean(name, known)
        raise RosettaError(
            f"torchvision: unknown architecture {name!r}{hint}; see models.list_models()"
        )
    network = construct(
        partial(models.get_model, name, weights=None), arguments, name=f"torchvision's {name}"
    )
    preprocessing = Input(
        size=getattr(network, "image_size", 224),
        interpolation="bilinear",
        mean=[0.485, 0.456, 0.406],
        std=[0.229, 0.224, 0.225],
    )
    return Encoder(
        network=network,
        input=preprocessing,
        preset=PRESETS.get(name) or PRESETS_BY_CLASS.get(type(network).__name__, ()),
        prefix_tokens=int(isinstance(network, VisionTransformer)),
    )
