"""What is found again in disjoint halves of the images, mined by themselves.

Mined                what some images give: best buddies with every encoder, Rosetta neurons
pair_recovery          in how many halves each pair of best buddies is
concept_recovery       which share of a concept's neurons is found
split_half_counts   the same of a run, and how far the halves of a split agree

Half the images give noisier correlations, so what is found in all of them and not in a half isn't
wrong for that; what is found in every half is no accident of some images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd

from rosetta_core.mining.matching.concepts import adjusted_rand_index, rosetta_table

__all__ = ["MatchSet", "concept_recovery", "pair_recovery", "split_half_counts"]

PAIR = ["pivot_unit", "unit"]
Half = TypeVar("Half")


@dataclass(frozen=True)
class MatchSet:
    """What some images give.

    Attributes:
        buddies: by encoder its best buddies with the pivot.
        own: the pivot's best buddies with itself.
    """

    buddies: Mapping[str, pd.DataFrame]
    own: pd.DataFrame

    @cached_property
    def rosetta(self) -> pd.DataFrame:
        """The table of Rosetta neurons."""
        return rosetta_table(self.buddies, self.own)

    @cached_property
    def concept_of(self) -> dict[int, int]:
        """By Rosetta neuron its concept."""
        columns = (self.rosetta[name].tolist() for name in ("pivot_unit", "concept"))
        return dict(zip(*columns, strict=True))

    def pairs(self, model: str) -> pd.MultiIndex:
        """The best buddies with an encoder."""
        return pd.MultiIndex.from_frame(self.buddies[model][PAIR])


def pair_recovery(run: MatchSet, halves: Sequence[MatchSet]) -> pd.DataFrame:
    """Return pivot_unit, model, unit, replication, replicated of every pair of best buddies.

    Replication is the share of the halves in which they are best buddies; replicated are those that
    are in all of them.
    """
    tables = []
    for model, buddies in run.buddies.items():
        rate = np.mean([run.pairs(model).isin(half.pairs(model)) for half in halves], axis=0)
        tables.append(buddies[PAIR].assign(model=model, recovery_rate=rate, recovered=rate == 1))
    return pd.concat(tables, ignore_index=True)


def concept_recovery(run: MatchSet, halves: Sequence[MatchSet]) -> pd.DataFrame:
    """Return concept, replication, replicated.

    Replication is the share of its Rosetta neurons that are Rosetta neurons of a half, the mean
    over halves; replicated is a concept of which every half has one.
    """
    neurons = pd.DataFrame({"neuron": run.concept_of.keys(), "concept": run.concept_of.values()})
    found = [neurons["neuron"].isin(half.concept_of) for half in halves]
    by_half = pd.DataFrame(dict(enumerate(found))).astype(float).groupby(neurons["concept"]).mean()
    return pd.DataFrame(
        {
            "concept": by_half.index.to_numpy(dtype=np.int32),
            "recovery_rate": by_half.mean(axis=1).to_numpy(dtype=np.float32),
            "recovered": (by_half > 0).all(axis=1).to_numpy(dtype=bool),
        }
    )


def split_half_counts(run: MatchSet, halves: Sequence[MatchSet]) -> pd.DataFrame:
    """Return what, model, found, in_half, again, agreement.

    One row for each encoder's best buddies, one for Rosetta neurons and one for concepts, whose
    model is empty. `in_half` is how many a half has, and `again` which share of the run's is in a
    half, both means over halves. `agreement` is of the two halves of a split, the mean over splits:
    for best buddies and Rosetta neurons how many they share, of as many as a half has; for concepts
    the adjusted Rand index (Hubert and Arabie, 1985) over the neurons that both have: 1 if they are
    joined alike, 0 if not more than by chance.

    Args:
        run: what all images give.
        halves: the two of every split, one after the other.
    """
    rows = []
    for model in run.buddies:
        rows.append(_row("best buddies", model, run.pairs(model), [h.pairs(model) for h in halves]))
    neurons = [pd.Index(list(mined.concept_of), dtype=np.int64) for mined in (run, *halves)]
    rows.append(_row("Rosetta neurons", "", neurons[0], neurons[1:]))
    counts = [len(set(mined.concept_of.values())) for mined in (run, *halves)]
    rates = concept_recovery(run, halves)["recovery_rate"]
    alike = [_rand_index(first, second) for first, second in _splits(halves)]
    means = (pd.Series(values, dtype=float).mean() for values in (counts[1:], rates, alike))
    count, rate, index = map(float, means)  # NaN where there is no concept
    rows.append(("concepts", "", counts[0], count, rate, index))
    columns = ["level", "model", "n_observed", "n_half", "recovery_rate", "agreement"]
    return pd.DataFrame(rows, columns=columns)


def _splits(halves: Sequence[Half]) -> list[tuple[Half, Half]]:
    """The two halves of each split."""
    return list(zip(halves[::2], halves[1::2], strict=True))


def _row(
    what: str, model: str, run: pd.Index, halves: Sequence[pd.Index]
) -> tuple[str, str, int, float, float, float]:
    shared = [
        2 * first.isin(second).sum() / max(1, len(first) + len(second))
        for first, second in _splits(halves)
    ]
    found_again = [run.isin(half).mean() if len(run) else np.nan for half in halves]
    count = float(np.mean([len(half) for half in halves]))
    return what, model, len(run), count, float(np.mean(found_again)), float(np.mean(shared))


def _rand_index(first: MatchSet, second: MatchSet) -> float:
    """How alike two sets of images join the neurons that both give; NaN if there is none."""
    both = sorted(first.concept_of.keys() & second.concept_of.keys())
    if not both:
        return float("nan")
    labels = (np.array([mined.concept_of[n] for n in both]) for mined in (first, second))
    return adjusted_rand_index(*labels)
