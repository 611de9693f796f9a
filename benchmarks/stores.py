"""What codecs and rounding do to stored maps: `python benchmarks/stores.py CONFIG`.

Takes the stored maps of a finished run, at most 128 of its images, and prints two tables.

Codecs: four layers of the face zoo's CNNs are written and read as `stores.create_array` lays them
out. Ratios are bytes of the maps over bytes stored; speeds are
megabytes of maps per second of CPU time, over all four layers: one thread, best of 5, files in the
page cache. Blosc doesn't shuffle unless it says so; a crc32c follows unless it says not. Read by
zarr's own pipeline, by the one in Rust (zarrs; it checks the crc32c where it reads a shard as a
whole, not where it reads a part), and by `StoredArray`, which the project uses.

Rounding: the ratio over the same layers, the correlations of the pivot with every encoder, and the
best buddies, from maps rounded to `keepbits` of mantissa, against those from the maps as they are.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# libraries read these when they are imported
os.environ.update(dict.fromkeys(["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "BLOSC_NTHREADS"], "1"))

import numcodecs.blosc
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from torch import Tensor
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from rosetta_core import load_config
from rosetta_core.config import Config
from rosetta_core.io import zarr_store as stores
from rosetta_core.io.zarr_reader import StoredArray
from rosetta_core.mining.correlation.pearson import correlate
from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
from rosetta_core.mining.matching.concepts import rosetta_neurons
from rosetta_core.mining.matching.topk import topk
from rosetta_core.mining.sources.live import rounded
from rosetta_core.mining.sources.stored import StoredActivations
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.freed_memory import keep_freed_memory

IMAGES, CHANNELS, TIMES = 128, 64, 5
MOST = 1e5  # megabytes a second that nothing reaches
LAYERS = [
    ("mobilenet_v2", "features.2.conv.1.2", "ReLU6"),
    ("mobilenet_v2", "features.13.conv.1.2", "ReLU6"),
    ("mtcnn_onet", "prelu2", "PReLU"),
    ("dcgan", "main.8", "ReLU"),
]
OURS, ZSTD, CRC = "blosc lz4 1 (the project's)", "zstd 1", Crc32cCodec()
CODECS: dict[str, list[Any]] = {
    "uncompressed": [CRC],
    ZSTD: [ZstdCodec(level=1), CRC],
    "zstd -5": [ZstdCodec(level=-5), CRC],
    OURS: [stores.FAST, CRC],
    "blosc lz4 1, no crc32c": [stores.FAST],
    "blosc lz4 1, shuffle": [BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), CRC],
    "blosc lz4 1, bitshuffle": [BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"), CRC],
    "blosc zstd 1": [BloscCodec(cname="zstd", clevel=1, shuffle="noshuffle"), CRC],
}
KEEPBITS = [None, 8, 7, 6, 5, 4, 3]

MatchSet = dict[str, tuple[NDArray[np.float32], pd.DataFrame]]  # correlations, buddies, by encoder


class RoundedMaps(StoredActivations):
    """The first maps of a shard, rounded as they are read."""

    def __init__(self, config: Config, model: str, keepbits: int | None = None) -> None:
        """Open a model's first shard; at most IMAGES of its images count."""
        super().__init__([RunPaths(config).activations(model, config.shards[0])])
        self.images = min(self.images, IMAGES)
        self._keepbits = keepbits

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Read some images and channels of layer number `layer`, and round them."""
        return rounded(super().read(layer, images, channels), self._keepbits)

    def pieces(self, largest: int) -> Iterator[range]:
        """Split the images into ranges of at most `largest`."""
        for start in range(0, self.images, largest):
            yield range(start, min(start + largest, self.images))


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    if config.activations.keepbits is not None:
        raise SystemExit("activations.keepbits: the run's maps are rounded already")
    keep_freed_memory()
    numcodecs.blosc.use_threads = False
    # strict: where Rust can't read an array, fail, and don't time Python in its place
    zarr.config.set({"threading.max_workers": 1, "codec_pipeline.strict": True})
    layers = {}
    for model, name, activation in LAYERS:
        maps = RoundedMaps(config, model)
        number = [layer.name for layer in maps.layers].index(name)
        height, width = maps.layers[number].grid
        title = f"{name} ({activation}, {height}×{width})"
        layers[title] = maps.read(number, range(maps.images))
    print_codecs(layers)
    print()
    print_rounding(config, list(layers.values()))


def print_codecs(layers: dict[str, Tensor]) -> None:
    """Print the ratio of every layer and the speed over all of them, by codec."""
    sizes = [maps.nbytes for maps in layers.values()]
    part = sum(maps[:, :CHANNELS].nbytes for maps in layers.values())
    megabytes = np.array([*[sum(sizes)] * 4, part, part]) / 1e6
    found = [costs(maps.numpy()) for maps in layers.values()]
    speeds = ["write", "read: zarr", "Rust", "ours"]
    speeds += [f"{CHANNELS} channels: zarr", f"{CHANNELS} channels: ours"]
    print_row("codec", *(f"ratio, {title}" for title in layers), "ratio, all", *speeds, head=True)
    for codec in CODECS:
        stored = [cost[codec][0] for cost in found]
        seconds = np.sum([cost[codec][1] for cost in found], axis=0)
        ratios = np.divide([*sizes, sum(sizes)], [*stored, sum(stored)])
        print_row(
            codec,
            *(f"{x:.2f}" for x in ratios),
            *(f"{x:.0f}" if x < MOST else "–" for x in megabytes / seconds),
        )


def costs(array: NDArray) -> dict[str, tuple[int, list[float]]]:
    """By codec the bytes of a layer's maps (n, c, h, w), stored, and the seconds of CPU time.

    The codecs take turns, so that what else happens on the machine meets all of them.
    """
    maps = np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1)  # as LiveMaps holds them
    found: dict[str, tuple[int, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for codec in list(CODECS) * TIMES:
            group = zarr.open_group(folder, mode="w")
            stored = create(group, maps, codec)
            seconds = [
                timed(stored.__setitem__, ..., maps),
                timed(stored.__getitem__, ...),
                timed(read_with_rust, group),
                timed(read_as_ours, stored, folder, codec, slice(None)),
                timed(stored.__getitem__, np.s_[:, :CHANNELS]),
                timed(read_as_ours, stored, folder, codec, slice(CHANNELS)),
            ]
            best = map(min, seconds, found[codec][1]) if codec in found else seconds
            found[codec] = (stored.nbytes_stored(), list(best))
    return found


def read_with_rust(group: zarr.Group) -> NDArray:
    """Read the array `maps` through zarrs."""
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        return np.asarray(group["maps"][...])


def read_as_ours(stored: zarr.Array, folder: str, codec: str, channels: slice) -> NDArray:
    """Read an array as the project does; it stores nothing uncompressed or without checksum."""
    if CRC not in CODECS[codec] or len(CODECS[codec]) == 1:
        return np.empty(0)
    return StoredArray(stored, Path(folder) / "maps").read(range(stored.shape[0]), channels)


def create(group: zarr.Group, maps: NDArray, codec: str) -> zarr.Array:
    """Create the array `maps` of a group, laid out as the project's, with another codec."""
    layout = stores.create_array(
        zarr.open_group({}, mode="w"), "maps", shape=maps.shape, shard=maps.shape, dtype="float16"
    )
    return group.create_array(
        "maps",
        shape=layout.shape,
        dtype="float16",
        shards=layout.shards,
        chunks=layout.chunks,
        fill_value=float("nan"),
        serializer=BytesCodec(endian="little"),
        compressors=CODECS[codec],
        config={"write_empty_chunks": True},
    )


