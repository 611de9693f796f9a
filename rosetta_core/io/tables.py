"""Parquet tables with their name and a checksum of their content in the metadata.

The checksum covers column names, types and values, not the layout of the file, which depends on the
version of Arrow. A table is read only if both match.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.io.file_index import qualified_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


__all__ = ["read_table", "write_table"]

CHECKSUM_KEY, NAME_KEY = b"rosetta:sha256", b"rosetta:table"  # in the metadata, next to pandas' own


def read_table(path: Path) -> "pd.DataFrame":
    """Read a table that `write_table` wrote.

    Raises:
        RosettaError: the table is missing, damaged, or another table under this name.
    """
    import pyarrow.parquet as pq

    if not path.is_file():
        raise RosettaError(f"{path}: no readable table; run the stage that writes it")
    cure = "delete it and run again"
    try:
        table = pq.read_table(path, partitioning=None)
        metadata = table.schema.metadata or {}
        valid = metadata.get(CHECKSUM_KEY) == _checksum(table)
    except Exception as error:  # a flipped bit can raise anything
        reason = (str(error).splitlines() or [""])[0]
        raise RosettaError(
            f"{path}: is damaged ({type(error).__name__}: {reason}); {cure}"
        ) from error
    if not valid:
        raise RosettaError(f"{path}: is damaged; {cure}")
    name = metadata[NAME_KEY].decode()
    if name != qualified_name(path):
        raise RosettaError(f"{path}: is {name} under another name; {cure}")
    return table.to_pandas()


def write_table(table: "pd.DataFrame", path: Path) -> Path:
    """Write a table atomically, without its index; return its path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(content.schema.metadata or {}), NAME_KEY: qualified_name(path).encode()}
    content = content.replace_schema_metadata(metadata)
    content = content.replace_schema_metadata({**metadata, CHECKSUM_KEY: _checksum(content)})
    with atomic_path(path) as temporary:
        pq.write_table(content, temporary)
    return path


def _checksum(table: "pa.Table") -> bytes:
    """Return the SHA-256 of a table's name, pandas metadata, column names, types and values."""
    metadata = table.schema.metadata or {}
    digest = sha256(b"%d" % table.num_rows)
    for key in (NAME_KEY, b"pandas"):
        digest.update(b" %b" % metadata.get(key, b""))
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(repr(name).encode())
        for part in _column_bytes(column.combine_chunks()):
            digest.update(b"%d " % len(part))
            digest.update(part)
    return digest.hexdigest().encode()


def _column_bytes(values: "pa.Array | pa.ChunkedArray") -> "Iterator[bytes]":
    """Yield the type, the validity and the values of a column as bytes; lists are flattened."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(values, pa.ChunkedArray):  # combine_chunks keeps no chunks, or too many, as such
        values = pa.concat_arrays(values.chunks) if values.chunks else pa.array([], values.type)
    kind = values.type
    yield str(values.null_count).encode()
    if pa.types.is_null(kind):
        return
    yield np.asarray(values.is_valid()).tobytes()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield b"list"
        yield _integer_bytes(pc.list_value_length(values))
        yield from _column_bytes(values.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield b"text"
        texts = values.fill_null("")
        yield _integer_bytes(pc.binary_length(texts))
        yield "".join(texts.to_pylist()).encode()
    else:
        zero = pa.scalar(0).cast(kind)
        yield str(kind).encode()
        yield np.ascontiguousarray(values.fill_null(zero).to_numpy(zero_copy_only=False)).tobytes()


def _integer_bytes(values: "pa.Array") -> bytes:
    """Return integers as little-endian int64, with 0 for null."""
    import numpy as np

    return np.asarray(values.fill_null(0)).astype("<i8").tobytes()
