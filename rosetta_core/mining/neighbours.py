"""Nearest neighbours and best buddies.

nearest         the K best partners of every row of a correlation matrix
neighbours      the same for the units of both models, as a table
best_buddies    the pairs in which each is among the K best of the other (paper, Eq. 3)
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["best_buddies", "nearest", "neighbours"]


def nearest(corr: NDArray[np.float32], k: int) -> pd.DataFrame:
    """Return the k best partners of each row: unit, rank (1..k), neighbour, corr.

    Highest correlation first, ties to the lower number. NaN is nobody's neighbour, so a row may
    have fewer than k.
    """
    values = np.where(np.isnan(corr), -np.inf, corr)
    k = min(k, values.shape[1])
    bound = np.partition(values, values.shape[1] - k, axis=1)[:, -k]  # the k-th best of each row
    rows, columns = np.nonzero((values >= bound[:, None]) & (values > -np.inf))
    found = values[rows, columns]
    order = np.lexsort((columns, -found, rows))
    rows, columns, found = rows[order], columns[order], found[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows) + 1
    keep = rank <= k  # ties at the bound may bring more
    return pd.DataFrame(
        {
            "unit": rows[keep].astype(np.int32),
            "rank": rank[keep].astype(np.int32),
            "neighbour": columns[keep].astype(np.int32),
            "corr": found[keep].astype(np.float32),
        }
    )


def neighbours(corr: NDArray[np.float32], k: int, *, same: bool = False) -> pd.DataFrame:
    """Return side, unit, rank, neighbour, corr for both sides of a correlation matrix.

    The rows' units have side "pivot", the columns' side "encoder". With `same`, rows and columns
    are the same units: there is only the side "pivot", and no unit is its own neighbour.
    """
    if same:
        corr = corr.copy()
        np.fill_diagonal(corr, np.nan)
    sides = {"pivot": corr} if same else {"pivot": corr, "encoder": corr.T}
    tables = [nearest(matrix, k).assign(side=side) for side, matrix in sides.items()]
    return pd.concat(tables, ignore_index=True)[["side", "unit", "rank", "neighbour", "corr"]]


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
