"""The stages that steer the pivot.

steer             run one job: an inversion, a show, an edit, a tuning, an evaluation
needed            the files and folders that a job reads

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rosetta_core.config import Config
from rosetta_core.config.steering import (
    ActivationMaximisation,
    Edit,
    Evaluation,
    Inversion,
    Job,
    PivotalTuning,
)
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.io.tables import read_table
from rosetta_core.runs.artifacts import finished_job
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.steer import STAGE, models_of
from rosetta_core.stages.steered_networks import Networks, mask_of, target_image
from rosetta_core.stages.triggers import trigger

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rosetta_core.steering.generator import Pivot
    from rosetta_core.steering.jobs.editing import Source
    from rosetta_core.steering.optimise.descent import Checkpoint

__all__ = ["needed", "steer"]

TUNED = "generator.safetensors"  # the weights in the folder of a tuning


def needed(config: Config, name: str) -> list[Path]:
    """Return the files and folders that a job reads; RosettaError if there is no such job."""
    paths, job = RunPaths(config), config.steering.job(name)
    models = models_of(config, job)
    found = [paths.rosetta]
    found += [path for model in models if (path := paths.watched_weights(model))]
    found += [paths.units(model.name) for model in models]
    files: list[str | None] = []
    if isinstance(job, Inversion | Evaluation):
        found += [paths.best_buddies(model.name) for model in models[1:]]
        files += [target.file for target in job.targets]
    if isinstance(job, ActivationMaximisation | Edit) and job.concept is not None:
        found.append(paths.concepts)
    if isinstance(job, Edit | PivotalTuning) and job.source_job:
        found.append(paths.job(config.steering.job(job.source_job)))
    if isinstance(job, Edit):
        files += [job.mask, job.function_file]
    return list(dict.fromkeys([*found, *(Path(file) for file in files if file)]))


def steer(config: Config, *, job: str) -> Path:
    """Run one job of the configuration; return its folder."""
    chosen = config.steering.job(job)
    folder = RunPaths(config).job(chosen)
    checkpoint = _checkpoint(config, chosen, folder)
    try:
        with atomic_path(folder) as temporary, _one_thread():
            temporary.mkdir()
            _run(config, chosen, temporary, checkpoint)
    except RosettaError:
        checkpoint.remove()  # it would lead there again
        raise
    checkpoint.remove()
    return folder


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread: sums in another order would be magnified by every step."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run(config: Config, job: Job, folder: Path, checkpoint: "Checkpoint") -> None:
    if isinstance(job, Inversion):
        _invert(config, job, folder, checkpoint)
    elif isinstance(job, ActivationMaximisation):
        _show(config, job, folder, checkpoint)
    elif isinstance(job, Edit):
        _edit(config, job, folder, checkpoint)
    elif isinstance(job, Evaluation):
        _evaluate(config, job, folder, checkpoint)
    else:
        _tune(config, job, folder, checkpoint)


def _checkpoint(config: Config, job: Job, folder: Path) -> "Checkpoint":
    """Beside the folder, and of use only as long as settings and code are the same."""
    from rosetta_core.steering.optimise.descent import Checkpoint

    key = trigger(STAGE, config, job=job.name)
    inputs = [str(path.stat().st_mtime_ns) for path in needed(config, job.name) if path.exists()]
    return Checkpoint(folder.with_name(f".{job.name}.checkpoint"), key=" ".join([key, *inputs]))


def _invert(config: Config, job: Inversion, folder: Path, checkpoint: "Checkpoint") -> None:
    from rosetta_core.steering.jobs.inversion import invert
    from rosetta_core.steering.result_io.job_folder import write_outcome

    networks = Networks(config)
    names = job.encoders or [encoder.name for encoder in config.encoders]
    outcome = invert(
        networks.pivot,
        job,
        target_image(job.image, networks.pivot, label=job.class_label),
        seen=networks.seen(names, pairs=job.pairs),
        perceptual=networks.distance(config.loss_distance),
        judge=networks.distance(config.evaluation_distance),
        checkpoint=checkpoint,
    )
    write_outcome(folder, job, outcome)


def _show(
    config: Config, job: ActivationMaximisation, folder: Path, checkpoint: "Checkpoint"
) -> None:
    from rosetta_core.steering.jobs.activation_maximisation import show
    from rosetta_core.steering.result_io.job_folder import write_outcome

    networks = Networks(config)
    concept: int | None
    if job.concept is not None:
        units, what = _of_concept(config, job.concept), f"concept {job.concept}"
        concept = job.concept
    else:
        number = networks.pivot.number(job.unit or "")
        units, what = np.array([number]), f"{config.pivot.name}/{job.unit}"
        rosetta = read_table(RunPaths(config).rosetta)
        found = rosetta.loc[rosetta["pivot_unit"] == number, "concept"]
        concept = int(found.iloc[0]) if len(found) else None
    outcome = show(networks.pivot, job, units, what=what, checkpoint=checkpoint)
    write_outcome(folder, job, outcome, concept=concept)


def _edit(config: Config, job: Edit, folder: Path, checkpoint: "Checkpoint") -> None:
    from safetensors.torch import load_file

    from rosetta_core.runtime.user_code import load_function
    from rosetta_core.steering.jobs.edit_targets import Change
    from rosetta_core.steering.jobs.editing import edit
    from rosetta_core.steering.jobs.pivotal_tuning import tuned_pivot
    from rosetta_core.steering.metrics.random_baseline import lowest_activations
    from rosetta_core.steering.optimise.latents import drawn_image
    from rosetta_core.steering.result_io.job_folder import write_outcome

    networks = Networks(config)
    pivot = networks.pivot
    of = config.steering.job(job.source_job) if job.source_job else None
    found = config.steering.job(of.source_job) if isinstance(of, PivotalTuning) else of
    if isinstance(found, Inversion):  # its latent is of its own space and class
        job = job.model_copy(update={"space": found.space, "class_label": found.class_label})
    source = _source(config, job, pivot)
    if isinstance(of, PivotalTuning):
        pivot = tuned_pivot(pivot, load_file(finished_job(config, of.name) / TUNED))
    change = None
    if job.kind in ("remove", "add"):
        height, width = drawn_image(pivot, 0, label=job.class_label).shape[:2]
        if job.concept is not None:
            units, what = _of_concept(config, job.concept), f"concept {job.concept}"
        else:
            units, what = (
                np.array([pivot.number(u) for u in job.units or ()]),
                ", ".join(job.units or ()),
            )
        change = Change(
            np.unique(units),
            what,
            lowest_activations(pivot, job),
            mask_of(Path(job.mask), size=(height, width)) if job.mask else None,
        )
    outcome = edit(
        pivot,
        job,
        source,
        change=change,
        function=load_function(job.function, key="function") if job.function else None,
        judge=networks.distance(config.evaluation_distance),
        checkpoint=checkpoint,
    )
    write_outcome(folder, job, outcome)


def _evaluate(config: Config, job: Evaluation, folder: Path, checkpoint: "Checkpoint") -> None:
    from rosetta_core.steering.jobs.evaluation import evaluate
    from rosetta_core.steering.result_io.evaluation_folder import write_evaluation

    networks = Networks(config)
    evaluated = evaluate(
        networks.pivot,
        job,
        np.stack([target_image(t, networks.pivot, label=job.class_label) for t in job.targets]),
        names=[target.title for target in job.targets],
        seen=networks.seen([encoder.name for encoder in config.encoders], pairs=job.pairs),
        perceptual=networks.distance(config.loss_distance),
        judge=networks.distance(config.evaluation_distance),
        checkpoint=checkpoint,
    )
    write_evaluation(folder, job, evaluated)


def _tune(config: Config, job: PivotalTuning, folder: Path, checkpoint: "Checkpoint") -> None:
    import torch
    from safetensors.torch import save_file

    from rosetta_core.steering.jobs.pivotal_tuning import tune
    from rosetta_core.steering.result_io.job_folder import read_latent, write_outcome

    networks, of = Networks(config), config.steering.job(job.source_job)
    assert isinstance(of, Inversion)
    tuned = tune(
        networks.pivot,
        job,
        torch.from_numpy(read_latent(finished_job(config, of.name))),
        target_image(of.image, networks.pivot, label=of.class_label),
        space=of.space,
        class_label=of.class_label,
        perceptual=networks.distance(config.loss_distance),
        judge=networks.distance(config.evaluation_distance),
        checkpoint=checkpoint,
    )
    save_file(tuned.weights, folder / TUNED)
    write_outcome(folder, job, tuned.outcome)


def _of_concept(config: Config, concept: int) -> "NDArray[np.int64]":
    """The Rosetta neurons of a concept; RosettaError if there is no such concept."""
    concepts = read_table(RunPaths(config).concepts)
    if not 0 <= concept < len(concepts):
        known = f"they are 0 to {len(concepts) - 1}" if len(concepts) else "there are none"
        raise RosettaError(f"no concept {concept} in run {config.run!r}; {known}")
    return np.array(concepts["pivot_units"].iloc[concept], np.int64)


def _source(config: Config, job: Edit, pivot: "Pivot") -> "Source":
    """The image that is edited."""
    import torch

    from rosetta_core.steering.jobs.editing import Source
    from rosetta_core.steering.optimise.latents import class_labels, given_latents
    from rosetta_core.steering.result_io.job_folder import read_latent

    if job.source_job:
        latent = torch.from_numpy(read_latent(finished_job(config, job.source_job)))
        return Source(latent, job.source_job)
    seed = job.source_seed or 0
    label = class_labels(pivot, job.class_label, count=1)
    return Source(given_latents(pivot, [seed], space=job.space, classes=label), f"seed {seed}")
