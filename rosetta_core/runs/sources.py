"""Where the maps of a run come from: its stores, or its networks as they run.

live_maps      a model's maps over a run or a shard, from the network
maps_of        a model's maps over a run, from wherever its configuration says
"""

from numpy.typing import NDArray

from rosetta_core.config import Config
from rosetta_core.config.run import GPU_BATCH
from rosetta_core.mining.sampling.samples import Samples
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.mining.sources.stored import StoredActivations
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.devices import resolve_device
from rosetta_core.zoo.loading import layers_of, load
from rosetta_core.zoo.network import Generator, Network

__all__ = ["activation_source", "live_activations"]


def live_activations(config: Config, model: str, *, shard: str | None = None) -> LiveActivations:
    """Return a model's maps from its network, over one shard or all of them."""
    paths, chosen = RunPaths(config), config.model(model)
    device = resolve_device(config.device)
    truncation = config.sampling.truncation
    network = load(chosen, paths.weights(chosen), device=device, truncation=truncation)
    samples = Samples([paths.samples(name) for name in ([shard] if shard else config.shards)])
    return LiveActivations(
        network,
        name=model,
        layers=layers_of(chosen, network),
        inputs=lambda some: _inputs(network, samples, some),
        images=samples.count,
        batch_size=config.activations.batch_size or (1 if device.type == "cpu" else GPU_BATCH),
        device=device,
        keepbits=config.activations.keepbits,
        first=config.shard_images(shard).start if shard else 0,
    )


def _inputs(network: Network, samples: Samples, images: range) -> tuple[NDArray, ...]:
    """What a network takes for some images."""
    if not isinstance(network, Generator):
        return (samples.images(images),)
    latents = samples.latents(images)
    return (latents, samples.classes(images)) if network.classes else (latents,)


def activation_source(config: Config, model: str) -> StoredActivations | LiveActivations:
    """Return a model's maps over all images."""
    if config.mining.store == "none":
        return live_activations(config, model)
    paths = RunPaths(config)
    return StoredActivations([paths.activations(model, shard) for shard in config.shards])
