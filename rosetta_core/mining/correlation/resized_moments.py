"""Mean and standard deviation of enlarged maps, from maps that were never enlarged.

EnlargedSums    gathers a layer's sums; gives the moments of its units at any larger grid
enlarged_sums   the sums of every single map

    sum(U f) = <f, Uᵀ1>          |U f|² = <f, UᵀU f>

UᵀU couples a position with its eight neighbours only. So products of a map with itself, shifted by
one of five lags and summed over images, hold all that is needed, whatever the larger grid.
"""

from collections.abc import Collection, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from rosetta_core.mining.correlation.grids import Grid
from rosetta_core.mining.correlation.resize import bilinear, gram

__all__ = ["ResizedMoments", "resized_moments"]

LAGS = [(0, 0), (0, 1), (1, 0), (1, 1), (1, -1)]  # (rows, columns); the other four by symmetry
LEAST = 0.01  # of a std to the mean of centred maps; a lower one is mostly the sums' rounding


class ResizedMoments:
    """Sums over images of a layer's maps, in float64, at each of several larger grids."""

    def __init__(
        self,
        grid: Grid,
        larges: Collection[Grid],
        *,
        channels: int,
        device: torch.device,
        groups: int = 1,
    ) -> None:
        """Gather for `channels` maps of `grid` what their moments at the grids `larges` need.

        Images come in `groups`, whose sums are apart.
        """
        self.larges = sorted(larges)
        # where nothing is enlarged, each map's sum and norm are enough
        self.lags = LAGS if set(larges) - {grid} else []
        ones, weights = zip(*(_weights(grid, large) for large in self.larges), strict=True)
        self._ones = torch.stack(ones, dim=1).to(device)  # (p, grids)
        self._weights = torch.stack(weights, dim=2).to(device)  # (lag, p, grids)
        self._offsets = [_offset(lag, grid) for lag in self.lags]
        shape = (groups, channels, len(self.larges))
        self._totals = torch.zeros(shape, dtype=torch.float64, device=device)  # sum(U f)
        self._squares = torch.zeros(shape, dtype=torch.float64, device=device)  # |U f|²

    def add(self, maps: Tensor, channels: slice = slice(None), *, group: int = 0) -> None:
        """Take in float32 maps (c, n, h, w) of some channels and a group, centred near zero."""
        totals, squares = self._totals[group, channels], self._squares[group, channels]
        flat = maps.flatten(2)  # (c, n, p)
        if not self.lags:
            totals += flat.flatten(1).sum(1).double()[:, None]
            norms = torch.linalg.vector_norm(maps, dim=3).double()  # (c, n, h): short float32 sums
            squares += norms.square().sum(dim=(1, 2))[:, None]
            return
        totals += flat.sum(1).double() @ self._ones
        for offset, weights in zip(self._offsets, self._weights, strict=True):
            shorter = max(0, flat.shape[2] - offset)  # a lag may be longer than a small map
            product = _sum_of_products(flat[:, :, :shorter], flat[:, :, offset:])
            squares += product.double() @ weights[:shorter]

    def finite(self, channels: slice, *, group: int = 0) -> Tensor:
        """Tell which of some channels (c,) have sums of a group without NaN and infinity."""
        totals, squares = self._totals[group, channels], self._squares[group, channels]
        return (totals.isfinite() & squares.isfinite()).all(1)

    def sums(self, large: Grid) -> tuple[Tensor, Tensor]:
        """Return the sums and the sums of squares (groups, c) over the positions of a grid."""
        column = self.larges.index(large)
        return self._totals[:, :, column], self._squares[:, :, column]

    def mean_std(
        self, large: Grid, *, images: int, groups: Sequence[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return mean and std (c,) of each unit over the images and positions of a larger grid.

        The std is 0 where it is at most LEAST times |mean|: a unit that is centred over all images
        and constant in some groups has a std there that is the rounding of its sums.

        Args:
            large: the grid.
            images: how many there are in the groups.
            groups: of images, all unless given.
        """
        count = images * large[0] * large[1]
        chosen = slice(None) if groups is None else list(groups)
        mean, square = (sums[chosen].sum(0) / count for sums in self.sums(large))
        std = (square - mean.square()).clamp(min=0).sqrt()
        return mean, std.masked_fill(std <= LEAST * mean.abs(), 0)


def resized_moments(maps: Tensor, larges: Collection[Grid]) -> dict[Grid, tuple[Tensor, Tensor]]:
    """Return by grid sum(U f) and |U f|² (…,) of every float32 map (…, h, w), enlarged to it."""
    grid, flat = (maps.shape[-2], maps.shape[-1]), maps.flatten(-2)  # (…, p)
    found: dict[Grid, tuple[Tensor, Tensor]] = {}
    if grid in larges:
        found[grid] = (flat.sum(-1), torch.linalg.vector_norm(flat, dim=-1).square())
    if enlarging := sorted(set(larges) - {grid}):
        ones, weights = zip(*(_weights(grid, large) for large in enlarging), strict=True)
        by_lag = torch.stack(weights, dim=2).to(maps)  # (lags, p, grids)
        totals = flat @ torch.stack(ones, dim=1).to(maps)  # (…, grids)
        squares = torch.zeros_like(totals)
        for lag, weight in zip(LAGS, by_lag, strict=True):
            offset = _offset(lag, grid)
            shorter = max(0, flat.shape[-1] - offset)
            squares += (flat[..., :shorter] * flat[..., offset:]) @ weight[:shorter]
        for i, large in enumerate(enlarging):
            found[large] = (totals[..., i], squares[..., i])
    return found


@cache
def _weights(grid: Grid, large: Grid) -> tuple[Tensor, Tensor]:
    """Uᵀ1 (p,), and how often a product counts by lag (lags, p)."""
    U_h, U_w = (bilinear(s, t) for s, t in zip(grid, large, strict=True))
    K_h, K_w = (gram(s, t) for s, t in zip(grid, large, strict=True))
    ones = torch.outer(U_h.sum(0), U_w.sum(0)).flatten()
    return ones, torch.stack([_lag_weights(K_h, K_w, lag) for lag in LAGS])


def _offset(lag: tuple[int, int], grid: Grid) -> int:
    """How far f(p + lag) lies behind f(p)."""
    rows, columns = lag
    return rows * grid[1] + columns


def _lag_weights(K_h: Tensor, K_w: Tensor, lag: tuple[int, int]) -> Tensor:
    """How often f(p)·f(p + lag) counts in <f, UᵀU f>, by position p (p,); 0 across a border."""
    rows, columns = (
        torch.nn.functional.pad(K.diagonal(step), (0, step) if step >= 0 else (-step, 0))
        for K, step in zip((K_h, K_w), lag, strict=True)
    )
    times = 1.0 if lag == (0, 0) else 2.0  # the opposite lag gives the same products
    return times * torch.outer(rows, columns).flatten()


def _sum_of_products(first: Tensor, second: Tensor) -> Tensor:
    """Sum over images (axis 1) of the products of two tensors (c, n, p)."""
    if first.device.type == "cpu":  # the product is never held as a temporary
        return torch.from_numpy(np.einsum("cnp,cnp->cp", first.numpy(), second.numpy()))
    return (first * second).sum(1)
