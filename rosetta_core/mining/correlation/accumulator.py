"""Accumulation of the sums behind the correlations, over batches of images, in float64.

Each batch is read, centred, reduced to the smaller grid of each pair of layers with the adjoint of
bilinear resizing, and multiplied (see `resize` and `resized_moments`).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.channel_blocks import PIVOT, ChannelBlock, group_by_grid
from rosetta_core.mining.correlation.matmul import matmul_transposed
from rosetta_core.mining.correlation.moments import centring_shift
from rosetta_core.mining.correlation.resize import apply_adjoint
from rosetta_core.mining.correlation.resized_moments import ResizedMoments
from rosetta_core.mining.correlation.tiles import (
    TileReader,
    centre_maps,
    non_finite_error,
    to_device,
)
from rosetta_core.mining.sources.base import MAX_BATCH_IMAGES, ActivationSource
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import Grid, common_grids

__all__ = ["CorrelationAccumulator"]

# bytes of reduced maps that are multiplied at once: what stays in a CPU's cache; more on a GPU
MAX_GROUP_BYTES = {"cpu": 96 * 2**20, "cuda": 1024 * 2**20}
MAX_POSITIONS = 16_384  # summed in float32 before they are added to a float64 sum

Reduced = dict[Grid, Tensor]  # by grid the reduced maps, as a matrix (units, n·positions)


class CorrelationAccumulator:
    """Sums of some units of the pivot (rows) with some units of other models (columns).

    Args:
        pivot: activation source of the rows.
        models: activation sources of the columns; the pivot may be among them.
        rows: blocks of the pivot's channels.
        columns: blocks of the models' channels.
        device: device of the sums and products.
        memory_budget: bytes of working memory.
        workers: threads that read and compute.
        groups: number of groups of images, each with sums of its own.
        read_ahead: whether threads read ahead of the computation; None: on a GPU only.

    Attributes:
        images: number of images added so far, by group.
    """

    def __init__(
        self,
        pivot: ActivationSource,
        models: Sequence[ActivationSource],
        *,
        rows: Sequence[ChannelBlock],
        columns: Sequence[ChannelBlock],
        device: torch.device,
        memory_budget: int,
        workers: TorchThreadPool,
        groups: int = 1,
        read_ahead: bool | None = None,
    ) -> None:
        self.images = [0] * groups
        self._pivot, self._models, self._rows, self._columns = pivot, models, rows, columns
        self._device, self._memory_budget, self._workers = device, memory_budget, workers
        self._reader = TileReader(
            self._source_of, device=device, workers=workers, read_ahead=read_ahead
        )
        self._group = 0  # of the batch that is being added
        sources = {id(m): m for m in (pivot, *(models[block.model] for block in columns))}
        self._shifts = {  # float64 (c,) by source and layer
            number: [
                torch.from_numpy(centring_shift(moments)).to(device)
                for moments in source.pilot_moments()
            ]
            for number, source in sources.items()
        }
        self._row_places, self._column_places = _places(rows), _places(columns)
        shape = (groups, sum(len(b.units) for b in rows), sum(len(b.units) for b in columns))
        self._products = torch.zeros(shape, dtype=torch.float64, device=device)
        # for each grid of the columns: the rows by the small grid of their product
        self._rows_by_grid: dict[Grid, dict[Grid, list[ChannelBlock]]] = {}
        target_grids: dict[Grid, set[Grid]] = defaultdict(set)
        for grid in dict.fromkeys(block.grid for block in columns):
            by_small_grid: dict[Grid, list[ChannelBlock]] = defaultdict(list)
            for row in rows:
                small, large = common_grids(row.grid, grid)
                by_small_grid[small].append(row)
                target_grids[row.grid].add(large)
                target_grids[grid].add(large)
            self._rows_by_grid[grid] = by_small_grid
        self._moments = {
            block: ResizedMoments(
                block.grid,
                target_grids[block.grid],
                channels=len(block.units),
                device=device,
                groups=groups,
            )
            for block in (*rows, *columns)
        }
        self._row_matrices: dict[tuple[Grid, ...], Tensor] = {}

    def batch_size(self) -> int:
        """Return the number of images per batch that fits the memory budget, a power of two.

        A batch takes the reduced pivot, a group of columns per thread, and the loaded model.
        """
        reduced_rows = {
            (small, row)
            for by_small_grid in self._rows_by_grid.values()
            for small, rows in by_small_grid.items()
            for row in rows
        }
        pivot = sum(4 * len(row.units) * small[0] * small[1] for small, row in reduced_rows)
        column = max(self._reduced_bytes(block) + 4 * block.size for block in self._columns)
        row = max(4 * block.size for block in self._rows)
        loaded = max(source.bytes_per_image() for source in (self._pivot, *self._models))
        per_image = 2 * pivot + self._workers.count * max(column, row) + loaded
        fit = max(1, min(MAX_BATCH_IMAGES, (self._memory_budget * 2 // 3) // per_image))
        return 1 << fit.bit_length() - 1  # a power of two, like the blocks of stores

    def add(self, images: range, *, group: int = 0) -> None:
        """Add the maps of a batch of images.

        Args:
            images: numbers of the images, at most `batch_size()`.
            group: group that all of them belong to.

        Raises:
            RosettaError: a map contains NaN or infinity.
        """
        self._group = group
        self._pivot.load(images, self._workers)
        self._row_matrices = self._reduce_rows(images)
        limit = min(
            MAX_GROUP_BYTES[self._device.type], self._memory_budget // 4 // self._workers.count
        )
        for models in self._turns():
            if self._pivot not in models:
                self._pivot.release()
            for model in models:
                model.load(images, self._workers)
            groups = group_by_grid(
                [block for block in self._columns if self._models[block.model] in models],
                cost=lambda block: self._reduced_bytes(block) * len(images),
                max_cost=limit,
            )
            self._reader.process(groups, images, partial(self._add_columns, images=images))
            for model in models:
                model.release()
        self._row_matrices = {}
        self.images[group] += len(images)

    def correlations(
        self, model: int, groups: Sequence[int] | None = None
    ) -> tuple[slice, NDArray]:
        """Return the correlations of the rows with the columns of one model.

        Args:
            model: number of the model.
            groups: groups of images to include; None for all.

        Returns:
            The units of the model that are columns, and the correlations (rows, units) in float32;
            NaN where a unit is constant.
        """
        chosen = list(range(len(self.images)) if groups is None else groups)
        images = sum(self.images[group] for group in chosen)
        columns = [block for block in self._columns if block.model == model]
        offset = self._column_places[columns[0]].start
        units = slice(columns[0].units.start, columns[-1].units.stop)
        shape = (self._products.shape[1], units.stop - units.start)
        result = torch.empty(shape, dtype=torch.float32, device=self._device)
        for row in self._rows:
            for column in columns:
                _, large = common_grids(row.grid, column.grid)
                count = images * large[0] * large[1]
                row_mean, row_std = self._moments[row].mean_std(large, images=images, groups=chosen)
                mean, std = self._moments[column].mean_std(large, images=images, groups=chosen)
                place = (self._row_places[row], self._column_places[column])
                products = self._products[(chosen, *place)].sum(0)
                covariance = products / count - torch.outer(row_mean, mean)
                scale = torch.outer(row_std, std)
                corr = (covariance / scale).clamp(-1, 1).masked_fill(scale == 0, torch.nan)
                inside = slice(place[1].start - offset, place[1].stop - offset)
                result[place[0], inside] = corr.float()
        return units, result.cpu().numpy()

    def _source_of(self, block: ChannelBlock) -> ActivationSource:
        return self._pivot if block.model == PIVOT else self._models[block.model]

    def _reduced_bytes(self, block: ChannelBlock) -> int:
        """Return the bytes of a column block's reduced maps on one image."""
        return 4 * len(block.units) * sum(h * w for h, w in self._rows_by_grid[block.grid])

    def _turns(self) -> list[list[ActivationSource]]:
        """Return the models of the columns as lists that are processed together.

        Models that load nothing are processed together, so that threads rarely wait for each
        other; otherwise each model alone, and the pivot, which is loaded already, first.
        """
        numbers = dict.fromkeys(block.model for block in self._columns)
        models = sorted((self._models[n] for n in numbers), key=lambda m: m is not self._pivot)
        if not any(model.bytes_per_image() for model in models):
            return [models]
        return [[model] for model in models]

    def _reduce_rows(self, images: range) -> dict[tuple[Grid, ...], Tensor]:
        """Return the reduced rows of each product as one matrix (units, n·positions).

        The keys are the small grid of the product, and the grids of its rows.
        """
        grids: dict[ChannelBlock, set[Grid]] = defaultdict(set)
        for by_small_grid in self._rows_by_grid.values():
            for small, rows in by_small_grid.items():
                for row in rows:
                    grids[row].add(small)

        def reduce(group: Sequence[ChannelBlock], tiles: Iterator[Tensor]) -> Reduced:
            return self._reduce(group[0], tiles, grids[group[0]], images)

        largest_first = sorted(self._rows, key=lambda row: -row.size)
        results = self._reader.process([[row] for row in largest_first], images, reduce)
        reduced = dict(zip(largest_first, results, strict=True))
        matrices: dict[tuple[Grid, ...], Tensor] = {}
        for by_small_grid in self._rows_by_grid.values():
            for small, rows in by_small_grid.items():
                key = (small, *(row.grid for row in rows))
                if key not in matrices:
                    matrices[key] = _stack([reduced[row][small] for row in rows])
        return matrices

    def _add_columns(
        self, group: Sequence[ChannelBlock], tiles: Iterator[Tensor], images: range
    ) -> None:
        """Reduce blocks of equal grid and add their products with the rows."""
        by_small_grid = self._rows_by_grid[group[0].grid]
        reduced = [self._reduce(block, tiles, set(by_small_grid), images) for block in group]
        for small, rows in by_small_grid.items():
            columns = _stack([by_grid[small] for by_grid in reduced])
            matrix = self._row_matrices[(small, *(row.grid for row in rows))]
            step = max(1, MAX_POSITIONS // (small[0] * small[1])) * small[0] * small[1]
            for start in range(0, matrix.shape[1], step):
                inside = slice(start, start + step)
                product = matmul_transposed(matrix[:, inside], columns[:, inside])
                self._add_product(product, rows, group)

    def _add_product(
        self, product: Tensor, rows: Sequence[ChannelBlock], columns: Sequence[ChannelBlock]
    ) -> None:
        """Add a product (units of all rows, units of all columns) to the sums."""
        top = 0
        for row in rows:
            left = 0
            for column in columns:
                height, width = len(row.units), len(column.units)
                place = (self._row_places[row], self._column_places[column])
                part = product[top : top + height, left : left + width]
                self._products[self._group][place] += part
                left += width
            top += height

    def _reduce(
        self, block: ChannelBlock, tiles: Iterator[Tensor], grids: set[Grid], images: range
    ) -> Reduced:
        """Add a block's maps to its moments, and reduce them to some grids, tile by tile."""
        source = self._source_of(block)
        moments, shift = self._moments[block], self._shifts[id(source)][block.layer][block.channels]
        result = {
            grid: torch.empty((len(block.units), len(images), *grid), device=self._device)
            for grid in grids  # (c, n, h', w')
        }
        for channels in self._reader.tiles(block, len(images)):
            stored = next(tiles)  # (n, c, h, w)
            out = {grid: reduced[channels] for grid, reduced in result.items()}
            maps = to_device(stored, self._device).transpose(0, 1)  # (c, n, h, w)
            centred = centre_maps(maps, shift[channels], out=out.get(block.grid))
            moments.add(centred, channels, group=self._group)
            if not bool(moments.finite(channels, group=self._group).all()):
                raise non_finite_error(block, channels, stored, source, images)
            apply_adjoint(centred, grids, out=out)
        return {grid: reduced.flatten(1) for grid, reduced in result.items()}


def _stack(matrices: Sequence[Tensor]) -> Tensor:
    """Return the rows of all matrices, without a copy if there is only one."""
    return torch.cat(list(matrices)) if len(matrices) > 1 else matrices[0]


def _places(blocks: Sequence[ChannelBlock]) -> dict[ChannelBlock, slice]:
    """Return the position of each block's units when all blocks follow one another."""
    places, start = {}, 0
    for block in blocks:
        places[block] = slice(start, start + len(block.units))
        start += len(block.units)
    return places
