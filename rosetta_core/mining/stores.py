"""Stores of activation maps: Zarr v3, checksummed, written once and read in large pieces.

write_manifest, read_manifest    what a store holds, as JSON beside it
create_array                     an array whose chunks are compressed and carry a crc32c
FAST, SMALL                      two ways to compress
read_array                       an array of a store, or a part of it
read_attribute                   what a store says of itself
open_group                       a store, opened for reading
open_store                       the same, opened for reading and checked against its manifest
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from rosetta_core.errors import RosettaError
from rosetta_core.files import manifest_of, whole

__all__ = [
    "FAST",
    "SMALL",
    "create_array",
    "files_of",
    "open_store",
    "read_array",
    "read_attribute",
    "read_manifest",
    "versions",
    "write_manifest",
]

INNER_CHUNK = 4 * 2**20  # bytes before compression; measured best for reading channels
# docs/performance.md: half as long again to write with zstd, twice to read, for 4/5 of the space
FAST = BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle")
SMALL = ZstdCodec(level=1)  # for rounded maps, of which lz4 makes little
STAMP = ".snakemake_timestamp"  # Snakemake puts it into every folder that a rule puts out


def versions(*libraries: str) -> dict[str, str]:
    """The versions of this package and of libraries, as manifests record them."""
    return {library: version(library) for library in ("rosetta-core", "zarr", *libraries)}


def create_array(
    group: zarr.Group,
    name: str,
    *,
    shape: tuple[int, ...],
    shard: tuple[int, ...],
    dtype: str,
    compressor: BytesBytesCodec = FAST,
) -> zarr.Array:
    """Create an array stored as shards with inner chunks of at most 4 MiB.

    Inner chunks split the second axis (channels) only. Each is compressed and carries a crc32c.
    The fill value of floats is NaN, so that a chunk that was never written can't pass for zeros.
    """
    item = np.dtype(dtype).itemsize
    row = item * shard[0] * int(np.prod(shard[2:], dtype=np.int64))
    channels = max(1, min(shard[1], INNER_CHUNK // max(row, 1))) if len(shard) > 1 else 0
    while channels and shard[1] % channels:
        channels -= 1  # inner chunks must divide the shard
    inner = (shard[0], channels, *shard[2:]) if channels else shard
    fill = float("nan") if np.issubdtype(np.dtype(dtype), np.floating) else 0
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        shards=shard,
        chunks=inner,
        fill_value=fill,
        serializer=BytesCodec(endian="little") if item > 1 else BytesCodec(),
        compressors=[compressor, Crc32cCodec()],
        config={"write_empty_chunks": True},
    )


def files_of(store: Path) -> dict[str, int]:
    """The files of a store and their sizes, by path inside it."""
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.name != STAMP)
    return {path.relative_to(store).as_posix(): path.stat().st_size for path in files}


def write_manifest(store: Path, content: dict[str, Any]) -> None:
    """Write a store's manifest: `content`, and the files of the store."""
    with whole(manifest_of(store)) as temporary:
        manifest = {**content, "files": files_of(store)}
        temporary.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def read_manifest(store: Path) -> dict[str, Any]:
    """Read a store's manifest; RosettaError if it is missing or damaged."""
    path = manifest_of(store)
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RosettaError(f"{path}: no readable manifest; delete {store} and run again") from error


def open_store(store: Path) -> tuple[zarr.Group, dict[str, Any]]:
    """Open a store for reading; RosettaError if a file is missing or has another size."""
    manifest = read_manifest(store)
    found = files_of(store)
    for name, size in manifest["files"].items():
        if found.get(name) != size:
            state = "is missing" if name not in found else f"has {found[name]} bytes, not {size}"
            raise RosettaError(f"{store}: file {name} {state}; delete the store and run again")
    return open_group(store), manifest


def open_group(store: Path) -> zarr.Group:
    """Open a store that has no manifest for reading; RosettaError if there is none."""
    try:
        return zarr.open_group(store, mode="r", use_consolidated=False)
    except (OSError, ValueError) as error:
        raise RosettaError(f"{store}: no readable store; run the stage that writes it") from error


def read_array(group: zarr.Group, name: str, place: Any = ...) -> NDArray:
    """Read an array of a store, or the part of it at `place`; RosettaError if it is damaged."""
    try:
        return np.asarray(group[name][place])
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        where = f"{group.store_path}/{name}".removeprefix("file://")
        raise RosettaError(
            f"{where}: is damaged ({str(error).splitlines()[0]}); delete the store and run again"
        ) from error


def read_attribute(group: zarr.Group, name: str) -> Any:
    """Read an attribute of a store; RosettaError if it has none of that name."""
    if name not in group.attrs:
        where = str(group.store_path).removeprefix("file://")
        raise RosettaError(f"{where}: has no attribute {name!r}; delete the store and run again")
    return group.attrs[name]
