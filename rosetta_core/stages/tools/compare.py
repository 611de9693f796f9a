"""Comparison of two finished runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.provenance.record import read_provenance

if TYPE_CHECKING:
    from rosetta_core.runs.finished.comparison import Comparison, RunContents

__all__ = ["compare_runs", "describe_concepts"]

MAX_LINES = 20  # of concepts that changed


def compare_runs(first: Path, second: Path) -> "Comparison":
    """Compare the finished runs in two folders; RosettaError if one is not a finished run."""
    from rosetta_core.runs.finished.comparison import compare

    return compare(_read(first), _read(second))


def describe_concepts(first: Path, second: Path) -> list[str]:
    """Return lines that say what became of the concepts of a run in another of its pivot.

    The first line counts the concepts that were kept, split, merged, are gone or new; the others
    list those that were not kept. Runs of different pivots have a single line with the reason.
    """
    from rosetta_core.errors import RosettaError
    from rosetta_core.mining.matching.concept_map import STATUSES, map_concepts
    from rosetta_core.runs.finished.location import run_config
    from rosetta_core.runs.finished.run_tables import read_run_tables

    try:
        table = map_concepts(*(read_run_tables(run_config(path)) for path in (first, second)))
    except RosettaError as error:
        return [f"concepts: cannot be mapped ({error})"]
    counts = table["status"].value_counts()
    lines = [
        "concepts by status: "
        + ", ".join(f"{counts.get(status, 0)} {status}" for status in STATUSES)
    ]
    changed = table[table["status"] != "kept"]
    for row in changed.head(MAX_LINES).itertuples():
        sides = {"gone": row.old_id, "new": row.new_id}
        pair = sides.get(row.status, f"{row.old_id} → {row.new_id}")
        shared = f" ({row.n_shared} shared)" if row.status not in sides else ""
        lines.append(f"concept {row.status}: {pair}{shared}")
    if len(changed) > MAX_LINES:
        lines.append(f"… and {len(changed) - MAX_LINES} more; open_run(…).map_concepts(…) has all")
    return lines


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
