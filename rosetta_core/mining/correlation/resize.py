"""Bilinear resizing as a linear map U, and its adjoint: maps are never enlarged.

bilinear        U for one axis, as a matrix
adjoint         reduce maps with Uᵀ along both axes, to several grids at once
gram            UᵀU for one axis

For maps f (small) and g (large), with U enlarging f to the grid of g:

    <U f, g> = <f, Uᵀ g>      sum(U f) = <f, Uᵀ 1>      |U f|² = <f, UᵀU f>

U is separable, F ↦ U_h F U_wᵀ, so each axis has its own matrix.
"""

from collections.abc import Collection, Mapping
from functools import cache

import torch
from torch import Tensor

from rosetta_core.mining.correlation.grids import Grid

__all__ = ["adjoint", "bilinear", "gram"]

SMALL = 200  # positions up to which one dense product for both axes is faster than one for each


@cache
def bilinear(source: int, target: int) -> Tensor:
    """Return U (target, source) in float64: bilinear resizing with align_corners=False.

    Sample i of the result lies at (i + ½)·source/target − ½ of the source, clamped to its ends,
    as in torch.nn.functional.interpolate.
    """
    position = ((torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5).clamp(
        min=0, max=source - 1
    )
    left = position.floor().long()
    right = (left + 1).clamp(max=source - 1)
    share = position - left
    U = torch.zeros(target, source, dtype=torch.float64)
    rows = torch.arange(target)
    U.index_put_((rows, left), 1 - share, accumulate=True)
    U.index_put_((rows, right), share, accumulate=True)
    return U


@cache
def gram(source: int, target: int) -> Tensor:
    """Return UᵀU (source, source) in float64; it is tridiagonal where target ≥ source."""
    U = bilinear(source, target)
    return U.T @ U


def adjoint(
    maps: Tensor, grids: Collection[Grid], *, out: Mapping[Grid, Tensor] | None = None
) -> dict[Grid, Tensor]:
    """Reduce maps (…, h, w) with Uᵀ to each of the grids, none larger than theirs.

    Returns for each grid (h', w') the reduced maps (…, h', w'), written into `out` if given. The
    matrices of all grids stand side by side in one product, so that the maps are read once: those
    of both axes for small maps, those of the heights for large ones.
    """
    height, width = maps.shape[-2:]
    reduced = [grid for grid in grids if grid != (height, width)]
    result: dict[Grid, Tensor] = {}
    if height * width <= SMALL and reduced:
        both = [torch.kron(bilinear(h, height), bilinear(w, width)) for h, w in reduced]
        flat = maps.flatten(-2) @ torch.cat(both, dim=1).to(maps)  # (…, Σ h'·w')
        parts = flat.split([h * w for h, w in reduced], dim=-1)
        result = {g: part.unflatten(-1, g) for g, part in zip(reduced, parts, strict=True)}
    elif reduced:
        lower = sorted({h for h, _ in reduced if h < height})
        by_height = {height: maps}
        if lower:
            U = torch.cat([bilinear(h, height) for h in lower], dim=1).to(maps)  # (height, Σ h')
            parts = torch.matmul(U.T, maps).split(lower, dim=-2)  # (…, h', width) each
            by_height.update(zip(lower, parts, strict=True))
        for h, w in reduced:
            if w < width:
                into = out[h, w] if out else None
                result[h, w] = torch.matmul(by_height[h], bilinear(w, width).to(maps), out=into)
            else:
                result[h, w] = by_height[h]
    if len(reduced) < len(set(grids)):
        result[height, width] = maps
    for grid, into in (out or {}).items():
        if result[grid].data_ptr() != into.data_ptr():
            into.copy_(result[grid])
    return dict(out) if out else result
