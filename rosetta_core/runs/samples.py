"""Samples of a run, opened."""

from rosetta_core.config import Config
from rosetta_core.mining.sampling.samples import Samples
from rosetta_core.runs.paths import RunPaths

__all__ = ["open_samples"]


def open_samples(config: Config) -> Samples:
    """Open the images of a run, with the latents and classes that they were drawn from."""
    paths = RunPaths(config)
    return Samples([paths.samples(shard) for shard in config.shards])
