"""Sums behind the correlations of pairs of units by group of images, and their peak overlap.

One pass over the maps of the units that are in pairs. As in the correlations, no map is enlarged:
products are taken at the smaller grid, sums and squares with the adjoint of resizing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.moments import centring_shift
from rosetta_core.mining.correlation.resize import apply_adjoint
from rosetta_core.mining.correlation.resized_moments import resized_sums
from rosetta_core.mining.correlation.tiles import centre_maps
from rosetta_core.mining.sources.base import ActivationSource, fit_batch_size
from rosetta_core.mining.sources.subset import UnitSubset
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import Grid, common_grids

__all__ = ["PairSums", "pair_sums", "peak_positions"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
MAX_GROUPS = 128  # of images, which are resampled for confidence intervals
MAX_PEAK_DISTANCE = 1 / 8  # of the image side, in rows and in columns


@dataclass(frozen=True)
class PairSums:
    """Sums over images and positions of the larger grid of n pairs of units, by group of images.

    Attributes:
        positions: number of positions (groups, n).
        products: <Uf, Ug> (groups, n).
        totals: sum(Uf), and sum(Ug) (groups, n).
        squares: |Uf|², and |Ug|² (groups, n).
        peak_overlap: share of the images on which both maps peak at the same place (n,).
    """

    positions: Float64
    products: Float64
    totals: tuple[Float64, Float64]
    squares: tuple[Float64, Float64]
    peak_overlap: Float64

    def __getitem__(self, pairs: slice) -> "PairSums":
        """Return the sums of some of the pairs."""
        return PairSums(
            self.positions[:, pairs],
            self.products[:, pairs],
            (self.totals[0][:, pairs], self.totals[1][:, pairs]),
            (self.squares[0][:, pairs], self.squares[1][:, pairs]),
            self.peak_overlap[pairs],
        )


@dataclass(frozen=True)
class _LayerBatch:
    """Some units of a layer on a batch of images.

    Attributes:
        reduced: by smaller grid the maps reduced to it (c, n, h·w).
        sums: by larger grid sum(Uf) and |Uf|² (c, n) each.
        peaks: positions of the peaks (c, n, 2).
    """

    reduced: dict[Grid, Float32]
    sums: dict[Grid, tuple[Float32, Float32]]
    peaks: Float32


class _PairedUnits:
    """The units of one model that are in pairs.

    Attributes:
        source: their activation maps.
        layer: number of each pair's layer in the source (n,).
        channel: channel of each pair's unit in this layer (n,).
        smaller: by layer the grids at which its maps are multiplied.
        larger: by layer the grids to which its maps are resized.
    """

    def __init__(self, source: ActivationSource, units: NDArray[np.int64]) -> None:
        self.source = UnitSubset(source, units)
        layers = self.source.layers
        ends = np.cumsum([layer.channels for layer in layers])
        row = np.searchsorted(self.source.units, units)
        self.layer = np.searchsorted(ends, row, side="right")
        self.channel = row - (ends - [layer.channels for layer in layers])[self.layer]
        self.smaller: list[set[Grid]] = [set() for _ in layers]
        self.larger: list[set[Grid]] = [set() for _ in layers]
        self._shifts = [
            torch.from_numpy(centring_shift(moments)) for moments in self.source.moments()
        ]

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> _LayerBatch:
        """Read some channels of a layer on a batch of images."""
        stored = self.source.read(layer, images, channels).transpose(0, 1)  # (c, n, h, w)
        maps = centre_maps(stored, self._shifts[layer][channels], out=None)
        reduced = apply_adjoint(maps, self.smaller[layer])
        sums = resized_sums(maps, self.larger[layer])
        return _LayerBatch(
            reduced={grid: small.flatten(2).numpy() for grid, small in reduced.items()},
            sums={grid: (total.numpy(), square.numpy()) for grid, (total, square) in sums.items()},
            peaks=peak_positions(maps),
        )


@dataclass(frozen=True)
class _LayerPairs:
    """The k pairs of one layer of the pivot and some channels of a layer of the encoder.

    Attributes:
        pairs: numbers of the pairs (k,).
        pivot_layer: number of the pivot's layer.
        pivot_channel: channels of this layer (k,).
        encoder_channel: channels of the encoder's layer, from the first of them (k,).
        small: grid at which maps are multiplied.
        large: grid to which both are resized.
    """

    pairs: NDArray[np.int64]
    pivot_layer: int
    pivot_channel: NDArray[np.int64]
    encoder_channel: NDArray[np.int64]
    small: Grid
    large: Grid

    def sums_by_image(
        self, pivot: _LayerBatch, encoder: _LayerBatch
    ) -> tuple[Float32, NDArray[np.bool_]]:
        """Return products, sums and squares (5, k, n), and whether both peaks overlap (k, n)."""
        f, g = pivot.reduced[self.small], encoder.reduced[self.small]
        channels = zip(self.pivot_channel, self.encoder_channel, strict=True)
        products = [np.vecdot(f[i], g[j]) for i, j in channels]
        sides = (
            (self.pivot_channel, pivot.sums[self.large]),
            (self.encoder_channel, encoder.sums[self.large]),
        )
        sums = [values[channel] for channel, two in sides for values in two]
        distance = np.abs(pivot.peaks[self.pivot_channel] - encoder.peaks[self.encoder_channel])
        return np.stack([np.stack(products), *sums]), (distance <= MAX_PEAK_DISTANCE).all(2)


_ChunkPairs = tuple[int, slice, list[_LayerPairs]]  # a layer, channels read at once, their pairs


def _group_pairs(pivot: _PairedUnits, encoder: _PairedUnits) -> list[_ChunkPairs]:
    """Group the pairs by the encoder's chunks and the pivot's layers; note the grids of layers."""
    chunks = []
    for layer, encoder_layer in enumerate(encoder.source.layers):
        for channels in encoder.source.chunks(layer):
            inside = (channels.start <= encoder.channel) & (encoder.channel < channels.stop)
            pairs = np.flatnonzero((encoder.layer == layer) & inside)
            groups = []
            for pivot_layer in np.unique(pivot.layer[pairs]).tolist():
                group = pairs[pivot.layer[pairs] == pivot_layer]
                channel = pivot.channel[group], encoder.channel[group] - channels.start
                grids = common_grids(pivot.source.layers[pivot_layer].grid, encoder_layer.grid)
                groups.append(_LayerPairs(group, pivot_layer, *channel, *grids))
                for side, number in ((pivot, pivot_layer), (encoder, layer)):
                    side.smaller[number].add(grids[0])
                    side.larger[number].add(grids[1])
            chunks.append((layer, channels, groups))
    return chunks


@torch.no_grad()
def pair_sums(
    pivot: ActivationSource,
    encoder: ActivationSource,
    *,
    pairs: NDArray[np.int64],
    memory_budget: int,
    threads: int,
) -> PairSums:
    """Compute the sums and the peak overlap of pairs of units.

    The peaks of two maps overlap on an image if they are at most an eighth of the image side apart,
    in rows and in columns.

    Args:
        pivot: stored activations of the pivot.
        encoder: stored activations of an encoder, or of several, concatenated.
        pairs: units of the pivot and of the encoder (n, 2), with n of at least 1.
        memory_budget: bytes of maps in memory at once.
        threads: number of CPU threads.
    """
    images = pivot.images
    groups = min(MAX_GROUPS, images)
    group_of = np.arange(images) * groups // images
    pivot_units, encoder_units = (
        _PairedUnits(source, units) for source, units in zip((pivot, encoder), pairs.T, strict=True)
    )
    chunks = _group_pairs(pivot_units, encoder_units)
    sums, overlaps = np.zeros((5, groups, len(pairs))), np.zeros(len(pairs))
    positions = np.empty(len(pairs))
    for _, _, layer_pairs in chunks:
        for group in layer_pairs:
            positions[group.pairs] = group.large[0] * group.large[1]
    bytes_per_image = 3 * 4 * sum(layer.size for layer in pivot_units.source.layers)
    title = f"pairs of {pivot.name} and {encoder.name}"
    with TorchThreadPool(threads) as workers, Progress(title, total=images) as progress:
        batch_size = fit_batch_size(bytes_per_image, memory_budget=memory_budget)
        for batch in pivot.iter_batches(batch_size):
            numbers, firsts = np.unique(group_of[batch.start : batch.stop], return_index=True)
            read = partial(pivot_units.read, images=batch)
            pivot_layers = list(workers.map(read, range(len(pivot_units.source.layers))))
            add = partial(_chunk_sums, encoder_units, pivot_layers, images=batch, firsts=firsts)
            for results in workers.map(add, chunks):
                for group, by_group, overlap in results:
                    sums[:, numbers[:, None], group.pairs] += by_group
                    overlaps[group.pairs] += overlap
            progress.advance(len(batch))
    products, f, f_squared, g, g_squared = sums
    return PairSums(
        positions=np.outer(np.bincount(group_of, minlength=groups), positions),
        products=products,
        totals=(f, g),
        squares=(f_squared, g_squared),
        peak_overlap=overlaps / images,
    )


def _chunk_sums(
    encoder: _PairedUnits,
    pivot_layers: Sequence[_LayerBatch],
    chunk: _ChunkPairs,
    *,
    images: range,
    firsts: NDArray[np.int64],
) -> list[tuple[_LayerPairs, Float64, NDArray[np.int64]]]:
    """Sums of pairs (5, groups, k) and numbers of images with overlapping peaks (k,)."""
    layer, channels, groups = chunk
    batch, results = encoder.read(layer, images, channels), []
    for group in groups:
        by_image, overlap = group.sums_by_image(pivot_layers[group.pivot_layer], batch)
        by_group = np.add.reduceat(by_image, firsts, axis=2, dtype=np.float64)
        results.append((group, by_group.swapaxes(1, 2), overlap.sum(1)))
    return results


def peak_positions(maps: Tensor) -> Float32:
    """Return the positions of the maxima of maps (c, n, h, w), as shares of the sides (c, n, 2).

    NaN for constant maps.
    """
    height, width = maps.shape[2:]
    flat = maps.flatten(2).numpy()  # (c, n, p); NumPy is several times as fast as PyTorch here
    place = flat.argmax(2)
    row, column = np.divmod(place, width)
    peaks = np.stack([(row + 0.5) / height, (column + 0.5) / width], axis=-1).astype(np.float32)
    highest = np.take_along_axis(flat, place[..., None], axis=2)[..., 0]
    peaks[highest == flat.min(2)] = np.nan
    return peaks
