"""What the units of a model fire at: the images, the maps, how few they are, and how spread.

find_unit_examples    one pass over a model's maps
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.near_duplicates import without_duplicates
from rosetta_core.mining.examples.quantisation import HISTOGRAM_BINS
from rosetta_core.mining.examples.selectivity import ResponseSums
from rosetta_core.mining.examples.standardised import (
    LARGEST_SIDE,
    downsample,
    quantise,
    standardise,
)
from rosetta_core.mining.examples.unit_store import NO_IMAGE, LayerExamples
from rosetta_core.mining.sources.base import ActivationSource, fit_batch_size
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import Layer

__all__ = ["find_unit_examples"]

BLOCK = 32 * 2**20  # bytes of float32 maps that a thread works on
SPARE = 2  # times as many candidates as examples, for near-duplicates among them


def find_unit_examples(
    maps: ActivationSource,
    units: pd.DataFrame,
    *,
    duplicates: NDArray[np.int32],
    count: int,
    memory_budget: int,
    threads: int,
) -> list[LayerExamples]:
    """Return by layer each unit's images with the highest peaks, one of each near-duplicates.

    A unit's peak on an image is the largest value of its map. Where units saturate, peaks are the
    same, and the mean of the map decides; then the lower image.

    Args:
        maps: the model's.
        units: its table of units.
        duplicates: by image its group of near-duplicates.
        count: how many examples a unit.
        memory_budget: bytes that maps may take at once.
        threads: how many of the CPU.
    """
    tables = [units[units["layer"] == layer.name] for layer in maps.layers]
    found = [_Candidates(layer, SPARE * count) for layer in maps.layers]
    largest = fit_batch_size(maps.bytes_per_image(), memory_budget=memory_budget)
    with (
        TorchThreadPool(threads) as workers,
        Progress(f"examples {maps.name}", total=maps.images) as bar,
    ):
        for images in maps.iter_batches(largest):
            maps.load(images, workers)

            def look(part: tuple[int, slice], images: range = images) -> None:
                layer, channels = part
                _look(maps, layer, images, channels, units=tables[layer], found=found[layer])

            for _ in workers.map(look, _parts(maps, len(images))):
                pass
            bar.advance(len(images))
    maps.release()
    return [
        _chosen(layer, table["alive"].to_numpy(), duplicates, count, images=maps.images)
        for layer, table in zip(found, tables, strict=True)
    ]


class _Candidates:
    """The best images so far of a layer's units, best first; arrays as in LayerExamples.

    Attributes:
        means: of the candidates' maps (c, candidates).
        responses: to all images so far.
        positions: of a map.
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


def _parts(maps: ActivationSource, images: int) -> list[tuple[int, slice]]:
    """Layers and channels that a thread looks at in one go."""
    parts = []
    for number, layer in enumerate(maps.layers):
        together = maps.chunk_channels(number)
        fit = BLOCK // (4 * images * layer.height * layer.width)
        step = max(1, fit // together) * together
        parts += [
            (number, slice(start, min(start + step, layer.channels)))
            for start in range(0, layer.channels, step)
        ]
    return parts


def _look(
    maps: ActivationSource,
    layer: int,
    images: range,
    channels: slice,
    *,
    units: pd.DataFrame,
    found: _Candidates,
) -> None:
    """Count activations and responses of some channels; put what beats their candidates there."""
    rows = units.iloc[channels]
    z = standardise(
        maps.read(layer, images, channels),
        mean=rows["mean"].to_numpy(),
        std=rows["std"].to_numpy(),
    ).cpu()  # (n, c, h, w)
    levels = quantise(z).transpose(0, 1).flatten(1).numpy()  # (c, n·h·w)
    for row, values in enumerate(levels, start=channels.start):
        found.histogram[row] += np.bincount(values, minlength=256).reshape(-1, 2).sum(1)

    response = z.clamp(min=0)
    mean = response.mean(dim=(2, 3)).numpy()  # (n, c)
    square = response.square_().mean(dim=(2, 3)).numpy()
    found.responses.add(channels, mean, square)

    new = {"peaks": z.amax(dim=(2, 3)).T.numpy(), "means": z.mean(dim=(2, 3)).T.numpy()}  # (c, n)
    new["images"] = np.broadcast_to(np.array(images, np.int32), new["peaks"].shape)
    before = found.images.shape[1]
    all_of = {
        name: np.concatenate([getattr(found, name)[channels], values], axis=1)
        for name, values in new.items()
    }
    order = np.lexsort((all_of["images"], -all_of["means"], -all_of["peaks"]), axis=1)
    best = order[:, :before]  # (c, candidates)
    kept = np.take_along_axis(
        found.maps[channels], np.minimum(best, before - 1)[:, :, None, None], axis=1
    )
    channel, place = np.nonzero(best >= before)
    if len(channel):
        image = best[channel, place] - before
        kept[channel, place] = quantise(downsample(z[image, channel][:, None])[:, 0]).numpy()
    found.maps[channels] = kept
    for name, values in all_of.items():
        getattr(found, name)[channels] = np.take_along_axis(values, best, axis=1)


def _chosen(
    found: _Candidates,
    alive: NDArray[np.bool_],
    duplicates: NDArray[np.int32],
    count: int,
    *,
    images: int,
) -> LayerExamples:
    """The best `count` of the candidates, one of each near-duplicates; none of dead units."""
    units = len(found.images)
    place = np.full((units, count), NO_IMAGE)
    for unit in np.flatnonzero(alive):
        candidates = found.images[unit].tolist()
        chosen = without_duplicates(candidates, duplicates, count=count)
        place[unit, : len(chosen)] = [candidates.index(image) for image in chosen]
    nobody = place == NO_IMAGE
    numbers, peaks = (
        np.take_along_axis(values, place, axis=1) for values in (found.images, found.peaks)
    )
    shown = np.take_along_axis(found.maps, place[:, :, None, None], axis=1)
    shown[nobody] = 0
    return LayerExamples(
        images=np.where(nobody, np.int32(NO_IMAGE), numbers),
        peaks=np.where(nobody, np.float32(np.nan), peaks),
        maps=shown,
        histogram=found.histogram,
        sparsity=np.where(alive, found.responses.sparsity(images, found.positions), np.nan),
        selectivity=np.where(alive, found.responses.selectivity(images), np.nan),
    )
