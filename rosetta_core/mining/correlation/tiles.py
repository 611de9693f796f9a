"""Tiles of maps on their way into sums and products.

moved         maps on the device
centred       maps as float32, less each unit's centre
not_finite    the error that names the first map with NaN or infinity
"""

import torch
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.channel_blocks import ChannelBlock
from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["centred", "moved", "not_finite"]


def moved(stored: Tensor, device: torch.device) -> Tensor:
    """Maps on a device; they are on their way while the next are being read."""
    if stored.device.type == device.type:
        return stored
    return stored.pin_memory().to(device, non_blocking=True)


def centred(stored: Tensor, centre: Tensor, *, out: Tensor | None) -> Tensor:
    """Turn maps (c, n, h, w) into float32 less each unit's centre, contiguous, in `out` if given.

    The difference is exact in float32 even where the mean dwarfs the deviations.
    """
    if out is None:
        out = torch.empty(stored.shape, dtype=torch.float32, device=stored.device)
    if stored.dtype == torch.float64:
        return out.copy_(stored - centre[:, None, None, None])
    out.copy_(stored)
    if bool(centre.any()):  # not so in most rectified layers
        out -= centre.float()[:, None, None, None]
    return out


def not_finite(
    part: ChannelBlock, channels: slice, stored: Tensor, source: ActivationSource, images: range
) -> RosettaError:
    """The error that names the first map with NaN or infinity."""
    bad = (~stored.isfinite()).nonzero()
    image, channel, row, column = (int(i) for i in bad[0]) if len(bad) else (0, 0, 0, 0)
    return RosettaError(
        f"{source.place(part.layer, images[image])}, channel "
        f"{part.channels.start + channels.start + channel}, "
        f"position ({row}, {column}): the map holds {stored[image, channel, row, column]:g}; "
        "delete the store and run again, or leave the layer out"
    )
