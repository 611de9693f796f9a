"""Where two runs differ, and whether it matters.

compare       two runs: what differs of what made them, and of what they found
Comparison    all of it, and in a word how far they agree
Difference    one thing that differs

Correlations are exact to BOUND (docs/performance.md), so on another machine a pair of units whose
correlation is that near to the last that was kept may fall out, and another come in its place. That
is rounding; anything else is a difference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

__all__ = ["BOUND", "Comparison", "Difference", "RunContents", "compare"]

BOUND = 1e-5  # of a correlation, between any two ways to come to it
PLACES = {"run", "results", "resources"}  # keys of a configuration that say where things lie
# keys that change results by rounding at most
WITHOUT_EFFECT = {
    "device", "memory_budget", "activations.batch_size", "sampling.shard_size",
    "correlation.blocks", "correlation.together", "mining.store",
}  # fmt: skip


@dataclass(frozen=True)
class RunContents:
    """What a run is compared by.

    Attributes:
        config: its resolved configuration, as JSON has it.
        provenance: what made it; empty if that wasn't written down.
        units: by model the table of units.
        neighbours: by model the table of nearest neighbours.
        buddies: by model the table of best buddies.
        rosetta: the table of Rosetta neurons.
    """

    config: dict[str, Any]
    provenance: dict[str, Any]
    units: Mapping[str, pd.DataFrame]
    neighbours: Mapping[str, pd.DataFrame]
    buddies: Mapping[str, pd.DataFrame]
    rosetta: pd.DataFrame


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Attributes:
        where: what it is of: "configuration", "made by", or a table.
        said: how it differs, in a line.
        matters: whether it is more than rounding, or may lead to more.
    """

    where: str
    said: str
    matters: bool

    def __str__(self) -> str:
        if self.matters:
            return f"{self.where}: {self.said}"
        rounding = "changes rounding at most" if self.where == "configuration" else "rounding"
        return f"{self.where}: {self.said} ({rounding})"


@dataclass(frozen=True)
class Comparison:
    """Where two runs differ: in what made them, and in what they found."""

    made: list[Difference]
    found: list[Difference]

    @property
    def different(self) -> bool:
        """Whether they found something else."""
        return any(difference.matters for difference in self.found)

    @property
    def verdict(self) -> str:
        """In a word how far the findings agree: "identical", "the same within …", "different"."""
        if self.different:
            return "different"
        return f"the same within rounding ({BOUND:g})" if self.found else "identical"


def compare(one: RunContents, other: RunContents) -> Comparison:
    """Compare two runs."""
    made = [
        *_settings(one.config, other.config),
        *_made_by(one.provenance, other.provenance),
    ]
    found = [difference for model in one.buddies for difference in _pairs(model, one, other)]
    for model in [*one.units, *(name for name in other.units if name not in one.units)]:
        if model in one.units and model in other.units:
            found += _units(model, one.units[model], other.units[model])
        else:
            which = "second" if model in one.units else "first"
            found.append(Difference(f"units of {model}", f"not in the {which} run", True))
    return Comparison(made, [*found, *_concepts(one.rosetta, other.rosetta, found)])


