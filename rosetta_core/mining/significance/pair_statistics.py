"""How pairs of units agree from image to image.

agreement      what is told of pairs, from one pass over their maps
intervals      where a pair's correlation lies if other images had been drawn
correlations   of pairs, from their sums over some images
"""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from rosetta_core.mining.significance.pair_sums import PairSums, pair_sums
from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["PairStatistics", "bootstrap_intervals", "pair_statistics", "weighted_correlations"]

Float64 = NDArray[np.float64]
DRAWS = 1000
LEVEL = 0.95
PAIRS = 256  # at once


class PairStatistics(TypedDict):
    """What is told of pairs (n,) each."""

    corr_ci_low: Float64
    corr_ci_high: Float64
    peak_overlap: Float64


def pair_statistics(
    pivot: ActivationSource,
    encoder: ActivationSource,
    *,
    pairs: NDArray[np.int64],
    memory_budget: int,
    threads: int,
) -> PairStatistics:
    """Tell of pairs of units between which values their correlation lies, and where they peak.

    Args:
        pivot: stored maps.
        encoder: the same of the other model.
        pairs: units of the pivot and of the encoder (n, 2).
        memory_budget: bytes that maps may take at once.
        threads: how many of the CPU.

    Returns:
        The ends of the intervals, and on which share of the images both maps peak at one place.
    """
    if not len(pairs):
        none = np.zeros(0)
        return PairStatistics(corr_ci_low=none, corr_ci_high=none, peak_overlap=none)
    sums = pair_sums(pivot, encoder, pairs=pairs, memory_budget=memory_budget, threads=threads)
    low, high = bootstrap_intervals(sums)
    return PairStatistics(corr_ci_low=low, corr_ci_high=high, peak_overlap=sums.peak_overlap)


def weighted_correlations(sums: PairSums, weights: Float64) -> Float64:
    """Return the correlations of pairs (draws, n); NaN where a unit is constant.

    Args:
        sums: by group of images.
        weights: how often each group is taken (draws, groups).
    """
    count = weights @ sums.positions
    f, g = (weights @ total / count for total in sums.totals)
    of_f, of_g = (weights @ squares / count for squares in sums.squares)
    variance = (of_f - f**2).clip(min=0) * (of_g - g**2).clip(min=0)
    covariance = weights @ sums.products / count - f * g
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, covariance / np.sqrt(variance), np.nan)


def bootstrap_intervals(sums: PairSums, *, seed: int = 0) -> tuple[Float64, Float64]:
    """Return the lower and the upper end (n,) of an interval of each pair's correlation.

    From the 2.5th to the 97.5th of 100 of the correlations over groups of images that are drawn
    with repetition from those that there are (the bootstrap's percentiles; Efron, 1979). Images are
    drawn, not positions: those of one image are no independent observations.

    Args:
        sums: by group of images.
        seed: of the draws.
    """
    groups, pairs = sums.products.shape
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=DRAWS).astype(np.float64)
    ends = np.empty((2, pairs))
    for start in range(0, pairs, PAIRS):
        inside = slice(start, start + PAIRS)
        drawn = weighted_correlations(sums[inside], weights)
        quantile = np.nanquantile if np.isnan(drawn).any() else np.quantile  # thrice as fast
        ends[:, inside] = quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return ends[0], ends[1]
