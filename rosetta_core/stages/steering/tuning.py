"""Pivotal tuning: conversion of a configured job to `tune`."""

from pathlib import Path

import torch

from rosetta_core.config import Config
from rosetta_core.config.steering import Inversion, PivotalTuning
from rosetta_core.runs.artifacts import finished_job
from rosetta_core.stages.steering.networks import SteeringNetworks, description_of, load_target
from rosetta_core.steering.jobs.pivotal_tuning import tune
from rosetta_core.steering.optimise.gradient_descent import Checkpoint
from rosetta_core.steering.result_reader import read_latent
from rosetta_core.steering.result_writer import write_tuning

__all__ = ["run"]


def run(config: Config, job: PivotalTuning, folder: Path, checkpoint: Checkpoint) -> None:
    """Run the job and write its results into a folder."""
    networks, inversion = SteeringNetworks(config), config.steering.job(job.source_job)
    assert isinstance(inversion, Inversion)
    tuning = tune(
        networks.generator,
        torch.from_numpy(read_latent(finished_job(config, inversion.name))),
        load_target(
            inversion.image,
            networks.generator,
            class_label=inversion.class_label,
            max_pixels=config.max_pixels,
        ),
        loss_distance=networks.distance(config.loss_distance),
        evaluation_distance=networks.distance(config.evaluation_distance),
        steps=job.steps,
        learning_rate=job.learning_rate,
        pixel_weight=job.pixel_weight,
        perceptual_weight=job.perceptual_weight,
        space=inversion.space,
        class_label=inversion.class_label,
        checkpoint=checkpoint,
        name=job.name,
        title=f"the result of {inversion.name}",
    )
    write_tuning(folder, tuning, **description_of(job))
