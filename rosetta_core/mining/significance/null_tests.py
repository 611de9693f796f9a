"""Excess correlation, p-values and FDR of matches, from null models.

Each null model was drawn twice (see `null_models`). The first draw was mined as the run is: best
buddies of the pivot with each encoder, Rosetta neurons, and concepts under the pivot's own best
buddies. These null matches were selected for being the best, as the run's matches were. The second
draw gives the null correlation of every pair, of the run and of the null matches alike, so two
units that agree on all images, for example at a border, both have little excess.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.matching.concepts import rosetta_neurons, rosetta_table

__all__ = [
    "MAX_P_VALUE",
    "Buddies",
    "concept_significance",
    "excess_correlation",
    "null_counts",
    "p_values",
    "pair_significance",
    "significant_neurons",
    "significant_pairs",
]

MAX_P_VALUE = 0.05  # of a significant pair
KEYS = ["pivot_unit", "model", "unit"]
# by encoder the table of best buddies with the pivot, with their null correlation `null_corr`
Buddies = Mapping[str, pd.DataFrame]


def excess_correlation(pairs: pd.DataFrame) -> NDArray[np.float64]:
    """Return `corr` − `null_corr` of pairs (n,)."""
    return (pairs["corr"].astype(np.float64) - pairs["null_corr"].astype(np.float64)).to_numpy()


def p_values(observed: NDArray, null: NDArray) -> NDArray[np.float64]:
    """Return the p-value (1 + b) / (1 + m) of each observed value (n,).

    b of the m null values (m,) are at least as high. No p-value is 0 (Phipson and Smyth, 2010).
    """
    ranked = np.sort(np.asarray(null, dtype=np.float64))
    as_high = len(ranked) - np.searchsorted(ranked, np.asarray(observed, np.float64), side="left")
    return (1 + as_high) / (1 + len(ranked))


def significant_pairs(observed: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Return the observed best buddies with p ≤ 0.05 of their excess among null best buddies."""
    p_value = p_values(excess_correlation(observed), excess_correlation(null))
    return observed[p_value <= MAX_P_VALUE]


def pair_significance(observed: Mapping[str, Buddies], null: Mapping[str, Buddies]) -> pd.DataFrame:
    """Compute excess correlation and p-value of every pair of best buddies.

    With several null models, each pair keeps its smallest excess and its largest p-value.

    Args:
        observed: by null model the run's best buddies with their null correlation.
        null: by null model the null best buddies with theirs.

    Returns:
        Columns pivot_unit, model, unit, corr, corr_excess, p_value.
    """
    tables = []
    for model in next(iter(observed.values())):
        pairs = next(iter(observed.values()))[model]
        smallest, p_value = np.full(len(pairs), np.inf), np.zeros(len(pairs))
        for name, buddies in observed.items():
            excess = excess_correlation(buddies[model])
            smallest = np.minimum(smallest, excess)
            null_excess = excess_correlation(null[name][model])
            p_value = np.maximum(p_value, p_values(excess, null_excess))
        table = pairs[["pivot_unit", "unit", "corr"]].assign(model=model)
        table["corr_excess"] = smallest.astype(np.float32)
        table["p_value"] = p_value.astype(np.float32)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)[[*KEYS, "corr", "corr_excess", "p_value"]]


def concept_significance(
    rosetta: pd.DataFrame,
    pairs: pd.DataFrame,
    null: Mapping[str, Buddies],
    within_pivot: pd.DataFrame,
) -> pd.DataFrame:
    """Compute excess correlation and p-value of every concept.

    The excess of a concept is the mean over its pairs. Its p-value compares it with the excess of
    null concepts; of several null models the largest counts.

    Args:
        rosetta: table of Rosetta neurons.
        pairs: significance of pairs, see `pair_significance`.
        null: by null model the null best buddies with their null correlation.
        within_pivot: best buddies of the pivot with itself.

    Returns:
        Columns concept, corr_excess, p_value.
    """
    rows = rosetta[[*KEYS, "concept"]].merge(pairs, on=KEYS, validate="one_to_one")
    mean = rows.groupby("concept")["corr_excess"].mean()
    p_value = np.zeros(len(mean))
    for buddies in null.values():
        null_excess = _concept_excess(buddies, within_pivot)
        p_value = np.maximum(p_value, p_values(mean.to_numpy(), null_excess))
    return pd.DataFrame(
        {
            "concept": mean.index.to_numpy(dtype=np.int32),
            "corr_excess": mean.to_numpy(dtype=np.float32),
            "p_value": p_value.astype(np.float32),
        }
    )


