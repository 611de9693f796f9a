"""The record of a stage: one description, from which the rest is derived.

The command, the rerun trigger, the plan, the costs, the artifacts to verify and the resources of a
cluster job all come from it. A job is a mapping of the arguments that `run` takes beside the
configuration, for example `{"model": "dcgan", "shard": "00000"}`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rosetta_core.config import Config

if TYPE_CHECKING:
    from pathlib import Path

    from rosetta_core.runs.paths import RunPaths
    from rosetta_core.runs.plan import Cost, RunShapes
    from rosetta_core.zoo.model_spec import ModelSpec

__all__ = ["Job", "Stage", "job_name", "once", "per_model"]

Job = Mapping[str, Any]


def once(config: Config) -> list[Job]:
    """Return the one job of a stage that runs once."""
    return [{}]


def per_model(config: Config) -> list[Job]:
    """Return one job per model, the pivot first."""
    return [{"model": model.name} for model in config.models]


def _nothing(*_: object, **__: object) -> list[Any]:
    return []


@dataclass(frozen=True)
class Stage:
    """One stage of the workflow.

    Attributes:
        name: name of the stage, its rule, logs and benchmarks; the command has dashes instead of
            underscores.
        summary: what the command does, for its help.
        run: function of the configuration and of a job's arguments.
        jobs: jobs of a configuration, in order; empty where the stage is left out.
        settings: part of the configuration that a job reads; the job reruns when it changes.
        writes: files and stores that a job writes, as its rule lists them.
        output_jobs: jobs that together write the same as `jobs`, for stages whose jobs depend on a
            network; a run by others is verified without building its networks. None: `jobs`.
        cost: estimate for all jobs; None: not planned, since it takes seconds.
        models: models whose networks a job runs, so that their code is part of its fingerprint.
        modules: modules that a job imports by name, which reading its imports does not find.
        single_core: whether a job uses one core, whatever number of threads it is given.
        default: whether a run includes the stage; False: only when it is asked for.
        measured: whether costs list its jobs.
        verified: whether its outputs carry checksums that `rosetta verify` reads.
    """

    name: str
    summary: str
    run: Callable[..., object]
    jobs: Callable[[Config], Sequence[Job]]
    settings: Callable[..., Any] = _nothing
    writes: "Callable[[RunPaths, Job], list[Path]]" = _nothing
    output_jobs: Callable[[Config], Sequence[Job]] | None = None
    cost: "Callable[[RunShapes], Cost] | None" = None
    models: "Callable[..., Sequence[ModelSpec]]" = _nothing
    modules: Callable[..., Sequence[str]] = _nothing
    single_core: bool = False
    default: bool = True
    measured: bool = True
    verified: bool = True

    @property
    def command(self) -> str:
        """Name of the stage's command."""
        return self.name.replace("_", "-")

    @property
    def module(self) -> str:
        """Dotted name of the module that defines the stage."""
        return self.run.__module__


def job_name(job: Job) -> list[str]:
    """Return the parts of a job's name in logs and benchmarks: its arguments, in order."""
    parts: list[str] = []
    for value in job.values():
        if isinstance(value, str):
            parts.append(value)
        elif isinstance(value, int):
            parts.append(f"{value:04d}")
        elif value is not None:
            parts.extend(value)
    return parts
