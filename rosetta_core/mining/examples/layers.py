"""Rosetta units by layer, and their selectivity compared with other units of the layer.

Rosetta units are the Rosetta neurons of the pivot, and their best buddies in an encoder; the other
units are all other alive units. Layers differ both in selectivity and in their number of Rosetta
units, so that depth alone could make a difference over a whole model. Units are therefore compared
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
    """Return model, unit, sparsity, selectivity of every unit; NaN for dead units.

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
    """Count the Rosetta units of every layer, and compute the medians of their selectivity.

    Args:
        units: by model its table of units, the pivot's first.
        selectivity: sparsity and selectivity of every unit, see `selectivity_table`.
        buddies: by encoder its best buddies with the pivot.
        rosetta: table of Rosetta neurons.

    Returns:
        One row per model and layer, in order of depth: model, layer, depth (from 0), units, alive,
        matched (units with a best buddy; of the pivot, in any encoder), rosetta (Rosetta units),
        rosetta_share (of the alive units), and the medians sparsity, sparsity_other, selectivity
        and selectivity_other of Rosetta units and of other units. NaN where there are none.
    """
    tables = []
    for model, known in _unit_groups(units, selectivity, buddies, rosetta):
        layers = known.groupby("layer", sort=False)
        table = layers[["alive", "matched", "rosetta"]].sum().astype(np.int32)
        table.insert(0, "units", layers.size().astype(np.int32))
        share = table["rosetta"] / table["alive"].where(table["alive"] > 0)
        table["rosetta_share"] = share.astype(np.float32)
        for measure in MEASURES:
            for name, rosetta_units in ((measure, True), (f"{measure}_other", False)):
                values = known[measure].where(known["rosetta"] == rosetta_units)
                table[name] = values.groupby(known["layer"], sort=False).median()
        table = table.reset_index()
        table.insert(1, "depth", np.arange(len(table), dtype=np.int32))
        table.insert(0, "model", model)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def vargha_delaney_table(
    units: Tables, selectivity: pd.DataFrame, *, buddies: Tables, rosetta: pd.DataFrame
) -> pd.DataFrame:
    """Compare the sparsity and selectivity of Rosetta units with those of other units.

    Args:
        units: by model its table of units, the pivot's first.
        selectivity: sparsity and selectivity of every unit, see `selectivity_table`.
        buddies: by encoder its best buddies with the pivot.
        rosetta: table of Rosetta neurons.

    Returns:
        One row per model and measure: model, measure, rosetta and other (numbers of units),
        vargha_delaney_a and p_value within layers, and vargha_delaney_a_pooled with layers ignored;
        its difference from vargha_delaney_a is explained by depth.
    """
    rows = []
    for model, known in _unit_groups(units, selectivity, buddies, rosetta):
        alive = known[known["alive"]]
        inside = alive["rosetta"].to_numpy()
        layers = pd.factorize(alive["layer"])[0]
        for measure in MEASURES:
            values = alive[measure].to_numpy()
            within, p_value = vargha_delaney_a(values, inside, layers)
            pooled, _ = vargha_delaney_a(values, inside, np.zeros_like(layers))
            count = int(inside.sum())
            rows.append((model, measure, count, len(inside) - count, within, p_value, pooled))
    columns = [
        *("model", "measure", "rosetta", "other"),
        *("vargha_delaney_a", "p_value", "vargha_delaney_a_pooled"),
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"rosetta": np.int32, "other": np.int32})


def vargha_delaney_a(
    values: NDArray[np.floating], inside: NDArray[np.bool_], strata: NDArray[np.integer]
) -> tuple[float, float]:
    """Return the stratified Vargha–Delaney A of a group, and its p-value.

    A is the share of all pairs of a value inside the group and one outside, in the same stratum,
    in which the value inside is larger; ties count half (Vargha and Delaney, 2000). 0.5 means no
    difference. The two-sided p-value is that of the sum over strata of Mann and Whitney's U (1947;
    van Elteren's test, 1960, with equal weights for all pairs), by the normal approximation with
    correction for ties.

    Args:
        values: values (n,); NaN is left out.
        inside: whether each value is of the group (n,).
        strata: stratum of each value (n,).

    Returns:
        A and the p-value, both NaN if no stratum has values of both kinds.
    """
    wins = pairs = variance = 0.0
    known = ~np.isnan(values)
    for stratum in np.unique(strata[known]):
        here = known & (strata == stratum)
        count, total = int(inside[here].sum()), int(here.sum())
        stratum_pairs = float(count * (total - count))
        if not stratum_pairs:
            continue
        ranks = pd.Series(values[here]).rank().to_numpy()
        wins += ranks[inside[here]].sum() - count * (count + 1) / 2
        pairs += stratum_pairs
        _, tied = np.unique(ranks, return_counts=True)
        ties = (tied.astype(np.float64) ** 3 - tied).sum() / (total * (total - 1))
        variance += stratum_pairs / 12 * (total + 1 - ties)
    if not pairs:
        return np.nan, np.nan
    if not variance:  # all values are equal
        return 0.5, 1.0
    return float(wins / pairs), float(2 * ndtr(-abs(wins - pairs / 2) / np.sqrt(variance)))


def _unit_groups(
    units: Tables, selectivity: pd.DataFrame, buddies: Tables, rosetta: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the units of each model: unit, layer, alive, matched, rosetta, and the measures."""
    pivot = next(iter(units))
    for model, table in units.items():
        if model == pivot:
            matched = pd.concat([pairs["pivot_unit"] for pairs in buddies.values()])
            inside = rosetta["pivot_unit"]
        else:
            matched = buddies[model]["unit"]
            inside = rosetta.loc[rosetta["model"] == model, "unit"]
        measures = selectivity.loc[selectivity["model"] == model, ["unit", *MEASURES]]
        groups = table[["unit", "layer", "alive"]].assign(
            matched=table["unit"].isin(matched), rosetta=table["unit"].isin(inside)
        )
        yield model, groups.merge(measures, on="unit", how="left", validate="one_to_one")
