"""Arrays of Zarr v3 stores, read chunk by chunk after their metadata passed an allow-list.

`ArrayReader` decodes the two layouts that this package writes, as the Zarr v3 specification and its
`sharding_indexed` codec define them: chunks in files of their own, and shards that end with an
index of (offset, length) pairs. Chunks and indices end with a CRC32C. A chunk is read in the thread
that uses it, so that it stays in the cache, and no array of a whole layer is allocated. Zarr's own
pipeline takes twice as long (docs/explanation/performance.md).

A store may come from others. Zarr is not used to read it, so that neither another version of the
format nor another codec is ever looked up. A chunk is decompressed into memory of its declared
size, and only if its header declares the same size.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs.blosc
import numcodecs.zstd
import numpy as np
from numpy.typing import NDArray

from rosetta_core.io.file_index import IndexedFile
from rosetta_core.io.regular_files import open_regular
from rosetta_core.io.stores.layout import METADATA, ArrayLayout, check_group, parse_layout
from rosetta_core.io.strict_json import read_json

__all__ = ["ArrayReader", "check_metadata", "chunk_files", "read_group"]

CHECKSUM_BYTES = 4  # of a CRC32C
ENTRY_BYTES = 16  # of a chunk in the index of a shard: offset and length
MISSING = 2**64 - 1  # offset of a chunk that was never written
MAX_RATIO = 1000  # of sizes before and after compression; LZ4 reaches 255
MAX_FREE_BYTES = 2**30  # up to which an array may be smaller still, for example constant

numcodecs.blosc.use_threads = False  # several threads decompress one chunk each


class ArrayReader:
    """An array on disk; several threads may read at once.

    Args:
        folder: folder of the array's files, whose sizes and checksums were verified.
        chunk_files: size in bytes of each file of chunks, by name, for example `0/0/3/0`.

    Attributes:
        shape: shape of the array.
        dtype: data type of its values.
        chunks: shape of a chunk, which is decompressed at once.

    Raises:
        ValueError: the metadata is not that of an array that this package writes, or the files are
            not those of its chunks.
        OSError: the metadata is missing or cannot be read.
    """

    def __init__(self, folder: Path, chunk_files: Mapping[str, int]) -> None:
        self._folder = folder
        self._layout = parse_layout(read_json(folder / METADATA))
        _check_chunk_files(self._layout, chunk_files)
        self.shape, self.dtype = self._layout.shape, self._layout.dtype
        self.chunks = self._layout.chunk_shape
        self._indices: dict[tuple[int, ...], NDArray[np.uint64]] = {}  # by shard

    def read(self, *selection: slice | range) -> NDArray:
        """Read a part of the array.

        Args:
            selection: consecutive indices along the first axes; all along the others.

        Raises:
            ValueError: a chunk is missing, or its size or checksum does not match.
            OSError: a file cannot be read.
            RuntimeError: a chunk cannot be decompressed.
        """
        layout = self._layout
        wanted = _ranges(selection, layout.shape)
        shape = tuple(len(part) for part in wanted)
        if math.prod(shape) == 0:
            return np.empty(shape, layout.dtype)
        result: NDArray | None = None
        touched = (
            range(part.start // chunk, -(-part.stop // chunk))
            for part, chunk in zip(wanted, layout.chunk_shape, strict=True)
        )
        for position in product(*touched):
            chunk = self._read_chunk(position)
            inside, into = zip(
                *(
                    _overlap(part, number * side, side)
                    for part, number, side in zip(wanted, position, layout.chunk_shape, strict=True)
                ),
                strict=True,
            )
            part = chunk[inside]
            if part.shape == shape:
                return part
            if result is None:
                result = np.empty(shape, layout.dtype)
            result[into] = part
        assert result is not None
        return result

    def check(self) -> None:
        """Read the first chunk, whose size shows whether the metadata is that of the chunks.

        Raises:
            ValueError: as in `read`.
            OSError: as in `read`.
            RuntimeError: as in `read`.
        """
        if math.prod(self.shape):
            self._read_chunk((0,) * len(self.shape))

    def _read_chunk(self, position: tuple[int, ...]) -> NDArray:
        """Read, verify and decompress the chunk at a position in the grid of all chunks."""
        counts = self._layout.inner_counts
        shard = tuple(p // count for p, count in zip(position, counts, strict=True))
        path = self._folder.joinpath("c", *map(str, shard))
        with open_regular(path) as file:
            if not self._layout.sharded:
                compressed = _verified(file.read(), "chunk")
            else:
                if shard not in self._indices:
                    size = ENTRY_BYTES * math.prod(counts)
                    file.seek(-size - CHECKSUM_BYTES, 2)
                    index = _verified(file.read(size + CHECKSUM_BYTES), "index")
                    self._indices[shard] = np.frombuffer(index, "<u8").reshape(*counts, 2)
                inner = tuple(p % count for p, count in zip(position, counts, strict=True))
                offset, length = (int(value) for value in self._indices[shard][inner])
                if offset == MISSING:
                    raise ValueError(f"chunk {position} is missing")
                size = file.seek(0, 2)
                if offset + length > size:
                    raise ValueError(f"chunk {position} is outside of its file")
                file.seek(offset)
                compressed = _verified(file.read(length), f"chunk {position}")
        return _decompress(compressed, self._layout)


def read_group(folder: Path) -> dict[str, Any]:
    """Return the attributes of a group.

    Raises:
        ValueError: the metadata is not that of a group that this package writes.
        OSError: the metadata is missing or cannot be read.
    """
    return check_group(read_json(folder / METADATA))


def chunk_files(array: str, files: Mapping[str, IndexedFile]) -> dict[str, int]:
    """Return the sizes of the files of an array's chunks, by name within its folder `c`."""
    prefix = f"{array}/c/"
    return {
        name.removeprefix(prefix): file.bytes
        for name, file in files.items()
        if name.startswith(prefix)
    }


