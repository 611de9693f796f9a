"""Editing: conversion of a configured job to `edit`."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from rosetta_core.config import Config
from rosetta_core.config.edits import Edit
from rosetta_core.config.steering import Inversion, PivotalTuning
from rosetta_core.runs.artifacts import finished_job
from rosetta_core.runtime.user_code import load_function
from rosetta_core.stages.steering.networks import (
    SteeringNetworks,
    concept_units,
    description_of,
    load_mask,
    settings_of,
)
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs.editing import EDITS, EditSource, edit
from rosetta_core.steering.jobs.map_edit import MapEdit
from rosetta_core.steering.jobs.pivotal_tuning import tuned_generator
from rosetta_core.steering.metrics.random_baseline import minimum_activations
from rosetta_core.steering.optimise.gradient_descent import Checkpoint
from rosetta_core.steering.optimise.latents import class_labels, generate_image, latents_from_seeds
from rosetta_core.steering.optimise.settings import OptimisationSettings
from rosetta_core.steering.result_reader import TUNED_WEIGHTS, read_latent
from rosetta_core.steering.result_writer import write_result

__all__ = ["run"]


def run(config: Config, job: Edit, folder: Path, checkpoint: Checkpoint) -> None:
    """Run the job and write its results into a folder."""
    networks = SteeringNetworks(config)
    generator = networks.generator
    source_job = config.steering.job(job.source_job) if job.source_job else None
    tuning = source_job if isinstance(source_job, PivotalTuning) else None
    inversion = config.steering.job(tuning.source_job) if tuning else source_job
    if isinstance(inversion, Inversion):  # the latent is one of its space and class
        space = {"space": inversion.space, "class_label": inversion.class_label}
        job = job.model_copy(update=space)
    source = _edit_source(config, job, generator)
    if tuning:
        weights = load_file(finished_job(config, tuning.name) / TUNED_WEIGHTS)
        generator = tuned_generator(generator, weights)
    result = edit(
        generator,
        source,
        _map_edit(config, job, generator),
        evaluation_distance=networks.distance(config.evaluation_distance),
        settings=settings_of(OptimisationSettings, job),
        similarity=job.similarity,
        checkpoint=checkpoint,
        name=job.name,
    )
    write_result(folder, result, kind=job.job_kind, **description_of(job))


def _map_edit(config: Config, job: Edit, generator: SteeredGenerator) -> MapEdit:
    """Return the edit of a job: its parameters, with units, masks and functions loaded."""
    parameters = job.parameters
    if "units" in parameters:
        del parameters["concept"], parameters["units"]
        if job.concept is not None:
            _, units = concept_units(config, job.concept)
            label = f"concept {job.concept}"
        else:
            names = job.units or []
            units = np.array([generator.unit_number(name) for name in names])
            label = ", ".join(names)
        parameters |= {"selected": np.unique(units), "label": label}
        parameters["minimum"] = minimum_activations(
            generator, space=job.space, class_label=job.class_label, seed=job.seed
        )
    if job.mask:
        height, width = generate_image(generator, 0, class_label=job.class_label).shape[:2]
        parameters["mask"] = load_mask(
            Path(job.mask), size=(height, width), max_pixels=config.max_pixels
        )
    if job.function:
        parameters["function"] = load_function(job.function, key="function")
        parameters["name"] = job.function
    return EDITS[job.kind](**parameters)


def _edit_source(config: Config, job: Edit, generator: SteeredGenerator) -> EditSource:
    """Return the image that a job edits."""
    if job.source_job:
        latent = torch.from_numpy(read_latent(finished_job(config, job.source_job)))
        return EditSource(latent, job.source_job)
    seed = job.source_seed or 0
    classes = class_labels(generator, job.class_label, count=1)
    latent = latents_from_seeds(generator, [seed], space=job.space, classes=classes)
    return EditSource(latent, f"seed {seed}")
