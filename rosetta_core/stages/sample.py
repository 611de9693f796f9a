"""The stage that draws the images of a shard, or reads them from a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosetta_core.config import Config
from rosetta_core.io.atomic import manifest_path
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.progress import log
from rosetta_core.stages.stage import Job, Stage

if TYPE_CHECKING:
    from rosetta_core.runs.plan import Cost, RunShapes

__all__ = ["STAGE", "run"]

READ_IMAGE = 0.05  # seconds to read an image of a folder and resize it
NETWORK = ("family", "architecture", "arguments", "target", "weights", "output_range")


def run(config: Config, *, shard: str) -> Path:
    """Write the images of a shard; return their store.

    Images come from the pivot or, with `sampling.folder`, from a folder.
    """
    from rosetta_core.mining.sampling.folder import import_shard
    from rosetta_core.mining.sampling.generator import sample_shard
    from rosetta_core.runs.provenance.weights import model_digest
    from rosetta_core.runtime.devices import resolve_device
    from rosetta_core.zoo.loading import load_generator
    from rosetta_core.zoo.model_spec import has_image_range

    paths, sampling = RunPaths(config), config.sampling
    store, images = paths.samples(shard), config.shard_images(shard)
    if sampling.folder is not None:
        if images.start == 0 and paths.image_folder:
            for note in paths.image_folder.notes(sampling.images):
                log.warning("%s", note)
        import_shard(
            paths.folder_images(shard),
            store,
            images=images,
            size=sampling.size,
            bit_depth=sampling.bit_depth,
            max_pixels=config.max_pixels,
        )
        return store
    device = resolve_device(config.device)
    generator = load_generator(
        config.pivot, paths.weights(config.pivot), device=device, truncation=sampling.truncation
    )
    sample_shard(
        generator,
        store,
        name=config.pivot.name,
        images=images,
        seed=sampling.seed,
        truncation=sampling.truncation,
        classes=sampling.classes,
        check_range=has_image_range(config.pivot),
        weights=model_digest(config.pivot, paths),
    )
    return store


def settings(config: Config, *, shard: str) -> list[Any]:
    """Return what determines the images of a shard."""
    sampling, images = config.sampling, str(config.shard_images(shard))
    if sampling.folder is not None:
        return [sampling.size, sampling.bit_depth, images]
    network = config.network_settings(config.pivot.name)
    draws = [sampling.seed, sampling.truncation, sampling.classes]
    return [*(network[key] for key in NETWORK), *draws, images]


def writes(paths: RunPaths, job: Job) -> list[Path]:
    """Return the store of a shard and its manifest."""
    store = paths.samples(job["shard"])
    return [store, manifest_path(store)]


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of all images."""
    sampling, pivot = run.config.sampling, run.pivot
    if sampling.folder is not None:
        return run.cost(
            writes=3 * run.images * sampling.size**2,
            memory=run.PROCESS,
            seconds=run.images * READ_IMAGE,
        )
    return run.cost(
        operations=run.images * pivot.flops,
        writes=3 * run.images * pivot.image_pixels,
        memory=run.network_memory,
        seconds=run.images * run.rates.network(run.config.pivot.name, pivot),
    )


STAGE = Stage(
    "sample",
    "generate or load the images of a shard",
    run,
    jobs=lambda config: [{"shard": shard} for shard in config.shards],
    settings=settings,
    writes=writes,
    cost=cost,
    single_core=True,
    models=lambda config, **_: [] if config.sampling.folder else [config.pivot],
)
