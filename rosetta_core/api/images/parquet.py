"""Images in Parquet files: structs {bytes, path} as `datasets` writes them, or binary columns.

Files are read in small batches. Names of classes come from the metadata of `datasets`, if a file
has them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rosetta_core.api.images.hub_datasets import choose_column, label_column
from rosetta_core.api.images.pixels import decode
from rosetta_core.api.images.rows import plain_label
from rosetta_core.api.images.stream import ImageStream, Reading, StreamedImage
from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.strict_json import parse_json

__all__ = ["parquet_stream"]

ROWS = 16  # read at once
MAX_GROUP = 2**31  # bytes of the images in a row group, which Arrow may decode as a whole
METADATA = b"huggingface"  # key of the features of `datasets` in a file


def parquet_stream(files: Sequence[Path], reading: Reading, source: str) -> ImageStream:
    """Return the images of Parquet files.

    Args:
        files: files with the same columns.
        reading: how the images are read.
        source: what the files are, for pages.

    Raises:
        RosettaError: a file is missing or damaged, or its column of images is not clear.
    """
    total, columns = 0, set()
    for file in files:
        with _opened(file) as opened:
            total += opened.metadata.num_rows
            columns.add(_columns(opened.schema_arrow, file, reading.column))
    if len(columns) > 1:
        raise RosettaError(
            f"images: the files of {source} differ in their columns of images or labels; give "
            "files of one data set"
        )
    ((column, label, names),) = columns

    def read() -> Iterator[StreamedImage]:
        for file in files:
            yield from _read(file, column, label, reading)

    return ImageStream(read(), source, total, names)


def _opened(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise RosettaError(f"{file}: is not a readable Parquet file ({reason})") from error


def _columns(
    schema: pa.Schema, file: Path, chosen: str | None
) -> tuple[str, str | None, tuple[str, ...]]:
    """Return the column of images, the column of labels or None, and the names of classes."""
    features = _features(schema, file)
    typed = [name for name, kind in features.items() if kind.get("_type") == "Image"]
    found = [field.name for field in schema if _holds_bytes(field.type)]
    found = [name for name in found if name in typed] or found
    column = choose_column(found, chosen, known=schema.names, where=str(file))
    if not _holds_bytes(schema.field(column).type):
        raise RosettaError(
            f"images: {file}: column {column!r} has the type {str(schema.field(column).type)[:40]}"
            "; choose a column of bytes, or of {bytes, path}"
        )
    classes = [
        name
        for name, kind in features.items()
        if kind.get("_type") == "ClassLabel" and name in schema.names
    ]
    label = label_column(classes, schema.names)
    names = features.get(label or "", {}).get("names", [])
    plain = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return column, label, tuple(names) if plain else ()


def _features(schema: pa.Schema, file: Path) -> dict[str, dict[str, Any]]:
    """Return the features that `datasets` wrote into the metadata, by column; or nothing."""
    content = (schema.metadata or {}).get(METADATA)
    if content is None:
        return {}
    try:
        features = parse_json(content)["info"]["features"]
        return {name: kind for name, kind in features.items() if isinstance(kind, dict)}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RosettaError(
            f"{file}: the metadata of datasets cannot be read ({one_line(error)}); write the file "
            "again"
        ) from None


def _holds_bytes(kind: pa.DataType) -> bool:
    """Return whether values of a type are bytes, or structs with bytes as `datasets` has them."""
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_bytes(kind.field(index).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _read(file: Path, column: str, label: str | None, reading: Reading) -> Iterator[StreamedImage]:
    number = 0
    with _opened(file) as opened:
        groups = [opened.metadata.row_group(n) for n in range(opened.metadata.num_row_groups)]
        if (largest := max((x.total_byte_size for x in groups), default=0)) > MAX_GROUP:
            raise RosettaError(
                f"{file}: a row group has {largest:,} bytes, more than {MAX_GROUP:,}; write the "
                "file with smaller row groups"
            )
        batches = opened.iter_batches(ROWS, columns=[column, *([label] if label else [])])
        while True:
            try:
                batch = next(batches, None)
            except (OSError, pa.ArrowException) as error:
                raise RosettaError(f"{file}: is damaged ({one_line(error)})") from error
            if batch is None:
                return
            for row in batch.to_pylist():
                where = f"{file}, row {number}"
                content, name = row[column], ""
                if isinstance(content, dict):
                    content, name = content["bytes"], content.get("path") or ""
                if content is None:
                    raise RosettaError(
                        f"{where}: has no bytes of an image"
                        + (f" (only the path {name})" if name else "")
                        + "; write the images into the file"
                    )
                size, bits = reading.encoded_size, reading.bit_depth
                pixels = decode(content, where, size, bit_depth=bits)
                yield StreamedImage(pixels, name, plain_label(row[label]) if label else None)
                number += 1
