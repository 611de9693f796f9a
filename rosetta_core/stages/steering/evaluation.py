"""Evaluation: conversion of a configured job to `evaluate`."""

from pathlib import Path

import numpy as np

from rosetta_core.config import Config
from rosetta_core.config.steering import Evaluation
from rosetta_core.stages.steering.networks import (
    SteeringNetworks,
    description_of,
    load_target,
    settings_of,
)
from rosetta_core.steering.jobs.evaluation import evaluate
from rosetta_core.steering.optimise.gradient_descent import Checkpoint
from rosetta_core.steering.optimise.settings import GuidedSettings
from rosetta_core.steering.result_writer import write_evaluation

__all__ = ["run"]


def run(config: Config, job: Evaluation, folder: Path, checkpoint: Checkpoint) -> None:
    """Run the job and write its results into a folder."""
    networks = SteeringNetworks(config)
    images = [
        load_target(
            target,
            networks.generator,
            class_label=job.class_label,
            max_pixels=config.max_pixels,
        )
        for target in job.targets
    ]
    evaluation = evaluate(
        networks.generator,
        np.stack(images),
        networks.views([encoder.name for encoder in config.encoders], pairs=job.pairs),
        loss_distance=networks.distance(config.loss_distance),
        evaluation_distance=networks.distance(config.evaluation_distance),
        settings=settings_of(GuidedSettings, job),
        checkpoint=checkpoint,
        name=job.name,
        titles=[target.title for target in job.targets],
    )
    write_evaluation(folder, evaluation, **description_of(job))
