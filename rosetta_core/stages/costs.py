"""The stage that gathers what the others took.

measured    which jobs of the workflow are measured
summary     what a run came to, for the end of it
costs       what they took, as one table

Imports stand inside the functions: pandas takes seconds.
"""

import time
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.mining import passes

__all__ = ["costs", "measured", "summary"]


def measured(config: Config) -> list[tuple[str, ...]]:
    """Return of every job the stage and the parts that name it, as `RunPaths.benchmark` takes them.

    Fetched weights are left out: runs share them.
    """
    models, blocks = [model.name for model in config.models], config.correlation.blocks
    jobs: list[tuple[str, ...]] = [("sample", shard) for shard in config.shards]
    if config.mining.store == "zarr":
        jobs += [("activations", model, shard) for model in models for shard in config.shards]
        jobs += [("units", model) for model in models]
    names = [(f"{block:04d}",) for block in range(blocks)] if blocks > 1 else [()]
    jobs += [("correlations", *members, *name) for members in passes(config) for name in names]
    if blocks > 1:
        jobs += [("join", model) for model in models]
    jobs += [("neighbours", model) for model in models]
    jobs += [("concepts",)]
    jobs += [("null_models", null, e.name) for null in config.nulls for e in config.encoders]
    jobs += [("pair_statistics",)] if config.intervals else []
    jobs += [("significance",)] if config.has_significance else []
    jobs += [("unit_examples", model) for model in models]
    jobs += [("concept_examples",), ("layers",), ("dictionary",)]
    jobs += [("steer", name) for name in config.steering.jobs]
    return [*jobs, *([("steering_pages",)] if config.steering.jobs else [])]


def costs(config: Config) -> Path:
    """Write what each job of a run took; return the table."""
    from rosetta_core.runs.costs import cost_table

    paths = RunPaths(config)
    table = cost_table(paths.benchmark(*job) for job in measured(config))
    with atomic_path(paths.costs) as temporary:
        table.to_csv(temporary, index=False)
    return paths.costs


def summary(config: Config, *, began: float) -> str:
    """Return what a run came to since `began` (seconds since 1970), and where to look."""
    from rosetta_core.runs.summary import bytes_below, read_job
    from rosetta_core.runs.summary import summary as lines_of

    paths = RunPaths(config)
    found = [read_job(paths.benchmark(*job)) for job in measured(config)]
    folders = {
        path.name: bytes_below(path)
        for path in sorted(paths.run.iterdir())
        if path.is_dir() and path.name not in ("logs", "benchmarks")
    }
    lines = lines_of(
        config.run,
        [job for job in found if job],
        began=began,
        ended=time.time(),
        folders=folders,
    )
    return "\n".join([*lines, *(f"  open {page}" for page in paths.pages)])
