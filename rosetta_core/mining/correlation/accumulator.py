"""The sums behind the correlations, pooled over images in float64.

Pooling     takes in images piece by piece: read, centre, reduce, multiply
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.channel_blocks import PIVOT, ChannelBlock, groups
from rosetta_core.mining.correlation.grids import Grid, common_grids
from rosetta_core.mining.correlation.matmul import multiply
from rosetta_core.mining.correlation.moments import centre
from rosetta_core.mining.correlation.resize import adjoint
from rosetta_core.mining.correlation.resized_moments import ResizedMoments
from rosetta_core.mining.correlation.tiles import centred, moved, not_finite
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runtime.workers import Workers

__all__ = ["CorrelationAccumulator"]

MOST_IMAGES = 128  # read at once
# bytes of reduced maps multiplied at once, and of maps centred and reduced at once: what stays in a
# CPU's cache; a GPU wants larger pieces
MOST_BYTES = {"cpu": 96 * 2**20, "cuda": 1024 * 2**20}
TILE_BYTES = {"cpu": 8 * 2**20, "cuda": 256 * 2**20}
MOST_POSITIONS = 16_384  # summed in float32 before they are added up in float64

Reduced = dict[Grid, Tensor]  # by grid the maps at that grid, as a matrix (units, n·positions)


class CorrelationAccumulator:
    """The pooled sums of some units of the pivot with some units of other models."""

    def __init__(
        self,
        pivot: ActivationSource,
        models: Sequence[ActivationSource],
        *,
        rows: Sequence[ChannelBlock],
        columns: Sequence[ChannelBlock],
        device: torch.device,
        memory_budget: int,
        workers: Workers,
        groups: int = 1,
    ) -> None:
        """Prepare to pool the products of `rows` of the pivot with `columns` of the models.

        Images come in `groups`, whose sums are apart.
        """
        self.pivot, self.models, self.rows, self.columns = pivot, models, rows, columns
        self.device, self.memory_budget, self.workers = device, memory_budget, workers
        self.images = [0] * groups
        self._group = 0  # that is taken in
        self._centres = {
            id(maps): [torch.from_numpy(centre(m)).to(device) for m in maps.pilot()]
            for maps in {id(m): m for m in (pivot, *(models[p.model] for p in columns))}.values()
        }
        self._row_place, self._column_place = _places(rows), _places(columns)
        shape = (groups, sum(len(p.units) for p in rows), sum(len(p.units) for p in columns))
        self._products = torch.zeros(shape, dtype=torch.float64, device=device)
        # which rows meet a grid of the columns, by the small grid they meet at
        self._meetings: dict[Grid, dict[Grid, list[ChannelBlock]]] = {}
        larges: dict[Grid, set[Grid]] = defaultdict(set)
        for grid in dict.fromkeys(part.grid for part in columns):
            meetings: dict[Grid, list[ChannelBlock]] = defaultdict(list)
            for row in rows:
                small, large = common_grids(row.grid, grid)
                meetings[small].append(row)
                larges[row.grid].add(large)
                larges[grid].add(large)
            self._meetings[grid] = meetings
        self._sums = {
            part: ResizedMoments(
                part.grid,
                larges[part.grid],
                channels=len(part.units),
                device=device,
                groups=groups,
            )
            for part in (*rows, *columns)
        }
        self._row_matrices: dict[tuple[Grid, ...], Tensor] = {}

    def images_at_once(self) -> int:
        """How many images fit: the reduced pivot, a group of columns a thread, a loaded model."""
        met = {
            (small, part)
            for meetings in self._meetings.values()
            for small, rows in meetings.items()
            for part in rows
        }
        pivot = sum(4 * len(part.units) * small[0] * small[1] for small, part in met)
        column = max(self._cost(part) + 4 * part.size for part in self.columns)
        row = max(4 * part.size for part in self.rows)
        held = max(maps.held() for maps in (self.pivot, *self.models))
        per_image = 2 * pivot + self.workers.count * max(column, row) + held
        fit = max(1, min(MOST_IMAGES, (self.memory_budget * 2 // 3) // per_image))
        return 1 << fit.bit_length() - 1  # a power of two, like the blocks in which maps are stored

    def add(self, images: range, *, group: int = 0) -> None:
        """Take in the maps of some images, all of a group."""
        self._group = group
        self.pivot.load(images, self.workers)
        self._row_matrices = self._reduce_rows(images)
        for models in self._models_at_once():
            if self.pivot not in models:
                self.pivot.release()
            for model in models:
                model.load(images, self.workers)
            block = [part for part in self.columns if self.models[part.model] in models]
            most = min(MOST_BYTES[self.device.type], self.memory_budget // 4 // self.workers.count)
            together = groups(block, cost=lambda p: self._cost(p) * len(images), most=most)
            self._each(together, images, self._add_group)
            for model in models:
                model.release()
        self._row_matrices = {}
        self.images[group] += len(images)

    def _models_at_once(self) -> list[list[ActivationSource]]:
        """Models by turns: all that hold nothing together, others alone; the pivot, loaded, first.

        The more there is to do in a turn, the less threads wait for each other at its end.
        """
        numbers = dict.fromkeys(part.model for part in self.columns)
        models = sorted((self.models[n] for n in numbers), key=lambda m: m is not self.pivot)
        if not any(model.held() for model in models):
            return [models]
        return [[model] for model in models]

    def _source(self, part: ChannelBlock) -> ActivationSource:
        return self.pivot if part.model == PIVOT else self.models[part.model]

    def _each(
        self,
        together: Sequence[Sequence[ChannelBlock]],
        images: range,
        work: Callable[[Sequence[ChannelBlock], Iterator[Tensor], range], object],
    ) -> list:
        """Do the work for every group of parts; on a GPU maps are read ahead in other threads."""

        def read(tile: tuple[ChannelBlock, slice]) -> Tensor:
            part, channels = tile
            first = part.channels.start
            inside = slice(first + channels.start, first + channels.stop)
            return self._source(part).read(part.layer, images, inside)

        def tiles(group: Sequence[ChannelBlock]) -> Iterator[tuple[ChannelBlock, slice]]:
            for part in group:
                for channels in self._tiles(part, images):
                    yield part, channels

        def read_and_work(group: Sequence[ChannelBlock]) -> object:
            return work(group, map(read, tiles(group)), images)

        if not self._reads_ahead():
            return list(self.workers.map(read_and_work, together))
        arrays = self.workers.ahead(read, chain.from_iterable(map(tiles, together)))
        return [work(group, arrays, images) for group in together]

    def _reads_ahead(self) -> bool:
        """Whether one thread computes while others read, as suits a GPU, or all do both."""
        return self.device.type != "cpu"

    def _tiles(self, part: ChannelBlock, images: range) -> list[slice]:
        """The channels of a part in tiles that are read and worked on at once."""
        channels, first = len(part.units), part.channels.start
        per_channel = 4 * len(images) * part.grid[0] * part.grid[1]
        together = self._source(part).together(part.layer)
        step = max(1, TILE_BYTES[self.device.type] // per_channel // together) * together
        # tiles end where stored chunks do, wherever the part begins
        ends = [*range(step - first % step, channels, step), channels]
        return [slice(a, b) for a, b in pairwise([0, *ends])]

    def _reduce_rows(self, images: range) -> dict[tuple[Grid, ...], Tensor]:
        """The rows at every small grid, as one matrix (units, n·positions) for each meeting."""
        wanted: dict[ChannelBlock, set[Grid]] = defaultdict(set)
        for meetings in self._meetings.values():
            for small, rows in meetings.items():
                for row in rows:
                    wanted[row].add(small)

        def reduce(
            group: Sequence[ChannelBlock], arrays: Iterator[Tensor], images: range
        ) -> Reduced:
            return self._reduce(group[0], arrays, wanted[group[0]], images)

        largest_first = sorted(self.rows, key=lambda row: -row.size)
        found = self._each([[row] for row in largest_first], images, reduce)
        reduced = dict(zip(largest_first, found, strict=True))
        matrices: dict[tuple[Grid, ...], Tensor] = {}
        for meetings in self._meetings.values():
            for small, rows in meetings.items():
                key = (small, *(row.grid for row in rows))
                if key not in matrices:
                    matrices[key] = _stacked([reduced[row][small] for row in rows])
        return matrices

    def _add_group(
        self, group: Sequence[ChannelBlock], arrays: Iterator[Tensor], images: range
    ) -> None:
        """Reduce parts of equal grid, and multiply each small grid's with the rows that meet it."""
        meetings = self._meetings[group[0].grid]
        reduced = [self._reduce(part, arrays, set(meetings), images) for part in group]
        for small, rows in meetings.items():
            columns = _stacked([matrices[small] for matrices in reduced])
            matrix = self._row_matrices[(small, *(row.grid for row in rows))]
            step = max(1, MOST_POSITIONS // (small[0] * small[1])) * small[0] * small[1]
            for start in range(0, matrix.shape[1], step):
                inside = slice(start, start + step)
                self._add_product(multiply(matrix[:, inside], columns[:, inside]), rows, group)

    def _add_product(
        self, product: Tensor, rows: Sequence[ChannelBlock], columns: Sequence[ChannelBlock]
    ) -> None:
        top = 0
        for row in rows:
            left = 0
            for column in columns:
                height, width = len(row.units), len(column.units)
                place = (self._row_place[row], self._column_place[column])
                self._products[self._group][place] += product[
                    top : top + height, left : left + width
                ]
                left += width
            top += height

    def _reduce(
        self,
        part: ChannelBlock,
        arrays: Iterator[Tensor],
        grids: set[Grid],
        images: range,
    ) -> Reduced:
        """Add up a part's moments and reduce its maps to some grids, tile by tile."""
        source = self._source(part)
        sums, shift = self._sums[part], self._centres[id(source)][part.layer][part.channels]
        result = {
            grid: torch.empty((len(part.units), len(images), *grid), device=self.device)
            for grid in grids  # (c, n, h', w')
        }
        for channels in self._tiles(part, images):
            stored = next(arrays)  # (n, c, h, w)
            into = {grid: reduced[channels] for grid, reduced in result.items()}
            maps = moved(stored, self.device).transpose(0, 1)  # (c, n, h, w)
            tile = centred(maps, shift[channels], out=into.get(part.grid))
            sums.add(tile, channels, group=self._group)
            if not bool(sums.finite(channels, group=self._group).all()):
                raise not_finite(part, channels, stored, source, images)
            adjoint(tile, grids, out=into)
        return {grid: reduced.flatten(1) for grid, reduced in result.items()}

    def _cost(self, part: ChannelBlock) -> int:
        """Bytes that an image of a part takes when it is reduced."""
        return 4 * len(part.units) * sum(h * w for h, w in self._meetings[part.grid])

    def correlations(
        self, model: int, groups: Sequence[int] | None = None
    ) -> tuple[slice, NDArray[np.float32]]:
        """Return the units of a model that were pooled, and their correlations with the rows.

        Args:
            model: its number.
            groups: of images, all unless given.
        """
        chosen = list(range(len(self.images)) if groups is None else groups)
        images = sum(self.images[group] for group in chosen)
        columns = [part for part in self.columns if part.model == model]
        offset = self._column_place[columns[0]].start
        units = slice(columns[0].units.start, columns[-1].units.stop)
        shape = (self._products.shape[1], units.stop - units.start)
        result = torch.empty(shape, dtype=torch.float32, device=self.device)
        for row in self.rows:
            for column in columns:
                _, large = common_grids(row.grid, column.grid)
                count = images * large[0] * large[1]
                row_mean, row_std = self._sums[row].mean_std(large, images=images, groups=chosen)
                mean, std = self._sums[column].mean_std(large, images=images, groups=chosen)
                place = (self._row_place[row], self._column_place[column])
                products = self._products[(chosen, *place)].sum(0)
                covariance = products / count - torch.outer(row_mean, mean)
                scale = torch.outer(row_std, std)
                corr = (covariance / scale).clamp(-1, 1).masked_fill(scale == 0, torch.nan)
                inside = slice(place[1].start - offset, place[1].stop - offset)
                result[place[0], inside] = corr.float()
        return units, result.cpu().numpy()


def _stacked(matrices: Sequence[Tensor]) -> Tensor:
    """The rows of all matrices, without a copy where there is one."""
    return torch.cat(list(matrices)) if len(matrices) > 1 else matrices[0]


def _places(parts: Sequence[ChannelBlock]) -> dict[ChannelBlock, slice]:
    """Where the parts stand, one after the other."""
    places, start = {}, 0
    for part in parts:
        places[part] = slice(start, start + len(part.units))
        start += len(part.units)
    return places
