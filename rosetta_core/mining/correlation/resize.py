"""Bilinear resizing as a linear map U, and its adjoint Uᵀ, so that no map is ever enlarged.

For maps f (small) and g (large), with U resizing f to the grid of g:

    <U f, g> = <f, Uᵀ g>      sum(U f) = <f, Uᵀ 1>      |U f|² = <f, UᵀU f>

U is separable, F ↦ U_h F U_wᵀ, so each axis has a matrix of its own.
"""

from collections.abc import Collection, Mapping
from functools import cache

import torch
from torch import Tensor

from rosetta_core.zoo.layers import Grid

__all__ = ["apply_adjoint", "bilinear_matrix", "gram_matrix"]

# positions up to which one dense product for both axes is faster than one product for each axis
MAX_DENSE_POSITIONS = 200


@cache
def bilinear_matrix(source: int, target: int) -> Tensor:
    """Return the matrix U of bilinear resizing along one axis, with align_corners=False.

    Sample i of the result is at position (i + ½)·source/target − ½ of the source, clamped to its
    ends, as in `torch.nn.functional.interpolate`.

    Returns:
        U (target, source) in float64.
    """
    position = ((torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5).clamp(
        min=0, max=source - 1
    )
    left = position.floor().long()
    right = (left + 1).clamp(max=source - 1)
    weight = position - left
    U = torch.zeros(target, source, dtype=torch.float64)
    rows = torch.arange(target)
    U.index_put_((rows, left), 1 - weight, accumulate=True)
    U.index_put_((rows, right), weight, accumulate=True)
    return U


@cache
def gram_matrix(source: int, target: int) -> Tensor:
    """Return UᵀU (source, source) in float64; it is tridiagonal if target ≥ source."""
    U = bilinear_matrix(source, target)
    return U.T @ U


def apply_adjoint(
    maps: Tensor, grids: Collection[Grid], *, out: Mapping[Grid, Tensor] | None = None
) -> dict[Grid, Tensor]:
    """Reduce maps to smaller grids with Uᵀ: U_hᵀ F U_w for each map F and each grid.

    One product serves all grids, so that the maps are read once: with the matrices of both axes
    for small maps, with the matrices of the height for large ones.

    Args:
        maps: maps (…, h, w).
        grids: grids (h', w'), none larger than (h, w).
        out: a tensor (…, h', w') for each grid to write the result to.

    Returns:
        The reduced maps (…, h', w') by grid; those of the grid (h, w) are `maps` itself.
    """
    height, width = maps.shape[-2:]
    smaller = [grid for grid in grids if grid != (height, width)]
    result: dict[Grid, Tensor] = {}
    if height * width <= MAX_DENSE_POSITIONS and smaller:
        matrices = [
            torch.kron(bilinear_matrix(h, height), bilinear_matrix(w, width)) for h, w in smaller
        ]
        flat = maps.flatten(-2) @ torch.cat(matrices, dim=1).to(maps)  # (…, Σ h'·w')
        parts = flat.split([h * w for h, w in smaller], dim=-1)
        result = {g: part.unflatten(-1, g) for g, part in zip(smaller, parts, strict=True)}
    elif smaller:
        heights = sorted({h for h, _ in smaller if h < height})
        by_height = {height: maps}
        if heights:
            U = torch.cat([bilinear_matrix(h, height) for h in heights], dim=1)  # (h, Σ h')
            parts = torch.matmul(U.to(maps).T, maps).split(heights, dim=-2)  # (…, h', w) each
            by_height.update(zip(heights, parts, strict=True))
        for h, w in smaller:
            if w < width:
                target = out[h, w] if out else None
                U = bilinear_matrix(w, width).to(maps)
                result[h, w] = torch.matmul(by_height[h], U, out=target)
            else:
                result[h, w] = by_height[h]
    if len(smaller) < len(set(grids)):
        result[height, width] = maps
    for grid, target in (out or {}).items():
        if result[grid].data_ptr() != target.data_ptr():
            target.copy_(result[grid])
    return dict(out) if out else result
