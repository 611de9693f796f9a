"""An encoder sees a part of an image's patches, and a small decoder answers for all of them.

seen       what an encoder makes of the patches that stay
Decoder    an answer for every patch from the tokens of those that were seen

As in He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022 (arXiv 2111.06377).
Blocks, dropping of patches and positions are timm's.
"""

import torch
from timm.layers import PatchDropoutWithIndices, build_sincos2d_pos_embed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from rosetta_core.training.recipe import HidingPatches

__all__ = ["Decoder", "seen"]


def seen(
    encoder: VisionTransformer, hide: PatchDropoutWithIndices, images: Tensor
) -> tuple[Tensor, Tensor]:
    """Run an encoder over the patches that stay, in training mode; over all of them otherwise.

    Args:
        encoder: timm's.
        hide: drops a share of the patches, others for every image.
        images: (n, 3, h, w).

    Returns:
        Tokens (n, prefix + k, width), and which patches they are of (n, k).
    """
    # (n, prefix + patches, width): timm's own sum of patches, class token and positions
    tokens, kept = hide(encoder._pos_embed(encoder.patch_embed(images)))
    return encoder.norm(encoder.blocks(encoder.norm_pre(tokens))), kept


class Decoder(nn.Module):
    """A few narrow blocks over the tokens that were seen, and one same token for the others.

    Args:
        encoder: whose tokens are taken.
        method: how large the decoder is.
        outputs: numbers of an answer.
    """

    positions: Tensor

    def __init__(self, encoder: VisionTransformer, method: HidingPatches, outputs: int) -> None:
        super().__init__()
        width, self.prefix = method.decoder_width, encoder.num_prefix_tokens
        self.hide = PatchDropoutWithIndices(method.masked, self.prefix)
        self.embed = nn.Linear(encoder.embed_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        positions = build_sincos2d_pos_embed(list(encoder.patch_embed.grid_size), width)
        self.register_buffer("positions", positions[None], persistent=False)
        self.blocks = nn.Sequential(
            *(
                Block(width, method.decoder_heads, qkv_bias=True)
                for _ in range(method.decoder_depth)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor, kept: Tensor) -> Tensor:
        """Answer for all patches (n, patches, outputs) from what `seen` returns."""
        known = self.embed(tokens[:, self.prefix :])  # (n, k, decoder width)
        canvas = self.mask_token.to(known.dtype)
        canvas = canvas.expand(len(known), self.positions.shape[1], -1)
        canvas = canvas.scatter(1, kept[..., None].expand_as(known), known)
        return self.head(self.norm(self.blocks(canvas + self.positions)))
