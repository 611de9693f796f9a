"""How units are divided into pieces of work.

PIVOT            the number that stands for the pivot as rows
Part             some channels of a layer, and the numbers of their units
parts            the layers of a model as parts
column_blocks    parts of all models, grouped by what their sums take in memory
groups           parts of equal grid, to be multiplied together
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rosetta_core.mining.correlation.grids import Grid
from rosetta_core.zoo.layers import Layer

__all__ = ["PIVOT", "ChannelBlock", "groups", "pack_blocks", "parts"]


PIVOT = -1  # the model of rows; the pivot may stand among the columns too


@dataclass(frozen=True)
class ChannelBlock:
    """Some channels of a layer.

    Attributes:
        model: its number among the models, PIVOT for rows.
        layer: its number in the model.
        grid: of its maps.
        units: the channels' running numbers in the model.
        first: the running number of the layer's first channel.
    """

    model: int
    layer: int
    grid: Grid
    units: range
    first: int

    @property
    def channels(self) -> slice:
        """Which channels of the layer."""
        return slice(self.units.start - self.first, self.units.stop - self.first)

    @property
    def size(self) -> int:
        """Activations per image."""
        return len(self.units) * self.grid[0] * self.grid[1]


def parts(
    layers: Sequence[Layer],
    *,
    model: int = PIVOT,
    units: range | None = None,
    most: int | None = None,
) -> list[ChannelBlock]:
    """Return a model's layers in order, cut where they have more than `most` channels.

    Args:
        layers: of the model.
        model: its number among the models.
        units: which of its units; all unless given.
        most: channels in a part.
    """
    result, first = [], 0
    for number, layer in enumerate(layers):
        step = min(most or layer.channels, layer.channels)
        wanted = units if units is not None else range(first, first + layer.channels)
        start = max(wanted.start - first, 0)
        stop = min(wanted.stop - first, layer.channels)
        for low in range(start, stop, step):
            high = min(low + step, stop)
            numbers = range(first + low, first + high)
            result.append(ChannelBlock(model, number, layer.grid, numbers, first))
        first += layer.channels
    return result


def pack_blocks(columns: Sequence[ChannelBlock], most: int) -> Iterator[list[ChannelBlock]]:
    """Group parts in order into blocks of at most `most` units."""
    block: list[ChannelBlock] = []
    for part in columns:
        if block and sum(len(p.units) for p in block) + len(part.units) > most:
            yield block
            block = []
        block.append(part)
    if block:
        yield block


def groups(
    block: Sequence[ChannelBlock], *, cost: Callable[[ChannelBlock], int], most: int
) -> list[list[ChannelBlock]]:
    """Group parts of equal grid so that each group costs at most `most`, if a part does.

    The dearest groups come first, so that threads finish together.
    """
    result: list[list[ChannelBlock]] = []
    for part in sorted(block, key=lambda part: part.grid, reverse=True):
        last = result[-1] if result else []
        if last and last[0].grid == part.grid and sum(map(cost, last)) + cost(part) <= most:
            last.append(part)
        else:
            result.append([part])
    return sorted(result, key=lambda group: -sum(map(cost, group)))
