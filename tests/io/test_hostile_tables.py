"""Tables by others, with valid checksums: refused in one line before values are decoded."""

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_runs import seal_table

from rosetta_core.errors import RosettaError
from rosetta_core.io.tables import read_parquet, read_table, write_table
from rosetta_core.steering.result_reader import read_arrays, read_description


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table = pd.DataFrame({"unit": np.arange(4, dtype=np.int32), "layer": ["a", "b", "", "ü"]})
    return write_table(table, tmp_path / "tables" / "units.parquet")


class Code:
    """An object whose unpickling creates a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("executed",)


def refuse(path: Path, action: Callable[[], object]) -> str:
    with pytest.raises(RosettaError) as caught:
        action()
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith(str(path))
    assert not Path("executed").exists()
    return message


TYPES = {
    "bytes": pa.array([b"x"]),
    "dates": pa.array([0], pa.date32()),
    "times with a zone": pa.array([0], pa.timestamp("us", tz="Europe/../../x")),
    "decimals": pa.array([1], pa.decimal128(3, 0)),
    "mappings": pa.array([{"a": 1}]),
    "lists of lists": pa.array([[[1]]]),
    "lists of mappings": pa.array([[{"a": 1}]]),
    "dictionaries": pa.array(["a"]).dictionary_encode(),
    "unions of intervals": pa.array([0], pa.duration("s")),
    "pickles": pa.array([pickle.dumps(Code())]),
}


@pytest.mark.parametrize("column", TYPES.values(), ids=TYPES.keys())
def test_columns_of_other_types(path: Path, column: pa.Array) -> None:
    pq.write_table(pa.table({"unit": column}), path)
    assert "has the type" in refuse(path, lambda: read_table(path))


class Extension(pa.ExtensionType):
    """A type whose reader would run code of the one who registered it."""

    def __init__(self) -> None:
        super().__init__(pa.int32(), "evil")

    def __arrow_ext_serialize__(self) -> bytes:
        return pickle.dumps(Code())

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> pa.DataType:
        return cls()


def test_extension_types_are_not_deserialised(path: Path, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    column = pa.ExtensionArray.from_storage(Extension(), pa.array([1], pa.int32()))
    pq.write_table(pa.table({"unit": column}), path)
    refuse(path, lambda: read_table(path))
    legacy = pa.field(
        "unit", pa.int32(),
        metadata={"ARROW:extension:name": "arrow.py_extension_type",
                  "ARROW:extension:metadata": pickle.dumps(Code())},
    )  # fmt: skip
    table = pa.table([pa.array([1], pa.int32())], schema=pa.schema([legacy]))
    pq.write_table(table, path)
    refuse(path, lambda: read_table(path))


PANDAS = {
    "not JSON": b"[" * 100_000,
    "another shape": b"[]",
    "an index": b'{"index_columns": ["unit"], "column_indexes": [], "columns": []}',
    "a range as index": b'{"index_columns": [{"kind": "range", "name": null, "start": 0, '
    b'"stop": 1000000000000, "step": 1}], "column_indexes": [], "columns": []}',
    "invalid UTF-8": b"\xff",
}


@pytest.mark.parametrize("metadata", PANDAS.values(), ids=PANDAS.keys())
def test_metadata_of_pandas_is_data(path: Path, metadata: bytes) -> None:
    table = pa.table({"unit": pa.array([0, 1], pa.int32())})
    seal_table(path, table.replace_schema_metadata({b"pandas": metadata}))
    try:
        found = read_table(path)
    except RosettaError as error:
        assert str(error).isprintable()
    else:
        assert len(found) == 2


def test_many_rows_in_few_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rosetta_core.io.tables.MAX_FREE_BYTES", 2**20)
    rows = 2**24
    column = pa.repeat(pa.scalar(0, pa.int64()), rows)
    pq.write_table(pa.table({"unit": column}), path, row_group_size=rows, compression="zstd")
    assert "declare" in refuse(path, lambda: read_table(path))


def test_two_columns_of_one_name(path: Path) -> None:
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["unit", "unit"]), path)
    assert "same name" in refuse(path, lambda: read_table(path))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"[" * 10**5])
def test_content_that_is_not_parquet(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refuse(path, lambda: read_table(path))


def test_links_pipes_and_folders_in_the_place_of_tables(path: Path) -> None:
    aside = path.with_name("aside")
    path.rename(aside)
    for make in (
        lambda: path.symlink_to(aside),
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to("nowhere"),
        lambda: os.mkfifo(path),
        path.mkdir,
    ):
        make()
        assert "not a regular file" in refuse(path, lambda: read_table(path))
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_names_in_messages_are_escaped(path: Path) -> None:
    seal_table(path.with_name("x\x1b[31m.parquet"), pa.table({"unit": [1]}))
    shutil.copy(path.with_name("x\x1b[31m.parquet"), path)
    assert "another name" in refuse(path, lambda: read_table(path))


def test_every_flipped_bit_keeps_the_values_or_is_noticed(path: Path) -> None:
    """Bits that change no value are covered by the SHA-256 of the file in the provenance."""
    sound, content = read_table(path), path.read_bytes()
    for place in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        try:
            found = read_table(path)
        except RosettaError as error:
            assert len(str(error).splitlines()) == 1
        else:
            pd.testing.assert_frame_equal(found, sound)


def test_plain_parquet_is_read(path: Path) -> None:
    assert read_parquet(path).num_rows == 4


def save_header(path: Path, shape: tuple[int, ...]) -> None:
    """Save an array that declares a shape and has no values."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("latents.npy", "w") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)


ARRAYS = {
    "objects": lambda path: np.savez(path, latents=np.array([Code()], dtype=object)),
    "texts": lambda path: np.savez(path, latents=np.array(["a"])),
    "structures": lambda path: np.savez(path, latents=np.zeros(1, "i4,f4")),
    "dates": lambda path: np.savez(path, latents=np.zeros(1, "M8[s]")),
    "a bomb": lambda path: np.savez_compressed(path, latents=np.zeros(2**24, np.uint8)),
    "a huge shape": lambda path: save_header(path, (2**50,)),
    "not an archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(50)),
    "a single array": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '|O'}"),
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS.keys())
def test_arrays_of_jobs_are_numbers_within_limits(tmp_path: Path, monkeypatch, make) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rosetta_core.steering.result_reader.MAX_FREE_BYTES", 2**20)
    path = tmp_path / "latents.npz"
    make(path)
    refuse(path, lambda: read_arrays(path))


DESCRIPTION = '{"name": "a", "kind": "show", "about": "", "settings": {}, "summary": [], '
DESCRIPTIONS = {
    "lists": "[" * 100_000,
    "another shape": "[]",
    "unknown kind": '{"kind": "../../x"}',
    "a summary of numbers": '{"name": "a", "kind": "show", "about": "", "settings": {}, '
    '"summary": [1], "concept": 0, "methods": []}',
    "settings of text": '{"name": "a", "kind": "show", "about": "", "settings": "x", '
    '"summary": [], "concept": 0, "methods": []}',
    "a huge concept": DESCRIPTION + '"concept": 1e99, "methods": []}',
    "a negative concept": DESCRIPTION + '"concept": -1, "methods": []}',
    "methods of a number": DESCRIPTION + '"concept": 0, "methods": 1}',
    "NaN": DESCRIPTION + '"concept": NaN, "methods": []}',
}


@pytest.mark.parametrize("text", DESCRIPTIONS.values(), ids=DESCRIPTIONS.keys())
def test_descriptions_of_jobs_of_another_shape(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.json").write_text(text)
    refuse(tmp_path / "job.json", lambda: read_description(tmp_path))
