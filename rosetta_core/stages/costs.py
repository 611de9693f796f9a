"""The stage that collects the cost of all jobs into one table."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage, once

__all__ = ["STAGE", "run"]


def run(config: Config) -> Path:
    """Write the cost of each job of a run; return the table."""
    from rosetta_core.runs.costs import cost_table
    from rosetta_core.stages.registry import benchmarks

    paths = RunPaths(config)
    table = cost_table(benchmarks(config))
    with atomic_path(paths.costs) as temporary:
        table.to_csv(temporary, index=False)
    return paths.costs


STAGE = Stage(
    "costs",
    "collect the cost of all jobs",
    run,
    jobs=once,
    writes=lambda paths, job: [paths.costs],
    modules=lambda config: ["rosetta_core.zoo.model_info"],  # which jobs there are
    measured=False,
    verified=False,
)
