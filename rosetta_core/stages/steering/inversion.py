"""Inversion: conversion of a configured job to `invert`."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.config.steering import Inversion
from rosetta_core.stages.steering.networks import (
    SteeringNetworks,
    description_of,
    load_target,
    settings_of,
)
from rosetta_core.steering.jobs.inversion import invert
from rosetta_core.steering.optimise.gradient_descent import Checkpoint
from rosetta_core.steering.optimise.settings import GuidedSettings
from rosetta_core.steering.result_writer import write_result

__all__ = ["run"]


def run(config: Config, job: Inversion, folder: Path, checkpoint: Checkpoint) -> None:
    """Run the job and write its results into a folder."""
    networks = SteeringNetworks(config)
    names = job.encoders or [encoder.name for encoder in config.encoders]
    result = invert(
        networks.generator,
        load_target(
            job.image,
            networks.generator,
            class_label=job.class_label,
            max_pixels=config.max_pixels,
        ),
        networks.views(names, pairs=job.pairs),
        loss_distance=networks.distance(config.loss_distance),
        evaluation_distance=networks.distance(config.evaluation_distance),
        settings=settings_of(GuidedSettings, job),
        checkpoint=checkpoint,
        name=job.name,
        title=job.image.title,
    )
    write_result(folder, result, kind=job.job_kind, **description_of(job))
