"""Zarr v3 stores: checksummed, written once, and read in large chunks.

A store is a folder with a file index; stores of samples and activations also have a manifest, a
JSON file next to them. Opening a store compares its index with its files: all sizes, and the
checksums of small files, such as metadata. Large files carry a CRC32C in every chunk, which is
compared when the chunk is read. Stores are written with zarr and read by `reader` alone.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ZstdCodec

from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.atomic import atomic_path, manifest_path
from rosetta_core.io.file_index import (
    SMALL_FILE,
    FileIndex,
    check_file_index,
    sign,
    verify_signature,
    write_file_index,
)
from rosetta_core.io.regular_files import read_regular
from rosetta_core.io.stores.layout import METADATA
from rosetta_core.io.stores.reader import (
    ArrayReader,
    check_metadata,
    chunk_files,
    read_group,
)

__all__ = [
    "LZ4",
    "ZSTD",
    "Store",
    "check_store",
    "create_array",
    "library_versions",
    "manifest_images",
    "new_store",
    "open_group",
    "open_store",
    "read_array",
    "read_attribute",
    "read_count",
    "read_manifest",
    "read_pairs",
    "read_texts",
    "repair_hint",
    "write_manifest",
]

MAX_IMAGES = 2**40
INNER_CHUNK_BYTES = 4 * 2**20  # before compression; measured best for reading channels
# for float16 maps, ZSTD takes 1.5 times as long to write, twice as long to read, and 4/5 of the
# space (docs/explanation/performance.md)
LZ4 = BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle")
ZSTD = ZstdCodec(level=1)  # for maps of bytes, which LZ4 hardly compresses


def library_versions(*libraries: str) -> dict[str, str]:
    """Return the versions of this package, zarr and other libraries, as manifests record them."""
    return {library: version(library) for library in ("rosetta-core", "zarr", *libraries)}


def create_array(
    group: zarr.Group,
    name: str,
    *,
    shape: tuple[int, ...],
    shard: tuple[int, ...],
    dtype: str,
    compressor: BytesBytesCodec = LZ4,
) -> zarr.Array:
    """Create an array that is stored as shards of inner chunks of at most 4 MiB.

    Inner chunks split the second axis (channels) only; each is compressed and carries a CRC32C.
    Floats have the fill value NaN, so that a chunk that was never written does not pass for zeros.

    Args:
        group: group of the array.
        name: name of the array in the group.
        shape: shape of the array.
        shard: shape of a shard.
        dtype: name of the data type.
        compressor: codec of the inner chunks.
    """
    item = np.dtype(dtype).itemsize
    channel_bytes = item * shard[0] * int(np.prod(shard[2:], dtype=np.int64))
    channels = 0
    if len(shard) > 1:
        channels = max(1, min(shard[1], INNER_CHUNK_BYTES // max(channel_bytes, 1)))
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
    """Yield the root group of a new store; on success it replaces what is at `store`."""
    with atomic_path(store) as temporary:
        yield zarr.open_group(temporary, mode="w")
        write_file_index(temporary, final_path=store)


class Store:
    """A store that was opened for reading.

    Attributes:
        path: path of the store.
        attrs: attributes of its root.

    Raises:
        RosettaError: the metadata of its root is damaged.
    """

    def __init__(self, path: Path, index: FileIndex) -> None:
        self.path, self._files = path, index.files
        self._arrays: dict[str, ArrayReader] = {}
        try:
            self.attrs = read_group(path)
        except (OSError, ValueError) as error:
            raise _not_a_store(path, error) from error

    def __contains__(self, name: str) -> bool:
        """Return whether the store has a group or an array of a name."""
        return f"{name}/{METADATA}" in self._files

    def __getitem__(self, name: str) -> ArrayReader:
        """Return the reader of an array; RosettaError if it is missing or its metadata is wrong."""
        if name not in self._arrays:
            try:
                if name not in self:
                    raise ValueError("there is no such array")
                chunks = chunk_files(name, self._files)
                self._arrays[name] = ArrayReader(self.path / name, chunks)
            except (OSError, ValueError) as error:
                raise _is_damaged(self, name, error) from error
        return self._arrays[name]


def write_manifest(store: Path, content: dict[str, Any]) -> None:
    """Write the manifest of a store: `content`, and the checksum of the store's file index."""
    index = check_file_index(store, cure=repair_hint(store), max_checksum_bytes=0)
    with atomic_path(manifest_path(store)) as temporary:
        temporary.write_text(sign({**content, "contents": index.checksum}), encoding="utf-8")


