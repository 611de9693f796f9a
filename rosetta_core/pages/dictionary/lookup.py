"""Tables of a run, by unit.

Neighbourhood     the nearest units of any unit, and which of them are best buddies
histograms        of all units, as the pages draw them
unit_concepts     the concepts that a model's units are in
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.unit_store import LayerExamples
from rosetta_core.runs.run_tables import RunTables

__all__ = ["HISTOGRAM_BARS", "Neighbour", "Neighbourhood", "histograms", "unit_concepts"]

HISTOGRAM_BARS = 64  # quarters of a std from -4 to 12, the last with all above


@dataclass(frozen=True)
class Neighbour:
    """A unit near to another.

    Attributes:
        unit: its number.
        corr: the correlation with the other.
        mutual: whether the other is among its K nearest too, so that they are best buddies.
        bound: the correlation that its K-th nearest has.
    """

    unit: int
    corr: float
    mutual: bool
    bound: float


class Neighbourhood:
    """The nearest units of the pivot's units in a model, and the other way round."""

    def __init__(self, findings: RunTables, model: str) -> None:
        """Sort the tables of the pivot and a model."""
        table = findings.neighbours[model]
        same = model == findings.pivot
        sides = ["pivot", "pivot" if same else "encoder"]
        count = {
            "pivot": len(findings.units[findings.pivot]),
            "encoder": len(findings.units[model]),
        }
        rows = {
            side: table[table["side"] == side].sort_values(["unit", "rank"]) for side in set(sides)
        }
        bounds = {}
        for side, its in rows.items():
            last = its.drop_duplicates("unit", keep="last")
            bounds[side] = np.full(count[side], -1.0)
            bounds[side][last["unit"]] = last["corr"]
        buddies = findings.best_buddies[model]
        pairs = set(zip(buddies["pivot_unit"].tolist(), buddies["unit"].tolist(), strict=True))
        self._sides = dict(zip(("pivot", "encoder"), sides, strict=True))
        self._near = {side: its["neighbour"].to_numpy() for side, its in rows.items()}
        self._corr = {side: its["corr"].to_numpy() for side, its in rows.items()}
        self._starts = {
            side: np.searchsorted(its["unit"].to_numpy(), np.arange(count[side] + 1))
            for side, its in rows.items()
        }
        self._bounds, self._pairs = bounds, pairs

    def of_pivot(self, unit: int) -> list[Neighbour]:
        """The model's units that are nearest to a unit of the pivot."""
        return self._of(unit, "pivot", "encoder")

    def of_model(self, unit: int) -> list[Neighbour]:
        """The pivot's units that are nearest to a unit of the model."""
        return self._of(unit, "encoder", "pivot")

    def _of(self, unit: int, here: str, there: str) -> list[Neighbour]:
        own, other = self._sides[here], self._sides[there]
        start, stop = self._starts[own][unit : unit + 2]
        near = self._near[own][start:stop].tolist()
        return [
            Neighbour(
                partner,
                float(corr),
                mutual=((unit, partner) if here == "pivot" else (partner, unit)) in self._pairs,
                bound=float(self._bounds[other][partner]),
            )
            for partner, corr in zip(near, self._corr[own][start:stop], strict=True)
        ]


def histograms(layers: Sequence[LayerExamples]) -> NDArray[np.uint8]:
    """Return the histogram of every unit of a model (units, 64), heights as roots from 0 to 255.

    Roots, because most activations lie near one value and the tail is what is of interest.
    """
    counts = np.concatenate([layer.histogram for layer in layers])
    bars = counts[:, :HISTOGRAM_BARS].astype(np.float64)
    bars[:, -1] += counts[:, HISTOGRAM_BARS:].sum(1)
    largest = np.maximum(bars.max(axis=1, keepdims=True), 1)
    return (255 * np.sqrt(bars / largest)).round().astype(np.uint8)


def unit_concepts(findings: RunTables, model: str) -> dict[int, list[int]]:
    """Return by unit the concepts it is in, ascending; units in none are left out."""
    rosetta = findings.rosetta
    if model == findings.pivot:
        rows = rosetta[["pivot_unit", "concept"]].rename(columns={"pivot_unit": "unit"})
    else:
        rows = rosetta.loc[rosetta["model"] == model, ["unit", "concept"]]
    rows = pd.DataFrame(rows).drop_duplicates().sort_values(["unit", "concept"])
    return {int(unit): its["concept"].tolist() for unit, its in rows.groupby("unit")}
