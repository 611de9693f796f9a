"""Tables of nearest neighbours and of best buddies (paper, Eq. 3)."""

import numpy as np
import pandas as pd

from rosetta_core.mining.matching.topk import NO_NEIGHBOUR, TopK

__all__ = ["best_buddies", "neighbour_table"]


def neighbour_table(pivot: TopK, encoder: TopK | None) -> pd.DataFrame:
    """Return the nearest neighbours of both models' units as one table.

    Args:
        pivot: neighbours of the pivot's units in the encoder, or in the pivot itself.
        encoder: neighbours of the encoder's units in the pivot; None for the pivot with itself.

    Returns:
        Columns side ("pivot" or "encoder", the model of `unit`), unit, rank (1 to k), neighbour,
        corr. The pivot with itself has the side "pivot" only.
    """
    sides = {"pivot": pivot, **({"encoder": encoder} if encoder else {})}
    tables = []
    for side, neighbours in sides.items():
        units, ranks = np.nonzero(neighbours.neighbour != NO_NEIGHBOUR)
        tables.append(
            pd.DataFrame(
                {
                    "side": side,
                    "unit": units.astype(np.int32),
                    "rank": (ranks + 1).astype(np.int32),
                    "neighbour": neighbours.neighbour[units, ranks],
                    "corr": neighbours.corr[units, ranks],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def best_buddies(neighbours: pd.DataFrame) -> pd.DataFrame:
    """Return the mutual nearest neighbours, sorted by pivot unit and rank.

    Args:
        neighbours: table of nearest neighbours, see `neighbour_table`.

    Returns:
        Columns pivot_unit, unit, corr, pivot_rank (rank of `unit` among the neighbours of the
        pivot unit) and unit_rank (rank of the pivot unit among the neighbours of `unit`). Within
        one model every pair has two rows, one from each end.
    """
    pivot = neighbours[neighbours["side"] == "pivot"]
    encoder = neighbours[neighbours["side"] == "encoder"]
    back = encoder if len(encoder) else pivot
    there = pivot.rename(columns={"unit": "pivot_unit", "neighbour": "unit", "rank": "pivot_rank"})
    back = back.rename(columns={"neighbour": "pivot_unit", "rank": "unit_rank"})
    pairs = there.merge(back[["pivot_unit", "unit", "unit_rank"]], on=["pivot_unit", "unit"])
    pairs = pairs.sort_values(["pivot_unit", "pivot_rank"], ignore_index=True)
    return pairs[["pivot_unit", "unit", "corr", "pivot_rank", "unit_rank"]]
