"""Execution of a steering job: its inputs, its checkpoint, and one thread of torch.

The module of its kind is imported when it runs: torch takes seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from rosetta_core.config import Config
from rosetta_core.config.edits import Edit
from rosetta_core.config.steering import (
    ActivationMaximisation,
    Evaluation,
    Inversion,
    Job,
    PivotalTuning,
)
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.steer import RUNNERS, STAGE, models_of
from rosetta_core.stages.triggers import trigger

if TYPE_CHECKING:
    from rosetta_core.steering.optimise.gradient_descent import Checkpoint

__all__ = ["limited_threads", "needed", "steer"]

# with more threads sums are added in another order, and every step of the optimisation magnifies
# the difference: results would depend on the machine
THREADS = 1


def needed(config: Config, name: str) -> list[Path]:
    """Return the files and folders that a job reads; RosettaError if there is no such job."""
    paths, job = RunPaths(config), config.steering.job(name)
    models = models_of(config, job)
    inputs = [paths.rosetta]
    inputs += [path for model in models if (path := paths.watched_weights(model))]
    inputs += [paths.units(model.name) for model in models]
    files: list[str | None] = []
    match job:
        case Inversion() | Evaluation():
            inputs += [paths.best_buddies(model.name) for model in models[1:]]
            files += [target.file for target in job.targets]
        case ActivationMaximisation():
            inputs += [paths.concepts] if job.concept is not None else []
        case Edit():
            inputs += [paths.concepts] if job.concept is not None else []
            files += [job.mask, job.function_file]
        case PivotalTuning():
            pass
        case _:
            assert_never(job)
    if isinstance(job, Edit | PivotalTuning) and job.source_job:
        inputs.append(paths.job(config.steering.job(job.source_job)))
    return list(dict.fromkeys([*inputs, *(Path(file) for file in files if file)]))


def steer(config: Config, *, job: str) -> Path:
    """Run one job of the configuration; return its folder."""
    configured = config.steering.job(job)
    folder = RunPaths(config).job(configured)
    checkpoint = _checkpoint(config, configured, folder)
    try:
        with atomic_path(folder) as temporary, limited_threads():
            temporary.mkdir()
            runner = import_module(RUNNERS[type(configured)])
            runner.run(config, configured, temporary, checkpoint)
    except RosettaError:
        checkpoint.remove()  # resuming would fail in the same way
        raise
    checkpoint.remove()
    return folder


@contextmanager
def limited_threads() -> Iterator[None]:
    """Let torch use `THREADS` threads within the context."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _checkpoint(config: Config, job: Job, folder: Path) -> "Checkpoint":
    """Return a checkpoint next to the folder, valid for the same settings, code and inputs."""
    from rosetta_core.steering.optimise.gradient_descent import Checkpoint

    key = trigger(STAGE, config, job=job.name)
    inputs = [str(path.stat().st_mtime_ns) for path in needed(config, job.name) if path.exists()]
    return Checkpoint(folder.with_name(f".{job.name}.checkpoint"), key=" ".join([key, *inputs]))
