"""Mean and standard deviation of enlarged maps, from maps that were never enlarged.

EnlargedSums    gathers a layer's sums; gives the moments of its units at any larger grid

    sum(U f) = <f, Uᵀ1>          |U f|² = <f, UᵀU f>

UᵀU couples a position with its eight neighbours only. So products of a map with itself, shifted by
one of five lags and summed over images, hold all that is needed, whatever the larger grid.
"""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from rosetta_core.mining.resize import Grid, bilinear, gram

__all__ = ["EnlargedSums"]

LAGS = [(0, 0), (0, 1), (1, 0), (1, 1), (1, -1)]  # (rows, columns); the other four by symmetry


class EnlargedSums:
    """Sums over images of a layer's maps (c, n, h, w), in float64."""

    def __init__(self, grid: Grid, larges: Collection[Grid]) -> None:
        """Gather for maps of `grid` what their moments at the grids `larges` need."""
        self.grid = grid
        # where nothing is enlarged, each map's sum and norm are enough
        self.lags = LAGS if set(larges) - {grid} else LAGS[:1]
        self._total: Tensor | float = 0.0  # (c, p): sum over images
        self._products: list[Tensor | float] = [0.0] * len(self.lags)  # (c, p − lag) each
        self._moments: dict[tuple[Grid, int], tuple[Tensor, Tensor]] = {}

    def add(self, maps: Tensor) -> None:
        """Take in float32 maps (c, n, h, w), centred near zero."""
        flat = maps.flatten(2)  # (c, n, p)
        if len(self.lags) == 1:
            self._total = self._total + flat.flatten(1).sum(1).double()[:, None]
            norms = torch.linalg.vector_norm(maps, dim=3).double()  # (c, n, h): short float32 sums
            self._products[0] = self._products[0] + norms.square().sum(dim=(1, 2))[:, None]
            return
        self._total = self._total + flat.sum(1).double()
        for i, lag in enumerate(self.lags):
            offset = lag[0] * self.grid[1] + lag[1]
            shorter = max(0, flat.shape[2] - offset)  # a lag may be longer than a small map
            product = _sum_of_products(flat[:, :, :shorter], flat[:, :, offset:])
            self._products[i] = self._products[i] + product.double()

    def mean_std(self, large: Grid, *, images: int) -> tuple[Tensor, Tensor]:
        """Return mean and std (c,) of each unit over all images and positions of a larger grid."""
        key = (large, images)
        if key not in self._moments:
            count = images * large[0] * large[1]
            total, squares = self._at(large)
            mean = total / count
            self._moments[key] = (mean, (squares / count - mean.square()).clamp(min=0).sqrt())
        return self._moments[key]

    def _at(self, large: Grid) -> tuple[Tensor, Tensor]:
        """Sum and sum of squares (c,) of the maps enlarged to a grid."""
        total = torch.as_tensor(self._total)
        if large == self.grid:
            return total.sum(1), torch.as_tensor(self._products[0]).sum(1)
        U_h, U_w = (bilinear(s, t) for s, t in zip(self.grid, large, strict=True))
        K_h, K_w = (gram(s, t) for s, t in zip(self.grid, large, strict=True))
        ones = torch.outer(U_h.sum(0), U_w.sum(0)).flatten().to(total)  # Uᵀ1
        squares = torch.zeros_like(total[:, 0])
        for lag, product in zip(self.lags, self._products, strict=True):
            weights = _lag_weights(K_h, K_w, lag).to(total)
            held = torch.as_tensor(product)
            squares += held @ weights[: held.shape[1]]
        return total @ ones, squares


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