def timed(work: Callable[..., object], *arguments: Any) -> float:
    """Seconds of CPU time that something takes, all threads together."""
    started = time.process_time()
    work(*arguments)
    return time.process_time() - started


def print_rounding(config: Config, layers: list[Tensor]) -> None:
    """Print what rounding does to the stores, the correlations and the best buddies."""
    changes = ["largest change of a correlation", "99.99 % of changes are below"]
    counts = ["best buddies that stay", "vanish", "appear", "Rosetta neurons"]
    print_row("keepbits", f"ratio, {OURS}", f"ratio, {ZSTD}", *changes, *counts, head=True)
    plain = mined(config, None)
    before = pairs(plain)
    for keepbits in KEEPBITS:
        found = mined(config, keepbits)  # the plain maps once more: nothing may change
        change = np.concatenate([np.abs(found[e][0] - plain[e][0]).ravel() for e in plain])
        change = change[~np.isnan(change)]  # of pairs that are alive in both
        after = pairs(found)
        print_row(
            str(keepbits or "all 10"),
            *(f"{ratio(layers, keepbits, codec):.2f}" for codec in (OURS, ZSTD)),
            *(f"{x:.1e}" for x in (change.max(), np.quantile(change, 0.9999))),
            *(f"{len(x):,}" for x in (before & after, before - after, after - before)),
            str(len(rosetta_neurons({e: buddies for e, (_, buddies) in found.items()}))),
        )


def ratio(layers: list[Tensor], keepbits: int | None, codec: str) -> float:
    """Bytes of layers, rounded, over their bytes stored with a codec."""
    stored = 0
    for maps in layers:
        array = create(zarr.open_group({}, mode="w"), maps.numpy(), codec)
        array[...] = rounded(maps, keepbits).numpy()
        stored += array.nbytes_stored()
    return sum(maps.nbytes for maps in layers) / stored


def mined(config: Config, keepbits: int | None) -> MatchSet:
    """Correlate the pivot with every encoder, from rounded maps, and find the best buddies."""
    paths, k, result = RunPaths(config), config.neighbours.k, {}
    for encoder in config.encoders:
        models = (config.pivot.name, encoder.name)
        corr = correlate(*(RoundedMaps(config, model, keepbits) for model in models))
        rows, columns = (pd.read_parquet(paths.units(m))["alive"].to_numpy() for m in models)
        corr[~np.outer(rows, columns)] = np.nan
        table = neighbour_table(topk(corr, k), topk(corr.T, k))
        result[encoder.name] = (corr, best_buddies(table))
    return result


def pairs(found: MatchSet) -> set[tuple[str, int, int]]:
    """The best buddies of all encoders: encoder, unit of the pivot, unit."""
    return {
        (encoder, *pair)
        for encoder, (_, table) in found.items()
        for pair in zip(table["pivot_unit"], table["unit"], strict=True)
    }


def print_row(*cells: str, head: bool = False) -> None:
    """Print a line of a table; under its head a rule."""
    print("| " + " | ".join(cells) + " |", flush=True)
    if head:
        print("|" + "---|" * len(cells))


if __name__ == "__main__":
    main()
