"""Nearest neighbours and best buddies.

Nearest         the best partners of every unit, best first
nearest         those of every row of a correlation matrix
merged          those of two sets of partners
without_self    correlations in which no unit is its own neighbour
neighbours      the nearest of both models' units, as a table
best_buddies    the pairs in which each is among the K best of the other (paper, Eq. 3)
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Nearest", "best_buddies", "merged", "nearest", "neighbours", "without_self"]

NOBODY = -1


@dataclass(frozen=True)
class Nearest:
    """The best partners of every unit, highest correlation first, ties to the lower number.

    Attributes:
        neighbour: their numbers (units, k) int32; -1 where a unit has fewer.
        corr: the correlations (units, k) float32; NaN where a unit has fewer.
    """

    neighbour: NDArray[np.int32]
    corr: NDArray[np.float32]

    def first(self, k: int) -> "Nearest":
        """The k best of them."""
        return Nearest(self.neighbour[:, :k], self.corr[:, :k])

    def moved(self, units: int) -> "Nearest":
        """The same with every neighbour's number raised by `units`."""
        shift = np.where(self.neighbour == NOBODY, 0, units).astype(np.int32)
        return Nearest(self.neighbour + shift, self.corr)


def nearest(corr: NDArray[np.float32], k: int) -> Nearest:
    """Return the k best partners of each row. NaN is nobody's neighbour."""
    values = np.where(np.isnan(corr), -np.inf, corr)
    units, partners = values.shape
    found = Nearest(
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


def merged(first: Nearest, second: Nearest, k: int) -> Nearest:
    """Return each unit's k best of two disjoint sets of partners."""
    neighbour = np.concatenate([first.neighbour, second.neighbour], axis=1)
    corr = np.concatenate([first.corr, second.corr], axis=1)
    order = np.lexsort((neighbour, -corr), axis=1)[:, :k]  # NaN, and with it nobody, comes last
    return Nearest(*(np.take_along_axis(x, order, axis=1) for x in (neighbour, corr)))


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


def neighbours(pivot: Nearest, encoder: Nearest | None) -> pd.DataFrame:
    """Return side, unit, rank (1..k), neighbour, corr: the nearest of both models' units.

    The pivot's units have side "pivot", the model's "encoder"; the pivot with itself has one side.
    """
    sides = {"pivot": pivot, **({"encoder": encoder} if encoder else {})}
    tables = []
    for side, found in sides.items():
        units, ranks = np.nonzero(found.neighbour != NOBODY)
        tables.append(
            pd.DataFrame(
                {
                    "side": side,
                    "unit": units.astype(np.int32),
                    "rank": (ranks + 1).astype(np.int32),
                    "neighbour": found.neighbour[units, ranks],
                    "corr": found.corr[units, ranks],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def best_buddies(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mutual neighbours in a table of neighbours, by pivot unit and rank.

    Columns: pivot_unit, unit, corr, pivot_rank (of `unit` among the pivot unit's neighbours) and
    unit_rank (the other way round). Within one model every pair stands there twice, from both ends.
    """
    pivot = table[table["side"] == "pivot"]
    encoder = table[table["side"] == "encoder"]
    back = encoder if len(encoder) else pivot
    there = pivot.rename(columns={"unit": "pivot_unit", "neighbour": "unit", "rank": "pivot_rank"})
    back = back.rename(columns={"neighbour": "pivot_unit", "rank": "unit_rank"})
    pairs = there.merge(back[["pivot_unit", "unit", "unit_rank"]], on=["pivot_unit", "unit"])
    pairs = pairs.sort_values(["pivot_unit", "pivot_rank"], ignore_index=True)
    return pairs[["pivot_unit", "unit", "corr", "pivot_rank", "unit_rank"]]
