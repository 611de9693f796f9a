"""Bytes of standardised activation maps: eighths of a standard deviation around the unit's mean.

Byte b stands for b / 8 − 4 standard deviations, up to 27.9. This is precise enough for heat maps
and histograms; nothing else is computed from bytes.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["HISTOGRAM_BINS", "LOWEST", "STEP", "dequantise"]

LOWEST = -4.0
STEP = 1 / 8
HISTOGRAM_BINS = 128  # of two bytes each


def dequantise(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the standardised maps that bytes stand for."""
    return levels.astype(np.float32) * np.float32(STEP) + np.float32(LOWEST)
