"""Standardised activation maps as bytes: eighths of a standard deviation around a unit's mean.

LOWEST, STEP      byte 0 stands for 4 below the mean, each next for 1/8 more
dequantise        the values that bytes stand for, up to 27.9 above the mean
HISTOGRAM_BINS    in how many steps activations are counted: two levels each

A byte is precise enough for the eye and for a histogram; nothing is computed from it.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["HISTOGRAM_BINS", "LOWEST", "STEP", "dequantise"]

LOWEST = -4.0
STEP = 1 / 8
HISTOGRAM_BINS = 128


def dequantise(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the standardised maps that bytes stand for."""
    return levels.astype(np.float32) * np.float32(STEP) + np.float32(LOWEST)
