"""Comparison of two finished runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    from rosetta_core.runs.comparison import Comparison, RunContents

__all__ = ["compare_runs"]


def compare_runs(first: Path, second: Path) -> "Comparison":
    """Compare the finished runs in two folders; RosettaError if one is not a finished run."""
    from rosetta_core.runs.comparison import compare

    return compare(_read(first), _read(second))


def _read(folder: Path) -> "RunContents":
    from rosetta_core.runs.comparison import RunContents
    from rosetta_core.runs.run import run_config

    config = run_config(folder)
    paths = RunPaths(config)
    names = [model.name for model in config.models]
    written = paths.provenance
    try:
        made = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
    except (OSError, ValueError) as error:
        raise RosettaError(f"{written}: can't be read; delete it and run again") from error
    return RunContents(
        config=config.model_dump(mode="json"),
        provenance=made,
        units={name: read_table(paths.units(name)) for name in names},
        neighbours={name: read_table(paths.neighbours(name)) for name in names},
        buddies={name: read_table(paths.best_buddies(name)) for name in names},
        rosetta=read_table(paths.rosetta),
    )
