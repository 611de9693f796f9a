"""Tables on disk: Parquet, with their name and a checksum of what they say among their metadata.

read_table     RosettaError if it isn't there, is another's, or says another thing than once
write_table    whole or not at all
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.io.file_index import name_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


__all__ = ["read_table", "write_table"]

CHECKSUM, NAME = b"rosetta:sha256", b"rosetta:table"  # in metadata, beside those of pandas


def read_table(path: Path) -> "pd.DataFrame":
    """Read a table of a run; RosettaError if there is none, or if it is damaged."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise RosettaError(f"{path}: no readable table; run the stage that writes it")
    try:
        table = pq.read_table(path, partitioning=None)
        metadata = table.schema.metadata or {}
        sound = metadata.get(CHECKSUM) == _checksum(table)
    except Exception as error:  # whatever a flipped bit makes of a file
        why = (str(error).splitlines() or [""])[0]
        raise RosettaError(
            f"{path}: is damaged ({type(error).__name__}: {why}); delete it and run again"
        ) from error
    if not sound:
        raise RosettaError(f"{path}: is damaged; delete it and run again")
    name = metadata[NAME].decode()
    if name != name_of(path):
        raise RosettaError(f"{path}: is {name} under another name; delete it and run again")
    return table.to_pandas()


def write_table(table: "pd.DataFrame", path: Path) -> Path:
    """Write a table, whole or not at all; return its path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(content.schema.metadata or {}), NAME: name_of(path).encode()}
    content = content.replace_schema_metadata(metadata)
    content = content.replace_schema_metadata({**metadata, CHECKSUM: _checksum(content)})
    with atomic_path(path) as temporary:
        pq.write_table(content, temporary)
    return path


def _checksum(table: "pa.Table") -> bytes:
    """The SHA-256 of what a table says: its name, columns' names, types, values, and pandas' part.

    It is of values, not of a layout in memory or in a file: those depend on the library's version.
    """
    metadata = table.schema.metadata or {}
    found = sha256(b"%d" % table.num_rows)
    for key in (NAME, b"pandas"):
        found.update(b" %b" % metadata.get(key, b""))
    for name, column in zip(table.column_names, table.columns, strict=True):
        found.update(repr(name).encode())
        for part in _parts(column.combine_chunks()):
            found.update(b"%d " % len(part))
            found.update(part)
    return found.hexdigest().encode()


def _parts(values: "pa.Array | pa.ChunkedArray") -> "Iterator[bytes]":
    """A column's type, then where it has values, and the values, as bytes; of lists in turn."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(values, pa.ChunkedArray):  # combine_chunks of no chunks, or of too many
        values = pa.concat_arrays(values.chunks) if values.chunks else pa.array([], values.type)
    kind = values.type
    yield str(values.null_count).encode()
    if pa.types.is_null(kind):
        return
    yield np.asarray(values.is_valid()).tobytes()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield b"list"
        yield _numbers(pc.list_value_length(values), "<i8")
        yield from _parts(values.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield b"text"
        texts = values.fill_null("")
        yield _numbers(pc.binary_length(texts), "<i8")
        yield "".join(texts.to_pylist()).encode()
    else:
        zero = pa.scalar(0).cast(kind)
        yield str(kind).encode()
        yield np.ascontiguousarray(values.fill_null(zero).to_numpy(zero_copy_only=False)).tobytes()


def _numbers(values: "pa.Array", kind: str) -> bytes:
    import numpy as np

    return np.asarray(values.fill_null(0)).astype(kind).tobytes()
