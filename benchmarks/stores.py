"""What codecs and rounding do to stored maps: `python benchmarks/stores.py CONFIG`.

Takes the stored maps of a finished run, at most 128 of its images, and prints two tables.

Codecs: layers of the face zoo, by activation function, are written and read as
`stores.create_array` lays them out. The offline zoo has no network with GELU. Ratios are bytes of
the maps over bytes stored; speeds are megabytes of the maps per second of CPU time, over all these
layers: one thread, best of 5, files in the page cache.

Rounding: the correlations of the pivot with every encoder, and the best buddies, from maps rounded
to `keepbits` of mantissa, against those from the maps as they are.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# libraries read these when they are imported
os.environ.update(dict.fromkeys(["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "BLOSC_NTHREADS"], "1"))

import numcodecs.blosc
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from torch import Tensor
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from rosetta_core import load_config
from rosetta_core.cli import _keep_freed_memory
from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.mining import stores
from rosetta_core.mining.concepts import rosetta_neurons
from rosetta_core.mining.correlation import correlate
from rosetta_core.mining.live_maps import rounded
from rosetta_core.mining.neighbours import best_buddies, nearest, neighbours
from rosetta_core.mining.stored_maps import StoredMaps
from rosetta_core.paths import RunPaths

IMAGES, CHANNELS, TIMES = 128, 64, 5
LAYERS = [  # those that a run has
    ("mobilenet_v2", "features.2.conv.1.2", "ReLU6"),
    ("mobilenet_v2", "features.13.conv.1.2", "ReLU6"),
    ("mtcnn_onet", "prelu2", "PReLU"),
    ("dcgan", "main.8", "ReLU"),
]
CRC = Crc32cCodec()
OURS = "blosc lz4 1"  # stores.COMPRESSOR
CODECS: dict[str, list[Any]] = {
    "uncompressed": [CRC],
    "zstd 1": [ZstdCodec(level=1), CRC],
    "zstd -5": [ZstdCodec(level=-5), CRC],
    OURS: [stores.COMPRESSOR, CRC],
    f"{OURS}, without crc32c": [stores.COMPRESSOR],
    f"{OURS}, shuffle": [BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), CRC],
    f"{OURS}, bitshuffle": [BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"), CRC],
    "blosc zstd 1": [BloscCodec(cname="zstd", clevel=1, shuffle="noshuffle"), CRC],
}
KEEPBITS = [None, 8, 7, 6, 5, 4, 3]


class RoundedMaps(StoredMaps):
    """The first maps of a shard, rounded as they are read."""

    def __init__(self, store: Path, keepbits: int | None) -> None:
        """Open the shard; at most IMAGES of its images count."""
        super().__init__([store])
        self.images = min(self.images, IMAGES)
        self._keepbits = keepbits

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Read some images and channels of layer number `layer`, and round them."""
        return rounded(super().read(layer, images, channels), self._keepbits)

    def pieces(self, largest: int) -> Iterator[range]:
        """Split the images into ranges of at most `largest`."""
        for start in range(0, self.images, largest):
            yield range(start, min(start + largest, self.images))


class Cost(NamedTuple):
    """What a layer takes with a codec: bytes stored, and seconds of CPU time."""

    stored: int
    write: float
    read: float
    rust: float
    channels: float


class Mined(NamedTuple):
    """What comes of maps: by encoder the correlations and the best buddies."""

    corr: dict[str, NDArray[np.float32]]
    buddies: dict[str, pd.DataFrame]


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    if config.activations.keepbits is not None:
        raise SystemExit("the run's maps are rounded already: activations.keepbits")
    _keep_freed_memory()
    numcodecs.blosc.use_threads = False
    # strict: where Rust can't read an array, fail and don't time Python in its place
    zarr.config.set({"threading.max_workers": 1, "codec_pipeline.strict": True})
    try:
        maps = layers_of(config)
        print_codecs(maps)
        print_rounding(config, maps)
    except RosettaError as error:
        raise SystemExit(str(error)) from error


def layers_of(config: Config) -> dict[str, Tensor]:
    """The maps of LAYERS that a run has, by their titles."""
    found, names = {}, {model.name for model in config.models}
    for model, name, activation in LAYERS:
        if model not in names:
            continue
        maps = open_maps(config, model)
        numbers = {layer.name: number for number, layer in enumerate(maps.layers)}
        if name in numbers:
            height, width = maps.layers[numbers[name]].grid
            title = f"{model} {name} ({activation}, {height}×{width})"
            found[title] = maps.read(numbers[name], range(maps.images))
    if not found:
        raise SystemExit(f"run {config.run!r} has none of the layers {LAYERS}")
    return found


def open_maps(config: Config, model: str, keepbits: int | None = None) -> RoundedMaps:
    """The maps of a model, rounded, out of its first shard."""
    return RoundedMaps(RunPaths(config).activations(model, config.shards[0]), keepbits)


