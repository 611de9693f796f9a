"""What is told of pairs and concepts beside their correlation, in one table each.

PAIRS            the columns of pairs
CONCEPTS         the columns of concepts
join_pair_columns       the table of pairs
join_concept_columns    the table of concepts

A part of the evidence that a run leaves out leaves its columns empty.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

__all__ = ["CONCEPTS", "PAIRS", "join_concept_columns", "join_pair_columns"]

KEYS = ["pivot_unit", "model", "unit"]
SHARED = ["corr_excess", "p_value", "recovery_rate", "recovered"]
PAIRS = [*SHARED, "corr_ci_low", "corr_ci_high", "peak_overlap"]
CONCEPTS = [*SHARED, "peak_overlap"]


def join_pair_columns(
    buddies: Mapping[str, pd.DataFrame], told: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """Return pivot_unit, model, unit, corr and PAIRS of every pair of best buddies.

    Args:
        buddies: by encoder its best buddies with the pivot.
        told: tables of some pairs (pivot_unit, model, unit) with some of the columns; a column of
            one pair stands in one table.
    """
    pairs = pd.concat([table.assign(model=model) for model, table in buddies.items()])
    pairs = pairs[[*KEYS, "corr"]].reset_index(drop=True)
    return _joined(pairs, told, keys=KEYS, columns=PAIRS)


def join_concept_columns(
    rosetta: pd.DataFrame, pairs: pd.DataFrame, told: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """Return concept and CONCEPTS of every concept; its colocation is the mean over its pairs.

    Args:
        rosetta: the table of Rosetta neurons.
        pairs: what is told of them.
        told: tables of concepts with some of the columns.
    """
    known = rosetta[[*KEYS, "concept"]].merge(pairs, on=KEYS, validate="one_to_one")
    mean = known.groupby("concept")["peak_overlap"].mean().reset_index()
    concepts = mean[["concept"]].astype(np.int32)
    return _joined(concepts, [mean, *told], keys=["concept"], columns=CONCEPTS)


def _joined(
    table: pd.DataFrame, told: Sequence[pd.DataFrame], *, keys: list[str], columns: list[str]
) -> pd.DataFrame:
    """A table with columns of others, float32 or boolean, empty where nothing is told."""
    places = pd.MultiIndex.from_frame(table[keys])
    for column in columns:
        kind = "boolean" if column == "recovered" else np.float32
        found = [
            pd.Series(other[column].to_numpy(), index=pd.MultiIndex.from_frame(other[keys]))
            for other in told
            if column in other
        ]
        of_all = pd.concat(found) if found else pd.Series(np.nan, index=places)
        table[column] = of_all.reindex(places).astype(kind).array
    return table
