"""The encoder of a recipe as it is before it is taught.

untaught    timm's network with seeded random weights, and how it sees images
"""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from rosetta_core.errors import RosettaError
from rosetta_core.training.recipe import Recipe
from rosetta_core.zoo import loading, network
from rosetta_core.zoo.model_spec import EncoderSpec
from rosetta_core.zoo.weights.sources import RandomWeights

__all__ = ["untaught"]


def untaught(recipe: Recipe) -> network.Encoder:
    """Build the encoder of a recipe with random weights, ready for crops of other sizes.

    Raises:
        RosettaError: the architecture is no plain vision transformer of timm's, has a classifier
            on it, sees no squares, or has patches that the crops are no multiple of.
    """
    resized = {"dynamic_img_size": True} if recipe.dino else {}
    model = EncoderSpec(
        name=recipe.name,
        family="timm",
        architecture=recipe.architecture,
        arguments=recipe.arguments | resized,
        weights=RandomWeights(random=recipe.seed),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        built = loading.build(model)
    if not isinstance(built, network.Encoder) or not isinstance(built.network, VisionTransformer):
        raise RosettaError(
            f"architecture: {recipe.architecture} is no plain vision transformer; take one of "
            "timm's vit_…, as vit_tiny_patch16_224"
        )
    if not isinstance(built.network.head, nn.Identity):
        raise RosettaError("arguments: give num_classes: 0; without labels nothing is classified")
    height, width = built.network.patch_embed.img_size
    if height != width:
        raise RosettaError(f"arguments: img_size is {height}×{width}; give one side, for a square")
    if recipe.dino:
        side = built.network.patch_embed.patch_size[0]
        for key in ("global_size", "local_size"):
            size = getattr(recipe.dino, key)
            if size is not None and size % side:
                raise RosettaError(
                    f"dino.{key}: {size} is no multiple of the patches' side, {side}"
                )
    built.network.requires_grad_(True)
    return built
