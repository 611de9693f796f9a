"""Look-ups by unit: nearest neighbours, histograms, and concepts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.stores import LayerExamples
from rosetta_core.mining.run_tables import RunTables

__all__ = ["HISTOGRAM_BARS", "Neighbour", "NeighbourLookup", "histograms", "unit_concepts"]

HISTOGRAM_BARS = 64  # quarters of a std from -4 to 12; the last one contains all above


@dataclass(frozen=True)
class Neighbour:
    """One of the nearest neighbours of a unit.

    Attributes:
        unit: number of the neighbour.
        corr: correlation with the unit.
        mutual: whether the unit is also among the neighbour's K nearest (best buddies).
        bound: correlation of the neighbour's own K-th nearest; NaN if it has none.
    """

    unit: int
    corr: float
    mutual: bool
    bound: float


class NeighbourLookup:
    """Nearest neighbours between the pivot's units and those of one model, by unit."""

    def __init__(self, tables: RunTables, model: str) -> None:
        """Index the tables of neighbours and best buddies of the pivot and a model."""
        table = tables.neighbours[model]
        encoder_side = "pivot" if model == tables.pivot else "encoder"
        self._side_of = {"pivot": "pivot", "encoder": encoder_side}
        count = {
            encoder_side: len(tables.units[model]),
            "pivot": len(tables.units[tables.pivot]),
        }
        self._neighbours, self._corr, self._starts, self._bounds = {}, {}, {}, {}
        for side, units in count.items():
            rows = table[table["side"] == side].sort_values(["unit", "rank"])
            last = rows.drop_duplicates("unit", keep="last")
            bounds = np.full(units, np.nan)
            bounds[last["unit"]] = last["corr"]
            self._bounds[side] = bounds
            self._neighbours[side] = rows["neighbour"].to_numpy()
            self._corr[side] = rows["corr"].to_numpy()
            self._starts[side] = np.searchsorted(rows["unit"].to_numpy(), np.arange(units + 1))
        buddies = tables.best_buddies[model]
        self._pairs = set(
            zip(buddies["pivot_unit"].tolist(), buddies["unit"].tolist(), strict=True)
        )

    def of_pivot(self, unit: int) -> list[Neighbour]:
        """Return the model's units that are nearest to a unit of the pivot, best first."""
        return [
            self._neighbour(other, corr, "encoder", mutual=(unit, other) in self._pairs)
            for other, corr in self._rows("pivot", unit)
        ]

    def of_model(self, unit: int) -> list[Neighbour]:
        """Return the pivot's units that are nearest to a unit of the model, best first."""
        return [
            self._neighbour(other, corr, "pivot", mutual=(other, unit) in self._pairs)
            for other, corr in self._rows("encoder", unit)
        ]

    def _rows(self, role: str, unit: int) -> list[tuple[int, float]]:
        side = self._side_of[role]
        start, stop = self._starts[side][unit : unit + 2]
        neighbours = self._neighbours[side][start:stop].tolist()
        return list(zip(neighbours, self._corr[side][start:stop].tolist(), strict=True))

    def _neighbour(self, unit: int, corr: float, role: str, *, mutual: bool) -> Neighbour:
        return Neighbour(unit, corr, mutual, float(self._bounds[self._side_of[role]][unit]))


def histograms(layers: Sequence[LayerExamples]) -> NDArray[np.uint8]:
    """Return the histograms of a model's units (units, 64) as bar heights from 0 to 255.

    Heights are square roots of counts, since most activations are near one value and the tail is
    of interest.
    """
    counts = np.concatenate([layer.histogram for layer in layers])
    bars = counts[:, :HISTOGRAM_BARS].astype(np.float64)
    bars[:, -1] += counts[:, HISTOGRAM_BARS:].sum(1)
    largest = np.maximum(bars.max(axis=1, keepdims=True), 1)
    return (255 * np.sqrt(bars / largest)).round().astype(np.uint8)


def unit_concepts(tables: RunTables, model: str) -> dict[int, list[int]]:
    """Return by unit the concepts that contain it, ascending; units in none are left out."""
    rosetta = tables.rosetta
    if model == tables.pivot:
        rows = rosetta[["pivot_unit", "concept"]].rename(columns={"pivot_unit": "unit"})
    else:
        rows = rosetta.loc[rosetta["model"] == model, ["unit", "concept"]]
    rows = pd.DataFrame(rows).drop_duplicates().sort_values(["unit", "concept"])
    return {int(unit): group["concept"].tolist() for unit, group in rows.groupby("unit")}
