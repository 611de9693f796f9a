"""Data of the page of the models: layers, matches and counts under null models."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.run_tables import RunTables
from rosetta_core.pages.dictionary.columns import TABLES, encode

__all__ = ["model_data"]

CORR_BINS = 40  # of histograms of correlations from 0 to 1


def model_data(tables: RunTables) -> dict[str, Any]:
    """Return the content of `data/models.js`.

    Returns:
        `layers`: by model the columns of its layers. `depth`: by encoder the number of best-buddy
        pairs by layer of the pivot and layer of the encoder, of all pairs and of those in the
        dictionary. `corr`: by encoder the histograms of the same pairs' correlations. `overlap`:
        rows of a set of encoders (as bits) and the number of pivot units with best buddies in
        exactly these. `varghaDelaney`, `nullCounts`, `splitHalf`: columns of these tables.
    """
    significance = tables.significance
    return {
        "layers": [_layers(tables, model) for model in tables.names],
        "depth": [_depth(tables, model) for model in tables.encoders],
        "corr": [_corr(tables, model) for model in tables.encoders],
        "overlap": _overlap(tables),
        "varghaDelaney": _table(tables.vargha_delaney, "varghaDelaney", text=["model", "measure"]),
        "nullCounts": _table(
            significance and significance.null_counts,
            "nullCounts",
            text=["null", "level", "model"],
        ),
        "splitHalf": _table(
            significance and significance.split_half, "splitHalf", text=["level", "model"]
        ),
    }


def _table(table: pd.DataFrame | None, name: str, *, text: list[str]) -> dict[str, Any] | None:
    """Columns of text and of statistics; None for a table that the run does not have."""
    if table is None:
        return None
    return {key: table[key].tolist() for key in text} | encode(table, TABLES[name])


def _layers(tables: RunTables, model: str) -> dict[str, Any]:
    return encode(tables.layers[tables.layers["model"] == model], TABLES["layers"])


def _pairs(tables: RunTables, model: str) -> dict[str, pd.DataFrame]:
    """All best-buddy pairs of an encoder, and those in the dictionary."""
    rosetta = tables.rosetta
    return {"all": tables.best_buddies[model], "dictionary": rosetta[rosetta["model"] == model]}


def _depth(tables: RunTables, model: str) -> dict[str, list[list[int]]]:
    rows, columns = (_layer_numbers(tables, name) for name in (tables.pivot, model))
    counts = {}
    for name, pairs in _pairs(tables, model).items():
        matrix = np.zeros((rows.max() + 1, columns.max() + 1), int)
        np.add.at(matrix, (rows[pairs["pivot_unit"]], columns[pairs["unit"]]), 1)
        counts[name] = matrix.tolist()
    return counts


def _layer_numbers(tables: RunTables, model: str) -> NDArray[np.intp]:
    """The number of every unit's layer (units,)."""
    return pd.factorize(tables.units[model]["layer"])[0]


def _corr(tables: RunTables, model: str) -> dict[str, list[int]]:
    return {
        name: np.histogram(pairs["corr"], bins=CORR_BINS, range=(0, 1))[0].tolist()
        for name, pairs in _pairs(tables, model).items()
    }


def _overlap(tables: RunTables) -> list[list[int]]:
    bits = np.zeros(len(tables.units[tables.pivot]), int)
    for place, model in enumerate(tables.encoders):
        bits[tables.best_buddies[model]["pivot_unit"].unique()] |= 1 << place
    sets, counts = np.unique(bits[bits > 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return np.column_stack([sets, counts])[order].tolist()