def _concept_excess(buddies: Buddies, within_pivot: pd.DataFrame) -> NDArray[np.float64]:
    """Mean excess of each concept of some best buddies."""
    rosetta = rosetta_table(buddies, within_pivot)
    pairs = pd.concat([table.assign(model=model) for model, table in buddies.items()])
    rows = rosetta[[*KEYS, "concept"]].merge(pairs, on=KEYS, validate="one_to_one")
    excess = rows.assign(corr_excess=excess_correlation(rows))
    return excess.groupby("concept")["corr_excess"].mean().to_numpy()


def null_counts(
    observed: Mapping[str, Buddies], null: Mapping[str, Buddies], within_pivot: pd.DataFrame
) -> pd.DataFrame:
    """Count observed and null matches, and estimate the share of false discoveries.

    False best buddies are those that are not significant, and as many of the significant ones as
    have p ≤ 0.05 under the null model: f = (n − s) / (1 − 0.05) for s significant of n (Storey,
    2002). False Rosetta neurons have no significant buddy in some encoder. False concepts have no
    other neurons.

    Args:
        observed: by null model the run's best buddies with their null correlation.
        null: by null model the null best buddies with theirs.
        within_pivot: best buddies of the pivot with itself.

    Returns:
        Columns null, level, model, n_observed, n_null, fdr: a row per null model and encoder for
        best buddies, and a row per null model for Rosetta neurons and for concepts, with an empty
        model. The FDR is NaN where nothing was observed.
    """
    rows = []
    for name, buddies in observed.items():
        significant = {m: significant_pairs(pairs, null[name][m]) for m, pairs in buddies.items()}
        for model, pairs in buddies.items():
            false = (len(pairs) - len(significant[model])) / (1 - MAX_P_VALUE)
            rows.append((name, "best buddies", model, len(pairs), len(null[name][model]), false))
        rosetta, null_rosetta = (rosetta_table(b, within_pivot) for b in (buddies, null[name]))
        true = rosetta["pivot_unit"].isin(rosetta_neurons(significant))
        for level, column in (("Rosetta neurons", "pivot_unit"), ("concepts", "concept")):
            n_observed, n_null = rosetta[column].nunique(), null_rosetta[column].nunique()
            false = n_observed - rosetta.loc[true, column].nunique()
            rows.append((name, level, "", n_observed, n_null, false))
    table = pd.DataFrame(rows, columns=["null", "level", "model", "n_observed", "n_null", "fdr"])
    share = table["fdr"] / table["n_observed"].where(table["n_observed"] > 0)
    return table.assign(fdr=share.clip(upper=1.0))


def significant_neurons(
    rosetta: pd.DataFrame, pairs: pd.DataFrame, *, encoders: int
) -> pd.DataFrame:
    """Return the Rosetta neurons with a significant buddy in every encoder, and these buddies.

    Concepts keep their numbers.

    Args:
        rosetta: table of Rosetta neurons.
        pairs: significance of pairs, with `p_value`.
        encoders: number of encoders.
    """
    significant = pairs.loc[pairs["p_value"] <= MAX_P_VALUE, KEYS]
    rows = rosetta.merge(significant, on=KEYS)
    matched = rows.groupby("pivot_unit")["model"].transform("nunique")
    return rows[matched == encoders].reset_index(drop=True)