def print_codecs(layers: dict[str, Tensor]) -> None:
    """Print the ratio of every layer and the speed over all of them, by codec."""
    arrays = {title: maps.numpy() for title, maps in layers.items()}
    found = {title: costs(array) for title, array in arrays.items()}
    total = sum(array.nbytes for array in arrays.values())
    part = sum(array[:, :CHANNELS].nbytes for array in arrays.values())
    speeds = ["write", "read", "read, Rust", f"read {CHANNELS} channels, Rust"]
    header("codec", *(f"ratio, {title}" for title in arrays), "ratio, all", *speeds)
    for codec in CODECS:
        ratios = [arrays[title].nbytes / cost[codec].stored for title, cost in found.items()]
        stored, *seconds = (sum(x) for x in zip(*(c[codec] for c in found.values()), strict=True))
        megabytes = [total / 1e6] * 3 + [part / 1e6]
        rates = [f"{size / s:.0f}" for size, s in zip(megabytes, seconds, strict=True)]
        row(codec, *(f"{ratio:.2f}" for ratio in [*ratios, total / stored]), *rates)
    print()


def costs(array: NDArray) -> dict[str, Cost]:
    """What a layer's maps (n, c, h, w) take with every codec.

    The codecs take turns, so that what else happens on the machine meets all of them.
    """
    # in memory as LiveMaps holds them, channels first
    maps = np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1)
    best: dict[str, list[float]] = {codec: [np.inf] * 4 for codec in CODECS}
    stored = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TIMES):
            for codec, compressors in CODECS.items():
                group = zarr.open_group(folder, mode="w")
                written = create(group, maps, compressors)
                seconds = [
                    timed(lambda to=written: to.__setitem__(..., maps)),
                    timed(lambda to=written: to[...]),
                    timed(lambda of=group: stores.read_array(of, "maps")),
                    timed(lambda of=group: stores.read_array(of, "maps", np.s_[:, :CHANNELS])),
                ]
                best[codec] = list(map(min, best[codec], seconds))
                stored[codec] = written.nbytes_stored()
    return {codec: Cost(stored[codec], *seconds) for codec, seconds in best.items()}


def create(group: zarr.Group, maps: NDArray, compressors: list[Any]) -> zarr.Array:
    """Create the array `maps` of a group, laid out as the project's, with other codecs."""
    layout = stores.create_array(
        zarr.open_group({}, mode="w"), "x", shape=maps.shape, shard=maps.shape, dtype="float16"
    )
    return group.create_array(
        "maps",
        shape=layout.shape,
        dtype=layout.dtype,
        shards=layout.shards,
        chunks=layout.chunks,
        fill_value=layout.fill_value,
        serializer=layout.serializer,
        compressors=compressors,
        config={"write_empty_chunks": True},
    )


def timed(work: Callable[[], object]) -> float:
    """Seconds of CPU time that something takes, all threads together."""
    started = time.process_time()
    work()
    return time.process_time() - started


def print_rounding(config: Config, layers: dict[str, Tensor]) -> None:
    """Print what rounding does to the stores, the correlations and the best buddies."""
    changes = ["largest change of a correlation", "99.99 % of changes are below"]
    counts = ["best buddies that stay", "vanish", "appear", "Rosetta neurons"]
    header("keepbits", f"ratio, {OURS}", "ratio, zstd 1", *changes, *counts)
    plain = mined(config, None)
    before = pairs(plain)
    for keepbits in KEEPBITS:
        found = mined(config, keepbits) if keepbits else plain
        change = np.concatenate([np.abs(found.corr[e] - c).ravel() for e, c in plain.corr.items()])
        change = change[~np.isnan(change)]  # of pairs that are alive in both
        after = pairs(found)
        row(
            str(keepbits or "all 10"),
            *(f"{ratio(layers, keepbits, codec):.2f}" for codec in (OURS, "zstd 1")),
            f"{change.max():.1e}",
            f"{np.quantile(change, 0.9999):.1e}",
            *(f"{len(x):,}" for x in (before & after, before - after, after - before)),
            str(len(rosetta_neurons(found.buddies))),
        )


def ratio(layers: dict[str, Tensor], keepbits: int | None, codec: str) -> float:
    """The ratio of layers, rounded, with a codec, without timing it."""
    total = stored = 0
    for maps in layers.values():
        array = create(zarr.open_group({}, mode="w"), maps.numpy(), CODECS[codec])
        array[...] = rounded(maps, keepbits).numpy()
        total, stored = total + array.nbytes, stored + array.nbytes_stored()
    return total / stored


def mined(config: Config, keepbits: int | None) -> Mined:
    """Correlate the pivot with every encoder, from rounded maps, and find the best buddies."""
    paths, pivot, k = RunPaths(config), config.pivot.name, config.neighbours.k
    alive = {
        m.name: pd.read_parquet(paths.units(m.name))["alive"].to_numpy() for m in config.models
    }
    result = Mined({}, {})
    for encoder in (encoder.name for encoder in config.encoders):
        corr = correlate(open_maps(config, pivot, keepbits), open_maps(config, encoder, keepbits))
        corr[~np.logical_and.outer(alive[pivot], alive[encoder])] = np.nan
        result.corr[encoder] = corr
        table = neighbours(nearest(corr, k), nearest(corr.T, k))
        result.buddies[encoder] = best_buddies(table)
    return result


def pairs(found: Mined) -> set[tuple[str, int, int]]:
    """The best buddies of all encoders: encoder, unit of the pivot, unit."""
    return {
        (encoder, *pair)
        for encoder, table in found.buddies.items()
        for pair in zip(table["pivot_unit"], table["unit"], strict=True)
    }


def header(*titles: str) -> None:
    """Print the first lines of a table."""
    row(*titles)
    print("|" + "---|" * len(titles))


def row(*cells: str) -> None:
    """Print a line of a table."""
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
