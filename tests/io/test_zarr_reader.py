"""Chunks are decoded as zarr decodes them, and what this package does not write is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec

from rosetta_core.errors import RosettaError
from rosetta_core.io.stores.reader import ArrayReader
from rosetta_core.io.stores.store import LZ4, ZSTD, create_array, new_store, write_manifest
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
OTHER_LAYOUTS = {
    "index at the start": {"shards": {"shape": SHARD, "index_location": "start"}},
    "another codec": {"compressors": [GzipCodec(), Crc32cCodec()]},
    "no checksum": {"compressors": [LZ4]},
    "big-endian": {"serializer": BytesCodec(endian="big")},
    "other file names": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
}


def maps() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float16)


def opened(folder: Path, name: str = "maps") -> ArrayReader:
    """Open an array, with the files that lie in its folder."""
    files = (folder / name / "c").rglob("*")
    sizes = {
        file.relative_to(folder / name / "c").as_posix(): file.stat().st_size
        for file in files
        if file.is_file()
    }
    return ArrayReader(folder / name, sizes)


def stored(folder: Path, **changes: Any) -> ArrayReader:
    """Store maps with some layout, and open them."""
    group = zarr.open_group(folder, mode="w")
    array = group.create_array("maps", **{**LAYOUT, **changes})
    array[...] = maps()
    return opened(folder)


def check_reads(reader: ArrayReader) -> None:
    """Every part is what was stored: across shards and chunks, and from within them."""
    for images in (range(11), range(2, 11), range(3, 5), range(8, 11), range(5, 6)):
        for channels in (slice(None), slice(1, 5), slice(2, 4), slice(5, 6)):
            found = reader.read(images, channels)
            np.testing.assert_array_equal(found, maps()[images.start : images.stop, channels])


@pytest.mark.parametrize("compressor", [LZ4, ZSTD, BloscCodec(cname="zstd", shuffle="shuffle")])
def test_parts_of_shards(tmp_path: Path, compressor) -> None:
    reader = stored(tmp_path, compressors=[compressor, Crc32cCodec()])
    assert reader.chunks == (4, 2, 5, 4)
    check_reads(reader)


def test_arrays_as_stores_have_them_are_decoded(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path, mode="w")
    array = create_array(group, "maps", shape=SHAPE, shard=SHARD, dtype="float16")
    array[...] = maps()
    check_reads(opened(tmp_path))


@pytest.mark.parametrize("changes", OTHER_LAYOUTS.values(), ids=OTHER_LAYOUTS.keys())
def test_other_layouts_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"layout|codecs|not supported"):
        stored(tmp_path, **changes)


GRIDS: dict[str, dict[str, Any]] = {  # how an array is split
    "chunks split the rows": {"chunks": (4, 2, 1, 4)},
    "chunks split the images": {"chunks": (2, 2, 5, 4)},
    "shards split the channels": {"shards": (4, 2, 5, 4)},
    "no shards": {"shards": None, "chunks": (3, 4, 2, 3)},
    "one chunk": {"shards": None, "chunks": SHAPE},
}


@pytest.mark.parametrize("changes", GRIDS.values(), ids=GRIDS.keys())
def test_every_regular_grid_is_read_as_zarr_reads_it(tmp_path: Path, changes) -> None:
    check_reads(stored(tmp_path, **changes))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(7,), (0, 3), (5, 3)])
def test_every_type_and_number_of_axes(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    values = (np.random.default_rng(0).random(shape) * 3).astype(dtype)
    group = zarr.open_group(tmp_path, mode="w")
    shard = tuple(max(1, side) for side in shape)
    create_array(group, "maps", shape=shape, shard=shard, dtype=dtype)[...] = values
    found = opened(tmp_path).read()
    np.testing.assert_array_equal(found, values)
    assert found.dtype == values.dtype


def test_a_chunk_that_was_never_written(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path, mode="w")
    array = group.create_array("maps", **LAYOUT)
    array[:4, 2:4] = maps()[:4, 2:4]  # one inner chunk of three; no file for the other shards
    with pytest.raises(ValueError, match="other chunks than its shape"):
        opened(tmp_path)
    reader = ArrayReader(tmp_path / "maps", {f"{shard}/0/0/0": 1 for shard in range(3)})
    np.testing.assert_array_equal(reader.read(range(4), slice(2, 4)), maps()[:4, 2:4])
    with pytest.raises(ValueError, match="missing"):
        reader.read(range(4), slice(4, 6))
    with pytest.raises(FileNotFoundError):
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


@pytest.mark.parametrize("layout", [{}, GRIDS["no shards"]])
def test_a_flipped_bit_is_noticed(tmp_path: Path, layout: dict[str, Any]) -> None:
    reader = stored(tmp_path, **layout)
    file = tmp_path / "maps" / "c" / "1" / "0" / "0" / "0"
    assert flip_bits(file, lambda: opened(tmp_path).read(range(2, 8)), maps()[2:8]) == 60
    np.testing.assert_array_equal(reader.read(range(2, 8)), maps()[2:8])


def test_stored_activations_name_the_damage(tmp_path: Path) -> None:
    store = tmp_path / "00000.zarr"
    with new_store(store) as group:
        array = group.create_group("layer").create_array("maps", **LAYOUT)
        array[...] = maps()
        for name in ("mean", "deviation"):
            create_array(group["layer"], name, shape=(6,), shard=(6,), dtype="float64")[...] = 1
    layer = {"name": "layer", "channels": 6, "height": 5, "width": 4, "margin": 0}
    write_manifest(store, {"model": "m", "images": [0, 11], "layers": [layer]})
    source = StoredActivations([store])
    np.testing.assert_array_equal(source.read(0, range(2, 11)).numpy(), maps()[2:11])
    file = store / "layer" / "maps" / "c" / "0" / "0" / "0" / "0"
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    with pytest.raises(RosettaError, match=r"00000.zarr/layer/maps, images 2 to 10: is damaged"):
        source.read(0, range(2, 11))
