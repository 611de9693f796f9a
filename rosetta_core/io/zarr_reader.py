"""Maps read out of Zarr shards, inner chunk by inner chunk, every checksum verified.

StoredArray     an array (n, c, h, w) as `stores.create_array` writes it

Read in the thread that works on it next, a chunk is still in the cache there, and no array of a
whole layer is ever made. Zarr's own pipeline reads the same at half the speed; the Rust pipeline
checks no checksum where a part of a shard is read (docs/explanation/performance.md).
"""

from pathlib import Path

import google_crc32c
import numcodecs.blosc
import numcodecs.zstd
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, ShardingCodec
from zarr.core.metadata.v3 import ArrayV3Metadata

__all__ = ["StoredArray"]

CHECKSUM = 4  # bytes of a crc32c
ENTRY = 16  # bytes of a chunk in the index: offset and length
MISSING = 2**64 - 1

numcodecs.blosc.use_threads = False  # several threads decompress a chunk each


class StoredArray:
    """A float16 array (n, c, h, w) on disk; several threads may read at once.

    Attributes:
        together: channels of an inner chunk, which are read at once.
    """

    def __init__(self, array: zarr.Array, folder: Path) -> None:
        """Take an array and the folder of its files."""
        self._shape, self._shard, self._inner = array.shape, array.shards, array.chunks
        self._folder = folder
        self.together: int = self._inner[1]
        metadata = array.metadata
        assert isinstance(metadata, ArrayV3Metadata)
        sharding = metadata.codecs[0]
        assert isinstance(sharding, ShardingCodec)
        blosc = isinstance(sharding.codecs[1], BloscCodec)
        self._decompress = (numcodecs.blosc if blosc else numcodecs.zstd).decompress
        self._indices: dict[int, NDArray[np.uint64]] = {}

    def read(self, images: range, channels: slice = slice(None)) -> NDArray[np.float16]:
        """Read maps (n, c, h, w).

        Raises:
            ValueError: a chunk is missing, or fails its checksum.
            OSError: a file can't be read.
        """
        first, last, _ = channels.indices(self._shape[1])
        shape = (len(images), last - first, *self._shape[2:])
        result = np.empty(shape, np.float16)
        size, step = self._inner[0], self.together
        for block in range(images.start // size, -(-images.stop // size)):
            for number in range(first // step, -(-last // step)):
                chunk = self._chunk(block, number)
                inside = [
                    slice(max(a, start) - start, min(b, start + length) - start)
                    for a, b, start, length in (
                        (images.start, images.stop, block * size, size),
                        (first, last, number * step, step),
                    )
                ]
                part = chunk[inside[0], inside[1]]
                if part.shape == shape:
                    return part
                rows = inside[0].start + block * size - images.start
                columns = inside[1].start + number * step - first
                result[rows : rows + len(part), columns : columns + part.shape[1]] = part
        return result

    def _chunk(self, block: int, number: int) -> NDArray[np.float16]:
        """Read, verify and decompress an inner chunk of a shard."""
        path = self._folder / "c" / str(block) / "0" / "0" / "0"
        with path.open("rb", buffering=0) as file:
            if block not in self._indices:
                size = ENTRY * (self._shape[1] // self.together)
                file.seek(-size - CHECKSUM, 2)
                index = _verified(file.read(size + CHECKSUM), "index")
                self._indices[block] = np.frombuffer(index, "<u8").reshape(-1, 2)
            offset, length = (int(value) for value in self._indices[block][number])
            if offset == MISSING:
                raise ValueError(f"chunk {number} is missing")
            file.seek(offset)
            packed = _verified(file.read(length), f"chunk {number}")
        chunk = np.empty(self._inner, np.float16)
        self._decompress(packed, chunk)
        return chunk


def _verified(content: bytes, what: str) -> bytes:
    """What stands before a crc32c; ValueError if that is another's."""
    body = content[:-CHECKSUM]
    if google_crc32c.value(body) != int.from_bytes(content[-CHECKSUM:], "little"):
        raise ValueError(f"{what} fails its checksum")
    return body