def check_metadata(store: Path, files: Mapping[str, IndexedFile]) -> None:
    """Check the metadata of all groups and arrays of a store, their files, and their first chunks.

    Args:
        store: folder of the store.
        files: its files, as its index lists them.

    Raises:
        ValueError: the metadata is not what this package writes, or files are missing or unknown.
        OSError: a file is missing or cannot be read.
    """
    metadata = {name for name in files if name.rpartition("/")[2] == METADATA}
    unknown = files.keys() - metadata
    for name in sorted(metadata):
        folder = name.removesuffix(METADATA).removesuffix("/")
        content = read_json(store / name)
        if isinstance(content, dict) and content.get("node_type") == "group":
            read_group(store / folder)
            continue
        chunks = chunk_files(folder, files)
        try:
            ArrayReader(store / folder, chunks).check()
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{folder}: {error}") from error
        unknown -= {f"{folder}/c/{chunk}" for chunk in chunks}
    if unknown:
        raise ValueError(f"{min(unknown)}: is not part of an array")


def _check_chunk_files(layout: ArrayLayout, chunk_files: Mapping[str, int]) -> None:
    """Check that an array has a file for each chunk, and a size that these files can have."""
    counts = layout.file_counts
    complete = len(chunk_files) == math.prod(counts)
    if not complete or not all(_is_chunk(name, counts) for name in chunk_files):
        raise ValueError(f"it has other chunks than its shape {layout.shape}")
    size = sum(chunk_files.values())
    if layout.bytes > MAX_FREE_BYTES + MAX_RATIO * size:
        raise ValueError(f"{size:,} bytes declare {layout.bytes:,} bytes of values")


def _is_chunk(name: str, counts: Sequence[int]) -> bool:
    """Return whether a name is that of a chunk's file, for example 0/3."""
    parts = name.split("/")
    return len(parts) == len(counts) and all(
        part.isdecimal() and str(int(part)) == part and int(part) < count
        for part, count in zip(parts, counts, strict=True)
    )


def _ranges(selection: Sequence[slice | range], shape: tuple[int, ...]) -> list[range]:
    """Return the selected indices along every axis, clipped to the shape."""
    given = [
        slice(part.start, part.stop) if isinstance(part, range) else part for part in selection
    ]
    given += [slice(None)] * (len(shape) - len(given))
    parts = [range(side)[part] for part, side in zip(given, shape, strict=True)]
    if any(part.step != 1 for part in parts):
        raise ValueError("indices are not consecutive")
    return parts


def _overlap(wanted: range, start: int, side: int) -> tuple[slice, slice]:
    """Return the indices within a chunk, and within the result, of what both share."""
    first, stop = max(wanted.start, start), min(wanted.stop, start + side)
    return slice(first - start, stop - start), slice(first - wanted.start, stop - wanted.start)


def _decompress(compressed: bytes, layout: ArrayLayout) -> NDArray:
    """Decompress a chunk into an array of its size; ValueError if its header declares another."""
    declared = DECLARED[layout.compressor](compressed)
    if declared != layout.chunk_bytes:
        raise ValueError(f"a chunk of {layout.chunk_bytes:,} bytes declares {declared:,} bytes")
    if declared > MAX_FREE_BYTES + MAX_RATIO * len(compressed):
        raise ValueError(f"{len(compressed):,} bytes declare {declared:,} bytes of values")
    chunk = np.empty(layout.chunk_shape, layout.dtype)
    DECOMPRESSORS[layout.compressor](compressed, chunk)
    return chunk


def _blosc_bytes(compressed: bytes) -> int:
    """Return the decompressed size in the header of Blosc 1 (its README_CHUNK_FORMAT)."""
    if len(compressed) < 16 or int.from_bytes(compressed[12:16], "little") != len(compressed):
        raise ValueError("a chunk is not as long as its header says")
    return int.from_bytes(compressed[4:8], "little")


def _zstd_bytes(compressed: bytes) -> int:
    """Return the decompressed size in the header of a Zstandard frame (RFC 8878, 3.1.1)."""
    if len(compressed) < 6 or compressed[:4] != b"\x28\xb5\x2f\xfd":
        raise ValueError("a chunk is not a Zstandard frame")
    descriptor = compressed[4]
    single_segment = bool(descriptor & 0x20)
    start = 5 + (0 if single_segment else 1) + (0, 1, 2, 4)[descriptor & 3]
    size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
    if not size or len(compressed) < start + size:
        raise ValueError("a chunk does not declare its size")
    value = int.from_bytes(compressed[start : start + size], "little")
    return value + 256 if size == 2 else value


DECLARED = {"blosc": _blosc_bytes, "zstd": _zstd_bytes}
DECOMPRESSORS = {"blosc": numcodecs.blosc.decompress, "zstd": numcodecs.zstd.decompress}


def _verified(content: bytes, name: str) -> bytes:
    """Return the bytes before a CRC32C; ValueError if it does not match them."""
    body = content[:-CHECKSUM_BYTES]
    if google_crc32c.value(body) != int.from_bytes(content[-CHECKSUM_BYTES:], "little"):
        raise ValueError(f"{name}: checksum does not match")
    return body
