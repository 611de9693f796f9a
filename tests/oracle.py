"""The definitions, computed directly in float64: maps are enlarged, everything is held at once."""

import numpy as np
import torch
from numpy.typing import NDArray


def enlarge(maps: NDArray, size: tuple[int, int]) -> torch.Tensor:
    """Maps (n, c, h, w) enlarged bilinearly, as (c, n·positions)."""
    large = torch.nn.functional.interpolate(
        torch.from_numpy(maps).double(), size=size, mode="bilinear", align_corners=False
    )
    return large.transpose(0, 1).flatten(1)


def correlations(first: dict[str, NDArray], second: dict[str, NDArray]) -> NDArray:
    """Pearson correlations of all units of two models (units, units)."""
    return np.concatenate(
        [np.concatenate([_pair(f, g) for g in second.values()], axis=1) for f in first.values()]
    )


def _pair(f: NDArray, g: NDArray) -> NDArray:
    size = (max(f.shape[2], g.shape[2]), max(f.shape[3], g.shape[3]))
    x, y = enlarge(f, size), enlarge(g, size)
    x, y = _centre(x), _centre(y)
    return ((x @ y.T) / torch.outer(x.norm(dim=1), y.norm(dim=1))).numpy()


def _centre(units: torch.Tensor) -> torch.Tensor:
    """Subtract the mean; what is then float64's rounding of a constant becomes exactly 0."""
    centred = units - units.mean(1, keepdim=True)
    constant = centred.abs().amax(1) <= 1e-13 * units.abs().amax(1)
    return centred.masked_fill(constant[:, None], 0)


def nearest(corr: NDArray, k: int) -> list[list[int]]:
    """For each row its k best columns, ties to the lower, NaN never."""
    return [
        sorted((c for c in range(len(row)) if not np.isnan(row[c])), key=lambda c: (-row[c], c))[:k]
        for row in corr
    ]


def best_buddies(corr: NDArray, k: int, *, same: bool = False) -> set[tuple[int, int]]:
    """The pairs that are among each other's k best."""
    if same:
        corr = corr.copy()
        np.fill_diagonal(corr, np.nan)
    rows, columns = nearest(corr, k), nearest(corr.T, k)
    return {(j, u) for j in range(len(rows)) for u in rows[j] if j in columns[u]}


def components(nodes: list[int], edges: set[tuple[int, int]]) -> list[set[int]]:
    """The connected components, by repeated merging."""
    groups = [{node} for node in nodes]
    for a, b in edges:
        if a in nodes and b in nodes:
            first, second = (next(g for g in groups if x in g) for x in (a, b))
            if first is not second:
                groups.remove(second)
                first |= second
    return groups
