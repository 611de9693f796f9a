"""How sure the mean of a measure is.

bootstrap_interval    the interval of a mean
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from rosetta_core.errors import RosettaError

__all__ = ["bootstrap_interval"]

AT_ONCE = 1_000_000  # values drawn


def bootstrap_interval(
    values: Sequence[float] | NDArray[np.floating],
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 9999,
) -> tuple[float, float]:
    """Return the lower and the upper end of the bootstrap's percentile interval of the mean.

    The percentiles as they are (Efron and Tibshirani, 1993, chapter 13): for means of 5 to 100
    normal, log-normal and binary values the corrected ones (BCa) covered no better, and they fail
    where values hardly differ. With few values the interval is too narrow: that of 5 normal
    values covers 83 % at a level of 95 %, of 10 about 90 %.

    Args:
        values: one per image (n,), in any order. One value, or equal ones, are both ends.
        level: share of such intervals that is meant to hold the true mean.
        seed: of the resampling.
        resamples: how many.

    Raises:
        RosettaError: there are no values, one is not finite, or the level is not between 0 and 1.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not ordered.size or not np.isfinite(ordered).all():
        raise RosettaError(
            f"interval of a mean: of {ordered.size} values, {np.isfinite(ordered).sum()} are "
            "finite; give one or more, all of them finite"
        )
    if not 0 < level < 1:
        raise RosettaError(f"interval of a mean: level {level}; give one between 0 and 1, as 0.95")
    if ordered[0] == ordered[-1]:
        return float(ordered[0]), float(ordered[0])
    interval = bootstrap(
        (ordered,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        batch=max(1, AT_ONCE // ordered.size),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)
