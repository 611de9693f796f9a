"""Means and variances of units, pooled over images in float64.

Moments            count, mean and sum of squared deviations of each unit
moments_of         those of maps that lie in memory
pool               one Moments from those of disjoint sets of images (Chan et al., 1983)
centre             what to subtract from maps before they are multiplied in float32
alive              which units vary enough to be correlated
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments", "alive", "centre", "moments_of", "pool"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Moments of the units of a layer.

    Attributes:
        count: how many activations of each unit were seen (images × positions).
        mean: of each unit (c,).
        deviation: sum of squared deviations from the mean, of each unit (c,).
    """

    count: int
    mean: Float64
    deviation: Float64

    @property
    def std(self) -> Float64:
        """Population standard deviation of each unit."""
        return np.sqrt(self.deviation / max(self.count, 1))


def moments_of(maps: NDArray) -> Moments:
    """The moments of maps (n, c, h, w)."""
    flat = maps.astype(np.float64).swapaxes(0, 1).reshape(maps.shape[1], -1)  # (c, n·h·w)
    mean = flat.mean(axis=1)
    return Moments(flat.shape[1], mean, ((flat - mean[:, None]) ** 2).sum(axis=1))


def pool(parts: Sequence[Moments]) -> Moments:
    """Pool the moments of disjoint sets of images; exact, variance between the sets included."""
    counts = np.array([part.count for part in parts], dtype=np.float64)[:, None]  # (p, 1)
    means = np.stack([part.mean for part in parts])  # (p, c)
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    within = np.stack([part.deviation for part in parts]).sum(0)
    between = (counts * (means - mean) ** 2).sum(0)
    return Moments(int(total), mean, within + between)


def centre(moments: Moments) -> Float64:
    """Return what to subtract from each unit's maps so that nothing cancels in float32 sums.

    The mean, where it exceeds the std. Elsewhere nothing: the zeros of a rectified map stay zeros,
    while as constants they would be rounded the same way in every sum (`benchmarks/accuracy.py`:
    8e-7 off the definition at worst, against 5e-6).
    """
    return np.where(np.abs(moments.mean) > moments.std, moments.mean, 0.0)


def alive(moments: Moments, *, near_constant: float) -> NDArray[np.bool_]:
    """Tell the units whose std exceeds `near_constant` times their |mean|, and zero.

    Below that, what varies is mostly the rounding of the stored maps.
    """
    return (moments.std > near_constant * np.abs(moments.mean)) & (moments.std > 0)
