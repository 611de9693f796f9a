"""What made a run, and how it compares with another.

provenance    write it into the run's folder
compare       where two runs differ, and whether it matters

Imports stand inside the functions: pandas takes seconds.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    from rosetta_core.runs.comparison import Comparison, RunContents

__all__ = ["compare", "provenance"]


def provenance(config: Config) -> Path:
    """Write down what made a run: code, libraries, weights, seeds, machine; return the file."""
    from rosetta_core.runs.provenance import provenance as of

    path = RunPaths(config).provenance
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(of(config), indent=1) + "\n", encoding="utf-8")
    return path


def compare(one: Path, other: Path) -> "Comparison":
    """Compare the finished runs in two folders; RosettaError if one is none."""
    from rosetta_core.runs.comparison import compare as compare_found

    return compare_found(_found(one), _found(other))


def _found(folder: Path) -> "RunContents":
    from rosetta_core.io.tables import read_table
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
