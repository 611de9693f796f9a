"""How strongly a concept shows on an image: its units fire together, at the same places.

PairBlock    pairs of a concept between one layer of the pivot and one of an encoder
scores     of a concept on every image

For a Rosetta neuron j and its best buddy k, standardised and enlarged to their common grid, the
mean over all images and positions of G^j · D^k is their correlation (Eq. 1 and 2). Taken over the
positions of one image it tells how much of that correlation is this image's. A concept's scores
is this product averaged over its pairs with an encoder, and then over the encoders, so that an
encoder with many units doesn't drown one with few. As in the correlations, no map is enlarged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.resize import apply_adjoint
from rosetta_core.zoo.layers import Grid, common_grids

__all__ = ["PairBlock", "concept_scores"]


@dataclass(frozen=True)
class PairBlock:
    """Pairs of a concept between one layer of the pivot and one of an encoder.

    Attributes:
        encoder: its name.
        own: number of the pivot's layer.
        other: number of the encoder's layer.
        own_places: which of the pivot's maps of that layer (J).
        places: which of the encoder's maps of that layer (K).
        which: 1 where two of them are a pair, else 0 (J, K).
    """

    encoder: str
    own: int
    other: int
    own_places: Sequence[int]
    places: Sequence[int]
    which: NDArray[np.float32]


def concept_scores(
    blocks: Sequence[PairBlock],
    maps: Mapping[str, Mapping[int, Tensor]],
    *,
    pivot: str,
) -> NDArray[np.float64]:
    """Return per image (n,) how strongly a concept shows.

    Args:
        blocks: all its pairs.
        maps: by model and layer the standardised maps (n, c, h, w).
        pivot: its name among the models.
    """
    by_encoder: dict[str, list[PairBlock]] = {}
    for block in blocks:
        by_encoder.setdefault(block.encoder, []).append(block)
    means = []
    for encoder, its in by_encoder.items():
        products = np.stack([_products(block, maps[pivot], maps[encoder]) for block in its])
        means.append(products.sum(0) / sum(float(block.which.sum()) for block in its))  # (n,)
    return np.mean(means, axis=0)


def _products(
    block: PairBlock, pivot: Mapping[int, Tensor], encoder: Mapping[int, Tensor]
) -> NDArray[np.float64]:
    """Per image the sum over the pairs of the mean product of their maps."""
    f = pivot[block.own][:, list(block.own_places)]  # (n, J, h, w)
    g = encoder[block.other][:, list(block.places)]  # (n, K, h', w')
    small, large = common_grids(_grid(f), _grid(g))
    f, g = (apply_adjoint(maps, [small])[small] for maps in (f, g))
    partners = torch.einsum("jk,nkhw->njhw", torch.from_numpy(block.which), g)
    summed = (f * partners).sum(dim=(1, 2, 3), dtype=torch.float64)
    return summed.numpy() / (large[0] * large[1])


def _grid(maps: Tensor) -> Grid:
    return maps.shape[-2], maps.shape[-1]
