"""The stage that runs steering jobs."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosetta_core.config import Config
from rosetta_core.config.edits import Edit
from rosetta_core.config.steering import (
    ActivationMaximisation,
    Evaluation,
    Inversion,
    Job,
    PivotalTuning,
)
from rosetta_core.stages.stage import Stage

if TYPE_CHECKING:
    from rosetta_core.runs.plan import Cost, RunShapes
    from rosetta_core.zoo.model_spec import ModelSpec

__all__ = ["RUNNERS", "STAGE", "models_of", "run"]

BACKWARD = 3  # times as long as a forward pass is one with its gradient
STEERING = "rosetta_core.stages.steering"
EXECUTION = f"{STEERING}.execution"
RUNNERS: dict[type[Job], str] = {  # modules that run the jobs of each kind
    Inversion: f"{STEERING}.inversion",
    ActivationMaximisation: f"{STEERING}.maximisation",
    Edit: f"{STEERING}.editing",
    PivotalTuning: f"{STEERING}.tuning",
    Evaluation: f"{STEERING}.evaluation",
}


def run(config: Config, *, job: str) -> Path:
    """Run a steering job; return its folder."""
    return import_module(EXECUTION).steer(config, job=job)


def models_of(config: Config, job: Job) -> list["ModelSpec"]:
    """Return the models that a steering job runs, the pivot first."""
    every = [encoder.name for encoder in config.encoders]
    guides = {Inversion: every, Evaluation: every}.get(type(job), [])
    if isinstance(job, Inversion) and job.encoders:
        guides = job.encoders
    distances = [] if isinstance(job, ActivationMaximisation) else [config.evaluation_distance]
    if isinstance(job, Inversion | Evaluation | PivotalTuning):
        distances.append(config.loss_distance)
    names = [*guides, *(distance.encoder for distance in distances if distance.encoder)]
    return [config.pivot, *(config.model(name) for name in dict.fromkeys(names))]


def settings(config: Config, *, job: str) -> list[Any]:
    """Return what determines the result of a steering job; its targets are its inputs."""
    return _settings(config, config.steering.job(job))


def _settings(config: Config, job: Job) -> list[Any]:
    networks = [config.network_settings(model.name) for model in models_of(config, job)]
    distances = [
        None
        if isinstance(job, ActivationMaximisation)
        else config.evaluation_distance.model_dump(mode="json")
    ]
    if isinstance(job, Inversion | Evaluation | PivotalTuning):
        distances.append(config.loss_distance.model_dump(mode="json"))
    source = []
    if isinstance(job, PivotalTuning | Edit) and job.source_job:
        source = [_settings(config, config.steering.job(job.source_job))]
    return [job.model_dump(mode="json"), config.sampling.classes, networks, distances, source]


def modules(config: Config, *, job: str) -> Sequence[str]:
    """Return the modules that a steering job imports by name."""
    return [EXECUTION, RUNNERS[type(config.steering.job(job))]]


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of all jobs: every step passes through the generator and back."""
    config, pivot = run.config, run.pivot
    jobs = config.steering.jobs.values()
    steps = [job.steps * job.rows(len(config.encoders)) for job in jobs]
    return run.cost(
        operations=BACKWARD * pivot.flops * sum(steps),
        memory=2 * run.PROCESS
        + run.FLOAT32 * sum(model.parameters for model in run.models.values())
        + run.map_memory,
        seconds=run.START * len(steps)
        + BACKWARD * sum(steps) * run.rates.network(config.pivot.name, pivot),
    )


STAGE = Stage(
    "steer",
    "run one steering job: inversion, activation maximisation, edit, tuning or evaluation",
    run,
    jobs=lambda config: [{"job": name} for name in config.steering.jobs],
    settings=settings,
    writes=lambda paths, job: [paths.steering_job(job["job"])],
    cost=cost,
    single_core=True,
    models=lambda config, *, job: models_of(config, config.steering.job(job)),
    modules=modules,
)
