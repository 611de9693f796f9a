"""Activation maps in tiles: some channels on a batch of images, read, centred and checked.

A tile is small enough to stay in a CPU's cache, or large enough to occupy a GPU. On a CPU each
thread reads and processes its own tiles; for a GPU, threads read tiles ahead of their use.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise
from typing import TypeVar

import torch
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.channel_blocks import ChannelBlock
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runtime.threads import TorchThreadPool

__all__ = ["TileReader", "centre_maps", "non_finite_error", "to_device"]

TILE_BYTES = {"cpu": 8 * 2**20, "cuda": 256 * 2**20}  # float32 maps that are processed at once

Result = TypeVar("Result")


class TileReader:
    """Reads groups of channel blocks, tile by tile.

    Args:
        source_of: returns the activation source of a block.
        device: device that processes the tiles.
        workers: threads that read them.
        read_ahead: whether other threads read the tiles while the calling thread processes them;
            None: on a GPU only. Otherwise each thread reads and processes its own tiles.
    """

    def __init__(
        self,
        source_of: Callable[[ChannelBlock], ActivationSource],
        *,
        device: torch.device,
        workers: TorchThreadPool,
        read_ahead: bool | None = None,
    ) -> None:
        self._source_of, self._device, self._workers = source_of, device, workers
        self._read_ahead = device.type != "cpu" if read_ahead is None else read_ahead

    def tiles(self, block: ChannelBlock, images: int) -> list[slice]:
        """Return the channels of a block, counted from its first, as tiles for `images` images."""
        channels, first = len(block.units), block.channels.start
        channel_bytes = 4 * images * block.grid[0] * block.grid[1]
        chunk = self._source_of(block).chunk_channels(block.layer)
        step = max(1, TILE_BYTES[self._device.type] // channel_bytes // chunk) * chunk
        # tiles end where stored chunks end, whatever the first channel of the block is
        ends = [*range(step - first % step, channels, step), channels]
        return [slice(a, b) for a, b in pairwise([0, *ends])]

    def process(
        self,
        groups: Sequence[Sequence[ChannelBlock]],
        images: range,
        work: Callable[[Sequence[ChannelBlock], Iterator[Tensor]], Result],
    ) -> list[Result]:
        """Call `work` with each group of blocks and an iterator over the maps of its tiles.

        Args:
            groups: groups of blocks.
            images: images to read; loaded in every source.
            work: receives a group and the maps (n, c, h, w) of its tiles, block after block.

        Returns:
            The results of `work`, in order.
        """

        def read(tile: tuple[ChannelBlock, slice]) -> Tensor:
            block, channels = tile
            first = block.channels.start
            inside = slice(first + channels.start, first + channels.stop)
            return self._source_of(block).read(block.layer, images, inside)

        def tiles(group: Sequence[ChannelBlock]) -> Iterator[tuple[ChannelBlock, slice]]:
            for block in group:
                for channels in self.tiles(block, len(images)):
                    yield block, channels

        def read_and_work(group: Sequence[ChannelBlock]) -> Result:
            return work(group, map(read, tiles(group)))

        if not self._read_ahead:
            return list(self._workers.map(read_and_work, groups))
        maps = self._workers.prefetch(read, chain.from_iterable(map(tiles, groups)))
        return [work(group, maps) for group in groups]


def to_device(maps: Tensor, device: torch.device) -> Tensor:
    """Return maps on a device; the copy to a GPU overlaps with reading the next maps."""
    if maps.device.type == device.type:
        return maps
    return maps.pin_memory().to(device, non_blocking=True)


def centre_maps(maps: Tensor, shift: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return maps as float32 minus each unit's shift.

    The difference is exact in float32 even where the mean is far larger than the deviations.

    Args:
        maps: maps (c, n, h, w) of any float type.
        shift: float64 shift (c,) of each unit.
        out: float32 tensor (c, n, h, w) to write to; None for a new one.

    Returns:
        The centred maps (c, n, h, w), contiguous.
    """
    if out is None:
        out = torch.empty(maps.shape, dtype=torch.float32, device=maps.device)
    if maps.dtype == torch.float64:
        return out.copy_(maps - shift[:, None, None, None])
    out.copy_(maps)
    if bool(shift.any()):  # all 0 in most rectified layers
        out -= shift.float()[:, None, None, None]
    return out


def non_finite_error(
    block: ChannelBlock, channels: slice, maps: Tensor, source: ActivationSource, images: range
) -> RosettaError:
    """Return the error that names the first map with NaN or infinity.

    Args:
        block: block of the tile.
        channels: channels of the tile, counted from the first of the block.
        maps: maps (n, c, h, w) of the tile.
        source: source of the maps.
        images: images of the tile.
    """
    bad = (~maps.isfinite()).nonzero()
    image, channel, row, column = (int(i) for i in bad[0]) if len(bad) else (0, 0, 0, 0)
    return RosettaError(
        f"{source.describe(block.layer, images[image])}, channel "
        f"{block.channels.start + channels.start + channel}, position ({row}, {column}): the map "
        f"contains {maps[image, channel, row, column]:g}; delete the store and run again, or "
        "exclude the layer"
    )
