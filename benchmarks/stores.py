"""Compression ratio and speed of codecs for stored maps: `python benchmarks/stores.py CONFIG`.

Reads the stored maps of a finished run, at most 128 of its images. Four layers of the face zoo's
CNNs are written with the layout of `stores.store.create_array`, and read back. Ratios are bytes of
the maps over bytes stored; speeds are megabytes of maps per second of CPU time, over all four
layers: one thread, best of 5, files in the page cache. Blosc shuffles only where it is stated; a
crc32c follows unless stated otherwise. Maps are read by zarr's own pipeline, by the pipeline in
Rust (zarrs, which checks the crc32c where it reads a whole shard, not where it reads a part), and
by `ArrayReader`, which the project uses.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# libraries read these when they are imported
os.environ.update(dict.fromkeys(["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "BLOSC_NTHREADS"], "1"))

import numcodecs.blosc
import numpy as np
import zarr
from numpy.typing import NDArray
from torch import Tensor
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from rosetta_core import load_config
from rosetta_core.io.stores import store as stores
from rosetta_core.io.stores.reader import ArrayReader
from rosetta_core.mining.sources.stored import StoredActivations
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import keep_freed_memory

IMAGES, CHANNELS, TIMES = 128, 64, 5
MAX_SPEED = 1e5  # megabytes per second; a higher one means that nothing was read
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
    OURS: [stores.LZ4, CRC],
    "blosc lz4 1, no crc32c": [stores.LZ4],
    "blosc lz4 1, shuffle": [BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), CRC],
    "blosc lz4 1, bitshuffle": [BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"), CRC],
    "blosc zstd 1": [BloscCodec(cname="zstd", clevel=1, shuffle="noshuffle"), CRC],
}


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    keep_freed_memory()
    numcodecs.blosc.use_threads = False
    # strict: fail where Rust cannot read an array, instead of timing Python
    zarr.config.set({"threading.max_workers": 1, "codec_pipeline.strict": True})
    layers = {}
    for model, name, activation in LAYERS:
        maps = StoredActivations([RunPaths(config).activations(model, config.shards[0])])
        number = [layer.name for layer in maps.layers].index(name)
        height, width = maps.layers[number].grid
        title = f"{name} ({activation}, {height}×{width})"
        layers[title] = maps.read(number, range(min(maps.images, IMAGES)))
    print_codecs(layers)


def print_codecs(layers: dict[str, Tensor]) -> None:
    """Print the ratio of every layer and the speed over all of them, by codec."""
    sizes = [maps.nbytes for maps in layers.values()]
    part = sum(maps[:, :CHANNELS].nbytes for maps in layers.values())
    megabytes = np.array([*[sum(sizes)] * 4, part, part]) / 1e6
    measured = [costs(maps.numpy()) for maps in layers.values()]
    speeds = ["write", "read: zarr", "Rust", "ours"]
    speeds += [f"{CHANNELS} channels: zarr", f"{CHANNELS} channels: ours"]
    print_row("codec", *(f"ratio, {title}" for title in layers), "ratio, all", *speeds, head=True)
    for codec in CODECS:
        stored = [cost[codec][0] for cost in measured]
        seconds = np.sum([cost[codec][1] for cost in measured], axis=0)
        ratios = np.divide([*sizes, sum(sizes)], [*stored, sum(stored)])
        print_row(
            codec,
            *(f"{x:.2f}" for x in ratios),
            *(f"{x:.0f}" if x < MAX_SPEED else "–" for x in megabytes / seconds),
        )


def costs(array: NDArray) -> dict[str, tuple[int, list[float]]]:
    """Return by codec the stored bytes of maps (n, c, h, w) and the CPU seconds of each step.

    The codecs alternate, so that other load on the machine affects all of them.
    """
    maps = np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(
        0, 1
    )  # the layout of LiveActivations
    measured: dict[str, tuple[int, list[float]]] = {}
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
            best = map(min, seconds, measured[codec][1]) if codec in measured else seconds
            measured[codec] = (stored.nbytes_stored(), list(best))
    return measured


def read_with_rust(group: zarr.Group) -> NDArray:
    """Read the array `maps` through zarrs."""
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        return np.asarray(group["maps"][...])


def read_as_ours(stored: zarr.Array, folder: str, codec: str, channels: slice) -> NDArray:
    """Read an array as the project does, if it is compressed and has checksums."""
    if CRC not in CODECS[codec] or len(CODECS[codec]) == 1:
        return np.empty(0)
    array = Path(folder) / "maps"
    files = [file for file in (array / "c").rglob("*") if file.is_file()]
    sizes = {file.relative_to(array / "c").as_posix(): file.stat().st_size for file in files}
    return ArrayReader(array, sizes).read(range(stored.shape[0]), channels)


def create(group: zarr.Group, maps: NDArray, codec: str) -> zarr.Array:
    """Create the array `maps` of a group with the project's layout and another codec."""
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
    """Return the CPU seconds of a call, over all threads."""
    started = time.process_time()
    work(*arguments)
    return time.process_time() - started


def print_row(*cells: str, head: bool = False) -> None:
    """Print a row of a table; after the head, a rule as well."""
    print("| " + " | ".join(cells) + " |", flush=True)
    if head:
        print("|" + "---|" * len(cells))


if __name__ == "__main__":
    main()
