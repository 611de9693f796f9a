"""The objective of steering: how like given maps the generator's maps are (paper, Eq. 5 and 6).

Match          targets of one kind: units of a layer of G, and the maps that they are to have
Objective      the mean similarity over all pairs, for a batch of latents
Similarity     image: correlation within an image; dataset: Eq. 6 as printed; distance: squared

No map of the generator is ever resized. For a unit's map g and its target d, both standardised by
the means and stds of the run's images, on the larger of their grids, to which U enlarges g:

    dataset (Eq. 6)    Σ (U g) · d / positions    =  <g, Uᵀd> / positions
    image              corr(U g, d)               =  <g, Uᵀd'> / |U g - its mean|
    distance           -Σ (U g - d)² / positions  =  (2 <g, Uᵀd> - <g, UᵀU g> - |d|²) / positions

where d' is d less its mean, of norm 1, and |U g - its mean|² = <g, UᵀU g> - <g, Uᵀ1>² / positions.
What stands on the right of a product is worked out once, from the targets, and all targets that a
unit has on the same grid are added up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from rosetta_core.mining.correlation.resize import bilinear_matrix, gram_matrix
from rosetta_core.zoo.layers import Grid, common_grids

__all__ = ["MapTarget", "Objective", "Similarity"]

Similarity = Literal["image", "dataset", "distance"]

# of a unit's variance in the data: a map that varies less within an image is noise, and its
# correlation is damped
FLAT = 1e-3

TINY = 1e-300  # an item that no pair has a weight for has the similarity 0

SMALL = 64  # positions up to which one dense product is faster than one for each axis


@dataclass(frozen=True)
class MapTarget:
    """Targets of units of one layer of the generator.

    Attributes:
        layer: of the generator.
        channels: of it, one per pair (p,); a channel may stand there several times.
        targets: standardised maps (n, p, h, w) of n items, on any grid.
        weights: of each pair for each item (n, p); zero leaves a pair out.
    """

    layer: str
    channels: NDArray[np.int64]
    targets: Tensor
    weights: Tensor

    def of_items(self, items: Sequence[int], weights: Sequence[float] | None = None) -> "MapTarget":
        """The same for some of the items, in any order, several times; weighted anew if given."""
        chosen = torch.tensor(items)
        its = self.weights[chosen]
        if weights is not None:
            its = torch.tensor(weights, dtype=its.dtype)[:, None].expand(its.shape)
        return MapTarget(self.layer, self.channels, self.targets[chosen], its)


@dataclass(frozen=True)
class _Pairs:
    """Pairs of one layer with targets on one grid; in the end one per unit."""

    grid: Grid
    channels: NDArray[np.int64]  # (r,)
    targets: Tensor  # Uᵀd times its weight (n, r, h·w), on the layer's own grid
    weights: Tensor  # (n, r)


@dataclass(frozen=True)
class _Layer:
    """What a step multiplies with: u units, and r rows, one per unit and grid; maps are flat.

    Rows are standardised by what they are multiplied with, not themselves.
    """

    channels: Tensor  # of the units (u,)
    mean: Tensor  # of the units in the data (u, 1, 1)
    places: Tensor  # of the rows among the units (r,)
    targets: Tensor  # (r, n, h·w)
    weights: Tensor  # over positions and variance (r, n, 1)
    flat: Tensor  # Σ (U g - its mean)² of a map that counts as flat (r, 1)
    means: Tensor  # by grid Uᵀ1 / positions (k, h·w)
    cells: Tensor  # of the rows in a table of grids and units (r,)
    norms: list[tuple[slice, tuple[Tensor, ...]]]  # by grid its rows, UᵀU as up to two factors


class Objective:
    """The similarity of the generator's maps to targets, averaged over pairs by their weights."""

    def __init__(
        self,
        matches: Sequence[MapTarget],
        *,
        grids: Mapping[str, Grid],
        moments: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
        similarity: Similarity = "image",
        device: torch.device | None = None,
    ) -> None:
        """Prepare the targets, once.

        Args:
            matches: the targets of all items; one without any weight has the similarity 0.
            grids: of the generator's layers.
            moments: by layer the means and stds of its units over the run's images.
            similarity: which.
            device: of the generator's maps; a CPU unless given.
        """
        self.similarity = similarity
        device = device or torch.device("cpu")
        sums = [match.weights.double().sum(dim=1) for match in matches]
        total = torch.stack(sums).sum(dim=0).clamp(min=TINY)
        squares = torch.zeros(len(total), dtype=torch.float64)
        self._layers: dict[str, _Layer] = {}
        for layer in dict.fromkeys(match.layer for match in matches):
            by_grid: dict[Grid, list[_Pairs]] = {}
            for match in (match for match in matches if match.layer == layer):
                pairs, its = _reduced(match, grids[layer], total, similarity)
                by_grid.setdefault(pairs.grid, []).append(pairs)
                squares += its
            added = [_added_up(parts) for parts in by_grid.values()]
            self._layers[layer] = _prepared(
                added, grids[layer], *moments[layer], similarity=similarity, device=device
            )
        # |d|² / positions, averaged over an item's pairs (n,)
        self._squares = squares.float().to(device) if similarity == "distance" else 0.0

    @property
    def layers(self) -> list[str]:
        """The generator's layers that are looked at."""
        return list(self._layers)

    def __call__(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Return the similarity of each item (n,), from the maps (n, c, h, w) of each layer."""
        layers = list(self._layers.values())
        every = (maps[layer] for layer in self._layers)
        return _SimilarityOfMaps.apply(self.similarity, layers, *every) - self._squares


class _SimilarityOfMaps(torch.autograd.Function):
    """The similarity together with its gradient, which is made of the same products."""

    @staticmethod
    def forward(ctx: Any, similarity: Similarity, layers: list[_Layer], *maps: Tensor) -> Tensor:
        values, gradients = [], []
        for layer, every in zip(layers, maps, strict=True):
            g = every.flatten(2).transpose(0, 1).index_select(0, layer.channels)  # (u, n, h·w)
            value, slope = _PARTS[similarity](g, layer, (every.shape[2], every.shape[3]))
            values.append(value.sum(dim=0))
            gradients.append(g.zero_().index_add_(0, layer.places, slope))
        ctx.save_for_backward(*gradients)
        ctx.channels, ctx.shapes = [layer.channels for layer in layers], [m.shape for m in maps]
        return torch.stack(values).sum(dim=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        full = []
        for channels, shape, g in zip(ctx.channels, ctx.shapes, ctx.saved_tensors, strict=True):
            zeros = g.new_zeros(shape)
            zeros.flatten(2).transpose(0, 1).index_copy_(0, channels, g * slope[:, None])
            full.append(zeros)
        return None, None, *full


def _dataset(g: Tensor, layer: _Layer, own: Grid) -> tuple[Tensor, Tensor]:
    """The similarity of each row (r, n) and its gradient (r, n, h·w): of <g, t>, it is t."""
    rows = g.sub_(layer.mean).index_select(0, layer.places)
    return torch.linalg.vecdot(rows, layer.targets), layer.targets


def _image(g: Tensor, layer: _Layer, own: Grid) -> tuple[Tensor, Tensor]:
    """The same of <g, t> / |g|: t / |g| - <g, t> g / |g|³, with the norm of enlarged maps.

    What is subtracted from a row is the mean of U g: nothing is left then to subtract from |U g|²,
    which would cancel, or from its gradient.
    """
    means = (layer.means @ g.flatten(0, 1).T).view(-1, g.shape[1])  # (k·u, n)
    rows = g.index_select(0, layer.places)  # (r, n, h·w)
    rows.sub_(means.index_select(0, layer.cells)[:, :, None])
    product = _through_and_back(rows, layer, own)
    value = torch.linalg.vecdot(rows, layer.targets)
    scale = rows.mul_(product).sum(dim=2).add_(layer.flat).rsqrt_()
    value.mul_(scale)
    slope = torch.mul(layer.targets, scale[:, :, None], out=rows)
    return value, slope.addcmul_(product, (value * scale.square())[:, :, None], value=-1)


def _distance(g: Tensor, layer: _Layer, own: Grid) -> tuple[Tensor, Tensor]:
    """The same of 2 <g, t> - <g, UᵀU g>, times their weight."""
    rows = g.sub_(layer.mean).index_select(0, layer.places)
    product = _through_and_back(rows, layer, own).mul_(layer.weights)
    part = layer.targets.mul(2).sub_(product)
    return rows.mul_(part).sum(dim=2), part.sub_(product)


_PARTS = {"dataset": _dataset, "image": _image, "distance": _distance}


def _through_and_back(rows: Tensor, layer: _Layer, own: Grid) -> Tensor:
    """UᵀU g of flat maps (r, n, h·w), each row by its own grid."""
    product = torch.empty_like(rows)
    for its, norm in layer.norms:
        g, into = rows[its], product[its]
        if len(norm) == 2:
            height, width = norm
            half = (g.view(-1, own[1]) @ width).view(-1, *own)  # (r·n, h, w)
            torch.bmm(height.expand(len(half), -1, -1), half, out=into.view(-1, *own))
        elif norm:
            torch.mm(g.flatten(0, 1), norm[0], out=into.flatten(0, 1))
        else:
            into.copy_(g)
    return product


def _reduced(
    match: MapTarget, own: Grid, total: Tensor, similarity: Similarity
) -> tuple[_Pairs, Tensor]:
    """A match as pairs, and the mean squares of its targets, by their weights (n,).

    Where norms of enlarged maps aren't needed, only products depend on a pair's grid: all are
    taken to be on the layer's own.
    """
    targets = match.targets.double()
    _, large = common_grids(own, (targets.shape[2], targets.shape[3]))
    height, width = (bilinear_matrix(a, b) for a, b in zip(targets.shape[2:], large, strict=True))
    enlarged = height @ targets @ width.T  # (n, p, *large)
    positions = large[0] * large[1]
    weights = match.weights.double() / total[:, None]  # (n, p)
    squares = (enlarged.square().mean(dim=(2, 3)) * weights).sum(dim=1)
    if similarity == "image":
        enlarged = enlarged - enlarged.mean(dim=(2, 3), keepdim=True)
        norm = enlarged.square().sum(dim=(2, 3), keepdim=True) + FLAT * positions
        enlarged = enlarged / norm.sqrt()
    else:
        enlarged = enlarged / positions
    reduced = (
        bilinear_matrix(own[0], large[0]).T @ enlarged @ bilinear_matrix(own[1], large[1])
    )  # (n, p, *own)
    grid = own if similarity == "dataset" else large
    return _Pairs(grid, match.channels, reduced.flatten(2) * weights[:, :, None], weights), squares


def _added_up(parts: Sequence[_Pairs]) -> _Pairs:
    """Pairs on the same grid as one per unit."""
    every = np.concatenate([part.channels for part in parts])
    channels, place = np.unique(every, return_inverse=True)
    targets = torch.cat([part.targets for part in parts], dim=1)  # (n, p, h·w)
    weights = torch.cat([part.weights for part in parts], dim=1)  # (n, p)
    rows = torch.from_numpy(place)
    return _Pairs(
        parts[0].grid,
        channels,
        targets.new_zeros(len(targets), len(channels), targets.shape[2]).index_add_(
            1, rows, targets
        ),
        weights.new_zeros(len(weights), len(channels)).index_add_(1, rows, weights),
    )


def _prepared(
    by_grid: Sequence[_Pairs],
    own: Grid,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    *,
    similarity: Similarity,
    device: torch.device,
) -> _Layer:
    """The units of a layer and its rows, those of all grids behind each other, on a device."""

    def placed(tensor: Tensor) -> Tensor:
        return tensor.to(device, torch.float32)

    every = np.concatenate([pairs.channels for pairs in by_grid])
    channels, places = np.unique(every, return_inverse=True)
    counts = [len(pairs.channels) for pairs in by_grid]
    ends = np.cumsum([0, *counts]).tolist()
    positions = np.array([pairs.grid[0] * pairs.grid[1] for pairs in by_grid])
    means = [
        torch.outer(
            *(bilinear_matrix(a, b).mean(dim=0) for a, b in zip(own, pairs.grid, strict=True))
        )
        for pairs in by_grid
    ]
    squares = torch.from_numpy(np.repeat(positions, counts) * std[every] ** 2)[:, None]  # (r, 1)
    targets = torch.cat([pairs.targets for pairs in by_grid], dim=1).transpose(0, 1)  # (r, n, h·w)
    if similarity != "image":
        targets = targets / torch.from_numpy(std[every])[:, None, None]
    weights = torch.cat([pairs.weights for pairs in by_grid], dim=1).T / squares  # (r, n)
    return _Layer(
        channels=torch.from_numpy(channels).to(device),
        mean=placed(torch.from_numpy(mean[channels])[:, None, None]),
        places=torch.from_numpy(places).to(device),
        targets=placed(targets.contiguous()),
        weights=placed(weights[:, :, None]),
        flat=placed(FLAT * squares),
        means=placed(torch.stack(means).flatten(1)),
        cells=torch.from_numpy(
            places + len(channels) * np.repeat(np.arange(len(by_grid)), counts)
        ).to(device),
        norms=[
            (slice(a, b), tuple(placed(factor) for factor in _norm(own, pairs.grid)))
            for (a, b), pairs in zip(pairwise(ends), by_grid, strict=True)
        ],
    )


def _norm(own: Grid, large: Grid) -> tuple[Tensor, ...]:
    """UᵀU of flat maps: nothing, one factor, or that of heights and that of widths."""
    if own == large:
        return ()
    height, width = (gram_matrix(a, b) for a, b in zip(own, large, strict=True))
    return (torch.kron(height, width),) if own[0] * own[1] <= SMALL else (height, width)
