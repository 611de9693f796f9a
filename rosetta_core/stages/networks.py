"""The stages in which networks run.

sample         the images of a shard
activations    a model's maps of a shard
units          the table of a model's units
write_units    the same, from moments that are at hand

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosetta_core.config import Config
from rosetta_core.io.tables import write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import retry_with_less_memory
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    from rosetta_core.mining.correlation.moments import Moments
    from rosetta_core.zoo.layer import Layer

__all__ = ["activations", "sample", "units", "write_units"]


def sample(config: Config, *, shard: str) -> Path:
    """Draw the images of a shard, or take them from a folder; return their store."""
    from rosetta_core.mining.sampling.folder import take_shard
    from rosetta_core.mining.sampling.generator import sample_shard
    from rosetta_core.runtime.devices import resolve_device
    from rosetta_core.zoo.loading import load_generator

    paths, sampling = RunPaths(config), config.sampling
    store, images = paths.samples(shard), config.shard_images(shard)
    if sampling.folder is not None:
        take_shard(paths.folder_images(shard), store, images=images, size=sampling.size)
        return store
    device = resolve_device(config.device)
    sample_shard(
        load_generator(
            config.pivot, paths.weights(config.pivot), device=device, truncation=sampling.truncation
        ),
        store,
        images=images,
        seed=sampling.seed,
        truncation=sampling.truncation,
        classes=sampling.classes,
        device=device,
    )
    return store


@retry_with_less_memory
def activations(config: Config, *, model: str, shard: str) -> Path:
    """Run a model over the images of a shard and write down its maps; return their store."""
    import torch

    from rosetta_core.mining.sources.recording import record_shard
    from rosetta_core.runs.sources import live_activations
    from rosetta_core.zoo.network import Encoder as EncoderNetwork

    images = config.shard_images(shard)  # of an unknown one nothing is loaded
    chosen, maps = config.model(model), live_activations(config, model, shard=shard)
    about: dict[str, Any] = {"model": model, "family": chosen.family}
    about |= {"architecture": chosen.architecture, "keepbits": config.activations.keepbits}
    if isinstance(maps.network, EncoderNetwork):
        about["input"] = maps.network.input.model_dump()
    store = RunPaths(config).activations(model, shard)
    record_shard(
        maps,
        store,
        images=images,
        memory_budget=parse_bytes(config.memory_budget),
        threads=torch.get_num_threads(),
        about=about,
    )
    return store


def units(config: Config, *, model: str) -> Path:
    """Write the table of a stored model's units; return it."""
    from rosetta_core.mining.sources.shards import ActivationShards

    model = config.model(model).name  # an unknown one is an error that lists them
    paths = RunPaths(config)
    shards = ActivationShards([paths.activations(model, shard) for shard in config.shards])
    return write_units(config, model, shards.layers, shards.moments())


def write_units(
    config: Config, model: str, layers: Sequence["Layer"], moments: Sequence["Moments"]
) -> Path:
    """Write the table of a model's units, from its layers and their moments; return its path."""
    from rosetta_core.mining.units import unit_table

    table = unit_table(layers, moments, near_constant=config.activations.near_constant)
    return write_table(table, RunPaths(config).units(model))
