"""The best partners of units, out of correlations.

Nearest         the best partners of every unit, best first
nearest         those of every row of a correlation matrix
merged          those of two sets of partners
without_self    correlations in which no unit is its own neighbour
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOBODY", "TopK", "merge_topk", "nearest", "without_self"]

NOBODY = -1


@dataclass(frozen=True)
class TopK:
    """The best partners of every unit, highest correlation first, ties to the lower number.

    Attributes:
        neighbour: their numbers (units, k) int32; -1 where a unit has fewer.
        corr: the correlations (units, k) float32; NaN where a unit has fewer.
    """

    neighbour: NDArray[np.int32]
    corr: NDArray[np.float32]

    def first(self, k: int) -> "TopK":
        """The k best of them."""
        return TopK(self.neighbour[:, :k], self.corr[:, :k])

    def moved(self, units: int) -> "TopK":
        """The same with every neighbour's number raised by `units`."""
        shift = np.where(self.neighbour == NOBODY, 0, units).astype(np.int32)
        return TopK(self.neighbour + shift, self.corr)


def nearest(corr: NDArray[np.float32], k: int) -> TopK:
    """Return the k best partners of each row. NaN is nobody's neighbour."""
    values = np.where(np.isnan(corr), -np.inf, corr)
    units, partners = values.shape
    found = TopK(
        np.full((units, k), NOBODY, dtype=np.int32), np.full((units, k), np.nan, dtype=np.float32)
    )
    k = min(k, partners)
    bound = np.partition(values, partners - k, axis=1)[:, -k]  # the k-th best of each row
    rows, columns = np.nonzero((values >= bound[:, None]) & (values > -np.inf))
    order = np.lexsort((columns, -values[rows, columns], rows))
    rows, columns = rows[order], columns[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    keep = rank < k  # ties at the bound may bring more
    rows, columns, rank = rows[keep], columns[keep], rank[keep]
    found.neighbour[rows, rank] = columns
    found.corr[rows, rank] = corr[rows, columns]
    return found


def merge_topk(first: TopK, second: TopK, k: int) -> TopK:
    """Return each unit's k best of two disjoint sets of partners."""
    neighbour = np.concatenate([first.neighbour, second.neighbour], axis=1)
    corr = np.concatenate([first.corr, second.corr], axis=1)
    order = np.lexsort((neighbour, -corr), axis=1)[:, :k]  # NaN, and with it nobody, comes last
    return TopK(*(np.take_along_axis(x, order, axis=1) for x in (neighbour, corr)))


def without_self(
    corr: NDArray[np.float32], *, row: int = 0, column: int = 0
) -> NDArray[np.float32]:
    """Return correlations of a model's units with themselves with NaN where a unit meets itself.

    Args:
        corr: some rows and columns of the matrix.
        row: the unit of the first row.
        column: the unit of the first column.
    """
    corr = corr.copy()
    own = np.arange(len(corr)) + row - column
    inside = (own >= 0) & (own < corr.shape[1])
    corr[np.flatnonzero(inside), own[inside]] = np.nan
    return corr
