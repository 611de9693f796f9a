"""Significance tables of pairs and of concepts, joined from the tables of each analysis.

Columns of an analysis that a run leaves out are missing values.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

__all__ = [
    "CONCEPT_COLUMNS",
    "PAIR_COLUMNS",
    "join_concept_significance",
    "join_pair_significance",
]

KEYS = ["pivot_unit", "model", "unit"]
SHARED = ["corr_excess", "p_value", "recovery_rate", "recovered"]
PAIR_COLUMNS = [*SHARED, "corr_ci_low", "corr_ci_high", "peak_overlap"]
CONCEPT_COLUMNS = [*SHARED, "peak_overlap"]


def join_pair_significance(
    buddies: Mapping[str, pd.DataFrame], tables: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """Join the significance of all pairs of best buddies into one table.

    Args:
        buddies: by encoder its best buddies with the pivot.
        tables: tables of pairs (pivot_unit, model, unit) with some of `PAIR_COLUMNS`; no pair has
            a column in two tables.

    Returns:
        Columns pivot_unit, model, unit, corr and `PAIR_COLUMNS`.
    """
    pairs = pd.concat([table.assign(model=model) for model, table in buddies.items()])
    pairs = pairs[[*KEYS, "corr"]].reset_index(drop=True)
    return _join(pairs, tables, keys=KEYS, columns=PAIR_COLUMNS)


def join_concept_significance(
    rosetta: pd.DataFrame, pairs: pd.DataFrame, tables: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """Join the significance of all concepts; their peak overlap is the mean over their pairs.

    Args:
        rosetta: table of Rosetta neurons.
        pairs: significance of pairs, see `join_pair_significance`.
        tables: tables of concepts with some of `CONCEPT_COLUMNS`.

    Returns:
        Columns concept and `CONCEPT_COLUMNS`.
    """
    rows = rosetta[[*KEYS, "concept"]].merge(pairs, on=KEYS, validate="one_to_one")
    overlap = rows.groupby("concept")["peak_overlap"].mean().reset_index()
    concepts = overlap[["concept"]].astype(np.int32)
    return _join(concepts, [overlap, *tables], keys=["concept"], columns=CONCEPT_COLUMNS)


def _join(
    table: pd.DataFrame, others: Sequence[pd.DataFrame], *, keys: list[str], columns: list[str]
) -> pd.DataFrame:
    """Add columns of other tables, float32 or boolean, missing where no table has the row."""
    rows = pd.MultiIndex.from_frame(table[keys])
    for column in columns:
        kind = "boolean" if column == "recovered" else np.float32
        parts = [
            pd.Series(other[column].to_numpy(), index=pd.MultiIndex.from_frame(other[keys]))
            for other in others
            if column in other
        ]
        values = pd.concat(parts) if parts else pd.Series(np.nan, index=rows)
        table[column] = values.reindex(rows).astype(kind).array
    return table
