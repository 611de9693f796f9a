"""Mean and variance of units, pooled over images in float64, and the alive units.

Moments of disjoint sets of images are pooled exactly (Chan, Golub and LeVeque, 1983).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments", "alive_units", "centring_shift", "pool_moments"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Moments of the units of a layer.

    Attributes:
        count: number of activations of each unit (images × positions).
        mean: mean of each unit (c,).
        deviation: sum of squared deviations from the mean, of each unit (c,).
    """

    count: int
    mean: Float64
    deviation: Float64

    @property
    def std(self) -> Float64:
        """Population standard deviation of each unit (c,)."""
        return np.sqrt(self.deviation / max(self.count, 1))


def pool_moments(parts: Sequence[Moments]) -> Moments:
    """Pool the moments of disjoint sets of images, including the variance between the sets."""
    counts = np.array([part.count for part in parts], dtype=np.float64)[:, None]  # (p, 1)
    means = np.stack([part.mean for part in parts])  # (p, c)
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    within = np.stack([part.deviation for part in parts]).sum(0)
    between = (counts * (means - mean) ** 2).sum(0)
    return Moments(int(total), mean, within + between)


def centring_shift(moments: Moments) -> Float64:
    """Return the shift (c,) to subtract from each unit's maps before float32 sums.

    It is the mean of a unit whose |mean| exceeds its std, so that nothing cancels, and 0 otherwise:
    the zeros of a rectified map stay zeros, whereas as constants they would be rounded in the same
    direction in every sum. The largest deviation from the definition is 8e-7, against 5e-6 with the
    mean subtracted always (`benchmarks/accuracy.py`).
    """
    return np.where(np.abs(moments.mean) > moments.std, moments.mean, 0.0)


def alive_units(moments: Moments, *, min_relative_std: float) -> NDArray[np.bool_]:
    """Return which units (c,) are alive: their std exceeds 0 and `min_relative_std` · |mean|.

    The variation of other units is mostly the rounding of the stored maps.
    """
    return (moments.std > min_relative_std * np.abs(moments.mean)) & (moments.std > 0)
