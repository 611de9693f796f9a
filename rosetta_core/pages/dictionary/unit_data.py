"""What the pages of units show, several units a file.

UNITS_PER_FILE    how many
files             which units
unit_data         a file's units: moments, sparseness, nearest units, examples
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.unit_store import LayerExamples
from rosetta_core.pages.dictionary.lookup import Neighbour, Neighbourhood
from rosetta_core.pages.packed import pack, significant, thousandths
from rosetta_core.runs.run_tables import RunTables

__all__ = ["UNITS_PER_FILE", "files", "unit_data"]

UNITS_PER_FILE = 16


def unit_data(
    model: str,
    units: range,
    *,
    findings: RunTables,
    near: Mapping[str, Neighbourhood],
    layers: Sequence[LayerExamples],
    histograms: NDArray[np.uint8],
    concepts: Mapping[int, list[int]],
) -> dict[str, Any]:
    """Return the content of `data/units/{model}/{file}.js`, models by their number.

    Args:
        model: its name.
        units: their numbers.
        findings: the run's tables.
        near: by model the nearest units between the pivot and it.
        layers: by layer the examples of the model's units.
        histograms: of the model's units.
        concepts: by unit the concepts it is in.
    """
    table = findings.units[model].iloc[units.start : units.stop]
    number_of = {
        name: number for number, name in enumerate(findings.units[model]["layer"].unique())
    }
    moments = table[["mean", "std"]].to_numpy()
    columns: dict[str, list[Any]] = {
        "moments": [significant(row) for row in moments],
        "alive": table["alive"].astype(int).tolist(),
        "concepts": [concepts.get(unit, []) for unit in units],
        "near": [_near(model, unit, findings, near) for unit in units],
        "images": [],
        "sparseness": [],
        "peaks": [],
        "grids": [],
    }
    packed = []
    for row in table.itertuples():
        layer = layers[number_of[row.layer]]
        shown = [place for place, image in enumerate(layer.images[row.channel]) if image >= 0]
        maps = layer.maps[row.channel, shown]
        columns["images"].append(layer.images[row.channel, shown].tolist())
        columns["peaks"].append(
            (100 * layer.peaks[row.channel, shown]).round().astype(int).tolist()
        )
        columns["grids"].append(list(maps.shape[1:]))
        columns["sparseness"].append(
            thousandths([layer.sparsity[row.channel], layer.selectivity[row.channel]])
        )
        packed += [histograms[row.unit], maps]
    return {**columns, "packed": pack(packed)}


def _near(
    model: str, unit: int, findings: RunTables, near: Mapping[str, Neighbourhood]
) -> list[list[int]]:
    """Rows of model, unit, correlation, best buddy or not, bound of the other."""
    if model == findings.pivot:
        found = [(number, near[name].of_pivot(unit)) for number, name in enumerate(near)]
    else:
        found = [(0, near[model].of_model(unit))]
    return [_row(number, one) for number, its in found for one in its]


def _row(model: int, near: Neighbour) -> list[int]:
    return [model, near.unit, round(1e4 * near.corr), int(near.mutual), round(1e4 * near.bound)]


def files(units: pd.DataFrame) -> list[range]:
    """Return the units of every file."""
    return [
        range(first, min(first + UNITS_PER_FILE, len(units)))
        for first in range(0, len(units), UNITS_PER_FILE)
    ]
