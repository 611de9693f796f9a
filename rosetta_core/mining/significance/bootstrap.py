"""Percentile bootstrap confidence intervals (Efron and Tibshirani, 1993, chapter 13).

For means of 5 to 100 normal, log-normal and binary values, bias-corrected intervals (BCa) covered
no better than percentile intervals, and they fail where values hardly differ.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from rosetta_core.errors import RosettaError

__all__ = ["mean_interval", "percentile_interval", "resampling_weights"]

Float64 = NDArray[np.float64]
LEVEL = 0.95
VALUES_AT_ONCE = 1_000_000  # resampled at once


def resampling_weights(items: int, *, resamples: int, seed: int) -> Float64:
    """Return how often each item occurs in each resample (resamples, items)."""
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(items, np.full(items, 1 / items), size=resamples)
    return weights.astype(np.float64)


def percentile_interval(statistics: Float64, *, level: float = LEVEL) -> Float64:
    """Return the lower and the upper ends (2, n) of intervals of n statistics.

    Args:
        statistics: statistics of each resample (resamples, n); NaN is left out.
        level: nominal coverage.
    """
    quantile = np.nanquantile if np.isnan(statistics).any() else np.quantile  # three times as fast
    return quantile(statistics, [(1 - level) / 2, (1 + level) / 2], axis=0)


def mean_interval(
    values: Sequence[float] | NDArray[np.floating],
    *,
    level: float = LEVEL,
    seed: int = 0,
    resamples: int = 9999,
) -> tuple[float, float]:
    """Return the lower and the upper end of the interval of a mean.

    With few values the interval is too narrow: at a level of 95%, that of 5 normal values covers
    83%, of 10 about 90%.

    Args:
        values: independent values (n,), in any order. One value, or equal ones, are both ends.
        level: nominal coverage, between 0 and 1.
        seed: random seed of the resamples.
        resamples: number of resamples.

    Raises:
        RosettaError: there are no values, one is not finite, or the level is not between 0 and 1.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not ordered.size or not np.isfinite(ordered).all():
        raise RosettaError(
            f"confidence interval of a mean: {np.isfinite(ordered).sum()} of {ordered.size} values "
            "are finite; give one or more, all of them finite"
        )
    if not 0 < level < 1:
        raise RosettaError(
            f"confidence interval of a mean: level {level} is out of range; give one between 0 and "
            "1, for example 0.95"
        )
    if ordered[0] == ordered[-1]:
        return float(ordered[0]), float(ordered[0])
    interval = bootstrap(
        (ordered,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        batch=max(1, VALUES_AT_ONCE // ordered.size),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)
