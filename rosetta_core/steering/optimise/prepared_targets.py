"""Map targets, and the constants of the objective that depend on them alone.

Targets are fixed during an optimisation. Everything that multiplies the generator's maps is
therefore computed once, in float64, on the generator's own grid: the adjoint Uᵀ of the bilinear
resizing U is applied to the targets, so that maps of the generator are never resized. Targets of
the same unit on the same grid are summed. The derivation is in `objective`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.resize import bilinear_matrix, gram_matrix
from rosetta_core.zoo.layers import Grid, common_grids

__all__ = ["FLAT", "LayerTargets", "MapTarget", "Similarity", "prepare_targets"]

Similarity = Literal["image", "dataset", "distance"]

# share of a unit's variance over the run's images that is added to its variance within an image:
# a map that varies less is noise, and its correlation is damped
FLAT = 1e-3

TINY = 1e-300  # an item whose pairs all have weight 0 has similarity 0 instead of NaN

SMALL = 64  # positions up to which one dense product is faster than one product per axis


@dataclass(frozen=True)
class MapTarget:
    """Target maps of units of one layer of the generator.

    Attributes:
        layer: name of the layer.
        channels: channel of each pair (p,); a channel may occur several times.
        targets: standardised maps (n, p, h, w) of n items, on any grid.
        weights: weight of each pair for each item (n, p); zero leaves a pair out.
    """

    layer: str
    channels: NDArray[np.int64]
    targets: Tensor
    weights: Tensor

    def select(self, items: Sequence[int], weights: Sequence[float] | None = None) -> "MapTarget":
        """Return the targets of some items, in any order and with repetitions.

        Args:
            items: indices of the items (m,).
            weights: new weight of all pairs of each item (m,); None keeps the weights.
        """
        indices = torch.tensor(items)
        chosen = self.weights[indices]
        if weights is not None:
            chosen = torch.tensor(weights, dtype=chosen.dtype)[:, None].expand(chosen.shape)
        return MapTarget(self.layer, self.channels, self.targets[indices], chosen)


@dataclass(frozen=True)
class LayerTargets:
    """Constants of one layer: u units, and r rows, one per unit and grid. Maps are flattened.

    Attributes:
        channels: channels of the units (u,).
        mean: means of the units over the run's images (u, 1, 1).
        unit_of_row: index of the unit of each row (r,).
        targets: Uᵀd with its weight and the unit's standard deviation, (r, n, h·w).
        weights: weight / (positions · variance) (r, n, 1).
        flat: FLAT · positions · variance, the energy of a map that counts as flat (r, 1).
        resized_means: Uᵀ1 / positions for each of k grids (k, h·w).
        mean_of_row: index of each row in the flattened (grid, unit) table of means (r,).
        norms: rows of each grid, and UᵀU as no, one or two factors.
    """

    channels: Tensor
    mean: Tensor
    unit_of_row: Tensor
    targets: Tensor
    weights: Tensor
    flat: Tensor
    resized_means: Tensor
    mean_of_row: Tensor
    norms: list[tuple[slice, tuple[Tensor, ...]]]


@dataclass(frozen=True)
class _Rows:
    """Targets of one layer on one grid: of every pair, later of every unit."""

    grid: Grid
    channels: NDArray[np.int64]  # (r,)
    targets: Tensor  # Uᵀd times its weight, on the layer's own grid (n, r, h·w)
    weights: Tensor  # (n, r)


def prepare_targets(
    targets: Sequence[MapTarget],
    *,
    grids: Mapping[str, Grid],
    moments: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    similarity: Similarity,
    device: torch.device,
) -> tuple[dict[str, LayerTargets], Tensor]:
    """Compute the constants of an objective.

    Args:
        targets: targets of all pairs, for the same n items.
        grids: height and width of the maps of the generator's layers.
        moments: means (c,) and standard deviations (c,) of the units of each layer.
        similarity: similarity of maps.
        device: device of the results.

    Returns:
        The constants by layer, float32, and the mean square of the targets of each item, weighted
        (n,), float64.
    """
    sums = [target.weights.double().sum(dim=1) for target in targets]
    total = torch.stack(sums).sum(dim=0).clamp(min=TINY)
    squares = torch.zeros(len(total), dtype=torch.float64)
    layers: dict[str, LayerTargets] = {}
    for layer in dict.fromkeys(target.layer for target in targets):
        by_grid: dict[Grid, list[_Rows]] = {}
        for target in (target for target in targets if target.layer == layer):
            rows, mean_squares = _apply_adjoint(target, grids[layer], total, similarity)
            by_grid.setdefault(rows.grid, []).append(rows)
            squares += mean_squares
        summed = [_sum_by_unit(parts) for parts in by_grid.values()]
        layers[layer] = _layer_targets(
            summed, grids[layer], *moments[layer], similarity=similarity, device=device
        )
    return layers, squares


def _apply_adjoint(
    target: MapTarget, own: Grid, total: Tensor, similarity: Similarity
) -> tuple[_Rows, Tensor]:
    """Return Uᵀd of every pair, and the weighted mean squares of the targets (n,).

    `dataset` needs no norm of enlarged maps, so the grid of its pairs makes no difference: all are
    assigned to the layer's own grid.
    """
    maps = target.targets.double()
    _, large = common_grids(own, (maps.shape[2], maps.shape[3]))
    height, width = (bilinear_matrix(a, b) for a, b in zip(maps.shape[2:], large, strict=True))
    enlarged = height @ maps @ width.T  # (n, p, *large)
    positions = large[0] * large[1]
    weights = target.weights.double() / total[:, None]  # (n, p)
    squares = (enlarged.square().mean(dim=(2, 3)) * weights).sum(dim=1)
    match similarity:
        case "image":
            grid = large
            enlarged = enlarged - enlarged.mean(dim=(2, 3), keepdim=True)
            norm = enlarged.square().sum(dim=(2, 3), keepdim=True) + FLAT * positions
            enlarged = enlarged / norm.sqrt()
        case "distance":
            grid = large
            enlarged = enlarged / positions
        case "dataset":
            grid = own
            enlarged = enlarged / positions
        case _:
            assert_never(similarity)
    reduced = (
        bilinear_matrix(own[0], large[0]).T @ enlarged @ bilinear_matrix(own[1], large[1])
    )  # (n, p, *own)
    weighted = reduced.flatten(2) * weights[:, :, None]
    return _Rows(grid, target.channels, weighted, weights), squares


def _sum_by_unit(parts: Sequence[_Rows]) -> _Rows:
    """Sum pairs on the same grid that belong to the same unit."""
    channels, rows_of_pairs = np.unique(
        np.concatenate([part.channels for part in parts]), return_inverse=True
    )
    targets = torch.cat([part.targets for part in parts], dim=1)  # (n, p, h·w)
    weights = torch.cat([part.weights for part in parts], dim=1)  # (n, p)
    rows = torch.from_numpy(rows_of_pairs)
    return _Rows(
        parts[0].grid,
        channels,
        targets.new_zeros(len(targets), len(channels), targets.shape[2]).index_add_(
            1, rows, targets
        ),
        weights.new_zeros(len(weights), len(channels)).index_add_(1, rows, weights),
    )


def _layer_targets(
    by_grid: Sequence[_Rows],
    own: Grid,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    *,
    similarity: Similarity,
    device: torch.device,
) -> LayerTargets:
    """Concatenate the rows of all grids of a layer and move them to a device."""

    def to_device(tensor: Tensor) -> Tensor:
        return tensor.to(device, torch.float32)

    row_channels = np.concatenate([rows.channels for rows in by_grid])
    channels, unit_of_row = np.unique(row_channels, return_inverse=True)
    counts = [len(rows.channels) for rows in by_grid]
    ends = np.cumsum([0, *counts]).tolist()
    positions = np.array([rows.grid[0] * rows.grid[1] for rows in by_grid])
    means = [
        torch.outer(
            *(bilinear_matrix(a, b).mean(dim=0) for a, b in zip(own, rows.grid, strict=True))
        )
        for rows in by_grid
    ]
    energies = np.repeat(positions, counts) * std[row_channels] ** 2
    energy = torch.from_numpy(energies)[:, None]  # (r, 1)
    targets = torch.cat([rows.targets for rows in by_grid], dim=1).transpose(0, 1)  # (r, n, h·w)
    match similarity:
        case "image":  # a correlation does not depend on the scale of the generator's map
            pass
        case "dataset" | "distance":
            targets = targets / torch.from_numpy(std[row_channels])[:, None, None]
        case _:
            assert_never(similarity)
    weights = torch.cat([rows.weights for rows in by_grid], dim=1).T / energy  # (r, n)
    grid_of_row = np.repeat(np.arange(len(by_grid)), counts)
    return LayerTargets(
        channels=torch.from_numpy(channels).to(device),
        mean=to_device(torch.from_numpy(mean[channels])[:, None, None]),
        unit_of_row=torch.from_numpy(unit_of_row).to(device),
        targets=to_device(targets.contiguous()),
        weights=to_device(weights[:, :, None]),
        flat=to_device(FLAT * energy),
        resized_means=to_device(torch.stack(means).flatten(1)),
        mean_of_row=torch.from_numpy(unit_of_row + len(channels) * grid_of_row).to(device),
        norms=[
            (slice(a, b), tuple(to_device(factor) for factor in _norm(own, rows.grid)))
            for (a, b), rows in zip(pairwise(ends), by_grid, strict=True)
        ],
    )


def _norm(own: Grid, large: Grid) -> tuple[Tensor, ...]:
    """Return UᵀU for flattened maps: no factor, a dense one, or one per axis."""
    if own == large:
        return ()
    height, width = (gram_matrix(a, b) for a, b in zip(own, large, strict=True))
    return (torch.kron(height, width),) if own[0] * own[1] <= SMALL else (height, width)
