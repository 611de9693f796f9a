"""The stage that writes the table of a model's units, from its stored activations."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.io.tables import write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage, per_model

if TYPE_CHECKING:
    from rosetta_core.mining.correlation.moments import Moments
    from rosetta_core.zoo.layers import Layer

__all__ = ["STAGE", "run", "write_units"]


def run(config: Config, *, model: str) -> Path:
    """Write the table of a model's units; return its path."""
    from rosetta_core.mining.sources.shards import ActivationShards

    name, paths = config.model(model).name, RunPaths(config)
    shards = ActivationShards([paths.activations(name, shard) for shard in config.shards])
    return write_units(config, name, shards.layers, shards.moments())


def write_units(
    config: Config,
    model: str,
    layers: Sequence["Layer"],
    moments: Sequence["Moments"],
    *,
    weights: str | None = None,
) -> Path:
    """Write the table of a model's units; return its path.

    Args:
        config: configuration of the run.
        model: name of the model.
        layers: its layers.
        moments: moments of each layer.
        weights: SHA-256 of the model's weights, where no store of maps records it.
    """
    from rosetta_core.mining.sources.unit_table import unit_table

    table = unit_table(layers, moments, min_relative_std=config.activations.min_relative_std)
    return write_table(table, RunPaths(config).units(model), weights=weights)


STAGE = Stage(
    "units",
    "write the table of a model's units",
    run,
    jobs=lambda config: per_model(config) if config.stores_activations else [],
    settings=lambda config, *, model: [config.activations.min_relative_std],
    writes=lambda paths, job: [paths.units(job["model"])],
)
