"""Activation sources of a run that run its networks."""

from numpy.typing import NDArray

from rosetta_core.config import Config
from rosetta_core.config.sections import GPU_BATCH
from rosetta_core.mining.sampling.samples import Samples
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.devices import resolve_device
from rosetta_core.zoo.layers import select_layers
from rosetta_core.zoo.loading import layers_of, load
from rosetta_core.zoo.network import Generator, Network

__all__ = ["live_activations"]


def live_activations(config: Config, model: str, *, shard: str | None = None) -> LiveActivations:
    """Return a model's activations from its network, over one shard or all of them."""
    paths, chosen = RunPaths(config), config.model(model)
    device = resolve_device(config.device)
    truncation = config.sampling.truncation
    network = load(chosen, paths.weights(chosen), device=device, truncation=truncation)
    samples = Samples([paths.samples(name) for name in ([shard] if shard else config.shards)])
    layers = layers_of(chosen, network)
    names = [layer.name for layer in layers]
    return LiveActivations(
        network,
        name=model,
        layers=layers,
        inputs=lambda images: _inputs(network, samples, images),
        images=samples.count,
        batch_size=config.activations.batch_size or (1 if device.type == "cpu" else GPU_BATCH),
        device=device,
        first_image=config.shard_images(shard).start if shard else 0,
        float32=select_layers(names, chosen.float32_layers or []),
    )


def _inputs(network: Network, samples: Samples, images: range) -> tuple[NDArray, ...]:
    """Return a network's inputs for some images: images, or latents and classes."""
    if not isinstance(network, Generator):
        return (samples.images(images),)
    latents = samples.latents(images)
    return (latents, samples.classes(images)) if network.classes else (latents,)
