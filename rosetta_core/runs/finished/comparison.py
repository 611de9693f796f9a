"""Comparison of two runs: of what produced them, and of their tables.

Correlations are exact up to `BOUND` (docs/explanation/performance.md). On another machine, a pair
of units whose correlation is that close to the last one that was selected may be missing, and
another present in its place. This is rounding; anything else is a difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from rosetta_core.runs.setting_changes import LOCATIONS, differing_settings

__all__ = ["BOUND", "Comparison", "Difference", "RunContents", "compare"]

BOUND = 1e-5  # of a correlation, between any two ways to compute it
# configuration keys that change results by rounding at most
ROUNDING_ONLY = {
    "device", "memory_budget", "activations.batch_size", "activations.store",
    "sampling.shard_size", "correlation.blocks",
}  # fmt: skip


@dataclass(frozen=True)
class RunContents:
    """The parts of a run that are compared.

    Attributes:
        config: resolved configuration, as JSON.
        provenance: code, libraries, weights and machine; empty if they were not recorded.
        units: by model its table of units.
        neighbours: by model its table of nearest neighbours.
        buddies: by model its table of best buddies.
        rosetta: table of Rosetta neurons.
    """

    config: dict[str, Any]
    provenance: dict[str, Any]
    units: Mapping[str, pd.DataFrame]
    neighbours: Mapping[str, pd.DataFrame]
    buddies: Mapping[str, pd.DataFrame]
    rosetta: pd.DataFrame


@dataclass(frozen=True)
class Difference:
    """One difference of two runs.

    Attributes:
        where: "configuration", "provenance", or a table.
        description: the difference, in a line.
        matters: whether it exceeds rounding, or may change results by more than rounding.
    """

    where: str
    description: str
    matters: bool

    def __str__(self) -> str:
        if self.matters:
            return f"{self.where}: {self.description}"
        rounding = "changes rounding at most" if self.where == "configuration" else "rounding"
        return f"{self.where}: {self.description} ({rounding})"


@dataclass(frozen=True)
class Comparison:
    """Differences of two runs: of their inputs, and of their results."""

    inputs: list[Difference]
    results: list[Difference]

    @property
    def different(self) -> bool:
        """Whether results differ by more than rounding."""
        return any(difference.matters for difference in self.results)

    @property
    def verdict(self) -> str:
        """How far the results agree: "identical", "the same within …", or "different"."""
        if self.different:
            return "different"
        return f"the same within rounding ({BOUND:g})" if self.results else "identical"


def compare(first: RunContents, second: RunContents) -> Comparison:
    """Compare two runs."""
    inputs = [
        *_compare_config(first.config, second.config),
        *_compare_provenance(first.provenance, second.provenance),
    ]
    results = [d for model in first.buddies for d in _compare_pairs(model, first, second)]
    for model in [*first.units, *(name for name in second.units if name not in first.units)]:
        if model in first.units and model in second.units:
            results += _compare_units(model, first.units[model], second.units[model])
        else:
            lacking = "second" if model in first.units else "first"
            results.append(Difference(f"units of {model}", f"not in the {lacking} run", True))
    results += _compare_concepts(first.rosetta, second.rosetta, results)
    return Comparison(inputs, results)


def _compare_config(first: dict[str, Any], second: dict[str, Any]) -> list[Difference]:
    return [
        Difference("configuration", f"{key}: {old} and {new}", key not in ROUNDING_ONLY)
        for key, old, new in differing_settings(first, second)
        if key not in LOCATIONS
    ]


def _compare_provenance(first: dict[str, Any], second: dict[str, Any]) -> list[Difference]:
    """Differences of code, libraries, weights and machine; none if a run has no provenance."""
    if not first or not second:
        return []
    of_run = ("run", "written", "seed", "device", "artifacts")  # results are compared themselves
    sides = [{k: v for k, v in side.items() if k not in of_run} for side in (first, second)]
    return [
        Difference("provenance", f"{key}: {old} and {new}", True)
        for key, old, new in differing_settings(*sides)
        if not (key.startswith("weights.") and key.endswith(".file"))
    ]


def _compare_units(model: str, first: pd.DataFrame, second: pd.DataFrame) -> list[Difference]:
    """Differences of the units of a model: layers, moments and dead units."""
    where = f"units of {model}"
    if first.equals(second):
        return []
    keys = ["unit", "layer", "channel"]
    if not first[keys].equals(second[keys]):
        description = f"{len(first):,} and {len(second):,} units of different layers"
        return [Difference(where, description, True)]
    std = first["std"].to_numpy(np.float64)
    scale = np.where(std > 0, std, 1)
    largest = max(
        float(np.nanmax(np.abs(first[name] - second[name]) / scale)) for name in ("mean", "std")
    )
    description = f"means and stds differ by up to {largest:.1e} std"
    changes = int((first["alive"] != second["alive"]).sum())
    if changes:
        description += f"; {changes:,} are alive in one run only"
    return [Difference(where, description, bool(changes) or largest > BOUND)]


def _compare_pairs(model: str, first: RunContents, second: RunContents) -> list[Difference]:
    """Differences of the best buddies of a model."""
    where = f"best buddies of {model}"
    if model not in second.buddies:
        return [Difference(where, "not in the second run", True)]
    tables = [run.buddies[model] for run in (first, second)]
    if tables[0].equals(tables[1]):
        return []
    corr = [table.set_index(["pivot_unit", "unit"])["corr"] for table in tables]
    both = corr[0].index.intersection(corr[1].index)
    largest = float(np.abs(corr[0][both] - corr[1][both]).max()) if len(both) else 0.0
    description = f"{len(corr[0]):,} and {len(corr[1]):,} pairs, {len(both):,} in both"
    description += f", with correlations that differ by up to {largest:.1e}"
    unexplained = [
        _count_unexplained(corr[i], corr[1 - i], other.neighbours[model])
        for i, other in enumerate((second, first))
    ]
    if sum(unexplained):
        description += f"; {unexplained[0]:,} and {unexplained[1]:,} pairs of one run only differ "
        description += "by more than rounding"
    return [Difference(where, description, sum(unexplained) > 0 or largest > BOUND)]


def _count_unexplained(present: pd.Series, other: pd.Series, neighbours: pd.DataFrame) -> int:
    """Count the pairs of one run that are missing in the other by more than rounding.

    A pair may be missing by rounding if its correlation is within twice the bound of the last of
    its units' nearest neighbours in the other run.

    Args:
        present: correlations of the pairs of one run.
        other: correlations of the pairs of the other run.
        neighbours: nearest neighbours of the other run.
    """
    missing = present[~present.index.isin(other.index)]
    last = neighbours.groupby(["side", "unit"])["corr"].min()
    thresholds = [
        last.reindex(pd.MultiIndex.from_product([[side], missing.index.get_level_values(name)]))
        for side, name in (("pivot", "pivot_unit"), ("encoder", "unit"))
    ]
    higher = np.fmax(*(threshold.to_numpy(np.float64) for threshold in thresholds))
    return int((~(np.abs(missing.to_numpy() - higher) <= 2 * BOUND)).sum())


def _compare_concepts(
    first: pd.DataFrame, second: pd.DataFrame, earlier: list[Difference]
) -> list[Difference]:
    """Differences of Rosetta neurons and concepts: rounding if all earlier differences are."""
    if first.equals(second):
        return []
    matters = any(difference.matters for difference in earlier)
    concept = [table.groupby("pivot_unit")["concept"].first() for table in (first, second)]
    both = concept[0].index.intersection(concept[1].index)
    numbers = [labels.nunique() for labels in concept]
    index = adjusted_rand_score(*(labels[both].to_numpy() for labels in concept))
    return [
        Difference(
            "Rosetta neurons",
            f"{len(concept[0]):,} and {len(concept[1]):,}, {len(both):,} in both",
            matters,
        ),
        Difference(
            "concepts",
            f"{numbers[0]} and {numbers[1]}; adjusted Rand index {index:.3f} over units in both",
            matters,
        ),
    ]