def _flat(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Keys and values of nested sections, as a.b; models and jobs by their names."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _flat(value, f"{key}.{name}" if key else name)
    elif isinstance(content, list) and content and isinstance(content[0], dict):
        for i, item in enumerate(content):
            yield from _flat(item, f"{key}.{item.get('name', i)}")
    else:
        yield key, content


def _changes(one: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys whose values differ, and how."""
    before, after = dict(_flat(one)), dict(_flat(other))
    for key in [*before, *(key for key in after if key not in before)]:
        first, second = (side.get(key, "(nothing)") for side in (before, after))
        if first != second:
            yield key, f"{key}: {first} and {second}"


def _settings(one: dict[str, Any], other: dict[str, Any]) -> list[Difference]:
    return [
        Difference("configuration", said, key not in WITHOUT_EFFECT)
        for key, said in _changes(one, other)
        if key not in PLACES
    ]


def _made_by(one: dict[str, Any], other: dict[str, Any]) -> list[Difference]:
    """What differs of code, libraries, weights and machine."""
    if not one or not other:
        return []
    own = ("run", "written", "seed", "device")
    sides = [{k: v for k, v in side.items() if k not in own} for side in (one, other)]
    return [
        Difference("made by", said, True)
        for key, said in _changes(*sides)
        if not (key.startswith("weights.") and key.endswith(".file"))  # where it lies
    ]


def _units(model: str, one: pd.DataFrame, other: pd.DataFrame) -> list[Difference]:
    """How the units of a model differ: which there are, which live, and their moments."""
    where = f"units of {model}"
    if one.equals(other):
        return []
    keys = ["unit", "layer", "channel"]
    if not one[keys].equals(other[keys]):
        said = f"{len(one):,} and {len(other):,} units, not of the same layers"
        return [Difference(where, said, True)]
    deviation = one["std"].to_numpy(np.float64)
    scale = np.where(deviation > 0, deviation, 1)
    farthest = max(
        float(np.nanmax(np.abs(one[name] - other[name]) / scale)) for name in ("mean", "std")
    )
    said = f"means and deviations differ by up to {farthest:.1e} of the deviation"
    changes = int((one["alive"] != other["alive"]).sum())
    if changes:
        said += f"; {changes:,} are alive in one run only"
    return [Difference(where, said, bool(changes) or farthest > BOUND)]


def _pairs(model: str, one: RunContents, other: RunContents) -> list[Difference]:
    """How the best buddies of a model differ, and whether by more than rounding."""
    where = f"best buddies of {model}"
    if model not in other.buddies:
        return [Difference(where, "not in the second run", True)]
    tables = [side.buddies[model] for side in (one, other)]
    if tables[0].equals(tables[1]):
        return []
    corr = [table.set_index(["pivot_unit", "unit"])["corr"] for table in tables]
    both = corr[0].index.intersection(corr[1].index)
    farthest = float(np.abs(corr[0][both] - corr[1][both]).max()) if len(both) else 0.0
    said = f"{len(corr[0]):,} and {len(corr[1]):,} pairs, {len(both):,} in both"
    said += f", whose correlations differ by up to {farthest:.1e}"
    lost = [_unexplained(corr[i], corr[1 - i], side.neighbours[model])
            for i, side in enumerate((other, one))]  # fmt: skip
    if sum(lost):
        said += f"; {lost[0]:,} and {lost[1]:,} of the others by more than rounding"
    return [Difference(where, said, sum(lost) > 0 or farthest > BOUND)]


def _unexplained(kept: pd.Series, absent: pd.Series, neighbours: pd.DataFrame) -> int:
    """How many pairs of one run are missing in the other by more than rounding.

    Args:
        kept: correlations of the run that has them, by pair.
        absent: those of the run that may lack them.
        neighbours: of the run that may lack them: what is below the last of a unit's neighbours
            by at most the bound could as well have been among them.
    """
    only = kept[~kept.index.isin(absent.index)]
    last = neighbours.groupby(["side", "unit"])["corr"].min()
    needed = [
        last.reindex(pd.MultiIndex.from_product([[side], only.index.get_level_values(name)]))
        for side, name in (("pivot", "pivot_unit"), ("encoder", "unit"))
    ]
    bars = np.fmax(*(found.to_numpy(np.float64) for found in needed))
    return int((~(np.abs(only.to_numpy() - bars) <= 2 * BOUND)).sum())


def _concepts(one: pd.DataFrame, other: pd.DataFrame, before: list[Difference]) -> list[Difference]:
    """How Rosetta neurons and concepts differ; by rounding if all they are made of does."""
    if one.equals(other):
        return []
    matters = any(difference.matters for difference in before)
    concept = [table.groupby("pivot_unit")["concept"].first() for table in (one, other)]
    both = concept[0].index.intersection(concept[1].index)
    said = f"{len(concept[0]):,} and {len(concept[1]):,}, {len(both):,} in both"
    found = [Difference("Rosetta neurons", said, matters)]
    numbers = [labels.nunique() for labels in concept]
    index = adjusted_rand_score(*(labels[both].to_numpy() for labels in concept))
    said = f"{numbers[0]} and {numbers[1]}; adjusted Rand index {index:.3f} over units in both"
    return [*found, Difference("concepts", said, matters)]
