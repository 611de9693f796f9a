"""The summary that Snakemake prints at the end of a run."""

import time

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.summary import bytes_below, read_job, summary
from rosetta_core.stages.registry import benchmarks

__all__ = ["run_summary"]

NOT_RESULTS = ("logs", "benchmarks")


def run_summary(config: Config, *, began: float) -> str:
    """Return what a run has cost since `began` (seconds since 1970), and the pages to open."""
    paths = RunPaths(config)
    jobs = [read_job(path) for path in benchmarks(config)]
    folders = {
        path.name: bytes_below(path)
        for path in sorted(paths.run.iterdir())
        if path.is_dir() and path.name not in NOT_RESULTS
    }
    lines = summary(
        config.run,
        [job for job in jobs if job],
        began=began,
        ended=time.time(),
        folders=folders,
    )
    return "\n".join([*lines, *(f"  open {page}" for page in paths.pages)])
