"""Confidence intervals and peak overlap of pairs of units, from one pass over their maps."""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from rosetta_core.mining.significance.bootstrap import percentile_interval, resampling_weights
from rosetta_core.mining.significance.pair_sums import PairSums, pair_sums
from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["PairStatistics", "corr_intervals", "pair_statistics", "weighted_correlations"]

Float64 = NDArray[np.float64]
RESAMPLES = 1000
PAIRS = 256  # resampled at once


class PairStatistics(TypedDict):
    """Statistics of pairs (n,): ends of the 95% CI of the correlation, and peak overlap."""

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
    """Compute the confidence interval of the correlation and the peak overlap of pairs of units.

    Args:
        pivot: stored activations of the pivot.
        encoder: stored activations of an encoder, or of several, concatenated.
        pairs: units of the pivot and of the encoder (n, 2).
        memory_budget: bytes of maps in memory at once.
        threads: number of CPU threads.
    """
    if not len(pairs):
        none = np.zeros(0)
        return PairStatistics(corr_ci_low=none, corr_ci_high=none, peak_overlap=none)
    sums = pair_sums(pivot, encoder, pairs=pairs, memory_budget=memory_budget, threads=threads)
    low, high = corr_intervals(sums)
    return PairStatistics(corr_ci_low=low, corr_ci_high=high, peak_overlap=sums.peak_overlap)


def weighted_correlations(sums: PairSums, weights: Float64) -> Float64:
    """Return the correlations of pairs over weighted groups of images; NaN for constant units.

    Args:
        sums: sums of n pairs by group of images.
        weights: weights of the groups, a row per set of weights (r, groups).

    Returns:
        Correlations (r, n).
    """
    count = weights @ sums.positions  # (r, n), as all below
    f, g = (weights @ total / count for total in sums.totals)
    f_squared, g_squared = (weights @ squares / count for squares in sums.squares)
    variance = (f_squared - f**2).clip(min=0) * (g_squared - g**2).clip(min=0)
    covariance = weights @ sums.products / count - f * g
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, covariance / np.sqrt(variance), np.nan)


def corr_intervals(sums: PairSums, *, seed: int = 0) -> Float64:
    """Return the lower and the upper ends (2, n) of the 95% CI of each pair's correlation.

    Percentile bootstrap over groups of images (Efron, 1979): positions of one image are not
    independent observations, so images are resampled, not positions. Resamples in which a unit is
    constant are left out.

    Args:
        sums: sums of n pairs by group of images.
        seed: random seed of the resamples.
    """
    groups, pairs = sums.products.shape
    weights = resampling_weights(groups, resamples=RESAMPLES, seed=seed)
    ends = np.empty((2, pairs))
    for start in range(0, pairs, PAIRS):
        inside = slice(start, start + PAIRS)
        ends[:, inside] = percentile_interval(weighted_correlations(sums[inside], weights))
    return ends
