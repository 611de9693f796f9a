"""Activation sources of a run: its stores, or its networks.

The module that runs networks is imported by name where no maps are stored, so that the code of
networks is part of a stage's fingerprint only where it runs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["LIVE_SOURCE", "activation_source", "alive_units"]

LIVE_SOURCE = "rosetta_core.runs.live_source"


def activation_source(config: Config, model: str) -> "ActivationSource":
    """Return the activation source of a model over all images of a run."""
    if not config.stores_activations:
        return import_module(LIVE_SOURCE).live_activations(config, model)
    from rosetta_core.mining.sources.stored import StoredActivations

    paths = RunPaths(config)
    return StoredActivations([paths.activations(model, shard) for shard in config.shards])


def alive_units(config: Config, source: "ActivationSource") -> "NDArray[np.bool_]":
    """Return which units of a model are alive (units,), once all its maps were loaded."""
    import numpy as np

    from rosetta_core.mining.correlation.moments import alive_units

    min_relative_std = config.activations.min_relative_std
    return np.concatenate(
        [alive_units(layer, min_relative_std=min_relative_std) for layer in source.moments()]
    )
