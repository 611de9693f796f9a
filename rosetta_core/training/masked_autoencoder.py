"""Masked autoencoder (MAE): the encoder sees some patches, a small decoder predicts the others.

He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022 (arXiv 2111.06377). Blocks,
patch dropout and positional embeddings are timm's. `encode_visible` and `PatchDecoder` also serve
self-distillation with masked patches.
"""

from collections.abc import Sequence

import torch
from timm.layers import PatchDropoutWithIndices, build_sincos2d_pos_embed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.training.recipe import MaeSettings, MaskSettings

__all__ = ["MaskedAutoencoder", "PatchDecoder", "encode_visible", "extract_patches"]


def extract_patches(images: Tensor, side: int) -> Tensor:
    """Return the pixels of images (n, 3, h, w) by patch, row by row: (n, patches, 3·side²)."""
    return functional.unfold(images, side, stride=side).transpose(1, 2)


def encode_visible(
    encoder: VisionTransformer, dropout: PatchDropoutWithIndices, images: Tensor
) -> tuple[Tensor, Tensor]:
    """Run an encoder over the patches that `dropout` keeps: a random subset in training mode.

    Args:
        encoder: timm's vision transformer.
        dropout: drops a share of the patches, at random for each image.
        images: normalised images (n, 3, h, w).

    Returns:
        Tokens (n, prefix + k, width), and the indices (n, k) of the k visible patches.
    """
    # (n, prefix + patches, width): timm's sum of patch embeddings, class token and positions
    tokens, visible = dropout(encoder._pos_embed(encoder.patch_embed(images)))
    return encoder.norm(encoder.blocks(encoder.norm_pre(tokens))), visible


class PatchDecoder(nn.Module):
    """A few narrow transformer blocks over visible tokens and a shared mask token.

    Args:
        encoder: vision transformer whose tokens are decoded.
        settings: share of masked patches, and size of the decoder.
        outputs: number of outputs per patch.
    """

    positions: Tensor

    def __init__(self, encoder: VisionTransformer, settings: MaskSettings, outputs: int) -> None:
        super().__init__()
        width, self.prefix = settings.decoder_width, encoder.num_prefix_tokens
        self.dropout = PatchDropoutWithIndices(settings.masked, self.prefix)
        self.embed = nn.Linear(encoder.embed_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        positions = build_sincos2d_pos_embed(list(encoder.patch_embed.grid_size), width)
        self.register_buffer("positions", positions[None], persistent=False)
        self.blocks = nn.Sequential(
            *(
                Block(width, settings.decoder_heads, qkv_bias=True)
                for _ in range(settings.decoder_depth)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Return outputs (n, patches, outputs) for all patches from those of `encode_visible`."""
        embedded = self.embed(tokens[:, self.prefix :])  # (n, k, decoder width)
        canvas = self.mask_token.to(embedded.dtype)
        canvas = canvas.expand(len(embedded), self.positions.shape[1], -1)
        canvas = canvas.scatter(1, visible[..., None].expand_as(embedded), embedded)
        return self.head(self.norm(self.blocks(canvas + self.positions)))


class MaskedAutoencoder(nn.Module):
    """An encoder and the decoder that it is trained with.

    Args:
        encoder: vision transformer; class token and positional embeddings are trained too.
        settings: share of masked patches, and size of the decoder.

    Attributes:
        encoder: the part that is kept after training.
    """

    def __init__(self, encoder: VisionTransformer, settings: MaeSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.side: int = encoder.patch_embed.patch_size[0]
        self.decoder = PatchDecoder(encoder, settings, 3 * self.side**2)

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Return the loss of one view [(n, 3, h, w)]: the mean squared error on masked patches.

        Pixels of a patch are first normalised to mean 0 and variance 1, the paper's better
        variant. Patches are masked in training mode only.
        """
        (images,) = views
        tokens, visible = encode_visible(self.encoder, self.decoder.dropout, images)
        predicted = self.decoder(tokens, visible)  # (n, patches, 3·side²)
        target = extract_patches(images, self.side)
        variance, mean = torch.var_mean(target, dim=-1, keepdim=True)
        error = (predicted.float() - (target - mean) / (variance + 1e-6).sqrt()).square().mean(-1)
        masked = torch.ones_like(error).scatter(1, visible, 0.0)
        return (error * masked).sum() / masked.sum()

    def before_step(self, progress: float) -> None:
        """Do nothing before the optimiser's step; `progress` is the share of the steps done."""

    def after_step(self, progress: float) -> None:
        """Do nothing after the optimiser's step; `progress` is the share of the steps done."""
