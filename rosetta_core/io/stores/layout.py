"""Layout of an array of a Zarr v3 store, from metadata that passed an allow-list.

The layouts are those that this package writes, as the Zarr v3 specification and its
`sharding_indexed` codec define them. A store may come from others, so types, codecs and sizes are
compared with a list before anything is decoded.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["METADATA", "ArrayLayout", "check_group", "parse_layout"]

METADATA = "zarr.json"
MAX_AXES = 6
DTYPES = {"bool", "float16", "float32", "float64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
ARRAY_KEYS = {
    *("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs"),
    *("attributes", "zarr_format", "node_type", "storage_transformers"),
}
GROUP_KEYS = {"attributes", "zarr_format", "node_type"}
FILL_VALUES = ("NaN", 0, False)
CHUNK_KEYS = {"name": "default", "configuration": {"separator": "/"}}
BYTE = {"name": "bytes"}
LITTLE_ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}
CRC32C = {"name": "crc32c"}
# settings of compressors, which decompression does not depend on
COMPRESSORS = {
    "blosc": {"typesize", "cname", "clevel", "shuffle", "blocksize"},
    "zstd": {"level", "checksum"},
}


@dataclass(frozen=True)
class ArrayLayout:
    """Layout of an array.

    Attributes:
        shape: shape of the array.
        dtype: data type of its values.
        file_shape: shape of the part of the array in one file, a chunk or a shard.
        chunk_shape: shape of a chunk, which is decompressed at once.
        compressor: name of the codec that compresses chunks.
        sharded: whether files are shards of several chunks.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    file_shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    compressor: str
    sharded: bool

    @property
    def bytes(self) -> int:
        """Bytes of all values."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk's values."""
        return self.dtype.itemsize * math.prod(self.chunk_shape)

    @property
    def inner_counts(self) -> tuple[int, ...]:
        """Chunks of a file along each axis."""
        return tuple(
            side // chunk for side, chunk in zip(self.file_shape, self.chunk_shape, strict=True)
        )

    @property
    def file_counts(self) -> tuple[int, ...]:
        """Files along each axis."""
        return tuple(
            -(-side // part) for side, part in zip(self.shape, self.file_shape, strict=True)
        )


def check_group(content: Any) -> dict[str, Any]:
    """Return the attributes of a group; ValueError unless this package writes such groups."""
    _check_keys(content, GROUP_KEYS, "group")
    attributes = content["attributes"]
    if not isinstance(attributes, dict):
        raise ValueError("attributes: not a mapping")
    return attributes


def parse_layout(content: Any) -> ArrayLayout:
    """Return the layout of an array; ValueError unless this package writes such arrays."""
    _check_keys(content, ARRAY_KEYS, "array")
    dtype, codecs = content["data_type"], content["codecs"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"data type {str(dtype)[:40]!r} is not a type of numbers")
    shape = _sides(content["shape"], "shape", least=0)
    grid = content["chunk_grid"]
    match grid:
        case {"name": "regular", "configuration": {"chunk_shape": sides}} if len(grid) == 2:
            file_shape = _sides(sides, "chunk shape", least=1)
        case _:
            raise ValueError("its grid of chunks is not regular")
    for key, allowed in (
        ("chunk_key_encoding", (CHUNK_KEYS,)),
        ("attributes", ({},)),
        ("storage_transformers", ([],)),
        ("fill_value", FILL_VALUES),
    ):
        if content[key] not in allowed:
            raise ValueError(f"{key} {str(content[key])[:40]!r} is not supported")
    serializer = BYTE if np.dtype(dtype).itemsize == 1 else LITTLE_ENDIAN
    chunk_shape, sharded = file_shape, False
    match codecs:
        case [{"name": "sharding_indexed", "configuration": dict(sharding)} as codec] if (
            len(codec) == 2
        ):
            if sharding.keys() != {"chunk_shape", "codecs", "index_codecs", "index_location"} or (
                [sharding["index_codecs"], sharding["index_location"]]
                != [[LITTLE_ENDIAN, CRC32C], "end"]
            ):
                raise ValueError("its shards have another layout")
            chunk_shape, sharded = _sides(sharding["chunk_shape"], "chunk shape", least=1), True
            codecs = sharding["codecs"]
    layout = ArrayLayout(
        shape, np.dtype(dtype).newbyteorder("<"), file_shape, chunk_shape,
        _compressor(codecs, serializer), sharded,
    )  # fmt: skip
    if not len(shape) == len(file_shape) == len(chunk_shape):
        raise ValueError("its shape and its chunks have different numbers of axes")
    if any(side % chunk for side, chunk in zip(file_shape, chunk_shape, strict=True)):
        raise ValueError("its chunks do not divide its shards")
    # blocks of images are powers of two: up to twice as long as the array is
    if any(part > 2 * max(side, 1) for part, side in zip(file_shape, shape, strict=True)):
        raise ValueError("its chunks are larger than the array")
    return layout


def _compressor(codecs: Any, serializer: Mapping[str, Any]) -> str:
    """Return the name of the compressor; ValueError if codecs are not (numbers, it, CRC32C)."""
    match codecs:
        case [bytes_codec, {"name": str(name), "configuration": dict(settings)} as codec, checksum]:
            others = (bytes_codec, checksum) == (serializer, CRC32C) and len(codec) == 2
            if others and name in COMPRESSORS and settings.keys() <= COMPRESSORS[name]:
                return name
    raise ValueError("its codecs are not those that rosetta writes")


def _check_keys(content: Any, keys: set[str], kind: str) -> None:
    if not isinstance(content, dict) or content.keys() != keys:
        found = ", ".join(map(str, content))[:80] if isinstance(content, dict) else "no keys"
        raise ValueError(f"{METADATA} is not that of an {kind} ({found})")
    version, node = content["zarr_format"], content["node_type"]
    if type(version) is not int or version != 3 or node != kind:
        raise ValueError(f"{METADATA} is not that of an {kind} of Zarr format 3")


def _sides(value: Any, name: str, *, least: int) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_AXES:
        raise ValueError(f"{name}: not a list of up to {MAX_AXES} numbers")
    if any(type(side) is not int or not least <= side < 2**40 for side in value):
        raise ValueError(f"{name}: {str(value)[:40]} has sides that are not from {least} to 2^40")
    if math.prod(max(side, 1) for side in value) >= 2**50:
        raise ValueError(f"{name}: {str(value)[:40]} is too large")
    return tuple(value)
