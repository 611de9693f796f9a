"""Top images of units, with their heat maps, histograms of activations, and selectivity."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.heat_maps import LARGEST_SIDE, downsample, quantise
from rosetta_core.mining.examples.near_duplicates import without_duplicates
from rosetta_core.mining.examples.quantisation import HISTOGRAM_BINS
from rosetta_core.mining.examples.selectivity import ResponseSums
from rosetta_core.mining.examples.stores import NO_IMAGE, LayerExamples
from rosetta_core.mining.sources.base import ActivationSource, fit_batch_size
from rosetta_core.mining.sources.subset import standardise
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import Layer

__all__ = ["find_unit_examples"]

BLOCK = 32 * 2**20  # most bytes of float32 maps that a thread works on
COPIES = 5  # of these maps, at once
SPARE = 2  # candidates per example, since near-duplicates among them are dropped


def find_unit_examples(
    maps: ActivationSource,
    units: pd.DataFrame,
    *,
    duplicates: NDArray[np.int32],
    count: int,
    memory_budget: int,
    threads: int,
) -> list[LayerExamples]:
    """Find the images with the highest peaks of every unit, one of each group of near-duplicates.

    The peak of a unit on an image is the largest value of its map. Ties, for example of units that
    saturate, go to the higher mean of the map, then to the lower image number.

    Args:
        maps: activation maps of a model.
        units: its table of units.
        duplicates: group of near-duplicates of each image (n,).
        count: number of examples per unit.
        memory_budget: bytes of maps in memory at once.
        threads: number of CPU threads.

    Returns:
        The examples of each layer.
    """
    tables = [units[units["layer"] == layer.name] for layer in maps.layers]
    candidates = [_Candidates(layer, SPARE * count) for layer in maps.layers]
    batch_size = fit_batch_size(maps.bytes_per_image(), memory_budget=memory_budget)
    block_bytes = min(BLOCK, memory_budget // 2 // (COPIES * max(1, threads)))
    with (
        TorchThreadPool(threads) as workers,
        Progress(f"examples of {maps.name}", total=maps.images) as progress,
    ):
        for images in maps.iter_batches(batch_size):
            maps.load(images, workers)

            def update(block: tuple[int, slice], images: range = images) -> None:
                layer, channels = block
                _update(candidates[layer], maps, layer, images, channels, units=tables[layer])

            for _ in workers.map(update, _blocks(maps, len(images), block_bytes=block_bytes)):
                pass
            progress.advance(len(images))
    maps.release()
    return [
        _select(layer, table["alive"].to_numpy(), duplicates, count, images=maps.images)
        for layer, table in zip(candidates, tables, strict=True)
    ]


class _Candidates:
    """Top images so far of a layer's units, best first; arrays as in LayerExamples.

    Attributes:
        means: means of the candidates' maps (c, candidates).
        responses: sums of the responses to all images so far.
        positions: number of positions of a map.
    """

    def __init__(self, layer: Layer, count: int) -> None:
        grid = [min(side, LARGEST_SIDE) for side in layer.grid]
        self.images = np.full((layer.channels, count), NO_IMAGE, np.int32)
        self.peaks = np.full((layer.channels, count), -np.inf, np.float32)
        self.means = np.full((layer.channels, count), -np.inf, np.float32)
        self.maps = np.zeros((layer.channels, count, *grid), np.uint8)
        self.histogram = np.zeros((layer.channels, HISTOGRAM_BINS), np.int64)
        self.responses = ResponseSums(layer.channels)
        self.positions = layer.height * layer.width


def _blocks(maps: ActivationSource, images: int, *, block_bytes: int) -> list[tuple[int, slice]]:
    """Layers and channels of the blocks that a thread processes at once."""
    blocks = []
    for number, layer in enumerate(maps.layers):
        chunk = maps.chunk_channels(number)
        fit = block_bytes // (4 * images * layer.height * layer.width)
        step = max(1, fit // chunk) * chunk
        blocks += [
            (number, slice(start, min(start + step, layer.channels)))
            for start in range(0, layer.channels, step)
        ]
    return blocks


def _update(
    candidates: _Candidates,
    maps: ActivationSource,
    layer: int,
    images: range,
    channels: slice,
    *,
    units: pd.DataFrame,
) -> None:
    """Add images to the candidates, histograms and responses of some channels of a layer."""
    rows = units.iloc[channels]
    z = standardise(
        maps.read(layer, images, channels),
        mean=rows["mean"].to_numpy(),
        std=rows["std"].to_numpy(),
    ).cpu()  # (n, c, h, w)
    levels = quantise(z).transpose(0, 1).flatten(1).numpy()  # (c, n·h·w)
    for row, values in enumerate(levels, start=channels.start):
        candidates.histogram[row] += np.bincount(values, minlength=256).reshape(-1, 2).sum(1)

    response = z.clamp(min=0)
    mean = response.mean(dim=(2, 3)).numpy()  # (n, c)
    square = response.square_().mean(dim=(2, 3)).numpy()
    candidates.responses.add(channels, mean, square)

    new = {"peaks": z.amax(dim=(2, 3)).T.numpy(), "means": z.mean(dim=(2, 3)).T.numpy()}  # (c, n)
    new["images"] = np.broadcast_to(np.array(images, np.int32), new["peaks"].shape)
    count = candidates.images.shape[1]
    merged = {
        name: np.concatenate([getattr(candidates, name)[channels], values], axis=1)
        for name, values in new.items()
    }
    order = np.lexsort((merged["images"], -merged["means"], -merged["peaks"]), axis=1)
    best = order[:, :count]  # (c, candidates); from `count` on, new images
    best_maps = np.take_along_axis(
        candidates.maps[channels], np.minimum(best, count - 1)[:, :, None, None], axis=1
    )
    channel, rank = np.nonzero(best >= count)
    if len(channel):
        image = best[channel, rank] - count
        best_maps[channel, rank] = quantise(downsample(z[image, channel][:, None])[:, 0]).numpy()
    candidates.maps[channels] = best_maps
    for name, values in merged.items():
        getattr(candidates, name)[channels] = np.take_along_axis(values, best, axis=1)


def _select(
    candidates: _Candidates,
    alive: NDArray[np.bool_],
    duplicates: NDArray[np.int32],
    count: int,
    *,
    images: int,
) -> LayerExamples:
    """Select the best `count` candidates, one of each group of near-duplicates; none if dead."""
    units = len(candidates.images)
    rank = np.full((units, count), NO_IMAGE)
    for unit in np.flatnonzero(alive):
        numbers = candidates.images[unit].tolist()
        selected = without_duplicates(numbers, duplicates, count=count)
        rank[unit, : len(selected)] = [numbers.index(image) for image in selected]
    missing = rank == NO_IMAGE
    top_images, peaks = (
        np.take_along_axis(values, rank, axis=1) for values in (candidates.images, candidates.peaks)
    )
    top_maps = np.take_along_axis(candidates.maps, rank[:, :, None, None], axis=1)
    top_maps[missing] = 0
    responses = candidates.responses
    return LayerExamples(
        images=np.where(missing, np.int32(NO_IMAGE), top_images),
        peaks=np.where(missing, np.float32(np.nan), peaks),
        maps=top_maps,
        histogram=candidates.histogram,
        sparsity=np.where(alive, responses.sparsity(images, candidates.positions), np.nan),
        selectivity=np.where(alive, responses.selectivity(images), np.nan),
    )
