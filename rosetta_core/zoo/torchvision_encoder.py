"""Any classifier of torchvision.

build      the network with random weights, as torchvision trains it
"""

from torchvision import models

from rosetta_core.config import Input
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.network import Encoder

__all__ = ["build"]

RESNET = ("layer[1-4]",)
PRESETS = {
    # the depthwise activation of every inverted-residual block, and the last activation
    "mobilenet_v2": ("features.1.conv.0.2", "features.*.conv.1.2", "features.18.2"),
    **{f"resnet{depth}": RESNET for depth in (18, 34, 50, 101, 152)},
}


def build(architecture: str | None = None) -> Encoder:
    """Build a torchvision model by name; RosettaError for a name that it does not know."""
    name = architecture or ""
    known = models.list_models(module=models)
    if name not in known:
        raise RosettaError(f"torchvision has no classifier {name!r}{did_you_mean(name, known)}")
    seen = Input(
        size=224,
        interpolation="bilinear",
        mean=[0.485, 0.456, 0.406],
        std=[0.229, 0.224, 0.225],
    )
    network = models.get_model(name, weights=None)
    return Encoder(network, input=seen, preset=PRESETS.get(name, ()))
