"""Rosetta neurons and concepts.

rosetta_neurons        pivot units with at least one best buddy in every encoder (paper, Sec. 3)
cluster                their connected components under the pivot's own best buddies: concepts
adjusted_rand_index    how alike two ways of joining them are
rosetta_table          one row per (pivot unit, model, unit)
concept_table          one row per concept
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["adjusted_rand_index", "cluster", "concept_table", "rosetta_neurons", "rosetta_table"]


def rosetta_neurons(buddies: Mapping[str, pd.DataFrame]) -> NDArray[np.int32]:
    """Return the pivot units that have a best buddy in every encoder, in order.

    Args:
        buddies: by encoder its table of best buddies with the pivot.
    """
    units = [set(table["pivot_unit"]) for table in buddies.values()]
    return np.array(sorted(set.intersection(*units)), dtype=np.int32)


def cluster(neurons: NDArray[np.int32], own: pd.DataFrame) -> NDArray[np.int32]:
    """Return the component of each Rosetta neuron, numbered by its first neuron.

    Args:
        neurons: the Rosetta neurons, in order.
        own: the pivot's best buddies with itself; those that are no Rosetta neurons don't link.
    """
    inside = own[own["pivot_unit"].isin(neurons) & own["unit"].isin(neurons)]
    ends = [np.searchsorted(neurons, inside[side]) for side in ("pivot_unit", "unit")]
    size = len(neurons)
    graph = coo_array((np.ones(len(inside), dtype=bool), tuple(ends)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, first, labels = np.unique(component, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int32)
    number[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return number[labels]


def adjusted_rand_index(one: NDArray[np.int32], other: NDArray[np.int32]) -> float:
    """Return how alike two partitions of the same things are (Hubert and Arabie, 1985).

    1 if they are the same, 0 on average between random ones of such sizes. By hand, since the
    libraries that have it take seconds to import.

    Args:
        one: labels (n,).
        other: labels (n,).
    """

    def pairs(counts: NDArray[np.int64]) -> float:
        return float((counts * (counts - 1) / 2).sum())

    table = pd.crosstab(one, other).to_numpy()
    together, first, second = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    every = len(one) * (len(one) - 1) / 2
    expected = first * second / every if every else 0.0
    most = (first + second) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)


def rosetta_table(buddies: Mapping[str, pd.DataFrame], own: pd.DataFrame) -> pd.DataFrame:
    """Return pivot_unit, model, unit, corr, concept: every buddy of every Rosetta neuron.

    Concepts are numbered from the highest mean correlation down, ties by their first pivot unit.
    """
    neurons = rosetta_neurons(buddies)
    rows = pd.concat(
        [table.assign(model=model)[["pivot_unit", "model", "unit", "corr"]] for model, table in
         buddies.items()],
        ignore_index=True,
    )  # fmt: skip
    rows = rows[rows["pivot_unit"].isin(neurons)]
    component = pd.Series(cluster(neurons, own), index=neurons)
    rows = rows.assign(concept=component.loc[rows["pivot_unit"]].to_numpy())
    mean = rows.groupby("concept")["corr"].mean()
    order = mean.sort_values(ascending=False, kind="stable").index
    number = pd.Series(np.arange(len(order), dtype=np.int32), index=order)
    rows["concept"] = number.loc[rows["concept"]].to_numpy()
    model_order = {model: position for position, model in enumerate(buddies)}
    key = rows["model"].map(model_order)
    rows = rows.assign(_model=key).sort_values(
        ["pivot_unit", "_model", "corr", "unit"],
        ascending=[True, True, False, True],
        ignore_index=True,
    )
    return rows[["pivot_unit", "model", "unit", "corr", "concept"]]


def concept_table(rosetta: pd.DataFrame) -> pd.DataFrame:
    """Return concept, size, pivot_units, mean_corr, min_corr.

    Size counts the Rosetta neurons; the correlations are over all pairs of the concept.
    """
    groups = rosetta.groupby("concept")
    units = groups["pivot_unit"].unique().map(sorted)
    return pd.DataFrame(
        {
            "concept": units.index.to_numpy(dtype=np.int32),
            "size": units.map(len).to_numpy(dtype=np.int32),
            "pivot_units": units.to_numpy(),
            "mean_corr": groups["corr"].mean().to_numpy(dtype=np.float32),
            "min_corr": groups["corr"].min().to_numpy(dtype=np.float32),
        }
    )
