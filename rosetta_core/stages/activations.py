"""The stage that stores a model's activation maps on the images of a shard."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosetta_core.config import Config
from rosetta_core.io.atomic import manifest_path
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.retry import retry_with_less_memory
from rosetta_core.stages.stage import Job, Stage
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    from rosetta_core.runs.plan import Cost, RunShapes

__all__ = ["STAGE", "run"]


@retry_with_less_memory
def run(config: Config, *, model: str, shard: str) -> Path:
    """Run a model on the images of a shard and store its activation maps; return their store."""
    import torch

    from rosetta_core.mining.sources.recording import record_shard
    from rosetta_core.runs.live_source import live_activations
    from rosetta_core.runs.provenance.weights import model_digest
    from rosetta_core.zoo.network import Encoder

    images = config.shard_images(shard)  # an unknown shard fails before a network is loaded
    chosen, maps = config.model(model), live_activations(config, model, shard=shard)
    about: dict[str, Any] = {"model": model, "family": chosen.family}
    about["architecture"] = chosen.architecture
    about["weights"] = model_digest(chosen, RunPaths(config))
    if isinstance(maps.network, Encoder):
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


def writes(paths: RunPaths, job: Job) -> list[Path]:
    """Return the store of a model's maps and its manifest."""
    store = paths.activations(job["model"], job["shard"])
    return [store, manifest_path(store)]


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of all forward passes and stores."""
    return run.cost(
        operations=run.forward_operations,
        writes=run.stored_bytes(*run.models),
        memory=run.network_memory + run.map_memory,
        seconds=run.forward_seconds + run.values * run.rates.written,
    )


STAGE = Stage(
    "activations",
    "store the activation maps of a model on a shard",
    run,
    jobs=lambda config: [
        {"model": model.name, "shard": shard}
        for model in (config.models if config.stores_activations else [])
        for shard in config.shards
    ],
    settings=lambda config, *, model, shard: [
        config.network_settings(model),
        str(config.shard_images(shard)),
    ],
    writes=writes,
    cost=cost,
    models=lambda config, *, model, **_: [config.model(model)],
)
