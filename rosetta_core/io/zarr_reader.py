"""Activation maps from Zarr v3 shards, one inner chunk at a time, with every checksum verified.

`ShardedArrayReader` decodes the layout that `zarr_store.create_array` writes, as the Zarr v3
specification and its `sharding_indexed` codec define it: a shard ends with an index of (offset,
length) pairs, and every inner chunk and the index end with a CRC32C. A chunk is read in the thread
that uses it, so that it stays in the cache, and no array of a whole layer is allocated. Zarr's own
pipeline takes twice as long (docs/explanation/performance.md).

Nothing private of zarr is used. The version of the format and the layout are read from `zarr.json`;
an array of any other version or layout is read through zarr's public API.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs.blosc
import numcodecs.zstd
import numpy as np
import zarr
from numpy.typing import NDArray

__all__ = ["ShardedArrayReader"]

CHECKSUM_BYTES = 4  # of a CRC32C
ENTRY_BYTES = 16  # of a chunk in the index: offset and length
MISSING = 2**64 - 1  # offset of a chunk that was never written
CHUNK_KEYS = {"name": "default", "configuration": {"separator": "/"}}
LITTLE_ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}
CRC32C = {"name": "crc32c"}
DECOMPRESSORS = {"blosc": numcodecs.blosc.decompress, "zstd": numcodecs.zstd.decompress}

numcodecs.blosc.use_threads = False  # several threads decompress one chunk each


class ShardedArrayReader:
    """A float16 array (n, c, h, w) on disk; several threads may read at once.

    Args:
        array: the array, opened with zarr.
        folder: folder of the array's files.

    Attributes:
        chunk_channels: channels of an inner chunk, which are decompressed together.
        direct: whether shards are decoded here; False if zarr's own pipeline reads them.
    """

    def __init__(self, array: zarr.Array, folder: Path) -> None:
        self._array, self._folder = array, folder
        self._layout = _layout(folder)
        self.direct = self._layout is not None
        self.chunk_channels: int = array.chunks[1]
        self._indices: dict[int, NDArray[np.uint64]] = {}  # by shard

    def read(self, images: range, channels: slice = slice(None)) -> NDArray[np.float16]:
        """Read maps (n, c, h, w).

        Args:
            images: consecutive images.
            channels: consecutive channels; all unless given.

        Raises:
            ValueError: a chunk is missing, or a checksum does not match.
            OSError: a file cannot be read.
            RuntimeError: a chunk cannot be decompressed.
        """
        first, stop, _ = channels.indices(self._array.shape[1])
        if self._layout is None:
            return self._read_with_zarr(images, slice(first, stop))
        shape = (len(images), stop - first, *self._array.shape[2:])
        result = np.empty(shape, np.float16)
        size, step = self._layout.chunk_shape[0], self._layout.chunk_shape[1]
        for shard in range(images.start // size, -(-images.stop // size)):
            for number in range(first // step, -(-stop // step)):
                chunk = self._read_chunk(self._layout, shard, number)
                rows = slice(
                    max(images.start - shard * size, 0), min(images.stop - shard * size, size)
                )
                columns = slice(max(first - number * step, 0), min(stop - number * step, step))
                part = chunk[rows, columns]
                if part.shape == shape:
                    return part
                top = rows.start + shard * size - images.start
                left = columns.start + number * step - first
                result[top : top + part.shape[0], left : left + part.shape[1]] = part
        return result

    def _read_with_zarr(self, images: range, channels: slice) -> NDArray[np.float16]:
        """Read maps through zarr's public API, which fills chunks that are missing with NaN."""
        maps = np.asarray(self._array[images.start : images.stop, channels])
        if np.isnan(self._array.fill_value) and np.isnan(maps).any():
            raise ValueError("a chunk is missing, or holds NaN")
        return maps

    def _read_chunk(self, layout: "_Layout", shard: int, number: int) -> NDArray[np.float16]:
        """Read, verify and decompress an inner chunk of a shard."""
        path = self._folder / "c" / str(shard) / "0" / "0" / "0"
        with path.open("rb", buffering=0) as file:
            if shard not in self._indices:
                size = ENTRY_BYTES * layout.chunks
                file.seek(-size - CHECKSUM_BYTES, 2)
                index = _verified(file.read(size + CHECKSUM_BYTES), "index")
                self._indices[shard] = np.frombuffer(index, "<u8").reshape(-1, 2)
            offset, length = (int(value) for value in self._indices[shard][number])
            if offset == MISSING:
                raise ValueError(f"chunk {number} is missing")
            file.seek(offset)
            compressed = _verified(file.read(length), f"chunk {number}")
        chunk = np.empty(layout.chunk_shape, "<f2")
        DECOMPRESSORS[layout.compressor](compressed, chunk)
        return chunk


@dataclass(frozen=True)
class _Layout:
    """Layout of an array that this module decodes.

    Attributes:
        chunk_shape: shape of an inner chunk (n, c, h, w).
        chunks: inner chunks of a shard.
        compressor: name of the codec that compresses them.
    """

    chunk_shape: tuple[int, int, int, int]
    chunks: int
    compressor: str


def _layout(folder: Path) -> _Layout | None:
    """Return the layout of the array in a folder; None unless it is the one of `create_array`."""
    content = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
    try:
        shape, shard = content["shape"], content["chunk_grid"]["configuration"]["chunk_shape"]
        (sharding,) = content["codecs"]
        inner = sharding["configuration"]["chunk_shape"]
        serializer, compressor, checksum = sharding["configuration"]["codecs"]
        expected: list[tuple[Any, Any]] = [
            (content["zarr_format"], 3),
            (content["data_type"], "float16"),
            (content["chunk_grid"]["name"], "regular"),
            (content["chunk_key_encoding"], CHUNK_KEYS),
            (sharding["name"], "sharding_indexed"),
            (sharding["configuration"]["index_codecs"], [LITTLE_ENDIAN, CRC32C]),
            (sharding["configuration"].get("index_location", "end"), "end"),
            ([serializer, checksum], [LITTLE_ENDIAN, CRC32C]),
            # inner chunks and shards split the images, and inner chunks the channels, only
            (shard[1:], shape[1:]),
            ([inner[0], *inner[2:]], [shard[0], *shard[2:]]),
            (shard[1] % inner[1], 0),
        ]
        if compressor["name"] in DECOMPRESSORS and all(found == known for found, known in expected):
            return _Layout(tuple(inner), shard[1] // inner[1], compressor["name"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        pass  # other metadata than this module knows
    return None


def _verified(content: bytes, name: str) -> bytes:
    """Return the bytes before a CRC32C; ValueError if it does not match them."""
    body = content[:-CHECKSUM_BYTES]
    if google_crc32c.value(body) != int.from_bytes(content[-CHECKSUM_BYTES:], "little"):
        raise ValueError(f"{name}: checksum does not match")
    return body
