"""Heat maps of units: standardised activation maps, downsampled and quantised to bytes."""

import torch
from torch import Tensor

from rosetta_core.mining.examples.quantisation import LOWEST, STEP

__all__ = ["LARGEST_SIDE", "downsample", "quantise"]

LARGEST_SIDE = 48  # positions; enough for a picture on a page


def downsample(maps: Tensor) -> Tensor:
    """Average maps (…, h, w) over their positions to at most 48 per side."""
    height, width = maps.shape[-2:]
    grid = min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)
    if grid == (height, width):
        return maps
    return torch.nn.functional.adaptive_avg_pool2d(maps, grid)


def quantise(maps: Tensor) -> Tensor:
    """Return standardised maps as bytes, clipped to their range (see `quantisation`)."""
    return maps.sub(LOWEST).mul_(1 / STEP).round_().clamp_(0, 255).byte()
