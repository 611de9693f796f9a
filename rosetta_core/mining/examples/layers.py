"""Which layers the Rosetta neurons are in, and whether they are more selective than the rest.

selectivity_table    sparsity and selectivity of every unit
layer_table          by model and layer: how many, which share, and the medians of both groups
vargha_delaney_table    by model: how often a Rosetta unit exceeds another one of its layer
superiority          how often one group exceeds another within strata, and how likely by chance

Rosetta units are, of the pivot, the Rosetta neurons; of an encoder, their best buddies. The rest
are all other units that are alive. Over a whole model depth alone can make a difference, where
layers differ both in selectivity and in how many Rosetta units they have. So units are compared
within their layer.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from rosetta_core.mining.examples.selectivity import MEASURES

__all__ = ["layer_table", "selectivity_table", "vargha_delaney_a", "vargha_delaney_table"]

Tables = Mapping[str, pd.DataFrame]


def selectivity_table(measures: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> pd.DataFrame:
    """Return model, unit, sparsity, selectivity of every unit; NaN of dead ones.

    Args:
        measures: by model and measure the values of its units (u,).
    """
    tables = []
    for model, values in measures.items():
        table = pd.DataFrame({name: values[name].astype(np.float32) for name in MEASURES})
        table.insert(0, "unit", np.arange(len(table), dtype=np.int32))
        table.insert(0, "model", model)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def layer_table(
    units: Tables, selectivity: pd.DataFrame, *, buddies: Tables, rosetta: pd.DataFrame
) -> pd.DataFrame:
    """Return one row per model and layer, in order of depth.

    Columns are model, layer, depth (from 0), units, alive, matched (those with a best buddy; of the
    pivot, in any encoder), rosetta (how many are Rosetta units), share (of those alive), and the
    medians of both groups: sparsity, sparsity_other, selectivity, selectivity_other. A share of none,
    and the median of none, are NaN.

    Args:
        units: by model its table of units, the pivot's first.
        selectivity: as `selectivity_table` returns it.
        buddies: by encoder its best buddies with the pivot.
        rosetta: the table of Rosetta neurons.
    """
    tables = []
    for model, known in _groups(units, selectivity, buddies, rosetta):
        layers = known.groupby("layer", sort=False)
        table = layers[["alive", "matched", "rosetta"]].sum().astype(np.int32)
        table.insert(0, "units", layers.size().astype(np.int32))
        table["rosetta_share"] = (
            table["rosetta"] / table["alive"].where(table["alive"] > 0)
        ).astype(np.float32)
        for measure in MEASURES:
            for name, inside in ((measure, True), (f"{measure}_other", False)):
                of_group = known[measure].where(known["rosetta"] == inside)
                table[name] = of_group.groupby(known["layer"], sort=False).median()
        table = table.reset_index()
        table.insert(1, "depth", np.arange(len(table), dtype=np.int32))
        table.insert(0, "model", model)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def vargha_delaney_table(
    units: Tables, selectivity: pd.DataFrame, *, buddies: Tables, rosetta: pd.DataFrame
) -> pd.DataFrame:
    """Return model, measure, rosetta, rest, superiority, p_value, vargha_delaney_a_pooled.

    One row per model and measure. `rosetta` and `rest` are how many units there are of each;
    `superiority` and `p_value` are within layers, and `vargha_delaney_a_pooled` is the probability of
    superiority where layers are ignored, for what depth explains. Arguments as of `layer_table`.
    """
    rows = []
    for model, known in _groups(units, selectivity, buddies, rosetta):
        living = known[known["alive"]]
        inside = living["rosetta"].to_numpy()
        layers = pd.factorize(living["layer"])[0]
        for measure in MEASURES:
            values = living[measure].to_numpy()
            within, p_value = vargha_delaney_a(values, inside, layers)
            across, _ = vargha_delaney_a(values, inside, np.zeros_like(layers))
            count = int(inside.sum())
            rows.append((model, measure, count, len(inside) - count, within, p_value, across))
    columns = [
        "model",
        "measure",
        "rosetta",
        "other",
        "vargha_delaney_a",
        "p_value",
        "vargha_delaney_a_pooled",
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"rosetta": np.int32, "other": np.int32})


def vargha_delaney_a(
    values: NDArray[np.floating], inside: NDArray[np.bool_], strata: NDArray[np.integer]
) -> tuple[float, float]:
    """Return how often a value of a group exceeds another of its stratum, and a p-value.

    The probability of superiority (Vargha and Delaney's A, 2000), over all pairs of one value
    inside the group and one outside in the same stratum; ties count half. The p-value is two-sided,
    of the sum over strata of Mann and Whitney's U (1947; van Elteren's test, 1960, with all pairs
    weighing the same), by the normal approximation, corrected for ties.

    Args:
        values: (n,); NaN takes part in nothing.
        inside: which are of the group (n,).
        strata: which stratum each is in (n,).

    Returns:
        Both NaN if no stratum has values of both kinds.
    """
    wins = pairs = variance = 0.0
    known = ~np.isnan(values)
    for stratum in np.unique(strata[known]):
        here = known & (strata == stratum)
        own, total = int(inside[here].sum()), int(here.sum())
        among = float(own * (total - own))
        if not among:
            continue
        ranks = pd.Series(values[here]).rank().to_numpy()
        wins += ranks[inside[here]].sum() - own * (own + 1) / 2
        pairs += among
        _, tied = np.unique(ranks, return_counts=True)
        ties = (tied.astype(np.float64) ** 3 - tied).sum() / (total * (total - 1))
        variance += among / 12 * (total + 1 - ties)
    if not pairs:
        return np.nan, np.nan
    if not variance:  # all are the same
        return 0.5, 1.0
    return float(wins / pairs), float(2 * ndtr(-abs(wins - pairs / 2) / np.sqrt(variance)))


def _groups(
    units: Tables, selectivity: pd.DataFrame, buddies: Tables, rosetta: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame]]:
    """By model its units: layer, alive, matched, rosetta, and the measures."""
    pivot = next(iter(units))
    for model, table in units.items():
        if model == pivot:
            matched = pd.concat([pairs["pivot_unit"] for pairs in buddies.values()])
            inside = rosetta["pivot_unit"]
        else:
            matched = buddies[model]["unit"]
            inside = rosetta.loc[rosetta["model"] == model, "unit"]
        known = selectivity.loc[selectivity["model"] == model, ["unit", *MEASURES]]
        found = table[["unit", "layer", "alive"]].assign(
            matched=table["unit"].isin(matched), rosetta=table["unit"].isin(inside)
        )
        yield model, found.merge(known, on="unit", how="left", validate="one_to_one")
