"""Stores of activation maps: Zarr v3, checksummed, written once and read in large pieces.

new_store                        a store to fill, which appears whole, with a list of its files
write_manifest, read_manifest    what a store holds, as JSON beside it
create_array                     an array whose chunks are compressed and carry a crc32c
FAST, SMALL                      two ways to compress
read_array                       an array of a store, or a part of it
read_attribute                   what a store says of itself
open_group                       a store, opened for reading and checked against its list
open_store                       the same of one that has a manifest, which is checked as well
check_store                      every byte of a store, and its manifest if it is to have one
cure_of                          what to do about a damaged store

When a store is opened, its list of files, all sizes, and the checksums of small files are checked,
as those of metadata. Large files carry the checksums of their chunks, checked as they are read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from rosetta_core.errors import RosettaError
from rosetta_core.io import file_index as contents
from rosetta_core.io.atomic import atomic_path, manifest_of

__all__ = [
    "FAST",
    "SMALL",
    "check_store",
    "create_array",
    "cure_of",
    "new_store",
    "open_group",
    "open_store",
    "read_array",
    "read_attribute",
    "read_manifest",
    "versions",
    "write_manifest",
]

INNER_CHUNK = 4 * 2**20  # bytes before compression; measured best for reading channels
# docs/explanation/performance.md: half as long again to write with zstd, twice to read, for 4/5 of the space
FAST = BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle")
SMALL = ZstdCodec(level=1)  # for rounded maps, of which lz4 makes little


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


@contextmanager
def new_store(store: Path) -> Iterator[zarr.Group]:
    """Yield the root of a store to fill; on success it appears at `store` with a list of its files.

    What stood there before is replaced.
    """
    with atomic_path(store) as temporary:
        yield zarr.open_group(temporary, mode="w")
        contents.write_contents(temporary, of=store)


def write_manifest(store: Path, content: dict[str, Any]) -> None:
    """Write a store's manifest: `content`, and the checksum of the list of its files."""
    listed = contents.check_contents(store, cure=cure_of(store), largest=0)
    with atomic_path(manifest_of(store)) as temporary:
        text = contents.sign({**content, "contents": listed})
        temporary.write_text(text, encoding="utf-8")


def read_manifest(store: Path) -> dict[str, Any]:
    """Read a store's manifest; RosettaError if it is missing or damaged."""
    path = manifest_of(store)
    try:
        return contents.verify_signature(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RosettaError(f"{path}: no readable manifest; run the stage that writes it") from error
    except (OSError, ValueError) as error:
        raise RosettaError(f"{path}: is damaged ({error}); {cure_of(store)}") from error


def open_store(store: Path) -> tuple[zarr.Group, dict[str, Any]]:
    """Open a store that has a manifest; RosettaError if one is damaged, or not the other's."""
    manifest = read_manifest(store)
    listed = contents.check_contents(store, cure=cure_of(store), largest=contents.SMALL)
    _compare(store, manifest, listed)
    return _opened(store), manifest


def check_store(store: Path, *, manifest: bool) -> None:
    """Read every byte of a store, and of its manifest if it is to have one.

    RosettaError if something is missing or damaged.
    """
    about = read_manifest(store) if manifest else None
    listed = contents.check_contents(store, cure=cure_of(store))
    if about is not None:
        _compare(store, about, listed)


def _compare(store: Path, manifest: dict[str, Any], listed: str) -> None:
    if manifest["contents"] != listed:
        raise RosettaError(f"{store}: is another than its manifest says; {cure_of(store)}")


def open_group(store: Path) -> zarr.Group:
    """Open a store that has no manifest; RosettaError if there is none, or if it is damaged."""
    contents.check_contents(store, cure=cure_of(store), largest=contents.SMALL)
    return _opened(store)


def _opened(store: Path) -> zarr.Group:
    try:
        return zarr.open_group(store, mode="r", use_consolidated=False)
    except (OSError, ValueError) as error:
        raise RosettaError(f"{store}: is no store ({error}); {cure_of(store)}") from error


def cure_of(store: Path) -> str:
    """What to do about a store: the workflow notices that one is gone by its manifest, if any."""
    for path in (manifest_of(store), store):
        if path.exists():
            return f"delete {path} and run again"
    return "run the stage that writes it"


def read_array(group: zarr.Group, name: str, place: Any = ...) -> NDArray:
    """Read an array of a store, or the part of it at `place`; RosettaError if it is damaged."""
    try:
        return np.asarray(group[name][place])
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        store = _folder_of(group)
        raise RosettaError(f"{store / name}: is damaged ({why}); {cure_of(store)}") from error


def read_attribute(group: zarr.Group, name: str) -> Any:
    """Read an attribute of a store; RosettaError if it has none of that name."""
    if name not in group.attrs:
        store = _folder_of(group)
        raise RosettaError(f"{store}: has no attribute {name!r}; {cure_of(store)}")
    return group.attrs[name]


def _folder_of(group: zarr.Group) -> Path:
    return Path(str(group.store_path).removeprefix("file://"))
