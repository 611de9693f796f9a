"""A run's tables in which every unit is named: by its id, its model, its layer and its channel.

COLUMNS              the columns of each table
units_table          every unit of every model
neighbours_table     nearest neighbours between the pivot and models
best_buddies_table   best buddies between the pivot and models
rosetta_table        every buddy of every Rosetta neuron
concepts_table       one row per concept
layers_table         one row per model and layer
vargha_delaney_table    one row per model and measure
"""

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
    "neighbours_table",
    "rosetta_table",
    "units_table",
    "vargha_delaney_table",
]

# Columns that name a unit, and the one with its running number; `id` is the same in all tables.
UNIT = ["id", "model", "layer", "channel", "unit"]
PIVOT_UNIT = ["pivot_id", "pivot_model", "pivot_layer", "pivot_channel", "pivot_unit"]
NEIGHBOUR = [
    "neighbour_id",
    "neighbour_model",
    "neighbour_layer",
    "neighbour_channel",
    "neighbour",
]

COLUMNS = {
    "units": [*UNIT, "height", "width", "mean", "std", "alive", "sparsity", "selectivity"],
    "neighbours": ["side", *UNIT, "rank", *NEIGHBOUR, "corr"],
    "best_buddies": [*PIVOT_UNIT, *UNIT, "corr", "pivot_rank", "unit_rank", *PAIR_COLUMNS],
    "rosetta": ["concept", *PIVOT_UNIT, *UNIT, "corr", *PAIR_COLUMNS],
    "concepts": [
        "concept",
        "size",
        "pivot_ids",
        "pivot_units",
        "mean_corr",
        "min_corr",
        *CONCEPT_COLUMNS,
    ],
    "layers": [
        *("model", "layer", "depth", "units", "alive", "matched", "rosetta", "rosetta_share"),
        *("sparsity", "sparsity_other", "selectivity", "selectivity_other"),
    ],
    "vargha_delaney": [
        *(
            "model",
            "measure",
            "rosetta",
            "other",
            "vargha_delaney_a",
            "p_value",
            "vargha_delaney_a_pooled",
        ),
    ],
}


def units_table(findings: RunTables, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row per unit of some models, or of all: the pivot's first."""
    tables = []
    for model in findings.names if models is None else models:
        table = findings.units[model].assign(model=model)
        places = zip(table["layer"], table["channel"], strict=True)
        table["id"] = [unit_id(model, layer, channel) for layer, channel in places]
        tables.append(table)
    units = pd.concat(tables, ignore_index=True)
    known = units.merge(findings.selectivity, on=["model", "unit"], how="left")
    return known[COLUMNS["units"]]


def neighbours_table(findings: RunTables, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row per unit and nearest neighbour, of the pivot with some models or with all.

    On the side "pivot" the unit is the pivot's and the neighbour the model's; on the side
    "encoder" it is the other way round. The pivot with itself has the side "pivot" only.
    """
    tables = []
    for model in findings.names if models is None else models:
        table = findings.neighbours[model]
        pivots = table["side"] == "pivot"
        unit_model = np.where(pivots, findings.pivot, model)
        neighbour_model = np.where(pivots, model, findings.pivot)
        tables.append(table.assign(model=unit_model, neighbour_model=neighbour_model))
    named = _named(pd.concat(tables, ignore_index=True), findings, UNIT)
    return _named(named, findings, NEIGHBOUR)[COLUMNS["neighbours"]]


def best_buddies_table(findings: RunTables, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row per pair of best buddies, of the pivot with some models or with all."""
    names = findings.names if models is None else models
    tables = [findings.best_buddies[model].assign(model=model) for model in names]
    pairs = _with_told(pd.concat(tables, ignore_index=True), findings)
    return _with_pivot(pairs, findings)[COLUMNS["best_buddies"]]


def rosetta_table(findings: RunTables) -> pd.DataFrame:
    """Return one row per Rosetta neuron and buddy."""
    return _with_pivot(_with_told(findings.rosetta, findings), findings)[COLUMNS["rosetta"]]


def concepts_table(findings: RunTables) -> pd.DataFrame:
    """Return one row per concept; its Rosetta neurons as lists of ids and of numbers."""
    ids = units_table(findings, [findings.pivot])["id"].to_numpy()
    numbers = [[int(unit) for unit in units] for units in findings.concepts["pivot_units"]]
    lists = {"pivot_ids": [[ids[unit] for unit in units] for units in numbers]}
    table = findings.concepts.assign(pivot_units=numbers, **lists)
    if findings.significance is not None:
        table = table.merge(findings.significance.concepts, on="concept", how="left")
    return table.reindex(columns=COLUMNS["concepts"])


def layers_table(findings: RunTables) -> pd.DataFrame:
    """Return one row per model and layer: how many Rosetta units, and how selective."""
    return findings.layers[COLUMNS["layers"]]


def vargha_delaney_table(findings: RunTables) -> pd.DataFrame:
    """Return one row per model and measure: how often Rosetta units exceed others."""
    return findings.vargha_delaney[COLUMNS["vargha_delaney"]]


def _with_told(pairs: pd.DataFrame, findings: RunTables) -> pd.DataFrame:
    """Add what is told of pairs: nothing of the pivot with itself."""
    if findings.significance is None:
        return pairs.reindex(columns=[*pairs.columns, *PAIR_COLUMNS])
    keys = ["pivot_unit", "model", "unit"]
    known = findings.significance.pairs[[*keys, *PAIR_COLUMNS]]
    return pairs.merge(known, on=keys, how="left", validate="many_to_one")


def _with_pivot(table: pd.DataFrame, findings: RunTables) -> pd.DataFrame:
    """Name the units and the pivot's units of a table."""
    named = _named(table.assign(pivot_model=findings.pivot), findings, PIVOT_UNIT)
    return _named(named, findings, UNIT)


def _named(table: pd.DataFrame, findings: RunTables, columns: list[str]) -> pd.DataFrame:
    """Add id, layer and channel of the units that a table tells by model and number."""
    _, model, _, _, number = columns
    names = units_table(findings, table[model].unique() if len(table) else [findings.pivot])
    names = names[UNIT].set_axis(columns, axis="columns")
    return table.merge(names, how="left", on=[model, number], validate="many_to_one")
