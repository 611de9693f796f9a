"""Where the maps of a run come from: its stores, or its networks as they run.

live_maps      a model's maps over a run or a shard, from the network
maps_of        a model's maps over a run, from wherever its configuration says
"""

from rosetta_core.config import Config
from rosetta_core.mining.live_maps import LiveMaps
from rosetta_core.mining.sampling import Samples
from rosetta_core.mining.stored_maps import StoredMaps
from rosetta_core.paths import RunPaths
from rosetta_core.zoo.loading import layers_of, load, resolve_device
from rosetta_core.zoo.network import Encoder

__all__ = ["live_maps", "maps_of"]

GPU_BATCH = 16


def live_maps(config: Config, model: str, *, shard: str | None = None) -> LiveMaps:
    """Return a model's maps from its network, over one shard or all of them."""
    paths, chosen = RunPaths(config), config.model(model)
    device = resolve_device(config.device)
    network = load(chosen, paths.weights(chosen), device=device)
    samples = Samples([paths.samples(name) for name in ([shard] if shard else config.shards)])
    return LiveMaps(
        network,
        name=model,
        layers=layers_of(chosen, network),
        inputs=samples.images if isinstance(network, Encoder) else samples.latents,
        images=samples.count,
        batch_size=config.activations.batch_size or (1 if device.type == "cpu" else GPU_BATCH),
        device=device,
        keepbits=config.activations.keepbits,
        first=config.shard_images(shard).start if shard else 0,
    )


def maps_of(config: Config, model: str) -> StoredMaps | LiveMaps:
    """Return a model's maps over all images."""
    if config.mining.store == "none":
        return live_maps(config, model)
    paths = RunPaths(config)
    return StoredMaps([paths.activations(model, shard) for shard in config.shards])
