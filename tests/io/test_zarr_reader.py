"""Shards are decoded as zarr decodes them, and other layouts are read through zarr itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec

from rosetta_core.errors import RosettaError
from rosetta_core.io.zarr_reader import ShardedArrayReader
from rosetta_core.io.zarr_store import LZ4, ZSTD, create_array, new_store, write_manifest
from rosetta_core.mining.sources.stored import StoredActivations

SHAPE, SHARD = (11, 6, 5, 4), (4, 6, 5, 4)
LAYOUT: dict[str, Any] = {
    "shape": SHAPE,
    "shards": SHARD,
    "chunks": (4, 2, 5, 4),
    "dtype": "float16",
    "serializer": BytesCodec(endian="little"),
    "compressors": [LZ4, Crc32cCodec()],
    "fill_value": float("nan"),
    "config": {"write_empty_chunks": True},
}
OTHER_LAYOUTS = {  # which the decoder does not know
    "index at the start": {"shards": {"shape": SHARD, "index_location": "start"}},
    "another codec": {"compressors": [GzipCodec(), Crc32cCodec()]},
    "no checksum": {"compressors": [LZ4]},
    "big-endian": {"serializer": BytesCodec(endian="big")},
    "chunks split the rows": {"chunks": (4, 2, 1, 4)},
    "chunks split the images": {"chunks": (2, 2, 5, 4)},
    "shards split the channels": {"shards": (4, 2, 5, 4)},
    "other file names": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
}


def maps() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float16)


def stored(folder: Path, **changes: Any) -> ShardedArrayReader:
    """Store maps with some layout, and open them."""
    group = zarr.open_group(folder, mode="w")
    array = group.create_array("maps", **{**LAYOUT, **changes})
    array[...] = maps()
    opened = zarr.open_group(folder, mode="r")["maps"]
    assert isinstance(opened, zarr.Array)
    return ShardedArrayReader(opened, folder / "maps")


def check_reads(reader: ShardedArrayReader) -> None:
    """Every part is what was stored: across shards and chunks, and from within them."""
    for images in (range(11), range(2, 11), range(3, 5), range(8, 11), range(5, 6)):
        for channels in (slice(None), slice(1, 5), slice(2, 4), slice(5, 6)):
            found = reader.read(images, channels)
            np.testing.assert_array_equal(found, maps()[images.start : images.stop, channels])


@pytest.mark.parametrize("compressor", [LZ4, ZSTD, BloscCodec(cname="zstd", shuffle="shuffle")])
def test_parts_of_shards(tmp_path: Path, compressor) -> None:
    reader = stored(tmp_path, compressors=[compressor, Crc32cCodec()])
    assert reader.direct
    assert reader.chunk_channels == 2
    check_reads(reader)


def test_arrays_as_stores_have_them_are_decoded(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path, mode="w")
    array = create_array(group, "maps", shape=SHAPE, shard=SHARD, dtype="float16")
    array[...] = maps()
    reader = ShardedArrayReader(array, tmp_path / "maps")
    assert reader.direct
    check_reads(reader)


@pytest.mark.parametrize("changes", OTHER_LAYOUTS.values(), ids=OTHER_LAYOUTS.keys())
def test_other_layouts_are_read_through_zarr(tmp_path: Path, changes: dict[str, Any]) -> None:
    reader = stored(tmp_path, **changes)
    assert not reader.direct
    check_reads(reader)


@pytest.mark.parametrize("layout", [{}, OTHER_LAYOUTS["index at the start"]])
def test_a_chunk_that_was_never_written(tmp_path: Path, layout: dict[str, Any]) -> None:
    group = zarr.open_group(tmp_path, mode="w")
    array = group.create_array("maps", **{**LAYOUT, **layout})
    array[:4, 2:4] = maps()[:4, 2:4]  # one inner chunk of three; no file for the other shards
    reader = ShardedArrayReader(array, tmp_path / "maps")
    np.testing.assert_array_equal(reader.read(range(4), slice(2, 4)), maps()[:4, 2:4])
    with pytest.raises(ValueError, match="missing"):
        reader.read(range(4), slice(4, 6))
    with pytest.raises((ValueError, FileNotFoundError)):
        reader.read(range(4, 8))


def flip_bits(file: Path, read: Callable[[], np.ndarray], expected: np.ndarray) -> int:
    """Flip bits of a file, one at a time; return how often reading fails. No value may change."""
    content, noticed = file.read_bytes(), 0
    for place in np.random.default_rng(1).integers(0, len(content), 60):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (int(place) % 8)
        file.write_bytes(flipped)
        try:
            np.testing.assert_array_equal(read(), expected)
        except (ValueError, RuntimeError, OSError):
            noticed += 1
    file.write_bytes(content)
    return noticed


@pytest.mark.parametrize("layout", [{}, OTHER_LAYOUTS["index at the start"]])
def test_both_ways_notice_a_flipped_bit(tmp_path: Path, layout: dict[str, Any]) -> None:
    stored(tmp_path, **layout)
    file = tmp_path / "maps" / "c" / "1" / "0" / "0" / "0"

    def read() -> np.ndarray:
        opened = zarr.open_group(tmp_path, mode="r")["maps"]
        assert isinstance(opened, zarr.Array)
        return ShardedArrayReader(opened, tmp_path / "maps").read(range(2, 8))

    assert flip_bits(file, read, maps()[2:8]) == 60


def test_stored_activations_of_another_layout(tmp_path: Path) -> None:
    """The same maps and the same error, whether shards are decoded or zarr reads them."""
    store = tmp_path / "00000.zarr"
    with new_store(store) as group:
        array = group.create_group("layer").create_array(
            "maps", **{**LAYOUT, **OTHER_LAYOUTS["index at the start"]}
        )
        array[...] = maps()
        for name in ("mean", "deviation"):
            create_array(group["layer"], name, shape=(6,), shard=(6,), dtype="float64")[...] = 1
    layer = {"name": "layer", "channels": 6, "height": 5, "width": 4, "margin": 0}
    write_manifest(store, {"model": "m", "images": [0, 11], "layers": [layer]})
    source = StoredActivations([store])
    np.testing.assert_array_equal(source.read(0, range(2, 11)).numpy(), maps()[2:11])
    file = store / "layer" / "maps" / "c" / "0" / "0" / "0" / "0"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(RosettaError, match=r"00000.zarr/layer/maps, images 2 to 10: is damaged"):
        source.read(0, range(2, 11))
