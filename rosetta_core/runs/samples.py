"""Samples of a run, opened."""

from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    from rosetta_core.mining.sampling.samples import Samples

__all__ = ["open_samples"]


def open_samples(config: Config) -> "Samples":
    """Open the images of a run, with the latents and classes that they were drawn from."""
    from rosetta_core.mining.sampling.samples import Samples

    paths = RunPaths(config)
    return Samples([paths.samples(shard) for shard in config.shards])
