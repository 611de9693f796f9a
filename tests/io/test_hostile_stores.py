"""Stores by others, with valid checksums: refused in one line before anything is decoded."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs.zstd
import numpy as np
import pytest
from hostile_runs import rewrite_json, seal_store

from rosetta_core.errors import RosettaError
from rosetta_core.io.file_index import INDEX_NAME, sign
from rosetta_core.io.stores.store import (
    ZSTD,
    check_store,
    create_array,
    new_store,
    open_store,
    read_array,
    write_manifest,
)

NAME = "0/maps"
CHUNK = f"{NAME}/c/0/0/0/0"


class Code:
    """An object whose unpickling creates a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a manifest and an array of zstd chunks."""
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "samples" / "00000.zarr"
    with new_store(store) as group:
        group.attrs["layers"] = 1
        array = create_array(
            group, NAME, shape=(4, 3, 2, 2), shard=(4, 3, 2, 2), dtype="float16", compressor=ZSTD
        )
        array[...] = np.arange(48).reshape(4, 3, 2, 2)
        plain = group.create_array(
            "plain", shape=(4,), chunks=(4,), dtype="int32",
            compressors=[ZSTD, {"name": "crc32c"}], config={"write_empty_chunks": True},
        )  # fmt: skip
        plain[...] = np.arange(4)
    write_manifest(store, {"images": [0, 4]})
    return store


def metadata(store: Path, change: Callable[[dict[str, Any]], Any], name: str = NAME) -> None:
    path = store / name / "zarr.json"
    content = json.loads(path.read_text())
    changed = change(content)
    path.write_text(json.dumps(content if changed is None else changed))


def inner(content: dict[str, Any]) -> list[dict[str, Any]]:
    return content["codecs"][0]["configuration"]["codecs"]


METADATA: dict[str, Callable[[dict[str, Any]], Any]] = {
    "object type": lambda m: m | {"data_type": "object"},
    "text type": lambda m: m | {"data_type": "string"},
    "variable bytes": lambda m: m | {"data_type": "variable_length_bytes"},
    "structured type": lambda m: m | {"data_type": {"name": "struct", "configuration": {}}},
    "raw bytes": lambda m: m | {"data_type": "r16"},
    "date type": lambda m: m | {"data_type": {"name": "numpy.datetime64", "configuration": {}}},
    "unknown type": lambda m: m | {"data_type": "bfloat16"},
    "another type of the same size": lambda m: m | {"data_type": "int64"},
    "no type": lambda m: m | {"data_type": None},
    "pickle codec": lambda m: inner(m).__setitem__(1, {"name": "numcodecs.pickle"}),
    "vlen codec": lambda m: inner(m).__setitem__(0, {"name": "vlen-utf8"}),
    "json2 codec": lambda m: inner(m).__setitem__(0, {"name": "numcodecs.json2"}),
    "gzip codec": lambda m: inner(m).__setitem__(
        1, {"name": "gzip", "configuration": {"level": 1}}
    ),
    "transpose codec": lambda m: inner(m).insert(
        0, {"name": "transpose", "configuration": {"order": [3, 2, 1, 0]}}
    ),
    "codec of a module": lambda m: inner(m).__setitem__(
        1, {"name": "zstd", "configuration": {"class": "os.system"}}
    ),
    "codec twice": lambda m: inner(m).insert(1, inner(m)[1]),
    "no codec": lambda m: inner(m).clear(),
    "no checksum": lambda m: inner(m).pop(),
    "big-endian": lambda m: inner(m).__setitem__(
        0, {"name": "bytes", "configuration": {"endian": "big"}}
    ),
    "shards of shards": lambda m: inner(m).__setitem__(
        0, json.loads(json.dumps(m["codecs"][0]))
    ),
    "index at the start": lambda m: m["codecs"][0]["configuration"].__setitem__(
        "index_location", "start"
    ),
    "absurd shape": lambda m: m | {"shape": [2**39, 3, 2, 2]},
    "shape beyond 64 bits": lambda m: m | {"shape": [2**70, 3, 2, 2]},
    "product beyond 64 bits": lambda m: m | {"shape": [2**30, 2**30, 2**30, 2]},
    "negative side": lambda m: m | {"shape": [-4, 3, 2, 2]},
    "float side": lambda m: m | {"shape": [4.0, 3, 2, 2]},
    "boolean side": lambda m: m | {"shape": [True, 3, 2, 2]},
    "text side": lambda m: m | {"shape": ["4", 3, 2, 2]},
    "no axes": lambda m: m | {"shape": []},
    "many axes": lambda m: m | {"shape": [1] * 64},
    "more images": lambda m: m | {"shape": [8, 3, 2, 2]},
    "fewer axes": lambda m: m | {"shape": [4, 3, 4]},
    "empty": lambda m: m | {"shape": [0, 3, 2, 2]},
    "chunks of nothing": lambda m: m["codecs"][0]["configuration"].__setitem__(
        "chunk_shape", [0, 3, 2, 2]
    ),
    "chunks that do not divide": lambda m: m["codecs"][0]["configuration"].__setitem__(
        "chunk_shape", [3, 3, 2, 2]
    ),
    "smaller chunks": lambda m: m["codecs"][0]["configuration"].__setitem__(
        "chunk_shape", [1, 3, 2, 2]
    ),
    "irregular grid": lambda m: m | {"chunk_grid": {"name": "rectilinear", "configuration": {}}},
    "other file names": lambda m: m | {
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "/"}}
    },
    "fill value": lambda m: m | {"fill_value": "0x7fc0"},
    "list as fill value": lambda m: m | {"fill_value": [0]},
    "storage transformer": lambda m: m | {"storage_transformers": [{"name": "x"}]},
    "attributes": lambda m: m | {"attributes": {"a": 1}},
    "unknown key": lambda m: m | {"must_understand": {"name": "x"}},
    "missing key": lambda m: m.pop("codecs") and None,
    "format 2": lambda m: m | {"zarr_format": 2},
    "format as text": lambda m: m | {"zarr_format": "3"},
    "format true": lambda m: m | {"zarr_format": True},
    "group": lambda m: m | {"node_type": "group"},
    "list": lambda m: [m],
    "null": lambda m: "null",
    "deep": lambda m: m | {"fill_value": json.loads("[" * 90 + "]" * 90)},
}  # fmt: skip


def read_all(store: Path) -> None:
    group, _ = open_store(store)
    read_array(group, NAME)
    read_array(group, "plain")


def refuse(store: Path, action: Callable[[], object]) -> None:
    """Check that an action is refused in one line about the store, and that nothing ran."""
    with pytest.raises(RosettaError) as caught:
        action()
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 600
    assert message.count("run again") <= 1  # no error within another
    assert str(store) in message or str(store.with_suffix(".json")) in message
    assert not Path("executed").exists()


def test_the_store_is_sound(store: Path) -> None:
    check_store(store, manifest=True)
    read_all(store)


@pytest.mark.parametrize("change", METADATA.values(), ids=METADATA.keys())
def test_metadata_outside_of_the_allow_list(store: Path, change) -> None:
    metadata(store, change)
    seal_store(store, manifest=True)
    refuse(store, lambda: check_store(store, manifest=True))
    refuse(store, lambda: read_all(store))


def test_a_store_of_format_2_with_pickles(store: Path) -> None:
    """What opened and verified before, and executed code with numcodecs below 0.16.6."""
    shutil.rmtree(store)
    store.mkdir()
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    (store / "0").mkdir()
    array = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None,
        "order": "C", "filters": [{"id": "pickle", "protocol": 5}], "compressor": None,
    }  # fmt: skip
    (store / "0" / ".zarray").write_text(json.dumps(array))
    (store / "0" / "0").write_bytes(pickle.dumps(np.array([Code()], dtype=object)))
    seal_store(store, manifest=True)
    refuse(store, lambda: check_store(store, manifest=True))
    refuse(store, lambda: read_all(store))


def test_format_2_beside_format_3_is_not_read(store: Path) -> None:
    (store / "0" / "maps" / ".zarray").write_text('{"zarr_format": 2, "dtype": "|O"}')
    seal_store(store, manifest=True)
    refuse(store, lambda: check_store(store, manifest=True))
    read_all(store)  # as format 3


def write_chunk(store: Path, compressed: bytes) -> None:
    checksum = google_crc32c.value(compressed).to_bytes(4, "little")
    (store / "plain/c/0").write_bytes(compressed + checksum)
    seal_store(store, manifest=True)


VALUES = np.arange(4, dtype="<i4").tobytes()
BOMBS = {
    "a large frame": lambda: numcodecs.zstd.compress(bytes(2**24)),
    "two frames": lambda: numcodecs.zstd.compress(VALUES) + numcodecs.zstd.compress(bytes(2**24)),
    "a small frame": lambda: numcodecs.zstd.compress(VALUES[:8]),
    "no declared size": lambda: b"\x28\xb5\x2f\xfd\x00\x58" + numcodecs.zstd.compress(VALUES)[6:],
    "another size declared": lambda: b"\x28\xb5\x2f\xfd\x20\x10" + b"\x01" * 20,
    "a skippable frame": lambda: b"\x50\x2a\x4d\x18" + bytes(12),
    "not a frame": lambda: VALUES,
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("compressed", BOMBS.values(), ids=BOMBS.keys())
def test_chunks_that_decompress_to_another_size(store: Path, compressed) -> None:
    write_chunk(store, compressed())
    group, _ = open_store(store)
    refuse(store, lambda: read_array(group, "plain"))


def test_chunks_of_blosc_that_declare_another_size(store: Path) -> None:
    sound = bytearray(numcodecs.blosc.compress(VALUES, b"lz4", 1, 0))
    metadata(
        store,
        lambda m: m["codecs"].__setitem__(1, {"name": "blosc", "configuration": {}}),
        "plain",
    )
    write_chunk(store, bytes(sound))
    np.testing.assert_array_equal(read_array(open_store(store)[0], "plain"), np.arange(4))
    for place, value in ((4, 2**31), (4, 8), (12, 2**31), (12, 16)):
        forged = bytearray(sound)
        forged[place : place + 4] = value.to_bytes(4, "little")
        write_chunk(store, bytes(forged))
        refuse(store, lambda: read_array(open_store(store)[0], "plain"))


@pytest.mark.parametrize("entry", [(2**63, 8), (0, 2**63), (10**6, 4), (2**64 - 2, 1)])
def test_shards_whose_index_points_outside(store: Path, entry: tuple[int, int]) -> None:
    path = store / CHUNK
    index = np.array([entry], "<u8").tobytes()
    checksum = google_crc32c.value(index).to_bytes(4, "little")
    path.write_bytes(path.read_bytes()[:-20] + index + checksum)
    seal_store(store, manifest=True)
    refuse(store, lambda: read_array(open_store(store)[0], NAME))


def test_arrays_that_declare_far_more_than_their_files(store: Path) -> None:
    """A gigabyte of zeros in a few kilobytes is refused before memory is allocated."""
    metadata(store, lambda m: m | {
        "shape": [2**30],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**30]}},
    }, "plain")  # fmt: skip
    seal_store(store, manifest=True)
    refuse(store, lambda: check_store(store, manifest=True))
    refuse(store, lambda: read_array(open_store(store)[0], "plain"))


def link_chunk(store: Path) -> None:
    content = (store / CHUNK).read_bytes()
    (store.parent / "chunk").write_bytes(content)
    (store / CHUNK).unlink()
    (store / CHUNK).symlink_to(store.parent / "chunk")


def link_folder(store: Path) -> None:
    (store / "0/maps/c").rename(store.parent / "c")
    (store / "0/maps/c").symlink_to(store.parent / "c")


def pipe(store: Path) -> None:
    (store / CHUNK).unlink()
    os.mkfifo(store / CHUNK)


def device(store: Path) -> None:
    (store / CHUNK).unlink()
    (store / CHUNK).symlink_to("/dev/zero")


def folder(store: Path) -> None:
    (store / CHUNK).unlink()
    (store / CHUNK).mkdir()


def link_metadata(store: Path) -> None:
    (store / "zarr.json").rename(store.parent / "zarr.json")
    (store / "zarr.json").symlink_to(store.parent / "zarr.json")


def index_pipe(store: Path) -> None:
    (store / INDEX_NAME).unlink()
    os.mkfifo(store / INDEX_NAME)


def manifest_device(store: Path) -> None:
    store.with_suffix(".json").unlink()
    store.with_suffix(".json").symlink_to("/dev/zero")


def manifest_pipe(store: Path) -> None:
    store.with_suffix(".json").unlink()
    os.mkfifo(store.with_suffix(".json"))


def manifest_folder(store: Path) -> None:
    store.with_suffix(".json").unlink()
    store.with_suffix(".json").mkdir()


def store_is_file(store: Path) -> None:
    shutil.rmtree(store)
    store.write_text("x")


FILES = [
    *(link_chunk, link_folder, pipe, device, folder, link_metadata, index_pipe),
    *(manifest_device, manifest_pipe, manifest_folder, store_is_file),
]


@pytest.mark.parametrize("attack", FILES)
def test_links_pipes_and_devices_in_the_place_of_files(store: Path, attack) -> None:
    attack(store)
    refuse(store, lambda: check_store(store, manifest=True))
    refuse(store, lambda: read_all(store))


FILE = {"bytes": 1, "crc32c": "00000000"}
INDICES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nothing": lambda c: {},
    "no files": lambda c: c | {"files": {}},
    "no name": lambda c: c.pop("of") and None,
    "another name": lambda c: c | {"of": "\x1b[31m/x"},
    "name is a list": lambda c: c | {"of": [1]},
    "files are a list": lambda c: c | {"files": [1]},
    "entries are texts": lambda c: c | {"files": {"zarr.json": "x"}},
    "entries are empty": lambda c: c | {"files": {"zarr.json": {}}},
    "negative size": lambda c: c | {"files": {"zarr.json": {**FILE, "bytes": -1}}},
    "size as text": lambda c: c | {"files": {"zarr.json": {**FILE, "bytes": "1"}}},
    "checksum as number": lambda c: c | {"files": {"zarr.json": {**FILE, "crc32c": 1}}},
    "further keys": lambda c: c | {"files": {"zarr.json": {**FILE, "x": 1}}},
    "a file outside": lambda c: c["files"].update({"../../secret": FILE}),
    "an absolute file": lambda c: c["files"].update({"/etc/passwd": FILE}),
    "a file in no folder": lambda c: c["files"].update({"0//x": FILE}),
    "a folder": lambda c: c["files"].update({"0/": FILE}),
    "a NUL": lambda c: c["files"].update({"0/\0": FILE}),
    "a line": lambda c: c["files"].update({"0/\nx": FILE}),
    "a backslash": lambda c: c["files"].update({"..\\x": FILE}),
    "the index itself": lambda c: c["files"].update({INDEX_NAME: FILE}),
    "a missing file": lambda c: c["files"].update({"0/maps/c/9": FILE}),
    "a long name": lambda c: c["files"].update({"a" * 5000: FILE}),
    "unknown key": lambda c: c | {"x": 1},
}


@pytest.mark.parametrize("change", INDICES.values(), ids=INDICES.keys())
def test_indices_of_another_shape(store: Path, change) -> None:
    rewrite_json(store / INDEX_NAME, change)
    checksum = json.loads((store / INDEX_NAME).read_text())["checksum"]
    rewrite_json(store.with_suffix(".json"), lambda content: content | {"contents": checksum})
    refuse(store, lambda: check_store(store, manifest=True))
    refuse(store, lambda: read_all(store))


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "", "\xff", "[]", "NaN", '{"checksum": 1}'])
def test_indices_and_manifests_that_are_not_signed(store: Path, text: str) -> None:
    for path in (store / INDEX_NAME, store.with_suffix(".json")):
        sound = path.read_bytes()
        path.write_bytes(text.encode("latin-1"))
        refuse(store, lambda: check_store(store, manifest=True))
        refuse(store, lambda: read_all(store))
        path.write_bytes(sound)


def test_a_manifest_without_anything(store: Path) -> None:
    store.with_suffix(".json").write_text(sign({}))
    refuse(store, lambda: check_store(store, manifest=True))
    refuse(store, lambda: open_store(store))


def test_a_file_that_is_not_listed(store: Path) -> None:
    (store / "0/maps/c/evil").write_text("x")
    refuse(store, lambda: check_store(store, manifest=True))


def test_every_flipped_bit_of_a_store_is_noticed(store: Path) -> None:
    random = np.random.default_rng(0)
    for path in [store.with_suffix(".json"), *store.rglob("*")]:
        if path.is_dir():
            continue
        sound = path.read_bytes()
        for place in random.integers(len(sound), size=12):
            flipped = bytearray(sound)
            flipped[place] ^= 1 << int(random.integers(8))
            path.write_bytes(flipped)
            refuse(store, lambda: check_store(store, manifest=True))
        path.write_bytes(sound)
    check_store(store, manifest=True)
