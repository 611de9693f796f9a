"""MAE: an encoder sees a quarter of an image's patches, and a small decoder paints the others.

MaskedAutoencoder    encoder, decoder, and the loss of images
patches_of           the pixels of an image's patches

He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022 (arXiv 2111.06377).
"""

from collections.abc import Sequence

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.training.masked_patches import Decoder, seen
from rosetta_core.training.recipe import MaskedAutoencoding

__all__ = ["MaskedAutoencoder", "patches_of"]


def patches_of(images: Tensor, side: int) -> Tensor:
    """Return the pixels of images (n, 3, h, w) by patch: (n, patches, 3·side²), row by row."""
    return functional.unfold(images, side, stride=side).transpose(1, 2)


class MaskedAutoencoder(nn.Module):
    """An encoder with the decoder that teaches it.

    Attributes:
        encoder: that is kept in the end.

    Args:
        encoder: timm's; its class token and its positions are trained with it.
        method: how much is hidden, and how large the decoder is.
    """

    def __init__(self, encoder: VisionTransformer, method: MaskedAutoencoding) -> None:
        super().__init__()
        self.encoder = encoder
        self.side: int = encoder.patch_embed.patch_size[0]
        self.decoder = Decoder(encoder, method, 3 * self.side**2)

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Return the loss of one view [(n, 3, h, w)]: the squared error of the hidden patches.

        Each is compared after its own pixels were brought to mean 0 and variance 1, the paper's
        better variant. Patches are hidden in training mode only.
        """
        (images,) = views
        tokens, kept = seen(self.encoder, self.decoder.hide, images)  # (n, 1 + k, width), (n, k)
        predicted = self.decoder(tokens, kept)  # (n, patches, 3·side²)
        wanted = patches_of(images, self.side)
        variance, mean = torch.var_mean(wanted, dim=-1, keepdim=True)
        error = (predicted.float() - (wanted - mean) / (variance + 1e-6).sqrt()).square().mean(-1)
        hidden = torch.ones_like(error).scatter(1, kept, 0.0)
        return (error * hidden).sum() / hidden.sum()

    def before_step(self, done: float) -> None:
        """Nothing is held back."""

    def after_step(self, done: float) -> None:
        """Nothing follows."""
