"""Parquet tables with their name and a checksum of their content in the metadata.

The checksum covers column names, types and values, not the layout of the file, which depends on the
version of Arrow. A table is read only if both match. Bits that change no value, as of statistics,
are covered by the SHA-256 of the file in the provenance of the run.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.atomic import atomic_path
from rosetta_core.io.file_index import qualified_name
from rosetta_core.io.regular_files import open_regular

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


__all__ = ["read_parquet", "read_table", "read_weights_digest", "write_table"]

MAX_RATIO = 1000  # of sizes of values and file
MAX_FREE_BYTES = 2**30  # of values that a file may declare in any case

CHECKSUM_KEY, NAME_KEY = b"rosetta:sha256", b"rosetta:table"  # in the metadata, next to pandas' own
WEIGHTS_KEY = b"rosetta:weights"


def read_table(path: Path) -> "pd.DataFrame":
    """Read a table that `write_table` wrote.

    Raises:
        RosettaError: the table is missing, damaged, or another table under this name.
    """
    if not os.path.lexists(path):
        raise RosettaError(f"{path}: no readable table; run the stage that writes it")
    cure = "delete it and run again"
    try:
        table = read_parquet(path)
        metadata = table.schema.metadata or {}
        valid = metadata.get(CHECKSUM_KEY) == _checksum(table)
        name = metadata.get(NAME_KEY, b"").decode()
        frame = table.to_pandas()
    except Exception as error:  # a flipped bit can raise anything
        reason = (
            isinstance(error, OSError) and error.strerror
        ) or f"{type(error).__name__}: {error}"
        raise RosettaError(f"{path}: is damaged ({one_line(reason)}); {cure}") from error
    if not valid:
        raise RosettaError(f"{path}: is damaged; {cure}")
    if name != qualified_name(path):
        raise RosettaError(f"{path}: is {name!r} under another name; {cure}")
    return frame


def read_parquet(path: Path) -> "pa.Table":
    """Read a regular file of Parquet whose columns are numbers, texts, booleans or lists of them.

    Raises:
        OSError: the file is missing, cannot be read, or is not a regular file.
        ValueError: it is not Parquet, or declares other types or more values than it can have.
    """
    import pyarrow.parquet as pq

    with open_regular(path) as raw, pq.ParquetFile(raw) as file:
        size, rows = os.fstat(raw.fileno()).st_size, file.metadata.num_rows
        schema = file.schema_arrow
        if 8 * rows * max(len(schema.names), 1) > MAX_FREE_BYTES + MAX_RATIO * size:
            raise ValueError(f"{size:,} bytes declare {rows:,} rows")
        groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
        if sum(group.total_byte_size for group in groups) > MAX_FREE_BYTES + MAX_RATIO * size:
            raise ValueError(f"{size:,} bytes declare more bytes of values")
        if len(set(schema.names)) < len(schema.names):
            raise ValueError("two columns have the same name")
        for field in schema:
            if not _is_plain(field.type):
                raise ValueError(f"column {field.name!r} has the type {str(field.type)[:40]}")
        return file.read()


def _is_plain(kind: "pa.DataType") -> bool:
    """Return whether a type is one of numbers, texts, booleans or lists of them."""
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        return _is_plain(kind.value_type) and not types.is_nested(kind.value_type)
    text = types.is_string(kind) or types.is_large_string(kind)
    number = types.is_integer(kind) or types.is_floating(kind)
    return bool(text or number or types.is_boolean(kind) or types.is_null(kind))


def read_weights_digest(path: Path) -> str | None:
    """Return the SHA-256 of the weights that a table is from; None if it states none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(path) as file:
            metadata = pq.read_schema(file).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    return metadata.get(WEIGHTS_KEY, b"").decode("ascii", "replace") or None


def write_table(table: "pd.DataFrame", path: Path, *, weights: str | None = None) -> Path:
    """Write a table atomically, without its index; return its path.

    Args:
        table: the table.
        path: file to write.
        weights: SHA-256 of the weights that the table is from.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(content.schema.metadata or {}), NAME_KEY: qualified_name(path).encode()}
    if weights:
        metadata[WEIGHTS_KEY] = weights.encode()
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
    if WEIGHTS_KEY in metadata:
        digest.update(b" %b" % metadata[WEIGHTS_KEY])
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
