"""Mean and standard deviation of resized maps, computed without resizing them.

    sum(U f) = <f, Uᵀ1>          |U f|² = <f, UᵀU f>

UᵀU couples a position with its eight neighbours only. The products of a map with itself, shifted
by one of five lags and summed over images, therefore contain all that is needed, whatever the
larger grid is.
"""

from collections.abc import Collection, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from rosetta_core.mining.correlation.resize import bilinear_matrix, gram_matrix
from rosetta_core.zoo.layers import Grid

__all__ = ["ResizedMoments", "resized_sums"]

LAGS = [(0, 0), (0, 1), (1, 0), (1, 1), (1, -1)]  # (rows, columns); the other four by symmetry
MIN_STD = 0.01  # relative to the |mean| of centred maps; a lower std is mostly rounding of the sums


class ResizedMoments:
    """Sums of the maps of a layer at several larger grids, over images, in float64.

    Args:
        grid: height and width of the maps.
        target_grids: grids that the maps are resized to, none smaller than `grid`.
        channels: number of units.
        device: device of the sums.
        groups: number of groups of images, each with sums of its own.
    """

    def __init__(
        self,
        grid: Grid,
        target_grids: Collection[Grid],
        *,
        channels: int,
        device: torch.device,
        groups: int = 1,
    ) -> None:
        self._target_grids = sorted(target_grids)
        # if no grid is larger, the sum and the norm of each map suffice
        self._lags = LAGS if set(target_grids) - {grid} else []
        ones, weights = zip(*(_weights(grid, target) for target in self._target_grids), strict=True)
        self._ones = torch.stack(ones, dim=1).to(device)  # (p, grids)
        self._weights = torch.stack(weights, dim=2).to(device)  # (lags, p, grids)
        self._offsets = [_offset(lag, grid) for lag in self._lags]
        shape = (groups, channels, len(self._target_grids))
        self._totals = torch.zeros(shape, dtype=torch.float64, device=device)  # sum(U f)
        self._squares = torch.zeros(shape, dtype=torch.float64, device=device)  # |U f|²

    def add(self, maps: Tensor, channels: slice = slice(None), *, group: int = 0) -> None:
        """Add the maps of some images to the sums.

        Args:
            maps: float32 maps (c, n, h, w), centred near zero.
            channels: the channels that the maps belong to.
            group: the group that the images belong to.
        """
        totals, squares = self._totals[group, channels], self._squares[group, channels]
        flat = maps.flatten(2)  # (c, n, p)
        if not self._lags:
            totals += flat.flatten(1).sum(1).double()[:, None]
            norms = torch.linalg.vector_norm(maps, dim=3).double()  # (c, n, h): short float32 sums
            squares += norms.square().sum(dim=(1, 2))[:, None]
            return
        totals += flat.sum(1).double() @ self._ones
        for offset, weights in zip(self._offsets, self._weights, strict=True):
            length = max(0, flat.shape[2] - offset)  # a lag can exceed a small map
            product = _sum_of_products(flat[:, :, :length], flat[:, :, offset:])  # (c, p)
            squares += product.double() @ weights[:length]

    def finite(self, channels: slice, *, group: int = 0) -> Tensor:
        """Return for some channels (c,) whether their sums are free of NaN and infinity."""
        totals, squares = self._totals[group, channels], self._squares[group, channels]
        return (totals.isfinite() & squares.isfinite()).all(1)

    def mean_std(
        self, grid: Grid, *, images: int, groups: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation (c,) of each unit at a target grid.

        The std is 0 where it is at most `MIN_STD` · |mean|: units are centred over all images, so
        the std of a unit that is constant in some groups is the rounding of its sums there.

        Args:
            grid: one of the target grids.
            images: number of images in the groups.
            groups: groups of images; None for all.
        """
        column = self._target_grids.index(grid)
        chosen = slice(None) if groups is None else list(groups)
        count = images * grid[0] * grid[1]
        mean = self._totals[chosen, :, column].sum(0) / count
        square = self._squares[chosen, :, column].sum(0) / count
        std = (square - mean.square()).clamp(min=0).sqrt()
        return mean, std.masked_fill(std <= MIN_STD * mean.abs(), 0)


def resized_sums(maps: Tensor, target_grids: Collection[Grid]) -> dict[Grid, tuple[Tensor, Tensor]]:
    """Return sum(U f) and |U f|² of every single map, by target grid.

    Args:
        maps: float32 maps (…, h, w).
        target_grids: grids that the maps are resized to, none smaller than (h, w).

    Returns:
        By grid the sums (…,) and the squared norms (…,).
    """
    grid, flat = (maps.shape[-2], maps.shape[-1]), maps.flatten(-2)  # (…, p)
    result: dict[Grid, tuple[Tensor, Tensor]] = {}
    if grid in target_grids:
        result[grid] = (flat.sum(-1), torch.linalg.vector_norm(flat, dim=-1).square())
    if larger := sorted(set(target_grids) - {grid}):
        ones, weights = zip(*(_weights(grid, target) for target in larger), strict=True)
        by_lag = torch.stack(weights, dim=2).to(maps)  # (lags, p, grids)
        totals = flat @ torch.stack(ones, dim=1).to(maps)  # (…, grids)
        squares = torch.zeros_like(totals)
        for lag, weight in zip(LAGS, by_lag, strict=True):
            offset = _offset(lag, grid)
            length = max(0, flat.shape[-1] - offset)
            squares += (flat[..., :length] * flat[..., offset:]) @ weight[:length]
        for i, target in enumerate(larger):
            result[target] = (totals[..., i], squares[..., i])
    return result


@cache
def _weights(grid: Grid, target: Grid) -> tuple[Tensor, Tensor]:
    """Return Uᵀ1 (p,), and the weights (lags, p) of the lagged products in <f, UᵀU f>."""
    U_h, U_w = (bilinear_matrix(s, t) for s, t in zip(grid, target, strict=True))
    K_h, K_w = (gram_matrix(s, t) for s, t in zip(grid, target, strict=True))
    ones = torch.outer(U_h.sum(0), U_w.sum(0)).flatten()
    return ones, torch.stack([_lag_weights(K_h, K_w, lag) for lag in LAGS])


def _offset(lag: tuple[int, int], grid: Grid) -> int:
    """Return the distance of f(p) and f(p + lag) in a flattened map."""
    rows, columns = lag
    return rows * grid[1] + columns


def _lag_weights(K_h: Tensor, K_w: Tensor, lag: tuple[int, int]) -> Tensor:
    """Return the weight of f(p)·f(p + lag) in <f, UᵀU f> by position p (p,); 0 across a border."""
    rows, columns = (
        torch.nn.functional.pad(K.diagonal(step), (0, step) if step >= 0 else (-step, 0))
        for K, step in zip((K_h, K_w), lag, strict=True)
    )
    times = 1.0 if lag == (0, 0) else 2.0  # the opposite lag has the same products
    return times * torch.outer(rows, columns).flatten()


def _sum_of_products(first: Tensor, second: Tensor) -> Tensor:
    """Return the products of two tensors (c, n, p), summed over images: (c, p)."""
    if first.device.type == "cpu":  # einsum allocates no tensor of the products
        return torch.from_numpy(np.einsum("cnp,cnp->cp", first.numpy(), second.numpy()))
    return (first * second).sum(1)
