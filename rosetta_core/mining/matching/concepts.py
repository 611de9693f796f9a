"""Rosetta neurons and concepts (paper, Sec. 3), and the representative units of concepts.

Rosetta neurons are the pivot units with a best buddy in every encoder. Concepts are the connected
components of the Rosetta neurons under the pivot's best buddies with itself.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = [
    "cluster",
    "concept_table",
    "representative_neurons",
    "representative_units",
    "rosetta_neurons",
    "rosetta_table",
]


def rosetta_neurons(buddies: Mapping[str, pd.DataFrame]) -> NDArray[np.int32]:
    """Return the pivot units with a best buddy in every encoder, ascending.

    Args:
        buddies: by encoder the table of its best buddies with the pivot.
    """
    units = [set(table["pivot_unit"]) for table in buddies.values()]
    return np.array(sorted(set.intersection(*units)), dtype=np.int32)


def cluster(neurons: NDArray[np.int32], within_pivot: pd.DataFrame) -> NDArray[np.int32]:
    """Return the connected component of each Rosetta neuron, numbered by first neuron.

    Args:
        neurons: Rosetta neurons, ascending.
        within_pivot: best buddies of the pivot with itself; only those of two Rosetta neurons are
            links.
    """
    inside = within_pivot["pivot_unit"].isin(neurons) & within_pivot["unit"].isin(neurons)
    links = within_pivot[inside]
    ends = [np.searchsorted(neurons, links[side]) for side in ("pivot_unit", "unit")]
    size = len(neurons)
    graph = coo_array((np.ones(len(links), dtype=bool), tuple(ends)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, first, labels = np.unique(component, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int32)
    number[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return number[labels]


def rosetta_table(buddies: Mapping[str, pd.DataFrame], within_pivot: pd.DataFrame) -> pd.DataFrame:
    """Return all best buddies of all Rosetta neurons, with their concepts.

    Concepts are numbered by descending mean correlation, ties by their first pivot unit.

    Args:
        buddies: by encoder the table of its best buddies with the pivot.
        within_pivot: best buddies of the pivot with itself.

    Returns:
        Columns pivot_unit, model, unit, corr, concept; sorted by pivot unit, encoder (in the order
        of `buddies`), descending correlation and unit.
    """
    neurons = rosetta_neurons(buddies)
    columns = ["pivot_unit", "model", "unit", "corr"]
    rows = pd.concat(
        [table.assign(model=model)[columns] for model, table in buddies.items()],
        ignore_index=True,
    )
    rows = rows[rows["pivot_unit"].isin(neurons)]
    component = pd.Series(cluster(neurons, within_pivot), index=neurons)
    rows = rows.assign(concept=component.loc[rows["pivot_unit"]].to_numpy())
    mean = rows.groupby("concept")["corr"].mean()
    order = mean.sort_values(ascending=False, kind="stable").index
    number = pd.Series(np.arange(len(order), dtype=np.int32), index=order)
    rows["concept"] = number.loc[rows["concept"]].to_numpy()
    encoder_order = {model: position for position, model in enumerate(buddies)}
    rows = rows.assign(_encoder=rows["model"].map(encoder_order)).sort_values(
        ["pivot_unit", "_encoder", "corr", "unit"],
        ascending=[True, True, False, True],
        ignore_index=True,
    )
    return rows[[*columns, "concept"]]


def concept_table(rosetta: pd.DataFrame) -> pd.DataFrame:
    """Return one row per concept of a table of Rosetta neurons.

    Columns: concept, size (number of Rosetta neurons), pivot_units, and mean_corr and min_corr over
    all pairs of the concept.
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


def representative_neurons(rosetta: pd.DataFrame) -> pd.Series:
    """Return the representative Rosetta neuron of each concept, by its number.

    It is the neuron whose best buddies, one per encoder, have the highest mean correlation. Ties go
    to the lower unit.

    Args:
        rosetta: table of Rosetta neurons.

    Returns:
        Pivot units, with the numbers of their concepts as the index, ascending.
    """
    best = _best_per_encoder(rosetta).groupby(["concept", "pivot_unit"])["corr"].mean()
    order = best.reset_index().sort_values(
        ["concept", "corr", "pivot_unit"], ascending=[True, False, True]
    )
    return order.drop_duplicates("concept").set_index("concept")["pivot_unit"]


def representative_units(concept: pd.DataFrame, *, pivot: str) -> dict[str, int]:
    """Return the representative unit of a concept in each model, the pivot's first.

    The pivot's is the representative Rosetta neuron; the encoders' are its best buddies with the
    highest correlation. Ties go to the lower unit.

    Args:
        concept: rows of the concept in the table of Rosetta neurons.
        pivot: name of the pivot.
    """
    best = _best_per_encoder(concept)
    neuron = representative_neurons(concept.assign(concept=0)).iloc[0]
    buddies = best[best["pivot_unit"] == neuron].set_index("model")["unit"]
    encoders = concept["model"].drop_duplicates()
    return {pivot: int(neuron), **{model: int(buddies[model]) for model in encoders}}


def _best_per_encoder(rosetta: pd.DataFrame) -> pd.DataFrame:
    """Return the best buddy with the highest correlation of each Rosetta neuron and encoder."""
    order = rosetta.sort_values(["corr", "unit"], ascending=[False, True])
    return order.drop_duplicates(["pivot_unit", "model"])
