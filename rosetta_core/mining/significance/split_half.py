"""Split-half replication: recovery of matches in halves of the images, mined separately.

Correlations over half of the images are noisier. A match that is missing in a half is therefore
not disproved, but a match in every half does not depend on particular images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from rosetta_core.mining.matching.concepts import rosetta_table

__all__ = ["MatchSet", "concept_recovery", "pair_recovery", "split_half_counts"]

PAIR = ["pivot_unit", "unit"]
T = TypeVar("T")


@dataclass(frozen=True)
class MatchSet:
    """Matches mined from one set of images.

    Attributes:
        buddies: by encoder its best buddies with the pivot.
        within_pivot: best buddies of the pivot with itself.
    """

    buddies: Mapping[str, pd.DataFrame]
    within_pivot: pd.DataFrame

    @cached_property
    def rosetta(self) -> pd.DataFrame:
        """The table of Rosetta neurons."""
        return rosetta_table(self.buddies, self.within_pivot)

    @cached_property
    def concept_of(self) -> dict[int, int]:
        """The concept of each Rosetta neuron."""
        columns = (self.rosetta[name].tolist() for name in ("pivot_unit", "concept"))
        return dict(zip(*columns, strict=True))

    def pairs(self, model: str) -> pd.MultiIndex:
        """Return the best buddies with an encoder."""
        return pd.MultiIndex.from_frame(self.buddies[model][PAIR])


def pair_recovery(run: MatchSet, halves: Sequence[MatchSet]) -> pd.DataFrame:
    """Compute the recovery rate of every pair of best buddies.

    Args:
        run: matches over all images.
        halves: matches over each half.

    Returns:
        Columns pivot_unit, model, unit, recovery_rate (share of the halves in which both are best
        buddies) and recovered (in all of them).
    """
    tables = []
    for model, buddies in run.buddies.items():
        rate = np.mean([run.pairs(model).isin(half.pairs(model)) for half in halves], axis=0)
        tables.append(buddies[PAIR].assign(model=model, recovery_rate=rate, recovered=rate == 1))
    return pd.concat(tables, ignore_index=True)


def concept_recovery(run: MatchSet, halves: Sequence[MatchSet]) -> pd.DataFrame:
    """Compute the recovery rate of every concept.

    Args:
        run: matches over all images.
        halves: matches over each half.

    Returns:
        Columns concept, recovery_rate (share of its Rosetta neurons that are Rosetta neurons of a
        half, mean over halves) and recovered (every half has one of them).
    """
    neurons = pd.DataFrame({"neuron": run.concept_of.keys(), "concept": run.concept_of.values()})
    in_half = [neurons["neuron"].isin(half.concept_of) for half in halves]
    shares = pd.DataFrame(dict(enumerate(in_half))).astype(float).groupby(neurons["concept"]).mean()
    return pd.DataFrame(
        {
            "concept": shares.index.to_numpy(dtype=np.int32),
            "recovery_rate": shares.mean(axis=1).to_numpy(dtype=np.float32),
            "recovered": (shares > 0).all(axis=1).to_numpy(dtype=bool),
        }
    )


def split_half_counts(run: MatchSet, halves: Sequence[MatchSet]) -> pd.DataFrame:
    """Count the matches of the halves, and compute how far the two halves of a split agree.

    The agreement of best buddies and of Rosetta neurons is the Dice coefficient
    2|A ∩ B| / (|A| + |B|). That of concepts is the adjusted Rand index (Hubert and Arabie, 1985)
    over the Rosetta neurons of both halves: 1 for the same partition, 0 for independent ones.

    Args:
        run: matches over all images.
        halves: matches over the two halves of every split, one split after the other.

    Returns:
        Columns level, model, n_observed, n_half (number in a half), recovery_rate (share of the
        run's matches in a half) and agreement: a row per encoder for best buddies, one for Rosetta
        neurons and one for concepts, with an empty model. n_half and recovery_rate are means over
        halves, agreement over splits; NaN where there is no match.
    """
    rows = []
    for model in run.buddies:
        rows.append(_row("best buddies", model, run.pairs(model), [h.pairs(model) for h in halves]))
    neurons = [pd.Index(list(mined.concept_of), dtype=np.int64) for mined in (run, *halves)]
    rows.append(_row("Rosetta neurons", "", neurons[0], neurons[1:]))
    counts = [len(set(mined.concept_of.values())) for mined in (run, *halves)]
    rates = concept_recovery(run, halves)["recovery_rate"]
    indices = [_rand_index(first, second) for first, second in _splits(halves)]
    count, rate, index = (
        float(pd.Series(values, dtype=float).mean()) for values in (counts[1:], rates, indices)
    )
    rows.append(("concepts", "", counts[0], count, rate, index))
    columns = ["level", "model", "n_observed", "n_half", "recovery_rate", "agreement"]
    return pd.DataFrame(rows, columns=columns)


def _splits(halves: Sequence[T]) -> list[tuple[T, T]]:
    """Return the two halves of each split."""
    return list(zip(halves[::2], halves[1::2], strict=True))


def _row(
    level: str, model: str, run: pd.Index, halves: Sequence[pd.Index]
) -> tuple[str, str, int, float, float, float]:
    dice = [
        2 * first.isin(second).sum() / max(1, len(first) + len(second))
        for first, second in _splits(halves)
    ]
    rates = [run.isin(half).mean() if len(run) else np.nan for half in halves]
    count = float(np.mean([len(half) for half in halves]))
    return level, model, len(run), count, float(np.mean(rates)), float(np.mean(dice))


def _rand_index(first: MatchSet, second: MatchSet) -> float:
    """Adjusted Rand index over the Rosetta neurons of both halves; NaN if there are none."""
    both = sorted(first.concept_of.keys() & second.concept_of.keys())
    if not both:
        return float("nan")
    labels = (np.array([mined.concept_of[n] for n in both]) for mined in (first, second))
    return float(adjusted_rand_score(*labels))