def read_manifest(store: Path) -> dict[str, Any]:
    """Return the manifest of a store; RosettaError if it is missing or damaged."""
    path = manifest_path(store)
    try:
        return verify_signature(read_regular(path).decode())
    except FileNotFoundError as error:
        raise RosettaError(f"{path}: no readable manifest; run the stage that writes it") from error
    except (OSError, ValueError) as error:
        reason = one_line((isinstance(error, OSError) and error.strerror) or error)
        raise RosettaError(f"{path}: is damaged ({reason}); {repair_hint(store)}") from error


def open_store(store: Path) -> tuple[Store, dict[str, Any]]:
    """Open a store for reading, and read its manifest.

    Raises:
        RosettaError: the store or its manifest is missing or damaged, or they do not match.
    """
    manifest = read_manifest(store)
    index = check_file_index(store, cure=repair_hint(store), max_checksum_bytes=SMALL_FILE)
    _compare_with_manifest(store, manifest, index)
    return Store(store, index), manifest


def open_group(store: Path) -> Store:
    """Open a store without a manifest; RosettaError if it is missing or damaged."""
    index = check_file_index(store, cure=repair_hint(store), max_checksum_bytes=SMALL_FILE)
    return Store(store, index)


def check_store(store: Path, *, manifest: bool) -> None:
    """Compare every byte of a store with its checksums, and check the metadata of its arrays.

    Args:
        store: path of the store.
        manifest: whether the store has a manifest.

    Raises:
        RosettaError: something is missing or damaged.
    """
    content = read_manifest(store) if manifest else None
    index = check_file_index(store, cure=repair_hint(store))
    if content is not None:
        _compare_with_manifest(store, content, index)
    try:
        check_metadata(store, index.files)
        read_group(store)
    except (OSError, ValueError) as error:
        raise _not_a_store(store, error) from error


def manifest_images(store: Path, manifest: Mapping[str, Any]) -> range:
    """Return the numbers of a store's images in its manifest; RosettaError if they are missing."""
    match manifest.get("images"):
        case [int(start), int(stop)] if 0 <= start < stop < MAX_IMAGES:
            return range(start, stop)
    raise RosettaError(
        f"{manifest_path(store)}: images are not [first, last + 1]; {repair_hint(store)}"
    )


def _compare_with_manifest(store: Path, manifest: dict[str, Any], index: FileIndex) -> None:
    if manifest.get("contents") != index.checksum:
        raise RosettaError(f"{store}: does not match its manifest; {repair_hint(store)}")


def _not_a_store(store: Path, error: Exception) -> RosettaError:
    return RosettaError(
        f"{store}: is not a store of this package ({one_line(error)}); {repair_hint(store)}"
    )


def repair_hint(store: Path) -> str:
    """Return what to do about a damaged store, for error messages.

    The workflow regenerates a store if its manifest is missing, or, without one, the store itself.
    """
    for path in (manifest_path(store), store):
        if path.exists():
            return f"delete {path} and run again"
    return "run the stage that writes it"


def read_array(store: Store, name: str, images: slice | range = slice(None)) -> NDArray:
    """Read an array of a store, or a part of its first axis; RosettaError if it is damaged."""
    array = store[name]
    try:
        return array.read(images)
    except (RuntimeError, ValueError, OSError) as error:
        raise _is_damaged(store, name, error) from error


def read_count(store: Store, name: str) -> int:
    """Read an attribute that is a count, at least 1; RosettaError if it is missing or is not."""
    count = read_attribute(store, name)
    if type(count) is not int or count < 1:
        raise RosettaError(
            f"{store.path}: attribute {name!r} is not a count; {repair_hint(store.path)}"
        )
    return count


def read_pairs(store: Store, name: str) -> list[tuple[str, str]]:
    """Read an attribute that is a list of two texts each; RosettaError if it is not."""
    pairs = read_attribute(store, name)
    try:
        return [(str(first), str(second)) for first, second in pairs]
    except (TypeError, ValueError) as error:
        raise RosettaError(
            f"{store.path}: attribute {name!r} is not a list of pairs; {repair_hint(store.path)}"
        ) from error


def read_texts(store: Store, name: str) -> list[str]:
    """Read an attribute that is a list of texts; RosettaError if it is not."""
    texts = read_attribute(store, name)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RosettaError(
            f"{store.path}: attribute {name!r} is not a list of texts; {repair_hint(store.path)}"
        )
    return texts


def _is_damaged(store: Store, name: str, error: Exception) -> RosettaError:
    reason = one_line(error) or type(error).__name__
    return RosettaError(f"{store.path / name}: is damaged ({reason}); {repair_hint(store.path)}")


def read_attribute(store: Store, name: str) -> Any:
    """Read an attribute of a store; RosettaError if it is missing."""
    if name not in store.attrs:
        raise RosettaError(f"{store.path}: has no attribute {name!r}; {repair_hint(store.path)}")
    return store.attrs[name]
