"""Similarity of the generator's maps to target maps, with its gradient (paper, Eq. 5 and 6).

For a unit's map g and its target d, both standardised by the means and standard deviations of the
run's images, on the larger of their two grids, to which U enlarges g:

    dataset (Eq. 6)    Σ (U g) · d / positions    =  <g, Uᵀd> / positions
    image              corr(U g, d)               =  <g, Uᵀd'> / |U g - mean(U g)|
    distance           -Σ (U g - d)² / positions  =  (2 <g, Uᵀd> - <g, UᵀU g> - |d|²) / positions

where d' is d minus its mean, scaled to norm 1, and |U g - mean(U g)|² = <g, UᵀU g> -
<g, Uᵀ1>² / positions. No map of the generator is resized: the right factor of every product
depends on the targets alone and is computed once (`prepared_targets`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from rosetta_core.steering.optimise.prepared_targets import (
    LayerTargets,
    MapTarget,
    Similarity,
    prepare_targets,
)
from rosetta_core.zoo.layers import Grid

__all__ = ["Objective"]


class Objective:
    """L_act: the similarity of the generator's maps to targets, a weighted mean over pairs."""

    def __init__(
        self,
        targets: Sequence[MapTarget],
        *,
        grids: Mapping[str, Grid],
        moments: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
        similarity: Similarity = "image",
        device: torch.device | None = None,
    ) -> None:
        """Prepare the targets, once.

        Args:
            targets: targets of all pairs, for the same n items. An item whose pairs all have
                weight 0 has similarity 0.
            grids: height and width of the maps of the generator's layers.
            moments: means (c,) and standard deviations (c,) of the units of each layer.
            similarity: similarity of maps.
            device: device of the generator's maps; the CPU if None.
        """
        self.similarity: Similarity = similarity
        device = device or torch.device("cpu")
        self._layers, squares = prepare_targets(
            targets, grids=grids, moments=moments, similarity=similarity, device=device
        )
        # |d|² / positions, a constant of the distance (n,)
        self._squares = squares.float().to(device) if similarity == "distance" else 0.0

    @property
    def layers(self) -> list[str]:
        """The generator's layers that have targets."""
        return list(self._layers)

    def __call__(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Return the similarity of each item (n,), for maps (n, c, h, w) by layer."""
        layers = list(self._layers.values())
        layer_maps = (maps[layer] for layer in self._layers)
        return _MapSimilarity.apply(self.similarity, layers, *layer_maps) - self._squares


class _MapSimilarity(torch.autograd.Function):
    """The similarity; its gradient is computed in the forward pass, from the same products."""

    @staticmethod
    def forward(
        ctx: Any, similarity: Similarity, layers: list[LayerTargets], *maps: Tensor
    ) -> Tensor:
        values, gradients = [], []
        for layer, own in zip(layers, maps, strict=True):
            g = own.flatten(2).transpose(0, 1).index_select(0, layer.channels)  # (u, n, h·w)
            value, slope = SIMILARITIES[similarity](g, layer, (own.shape[2], own.shape[3]))
            values.append(value.sum(dim=0))
            gradients.append(g.zero_().index_add_(0, layer.unit_of_row, slope))
        ctx.save_for_backward(*gradients)
        ctx.channels, ctx.shapes = [layer.channels for layer in layers], [m.shape for m in maps]
        return torch.stack(values).sum(dim=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        map_gradients = []
        for channels, shape, g in zip(ctx.channels, ctx.shapes, ctx.saved_tensors, strict=True):
            zeros = g.new_zeros(shape)  # (n, c, h, w)
            zeros.flatten(2).transpose(0, 1).index_copy_(0, channels, g * slope[:, None])
            map_gradients.append(zeros)
        return None, None, *map_gradients


def _dataset(g: Tensor, layer: LayerTargets, own: Grid) -> tuple[Tensor, Tensor]:
    """Return <g, t> of each row (r, n), and its gradient t (r, n, h·w)."""
    rows = g.sub_(layer.mean).index_select(0, layer.unit_of_row)
    return torch.linalg.vecdot(rows, layer.targets), layer.targets


def _image(g: Tensor, layer: LayerTargets, own: Grid) -> tuple[Tensor, Tensor]:
    """Return <g, t> / |g| of each row (r, n), and t / |g| - <g, t> g / |g|³ (r, n, h·w).

    |g| is the norm of the enlarged map. The mean of U g, not of g, is subtracted from each row;
    then no mean remains in |U g|² or in its gradient, and no difference of large numbers occurs.
    """
    means = (layer.resized_means @ g.flatten(0, 1).T).view(-1, g.shape[1])  # (k·u, n)
    rows = g.index_select(0, layer.unit_of_row)  # (r, n, h·w)
    rows.sub_(means.index_select(0, layer.mean_of_row)[:, :, None])
    product = _apply_norm(rows, layer, own)
    value = torch.linalg.vecdot(rows, layer.targets)
    scale = rows.mul_(product).sum(dim=2).add_(layer.flat).rsqrt_()
    value.mul_(scale)
    slope = torch.mul(layer.targets, scale[:, :, None], out=rows)
    return value, slope.addcmul_(product, (value * scale.square())[:, :, None], value=-1)


def _distance(g: Tensor, layer: LayerTargets, own: Grid) -> tuple[Tensor, Tensor]:
    """Return 2 <g, t> - <g, UᵀU g> of each row (r, n), weighted, and its gradient."""
    rows = g.sub_(layer.mean).index_select(0, layer.unit_of_row)
    product = _apply_norm(rows, layer, own).mul_(layer.weights)
    part = layer.targets.mul(2).sub_(product)
    return rows.mul_(part).sum(dim=2), part.sub_(product)


# value of each row (r, n) and its gradient (r, n, h·w), from flattened maps (u, n, h·w)
SIMILARITIES: dict[Similarity, Callable[[Tensor, LayerTargets, Grid], tuple[Tensor, Tensor]]] = {
    "dataset": _dataset,
    "image": _image,
    "distance": _distance,
}


def _apply_norm(rows: Tensor, layer: LayerTargets, own: Grid) -> Tensor:
    """Return UᵀU g of flattened maps (r, n, h·w), each row by its own grid."""
    product = torch.empty_like(rows)
    for of_grid, norm in layer.norms:
        g, out = rows[of_grid], product[of_grid]
        if len(norm) == 2:
            height, width = norm
            half = (g.view(-1, own[1]) @ width).view(-1, *own)  # (r·n, h, w)
            torch.bmm(height.expand(len(half), -1, -1), half, out=out.view(-1, *own))
        elif norm:
            torch.mm(g.flatten(0, 1), norm[0], out=out.flatten(0, 1))
        else:
            out.copy_(g)
    return product
