"""Tables of a run in which every unit has its id, model, layer and channel."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from rosetta_core.mining.run_tables import RunTables, unit_id
from rosetta_core.mining.significance.tables import CONCEPT_COLUMNS, PAIR_COLUMNS

__all__ = [
    "COLUMNS",
    "best_buddies_table",
    "concepts_table",
    "layers_table",
    "model_pairs_table",
    "neighbours_table",
    "rosetta_table",
    "units_table",
    "vargha_delaney_table",
]

# columns that name a unit: its id is the same in all tables, the last column is its number
UNIT = ["id", "model", "layer", "channel", "unit"]
PIVOT_UNIT = ["pivot_id", "pivot_model", "pivot_layer", "pivot_channel", "pivot_unit"]
NEIGHBOUR = [
    *("neighbour_id", "neighbour_model", "neighbour_layer", "neighbour_channel", "neighbour"),
]

COLUMNS = {
    "units": [*UNIT, "height", "width", "mean", "std", "alive", "sparsity", "selectivity"],
    "neighbours": ["side", *UNIT, "rank", *NEIGHBOUR, "corr"],
    "best_buddies": [*PIVOT_UNIT, *UNIT, "corr", "pivot_rank", "unit_rank", *PAIR_COLUMNS],
    "rosetta": ["concept", "concept_id", *PIVOT_UNIT, *UNIT, "corr", *PAIR_COLUMNS],
    "concepts": [
        *("concept", "concept_id", "size", "pivot_ids", "pivot_units", "mean_corr", "min_corr"),
        *CONCEPT_COLUMNS,
    ],
    "layers": [
        *("model", "layer", "depth", "units", "alive", "matched", "rosetta", "rosetta_share"),
        *("sparsity", "sparsity_other", "selectivity", "selectivity_other"),
    ],
    "vargha_delaney": [
        *("model", "measure", "rosetta", "other"),
        *("vargha_delaney_a", "p_value", "vargha_delaney_a_pooled"),
    ],
}


def units_table(tables: RunTables, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row per unit of some models, or of all models, the pivot first."""
    parts = []
    for model in tables.names if models is None else models:
        part = tables.units[model].assign(model=model)
        channels = zip(part["layer"], part["channel"], strict=True)
        part["id"] = [unit_id(model, layer, channel) for layer, channel in channels]
        parts.append(part)
    units = pd.concat(parts, ignore_index=True)
    return units.merge(tables.selectivity, on=["model", "unit"], how="left")[COLUMNS["units"]]


def neighbours_table(tables: RunTables, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row per unit and nearest neighbour, of the pivot with some models or with all.

    On the side "pivot" the unit is the pivot's and the neighbour the model's; on the side
    "encoder" it is the reverse. The pivot with itself has the side "pivot" only.
    """
    parts = []
    for model in tables.names if models is None else models:
        part = tables.neighbours[model]
        of_pivot = part["side"] == "pivot"
        unit_model = np.where(of_pivot, tables.pivot, model)
        neighbour_model = np.where(of_pivot, model, tables.pivot)
        parts.append(part.assign(model=unit_model, neighbour_model=neighbour_model))
    table = _name_units(pd.concat(parts, ignore_index=True), tables, UNIT)
    return _name_units(table, tables, NEIGHBOUR)[COLUMNS["neighbours"]]


def best_buddies_table(tables: RunTables, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row per pair of best buddies, of the pivot with some models or with all."""
    names = tables.names if models is None else models
    parts = [tables.best_buddies[model].assign(model=model) for model in names]
    pairs = _add_significance(pd.concat(parts, ignore_index=True), tables)
    return _name_both(pairs, tables)[COLUMNS["best_buddies"]]


def model_pairs_table(
    pairs: pd.DataFrame, tables: RunTables, *, first: str, second: str
) -> pd.DataFrame:
    """Return one row per pair of best buddies of two models, the first in the pivot's columns.

    Args:
        pairs: best buddies, with the first model's units as pivot_unit.
        tables: tables of the run.
        first: model of the column pivot_unit.
        second: model of the column unit.
    """
    named = _name_units(pairs.assign(pivot_model=first, model=second), tables, PIVOT_UNIT)
    named = _name_units(named, tables, UNIT)
    return named[[name for name in COLUMNS["best_buddies"] if name not in PAIR_COLUMNS]]


def rosetta_table(tables: RunTables) -> pd.DataFrame:
    """Return one row per Rosetta neuron and best buddy."""
    ids = np.array(tables.concept_ids, dtype=object)
    rows = tables.rosetta.assign(concept_id=ids[tables.rosetta["concept"].to_numpy()])
    return _name_both(_add_significance(rows, tables), tables)[COLUMNS["rosetta"]]


def concepts_table(tables: RunTables) -> pd.DataFrame:
    """Return one row per concept, with lists of the ids and numbers of its Rosetta neurons."""
    ids = units_table(tables, [tables.pivot])["id"].to_numpy()
    numbers = [[int(unit) for unit in units] for units in tables.concepts["pivot_units"]]
    pivot_ids = [[ids[unit] for unit in units] for units in numbers]
    table = tables.concepts.assign(
        concept_id=tables.concept_ids, pivot_units=numbers, pivot_ids=pivot_ids
    )
    if tables.significance is not None:
        table = table.merge(tables.significance.concepts, on="concept", how="left")
    return table.reindex(columns=COLUMNS["concepts"])


def layers_table(tables: RunTables) -> pd.DataFrame:
    """Return one row per model and layer: number of Rosetta units, and median selectivity."""
    return tables.layers[COLUMNS["layers"]]


def vargha_delaney_table(tables: RunTables) -> pd.DataFrame:
    """Return one row per model and measure: comparison of Rosetta units with other units."""
    return tables.vargha_delaney[COLUMNS["vargha_delaney"]]


def _add_significance(pairs: pd.DataFrame, tables: RunTables) -> pd.DataFrame:
    """Add the significance of pairs; missing for pairs of the pivot with itself."""
    if tables.significance is None:
        return pairs.reindex(columns=[*pairs.columns, *PAIR_COLUMNS])
    keys = ["pivot_unit", "model", "unit"]
    significance = tables.significance.pairs[[*keys, *PAIR_COLUMNS]]
    return pairs.merge(significance, on=keys, how="left", validate="many_to_one")


def _name_both(pairs: pd.DataFrame, tables: RunTables) -> pd.DataFrame:
    """Add the names of the pivot units and of the units of pairs."""
    named = _name_units(pairs.assign(pivot_model=tables.pivot), tables, PIVOT_UNIT)
    return _name_units(named, tables, UNIT)


def _name_units(table: pd.DataFrame, tables: RunTables, columns: list[str]) -> pd.DataFrame:
    """Add id, layer and channel of the units that two of the columns give by model and number."""
    _, model, _, _, number = columns
    names = units_table(tables, table[model].unique() if len(table) else [tables.pivot])
    names = names[UNIT].set_axis(columns, axis="columns")
    return table.merge(names, how="left", on=[model, number], validate="many_to_one")
