"""Nearest neighbours (top K) of units by correlation.

Ties go to the lower unit number, so that results do not depend on how the matrix is split.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_NEIGHBOUR", "TopK", "mask_self", "merge_topk", "topk"]

NO_NEIGHBOUR = -1


@dataclass(frozen=True)
class TopK:
    """Nearest neighbours of units, by descending correlation, ties by ascending unit number.

    Attributes:
        neighbour: unit numbers of the neighbours (units, k) int32; -1 where a unit has fewer.
        corr: correlations with them (units, k) float32; NaN where a unit has fewer.
    """

    neighbour: NDArray[np.int32]
    corr: NDArray[np.float32]

    def truncate(self, k: int) -> "TopK":
        """Return the first k neighbours of each unit."""
        return TopK(self.neighbour[:, :k], self.corr[:, :k])

    def offset(self, units: int) -> "TopK":
        """Return the neighbours with `units` added to their unit numbers."""
        shift = np.where(self.neighbour == NO_NEIGHBOUR, 0, units).astype(np.int32)
        return TopK(self.neighbour + shift, self.corr)


def topk(corr: NDArray[np.float32], k: int) -> TopK:
    """Find the k columns of highest correlation in each row.

    Args:
        corr: correlations (units, candidates); NaN is never a neighbour.
        k: number of neighbours per row.
    """
    values = np.where(np.isnan(corr), -np.inf, corr)
    units, candidates = values.shape
    neighbours = TopK(
        np.full((units, k), NO_NEIGHBOUR, dtype=np.int32),
        np.full((units, k), np.nan, dtype=np.float32),
    )
    k = min(k, candidates)
    bound = np.partition(values, candidates - k, axis=1)[:, -k]  # k-th highest of each row
    rows, columns = np.nonzero((values >= bound[:, None]) & (values > -np.inf))
    order = np.lexsort((columns, -values[rows, columns], rows))
    rows, columns = rows[order], columns[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    keep = rank < k  # ties at the bound may select more than k
    rows, columns, rank = rows[keep], columns[keep], rank[keep]
    neighbours.neighbour[rows, rank] = columns
    neighbours.corr[rows, rank] = corr[rows, columns]
    return neighbours


def merge_topk(first: TopK, second: TopK, k: int) -> TopK:
    """Merge the neighbours of the same units among two disjoint sets of candidates.

    Args:
        first: neighbours among the first set.
        second: neighbours among the second set.
        k: number of neighbours to keep per unit.
    """
    neighbour = np.concatenate([first.neighbour, second.neighbour], axis=1)
    corr = np.concatenate([first.corr, second.corr], axis=1)
    order = np.lexsort((neighbour, -corr), axis=1)[:, :k]  # NaN, where there is none, comes last
    return TopK(*(np.take_along_axis(x, order, axis=1) for x in (neighbour, corr)))


def mask_self(corr: NDArray[np.float32], *, row: int = 0, column: int = 0) -> NDArray[np.float32]:
    """Return correlations of a model with itself, NaN for each unit with itself.

    Args:
        corr: block of the correlation matrix (rows, columns).
        row: unit of the first row.
        column: unit of the first column.
    """
    corr = corr.copy()
    diagonal = np.arange(len(corr)) + row - column
    inside = (diagonal >= 0) & (diagonal < corr.shape[1])
    corr[np.flatnonzero(inside), diagonal[inside]] = np.nan
    return corr
