"""Preparation of a run: resolved configuration, layers of the models, and weights."""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config, write_yaml
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.weights.sources import RemoteWeights

if TYPE_CHECKING:
    from rosetta_core.zoo.layers import Layer

__all__ = ["fetch_weights", "list_layers", "write_config"]


def write_config(config: Config) -> Path:
    """Write the resolved configuration of a run; return its path."""
    path = RunPaths(config).config
    text = write_yaml(config.model_dump(mode="json"), sort_keys=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def list_layers(config: Config, *, model: str, all: bool = False) -> list["Layer"]:
    """Return the mined layers of a model with their shapes; no weights are needed.

    Args:
        config: configuration of the run.
        model: name of the model.
        all: return every module whose output could be mined.
    """
    from rosetta_core.zoo.model_info import describe

    return describe(config.model(model), RunPaths(config).resources, all=all).layers


def fetch_weights(config: Config, *, model: str) -> Path | None:
    """Fetch a model's weights unless the file exists.

    Returns:
        The weights file; None if the weights are random, or loaded by the user's own code.
    """
    from rosetta_core.zoo.weights.fetch import fetch

    chosen = config.model(model)
    path = RunPaths(config).weights(chosen)
    if path is not None and isinstance(chosen.weights, RemoteWeights):
        fetch(chosen.weights, path)
    return path
