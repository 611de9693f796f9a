"""All stages, in the order in which they run."""

from collections.abc import Iterator
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages import (
    activations,
    concept_examples,
    concepts,
    correlations,
    costs,
    dictionary,
    join,
    layers,
    neighbours,
    null_models,
    pair_statistics,
    provenance,
    sample,
    significance,
    steer,
    steering_pages,
    sweep,
    sweep_curves,
    unit_examples,
    units,
)
from rosetta_core.stages.stage import Job, Stage, job_name

__all__ = ["STAGES", "benchmarks", "jobs_of", "verified_outputs"]

_ORDER = (
    *(sample, activations, units, correlations, join, neighbours, concepts),
    *(null_models, pair_statistics, significance, sweep, sweep_curves),
    *(unit_examples, concept_examples, layers, steer, steering_pages, dictionary),
    *(costs, provenance),
)
STAGES: dict[str, Stage] = {module.STAGE.name: module.STAGE for module in _ORDER}


def jobs_of(config: Config) -> Iterator[tuple[Stage, Job]]:
    """Yield the stages and jobs of a run, in an order in which they can run one by one."""
    for stage in STAGES.values():
        if stage.default:
            for job in stage.jobs(config):
                yield stage, job


def verified_outputs(config: Config) -> list[Path]:
    """Return the outputs of a run that carry checksums, in the order of the stages.

    No network is built, since the run may come from others.
    """
    paths = RunPaths(config)
    return [
        path
        for stage in STAGES.values()
        if stage.default and stage.verified
        for job in (stage.output_jobs or stage.jobs)(config)
        for path in stage.writes(paths, job)
    ]


def benchmarks(config: Config) -> list[Path]:
    """Return the benchmark files of all measured jobs of a run.

    Fetched weights are left out: runs share them.
    """
    paths = RunPaths(config)
    return [
        paths.benchmark(stage.name, *job_name(job))
        for stage, job in jobs_of(config)
        if stage.measured
    ]
