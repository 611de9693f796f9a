"""Export of a run's tables as CSV, JSON or Parquet, for other programs."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path, check_replaceable
from rosetta_core.mining.named_tables import (
    best_buddies_table,
    concepts_table,
    layers_table,
    neighbours_table,
    rosetta_table,
    units_table,
    vargha_delaney_table,
)
from rosetta_core.mining.run_tables import RunTables

__all__ = ["FORMATS", "Format", "export_tables"]

Format = Literal["csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)

TABLES: dict[str, Callable[[RunTables], pd.DataFrame]] = {
    "units": units_table,
    "neighbours": neighbours_table,
    "best_buddies": best_buddies_table,
    "rosetta": rosetta_table,
    "concepts": concepts_table,
    "layers": layers_table,
    "vargha_delaney": vargha_delaney_table,
}


def export_tables(tables: RunTables, folder: Path, *, format: Format = "csv") -> Path:
    """Write all tables of a run into a folder, atomically; return the folder.

    Args:
        tables: tables of the run.
        folder: folder to write; an earlier export there is replaced.
        format: CSV in UTF-8 with lists joined by `;`, JSON as a list of records, or Parquet.

    Raises:
        RosettaError: the format is unknown, the folder holds anything but an earlier export, or
            it cannot be written.
    """
    if format not in FORMATS:
        raise RosettaError(f"{format!r} is not an export format; use {', '.join(FORMATS)}")
    target = folder.resolve()  # the target of a link
    check_replaceable(target, _is_export, what="export of a run", verb="export")
    try:
        with atomic_path(target) as temporary:
            temporary.mkdir()
            for name, table_of in TABLES.items():
                _write(table_of(tables), temporary / f"{name}.{format}")
    except OSError as error:
        raise RosettaError(
            f"{folder}: cannot be written ({error.strerror or error}); choose a folder with --to"
        ) from error
    return folder


def _is_export(names: set[str]) -> bool:
    return any(names == {f"{name}.{format}" for name in TABLES} for format in FORMATS)


def _write(table: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        lists = {
            name: [";".join(map(str, value)) for value in table[name]]
            for name in table.columns.intersection(["pivot_ids", "pivot_units"])
        }
        table.assign(**lists).to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
    else:
        columns = [[_plain(value) for value in table[name].to_numpy()] for name in table.columns]
        records = (dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True))
        lines = (json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
        path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Return a cell as a JSON value; float32 in the fewest digits that identify it."""
    if value is pd.NA:
        return None
    if isinstance(value, np.float32):
        value = float(str(value))
    elif isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
