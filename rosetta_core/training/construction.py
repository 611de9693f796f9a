"""Networks to train: an untrained encoder, the training method around it, and its views.

Weights are seeded. An encoder is one of timm's plain vision transformers without a classifier.
"""

from typing import Any, assert_never

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from rosetta_core.errors import RosettaError
from rosetta_core.training.images import Views, crop_view, dino_views
from rosetta_core.training.masked_autoencoder import MaskedAutoencoder
from rosetta_core.training.recipe import DinoSettings, ImageSettings, MaeSettings
from rosetta_core.training.self_distillation import SelfDistillation
from rosetta_core.zoo import loading
from rosetta_core.zoo.model_spec import EncoderSpec
from rosetta_core.zoo.network import Encoder
from rosetta_core.zoo.weights.local import RandomWeights

__all__ = ["Method", "build_encoder", "build_method", "build_views"]

Method = MaskedAutoencoder | SelfDistillation


def build_encoder(
    architecture: str,
    arguments: dict[str, Any],
    *,
    seed: int,
    any_size: bool = False,
    name: str = "encoder",
) -> Encoder:
    """Build an encoder with random weights, ready for training.

    Args:
        architecture: timm name of a plain vision transformer.
        arguments: arguments of its constructor.
        seed: seed of its weights.
        any_size: accept inputs of any size, which self-distillation needs for its local crops.
        name: name of the encoder in error messages.

    Raises:
        RosettaError: the architecture is not a plain vision transformer of timm, or has a
            classifier or a rectangular input.
    """
    spec = EncoderSpec(
        name=name,
        family="timm",
        architecture=architecture,
        arguments=arguments | ({"dynamic_img_size": True} if any_size else {}),
        weights=RandomWeights(random=seed),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = loading.build(spec)
    if not isinstance(encoder, Encoder) or not isinstance(encoder.network, VisionTransformer):
        raise RosettaError(
            f"architecture: {architecture} is not a plain vision transformer; use a vit_… model of "
            "timm, for example vit_tiny_patch16_224"
        )
    if not isinstance(encoder.network.head, nn.Identity):
        raise RosettaError("arguments: the network has a classifier; add num_classes: 0")
    height, width = encoder.network.patch_embed.img_size
    if height != width:
        raise RosettaError(
            f"arguments: img_size is {height}×{width}; give one number, for a square input"
        )
    encoder.network.requires_grad_(True)
    return encoder


def build_method(encoder: Encoder, settings: MaeSettings | DinoSettings, *, seed: int) -> Method:
    """Build a training method around an encoder of `build_encoder`, with seeded weights.

    Args:
        encoder: the untrained encoder; the method trains this network.
        settings: settings of the method, which select it.
        seed: seed of the weights of decoders and heads.

    Raises:
        RosettaError: the side of a crop is not a multiple of the patches' side.
    """
    network = encoder.network
    assert isinstance(network, VisionTransformer), "as `build_encoder` returns them"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match settings:
            case DinoSettings():
                _check_crops(settings, network.patch_embed.patch_size[0])
                return SelfDistillation(network, settings)
            case MaeSettings():
                return MaskedAutoencoder(network, settings)
            case _:
                assert_never(settings)


def _check_crops(settings: DinoSettings, side: int) -> None:
    for key, size in (
        ("global_size", settings.global_size),
        ("local_size", settings.local_size),
    ):
        if size is not None and size % side:
            raise RosettaError(
                f"dino.{key}: {size} is not a multiple of the patch size ({side}); give a multiple"
            )


def build_views(settings: MaeSettings | DinoSettings, images: ImageSettings, *, size: int) -> Views:
    """Return a function from images (n, 3, h, w) to the views that a method trains on.

    Args:
        settings: settings of the method.
        images: crops and flips.
        size: side of the encoder's input in pixels.
    """
    match settings:
        case DinoSettings():
            return dino_views(settings, size, flip=images.flip)
        case MaeSettings():
            return crop_view(size, smallest_crop=images.smallest_crop, flip=images.flip)
        case _:
            assert_never(settings)
