"""Activation maximisation: conversion of a configured job to `maximise_activation`."""

from pathlib import Path

import numpy as np

from rosetta_core.config import Config
from rosetta_core.config.steering import ActivationMaximisation
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.steering.networks import (
    SteeringNetworks,
    concept_units,
    description_of,
    settings_of,
)
from rosetta_core.steering.jobs.activation_maximisation import maximise_activation
from rosetta_core.steering.optimise.gradient_descent import Checkpoint
from rosetta_core.steering.optimise.settings import OptimisationSettings
from rosetta_core.steering.result_writer import write_result

__all__ = ["run"]


def run(config: Config, job: ActivationMaximisation, folder: Path, checkpoint: Checkpoint) -> None:
    """Run the job and write its results into a folder."""
    networks = SteeringNetworks(config)
    concept: int | None
    if job.concept is not None:
        concept, units = concept_units(config, job.concept)
        label = f"concept {job.concept}"
    else:
        unit = networks.generator.unit_number(job.unit or "")
        units, label = np.array([unit]), f"{config.pivot.name}/{job.unit}"
        rosetta = read_table(RunPaths(config).rosetta)
        concepts = rosetta.loc[rosetta["pivot_unit"] == unit, "concept"]
        concept = int(concepts.iloc[0]) if len(concepts) else None
    result = maximise_activation(
        networks.generator,
        units,
        target_std=job.target_std,
        settings=settings_of(OptimisationSettings, job),
        checkpoint=checkpoint,
        name=job.name,
        label=label,
    )
    write_result(folder, result, kind=job.job_kind, concept=concept, **description_of(job))
