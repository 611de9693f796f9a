"""Comparison of two finished runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.provenance.record import read_provenance

if TYPE_CHECKING:
    from rosetta_core.runs.finished.comparison import Comparison, RunContents

__all__ = ["compare_runs"]


def compare_runs(first: Path, second: Path) -> "Comparison":
    """Compare the finished runs in two folders; RosettaError if one is not a finished run."""
    from rosetta_core.runs.finished.comparison import compare

    return compare(_read(first), _read(second))


def _read(folder: Path) -> "RunContents":
    """Read what is compared of a finished run."""
    from rosetta_core.runs.finished.comparison import RunContents
    from rosetta_core.runs.finished.location import run_config

    config = run_config(folder)
    paths = RunPaths(config)
    names = [model.name for model in config.models]
    return RunContents(
        config=config.model_dump(mode="json"),
        provenance=read_provenance(paths.provenance),
        units={name: read_table(paths.units(name)) for name in names},
        neighbours={name: read_table(paths.neighbours(name)) for name in names},
        buddies={name: read_table(paths.best_buddies(name)) for name in names},
        rosetta=read_table(paths.rosetta),
    )
