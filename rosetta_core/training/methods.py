"""What a recipe trains by.

method_of    the masked autoencoder, or the student and its teacher, around an encoder
views_of     what they see of an image
"""

import torch
from timm.models.vision_transformer import VisionTransformer

from rosetta_core.training.masked_autoencoder import MaskedAutoencoder
from rosetta_core.training.recipe import Recipe
from rosetta_core.training.self_distillation import SelfDistillation
from rosetta_core.training.views import Views, dino_views, plain_view
from rosetta_core.zoo.network import Encoder

__all__ = ["method_of", "views_of"]


def method_of(recipe: Recipe, encoder: Encoder) -> MaskedAutoencoder | SelfDistillation:
    """Put a decoder, or a head and a teacher, around an encoder; their weights are seeded too."""
    network = encoder.network
    assert isinstance(network, VisionTransformer), "as `untaught` builds them"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.dino:
            return SelfDistillation(network, recipe.dino)
        assert recipe.mae, "a recipe has one of the two"
        return MaskedAutoencoder(network, recipe.mae)


def views_of(recipe: Recipe, size: int) -> Views:
    """Return what turns images into views; `size` is the side of what the encoder sees."""
    images = recipe.images
    if recipe.dino:
        return dino_views(recipe.dino, size, flip=images.flip)
    return plain_view(size, smallest_crop=images.smallest_crop, flip=images.flip)
