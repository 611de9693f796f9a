"""Correlations of every unit of the pivot with every unit of a model, exactly.

correlate            the whole matrix
correlate_blocks     the same, block of columns by block of columns, within a memory budget

For maps f of a pivot unit and g of another, both enlarged to the larger grid with m positions,
over n images, N = n·m:

    corr(f, g) = (<Uf, Ug> / N − mean·mean) / (std·std)                  Pearson, pooled

No map is ever enlarged (see `resize`): <Uf, Ug> is taken at the smaller grid after the larger map
was reduced with Uᵀ, so that a pair of layers costs one matrix product; means and norms come from
Uᵀ1 and UᵀU. Maps with large means are centred before they are multiplied in float32 (see
`moments.centre`), and sums are pooled in float64, so the result doesn't depend on how images and
units are split.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.mining.enlarged import EnlargedSums
from rosetta_core.mining.maps import Maps
from rosetta_core.mining.resize import Grid, adjoint, common_grids
from rosetta_core.progress import Progress
from rosetta_core.zoo.layer import Layer

__all__ = ["correlate", "correlate_blocks"]

CPU = torch.device("cpu")
MOST_IMAGES = 128  # read at once
MOST_BYTES = 96 * 2**20  # of maps worked on at once
MOST_POSITIONS = 16_384  # summed in float32 before they are added up in float64


def correlate(
    pivot: Maps, model: Maps, *, memory_budget: int = 2**31, device: torch.device = CPU
) -> NDArray[np.float32]:
    """Return the correlations (units of pivot, units of model); NaN where a unit is constant."""
    blocks = correlate_blocks(pivot, model, memory_budget=memory_budget, device=device)
    return np.concatenate([block for _, block in blocks], axis=1)


def correlate_blocks(
    pivot: Maps, model: Maps, *, memory_budget: int, device: torch.device
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (columns, correlations (units of pivot, columns)) for blocks of the model's units.

    Args:
        pivot: the maps whose units are the rows.
        model: the maps whose units are the columns; may be the pivot itself.
        memory_budget: bytes of working memory, split between sums and maps.
        device: where to compute.

    Raises:
        RosettaError: the two have maps of different numbers of images.
    """
    if pivot.images != model.images:
        raise RosettaError(
            f"{pivot.name} has maps of {pivot.images} images and {model.name} of {model.images}; "
            "rerun the activations of the smaller"
        )
    rows = sum(layer.channels for layer in pivot.layers)
    columns = max(1, memory_budget // 4 // (8 * rows))
    blocks = list(_column_blocks(model.layers, columns))
    with Progress(
        f"{pivot.name} × {model.name}", total=pivot.images * len(blocks), unit="images"
    ) as progress:
        for block in blocks:
            work = _Work(pivot, model, block, device=device, memory_budget=memory_budget * 3 // 4)
            for images in pivot.pieces(work.images_at_once()):
                work.add(images)
                progress.advance(len(images))
            yield slice(block[0].first, block[-1].last), work.result()


@dataclass(frozen=True)
class _Part:
    """Some channels of a layer, and the numbers of their units."""

    layer: int
    channels: slice
    grid: Grid
    first: int
    last: int


def _parts(layers: Sequence[Layer], most: int | None = None) -> Iterator[_Part]:
    """The layers in order, cut where they have more than `most` channels."""
    unit = 0
    for number, layer in enumerate(layers):
        step = min(most or layer.channels, layer.channels)
        for start in range(0, layer.channels, step):
            stop = min(start + step, layer.channels)
            yield _Part(number, slice(start, stop), layer.grid, unit + start, unit + stop)
        unit += layer.channels


def _column_blocks(layers: Sequence[Layer], most: int) -> Iterator[list[_Part]]:
    """Group the parts of the layers into blocks of at most `most` units."""
    block: list[_Part] = []
    for part in _parts(layers, most):
        if block and part.last - block[0].first > most:
            yield block
            block = []
        block.append(part)
    yield block


class _Work:
    """The pooled sums of one block of columns."""

    def __init__(
        self,
        pivot: Maps,
        model: Maps,
        block: list[_Part],
        *,
        device: torch.device,
        memory_budget: int,
    ) -> None:
        self.pivot, self.model, self.block, self.device = pivot, model, block, device
        self.memory_budget = memory_budget
        self.rows = list(_parts(pivot.layers))
        self.images = 0
        self.centres = {
            id(maps): [torch.from_numpy(centre).to(device) for centre in maps.centres()]
            for maps in (pivot, model)
        }
        shape = (self.rows[-1].last, block[-1].last - block[0].first)
        self.products = torch.zeros(shape, dtype=torch.float64, device=device)
        # which pivot layers meet an encoder grid, by the small grid they meet at
        self.meetings: dict[Grid, dict[Grid, list[_Part]]] = {}
        larges: dict[Grid, set[Grid]] = defaultdict(set)
        for grid in dict.fromkeys(part.grid for part in block):
            meetings: dict[Grid, list[_Part]] = defaultdict(list)
            for row in self.rows:
                small, large = common_grids(row.grid, grid)
                meetings[small].append(row)
                larges[row.grid].add(large)
                larges[grid].add(large)
            self.meetings[grid] = meetings
        self.row_sums, self.column_sums = (
            [EnlargedSums(part.grid, larges[part.grid]) for part in parts]
            for parts in (self.rows, block)
        )

    def images_at_once(self) -> int:
        """How many images fit: the reduced pivot, and one layer of either model."""
        reduced = {
            (small, part.layer): 4 * (part.last - part.first) * small[0] * small[1]
            for meetings in self.meetings.values()
            for small, parts in meetings.items()
            for part in parts
        }
        layers = [*self.rows, *self.block]
        widest = max((p.last - p.first) * p.grid[0] * p.grid[1] for p in layers)
        per_image = 2 * sum(reduced.values()) + 4 * widest
        fit = max(1, min(MOST_IMAGES, self.memory_budget // 2 // per_image))
        return 1 << fit.bit_length() - 1  # a power of two, like the blocks in which maps are stored

    def add(self, images: range) -> None:
        """Take in the maps of some images: read, centre, reduce, multiply."""
        pivot = self._reduce_pivot(images)
        for part, sums in zip(self.block, self.column_sums, strict=True):
            columns = slice(part.first - self.block[0].first, part.last - self.block[0].first)
            meetings = self.meetings[part.grid]
            for start, maps in self._batches(self.model, part, images):
                sums.add(maps)
                reduced = adjoint(maps, meetings)
                for small, rows in meetings.items():
                    matrix = reduced[small].flatten(1)  # (channels, b·p)
                    positions = small[0] * small[1]
                    held = pivot[small, tuple(row.layer for row in rows)]
                    left = held[:, start * positions : start * positions + matrix.shape[1]]
                    for first in range(0, matrix.shape[1], MOST_POSITIONS):
                        some = slice(first, first + MOST_POSITIONS)
                        self._add_product(rows, columns, left[:, some] @ matrix[:, some].T)
        self.images += len(images)

    def _add_product(self, rows: list[_Part], columns: slice, product: Tensor) -> None:
        offset = 0
        for row in rows:
            size = row.last - row.first
            self.products[row.first : row.last, columns] += product[offset : offset + size]
            offset += size

    def _reduce_pivot(self, images: range) -> dict[tuple[Grid, tuple[int, ...]], Tensor]:
        """The pivot's maps at every small grid, as matrices (units, n·positions)."""
        wanted: dict[int, set[Grid]] = defaultdict(set)
        for meetings in self.meetings.values():
            for small, rows in meetings.items():
                for row in rows:
                    wanted[row.layer].add(small)
        single: dict[tuple[Grid, int], Tensor] = {}
        for row, sums in zip(self.rows, self.row_sums, strict=True):
            batches = defaultdict(list)
            for _, maps in self._batches(self.pivot, row, images):
                sums.add(maps)
                for small, reduced in adjoint(maps, wanted[row.layer]).items():
                    batches[small].append(reduced.flatten(1))
            for small, matrices in batches.items():
                single[small, row.layer] = torch.cat(matrices, dim=1)
        together = {
            (small, tuple(row.layer for row in rows))
            for meetings in self.meetings.values()
            for small, rows in meetings.items()
        }
        return {
            (small, layers): torch.cat([single[small, layer] for layer in layers])
            if len(layers) > 1
            else single[small, layers[0]]
            for small, layers in together
        }

    def _batches(self, source: Maps, part: _Part, images: range) -> Iterator[tuple[int, Tensor]]:
        """Read a part of a layer; yield (start, centred float32 maps (c, b, h, w))."""
        stored = source.read(part.layer, images, part.channels)
        centre = self.centres[id(source)][part.layer][part.channels]
        per_image = 12 * (part.last - part.first) * part.grid[0] * part.grid[1]
        size = max(1, min(self.memory_budget // 4, MOST_BYTES) // per_image)
        for start in range(0, len(images), size):
            yield start, _centred(stored[start : start + size], centre, self.device)

    def result(self) -> NDArray[np.float32]:
        """The correlations, from the pooled sums."""
        result = torch.empty_like(self.products, dtype=torch.float32)
        for row, row_sums in zip(self.rows, self.row_sums, strict=True):
            for part, column_sums in zip(self.block, self.column_sums, strict=True):
                _, large = common_grids(row.grid, part.grid)
                count = self.images * large[0] * large[1]
                row_mean, row_std = row_sums.mean_std(large, images=self.images)
                column_mean, column_std = column_sums.mean_std(large, images=self.images)
                columns = slice(part.first - self.block[0].first, part.last - self.block[0].first)
                place = (slice(row.first, row.last), columns)
                covariance = self.products[place] / count - torch.outer(row_mean, column_mean)
                scale = torch.outer(row_std, column_std)
                corr = (covariance / scale).clamp(-1, 1)
                result[place] = corr.masked_fill(scale == 0, torch.nan).float()
        return result.cpu().numpy()


def _centred(stored: NDArray, centre: Tensor, device: torch.device) -> Tensor:
    """Turn maps (n, c, h, w) into float32 (c, n, h, w) less each unit's centre.

    The difference is exact in float32 even where the mean dwarfs the deviations.
    """
    maps = torch.from_numpy(stored).to(device).transpose(0, 1)  # (c, n, h, w)
    if maps.dtype == torch.float64:
        return (maps - centre[:, None, None, None]).float()
    floats = torch.empty(maps.shape, dtype=torch.float32, device=device).copy_(maps)
    moved = centre.nonzero()[:, 0]  # most units of rectified layers stay where they are
    floats[moved] -= centre[moved].float()[:, None, None, None]
    return floats
