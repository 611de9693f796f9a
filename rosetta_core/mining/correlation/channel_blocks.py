"""Blocks of channels that are processed together, and blocks of the correlation matrix.

Nothing here imports torch, so that modules which only read stores do not load it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rosetta_core.zoo.layers import Grid, Layer

__all__ = [
    "PIVOT",
    "AliveMask",
    "ChannelBlock",
    "CorrelationBlock",
    "group_by_grid",
    "pack_blocks",
    "split_layers",
]

PIVOT = -1  # model number of rows; the pivot may be among the models of the columns as well
# alive units (units,) by the number of a model, None for the pivot
AliveMask = Callable[[int | None], NDArray[np.bool_]]


@dataclass(frozen=True)
class ChannelBlock:
    """Consecutive channels of one layer.

    Attributes:
        model: number of the model, PIVOT for rows.
        layer: number of the layer in the model.
        grid: height and width of its maps.
        units: unit numbers of the channels in the model.
        first_unit: unit number of the layer's first channel.
    """

    model: int
    layer: int
    grid: Grid
    units: range
    first_unit: int

    @property
    def channels(self) -> slice:
        """The channels within the layer."""
        return slice(self.units.start - self.first_unit, self.units.stop - self.first_unit)

    @property
    def size(self) -> int:
        """Number of activations per image."""
        return len(self.units) * self.grid[0] * self.grid[1]


@dataclass(frozen=True)
class CorrelationBlock:
    """Columns of the correlation matrix of the pivot with one model.

    Attributes:
        model: number of the model.
        columns: its units in this block.
        corr: the correlations (rows, columns); NaN where a unit is constant.
        subset: number of the image subset; None for all images.
    """

    model: int
    columns: slice
    corr: NDArray[np.float32]
    subset: int | None = None

    def mask_dead(self, alive: AliveMask, rows: range) -> NDArray[np.float32]:
        """Return the correlations (rows, columns) with NaN where a unit is dead.

        Args:
            alive: alive units by model.
            rows: units of the pivot that are the rows.
        """
        both = alive(None)[rows.start : rows.stop, None] & alive(self.model)[self.columns]
        return np.where(both, self.corr, np.float32("nan"))


def split_layers(
    layers: Sequence[Layer],
    *,
    model: int = PIVOT,
    units: range | None = None,
    max_channels: int | None = None,
) -> list[ChannelBlock]:
    """Return the layers of a model as blocks of channels, in order.

    Args:
        layers: layers of the model.
        model: number of the model.
        units: units to include; None for all.
        max_channels: largest number of channels per block; None for whole layers.
    """
    blocks, first_unit = [], 0
    for number, layer in enumerate(layers):
        step = min(max_channels or layer.channels, layer.channels)
        wanted = units if units is not None else range(first_unit, first_unit + layer.channels)
        start = max(wanted.start - first_unit, 0)
        stop = min(wanted.stop - first_unit, layer.channels)
        for low in range(start, stop, step):
            high = min(low + step, stop)
            numbers = range(first_unit + low, first_unit + high)
            blocks.append(ChannelBlock(model, number, layer.grid, numbers, first_unit))
        first_unit += layer.channels
    return blocks


def pack_blocks(blocks: Sequence[ChannelBlock], max_units: int) -> Iterator[list[ChannelBlock]]:
    """Yield consecutive blocks in lists of at most `max_units` units; larger blocks come alone."""
    packed: list[ChannelBlock] = []
    for block in blocks:
        if packed and sum(len(b.units) for b in packed) + len(block.units) > max_units:
            yield packed
            packed = []
        packed.append(block)
    if packed:
        yield packed


def group_by_grid(
    blocks: Sequence[ChannelBlock], *, cost: Callable[[ChannelBlock], int], max_cost: int
) -> list[list[ChannelBlock]]:
    """Group blocks of equal grid, so that one matrix product serves a whole group.

    Args:
        blocks: the blocks.
        cost: cost of a block.
        max_cost: largest cost of a group; a block that exceeds it is a group of its own.

    Returns:
        The groups, most expensive first, so that threads finish at about the same time.
    """
    groups: list[list[ChannelBlock]] = []
    for block in sorted(blocks, key=lambda block: block.grid, reverse=True):
        last = groups[-1] if groups else []
        if last and last[0].grid == block.grid and sum(map(cost, last)) + cost(block) <= max_cost:
            last.append(block)
        else:
            groups.append([block])
    return sorted(groups, key=lambda group: -sum(map(cost, group)))
