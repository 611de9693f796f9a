"""MAE: an encoder sees a quarter of an image's patches, and a small decoder paints the others.

MaskedAutoencoder    encoder, decoder, and the loss of images
patches_of           the pixels of an image's patches

He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022 (arXiv 2111.06377). Blocks,
dropping of patches and positions are timm's.
"""

from collections.abc import Sequence

import torch
from timm.layers import PatchDropoutWithIndices, build_sincos2d_pos_embed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.config.training import MaskedAutoencoding

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

    positions: Tensor

    def __init__(self, encoder: VisionTransformer, method: MaskedAutoencoding) -> None:
        super().__init__()
        self.encoder, width = encoder, method.decoder_width
        self.side: int = encoder.patch_embed.patch_size[0]
        grid = encoder.patch_embed.grid_size
        self.hide = PatchDropoutWithIndices(method.masked, encoder.num_prefix_tokens)
        self.embed = nn.Linear(encoder.embed_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        positions = build_sincos2d_pos_embed(list(grid), width)
        self.register_buffer("positions", positions[None], persistent=False)
        self.blocks = nn.Sequential(
            *(
                Block(width, method.decoder_heads, qkv_bias=True)
                for _ in range(method.decoder_depth)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3 * self.side**2)

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Return the loss of one view [(n, 3, h, w)]: the squared error of the hidden patches.

        Each is compared after its own pixels were brought to mean 0 and variance 1, the paper's
        better variant. Patches are hidden in training mode only.
        """
        (images,) = views
        tokens, kept = self.encode(images)  # (n, k, width), (n, k)
        predicted = self.decode(tokens, kept)  # (n, patches, 3·side²)
        wanted = patches_of(images, self.side)
        variance, mean = torch.var_mean(wanted, dim=-1, keepdim=True)
        error = (predicted.float() - (wanted - mean) / (variance + 1e-6).sqrt()).square().mean(-1)
        hidden = torch.ones_like(error).scatter(1, kept, 0.0)
        return (error * hidden).sum() / hidden.sum()

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run the encoder over the patches that stay: their tokens (n, k, width), which (n, k)."""
        encoder = self.encoder
        # (n, prefix + patches, width): timm's own sum of patches, class token and positions
        tokens, kept = self.hide(encoder._pos_embed(encoder.patch_embed(images)))
        tokens = encoder.norm(encoder.blocks(encoder.norm_pre(tokens)))
        return tokens[:, encoder.num_prefix_tokens :], kept

    def decode(self, tokens: Tensor, kept: Tensor) -> Tensor:
        """Paint all patches (n, patches, 3·side²) from the tokens of those that were seen."""
        patches = self.positions.shape[1]
        known = self.embed(tokens)  # (n, k, decoder width)
        canvas = self.mask_token.to(known.dtype).expand(len(known), patches, -1)
        canvas = canvas.scatter(1, kept[..., None].expand_as(known), known)
        return self.head(self.norm(self.blocks(canvas + self.positions)))

    def before_step(self, done: float) -> None:
        """Nothing is held back."""

    def after_step(self, done: float) -> None:
        """Nothing follows."""
