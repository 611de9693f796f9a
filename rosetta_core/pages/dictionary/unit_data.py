"""Data of the pages of units, several units a file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.stores import LayerExamples
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.pages.data_files import pack, rounded
from rosetta_core.pages.dictionary.columns import TABLES, encode
from rosetta_core.pages.dictionary.lookup import Neighbour, NeighbourLookup

__all__ = ["UNITS_PER_FILE", "unit_data", "unit_files"]

UNITS_PER_FILE = 16


def unit_data(
    model: str,
    units: range,
    *,
    tables: RunTables,
    lookups: Mapping[str, NeighbourLookup],
    layers: Sequence[LayerExamples],
    histograms: NDArray[np.uint8],
    concepts: Mapping[int, list[int]],
) -> dict[str, Any]:
    """Return the content of `data/units/{number of the model}/{file}.js`.

    Args:
        model: name of the model.
        units: numbers of the units in the file.
        tables: tables of the run.
        lookups: by model the nearest neighbours between the pivot and it.
        layers: examples of the model's units, by layer.
        histograms: histograms of all units of the model (units, 64).
        concepts: by unit the concepts that contain it.
    """
    table = tables.units[model].iloc[units.start : units.stop]
    layer_number = {name: i for i, name in enumerate(tables.units[model]["layer"].unique())}
    content: dict[str, list[Any]] = {
        "alive": table["alive"].astype(int).tolist(),
        "concepts": [concepts.get(unit, []) for unit in units],
        "neighbours": [_neighbours(model, unit, tables, lookups) for unit in units],
        "images": [],
        "peaks": [],
        "sizes": [],
    }
    sparseness, packed = [], []
    for row in table.itertuples():
        layer = layers[layer_number[row.layer]]
        shown = [place for place, image in enumerate(layer.images[row.channel]) if image >= 0]
        maps = layer.maps[row.channel, shown]  # (examples, h, w)
        content["images"].append(layer.images[row.channel, shown].tolist())
        content["peaks"].append(rounded(layer.peaks[row.channel, shown], 2))
        content["sizes"].append(list(maps.shape[1:]))
        sparseness.append((layer.sparsity[row.channel], layer.selectivity[row.channel]))
        packed += [histograms[row.unit], maps]
    measures = pd.DataFrame(sparseness, columns=["sparsity", "selectivity"], index=table.index)
    statistics = encode(pd.concat([table[["mean", "std"]], measures], axis=1), TABLES["units"])
    return {**content, **statistics, "packed": pack(packed)}


def _neighbours(
    model: str, unit: int, tables: RunTables, lookups: Mapping[str, NeighbourLookup]
) -> list[list[float | None]]:
    """Rows of model, unit, correlation, 1 for best buddies, and the neighbour's own bound."""
    if model == tables.pivot:
        found = [(number, lookups[name].of_pivot(unit)) for number, name in enumerate(lookups)]
    else:
        found = [(0, lookups[model].of_model(unit))]
    return [_row(number, one) for number, neighbours in found for one in neighbours]


def _row(model: int, neighbour: Neighbour) -> list[float | None]:
    corr, bound = rounded([neighbour.corr, neighbour.bound], 4)
    return [model, neighbour.unit, corr, int(neighbour.mutual), bound]


def unit_files(units: pd.DataFrame) -> list[range]:
    """Return the units of every file of a model."""
    return [
        range(first, min(first + UNITS_PER_FILE, len(units)))
        for first in range(0, len(units), UNITS_PER_FILE)
    ]
