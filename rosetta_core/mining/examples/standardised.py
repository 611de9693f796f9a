"""Standardised activation maps: in standard deviations from the unit's mean, to look at.

standardised    maps less their unit's mean, in its std
reduced         maps averaged to at most 48 positions a side
quantise        as bytes, of which `levels` says what they stand for
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.examples.quantisation import LOWEST, STEP

__all__ = ["LARGEST_SIDE", "downsample", "quantise", "standardise"]

LARGEST_SIDE = 48  # enough for a picture on a page


def standardise(maps: Tensor, *, mean: NDArray[np.float64], std: NDArray[np.float64]) -> Tensor:
    """Return maps (n, c, h, w) in float32, less the means (c,) and divided by the stds (c,).

    A unit that never varies becomes zero.
    """
    scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 0)
    shift, factor = (
        torch.from_numpy(values.astype(np.float32)).to(maps.device)[:, None, None]
        for values in (mean, scale)
    )
    return maps.float().sub_(shift).mul_(factor)


def downsample(maps: Tensor) -> Tensor:
    """Average maps (…, h, w) over their positions to at most 48 a side."""
    height, width = maps.shape[-2:]
    grid = min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)
    if grid == (height, width):
        return maps
    return torch.nn.functional.adaptive_avg_pool2d(maps, grid)


def quantise(maps: Tensor) -> Tensor:
    """Return standardised maps as bytes, what lies outside at the ends."""
    return maps.sub(LOWEST).mul_(1 / STEP).round_().clamp_(0, 255).byte()
