"""Summary of a run, which Snakemake prints when all jobs have ended."""

import time
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.runs.costs import read_benchmark, summary_lines
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.registry import benchmarks

__all__ = ["run_summary"]

NOT_RESULTS = ("logs", "benchmarks")


def run_summary(config: Config, *, started: float) -> str:
    """Return the summary of a run: jobs, time, memory and disk use, and the pages to open.

    Args:
        config: configuration of the run.
        started: time at which Snakemake started, in seconds since 1970.
    """
    paths = RunPaths(config)
    costs = [read_benchmark(path) for path in benchmarks(config)]
    folder_bytes = {
        path.name: _folder_bytes(path)
        for path in sorted(paths.run.iterdir())
        if path.is_dir() and path.name not in NOT_RESULTS
    }
    lines = summary_lines(
        config.run,
        [cost for cost in costs if cost],
        started=started,
        ended=time.time(),
        folder_bytes=folder_bytes,
    )
    return "\n".join([*lines, *(f"  open {page}" for page in paths.pages)])


def _folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder and its subfolders, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
