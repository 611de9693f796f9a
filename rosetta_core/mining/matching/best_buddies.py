"""Nearest neighbours and best buddies.

neighbours      the nearest of both models' units, as a table
best_buddies    the pairs in which each is among the K best of the other (paper, Eq. 3)
"""

import numpy as np
import pandas as pd

from rosetta_core.mining.matching.topk import NOBODY, TopK

__all__ = ["best_buddies", "neighbours"]


def neighbours(pivot: TopK, encoder: TopK | None) -> pd.DataFrame:
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
