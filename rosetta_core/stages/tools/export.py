"""Export of a run's tables for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    from rosetta_core.runs.finished.export import Format

__all__ = ["export_run"]


def export_run(config: Config, *, format: "Format" = "csv", to: Path | None = None) -> Path:
    """Write the tables of a run as plain files; return their folder.

    Args:
        config: configuration of the run.
        format: csv, json or parquet.
        to: output folder, whose earlier export is replaced; None: {results}/{run}/export.
    """
    from rosetta_core.runs.finished.export import export_tables
    from rosetta_core.runs.finished.run_tables import read_run_tables

    folder = to or RunPaths(config).run / "export"
    return export_tables(read_run_tables(config), folder, format=format)
