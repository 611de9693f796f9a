"""Recording of activation maps: forward passes over a shard of images, written to a store."""

from pathlib import Path
from typing import Any

import torch
import zarr

from rosetta_core.io.stores.store import create_array, library_versions, new_store, write_manifest
from rosetta_core.mining.sources.base import MAX_BATCH_IMAGES
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import Layer

__all__ = ["images_per_block", "record_shard"]


@torch.no_grad()
def record_shard(
    maps: LiveActivations,
    store: Path,
    *,
    images: range,
    memory_budget: int,
    threads: int,
    about: dict[str, Any],
) -> None:
    """Run a network over a shard and write its activation maps to a store with a manifest.

    For each layer the store has `maps` (n, c, h, w), float16 or float32, and the float64 moments
    `mean` and `deviation` (c,) over all n·h·w activations, from before the maps were rounded.

    Args:
        maps: source of the maps, over the shard's images.
        store: path of the store.
        images: numbers of the images in the run.
        memory_budget: bytes that maps may take before they are written.
        threads: number of CPU threads.
        about: further entries of the manifest.

    Raises:
        RosettaError: a map contains NaN, infinity, or a value beyond the range of float16.
    """
    block = images_per_block(
        maps.bytes_per_image(), memory_budget=memory_budget // 2, images=len(images)
    )
    title = f"{maps.name} {store.stem}"
    with (
        new_store(store) as group,
        TorchThreadPool(threads) as workers,
        Progress(title, total=len(images)) as progress,
    ):
        arrays = [
            _create(
                group,
                layer,
                len(images),
                block,
                dtype="float32" if layer.name in maps.float32 else "float16",
            )
            for layer in maps.layers
        ]
        for batch in maps.iter_batches(block):
            maps.load(batch, workers)

            def write(layer: int, batch: range = batch) -> None:
                arrays[layer][batch.start : batch.stop] = maps.read(layer, batch).cpu().numpy()

            for _ in workers.map(write, range(len(arrays))):
                pass
            progress.advance(len(batch))
        maps.release()
        _write_moments(group, maps)
    write_manifest(
        store,
        {
            **about,
            "images": [images.start, images.stop],
            "dtype": "float16",
            **({"float32": maps.float32} if maps.float32 else {}),
            "layers": [vars(layer) for layer in maps.layers],
            "versions": library_versions("torch"),
        },
    )


def images_per_block(bytes_per_image: int, *, memory_budget: int, images: int) -> int:
    """Return the number of images of a stored block.

    Args:
        bytes_per_image: bytes of one image's maps.
        memory_budget: bytes of a block.
        images: number of images of the shard.

    Returns:
        The largest power of two that fits the budget, at most 128 and no larger than needed for
        all images, so that the blocks of different models nest.
    """
    block = 1
    while block * 2 * bytes_per_image <= memory_budget and block < min(images, MAX_BATCH_IMAGES):
        block *= 2
    return block


def _create(group: zarr.Group, layer: Layer, images: int, block: int, *, dtype: str) -> zarr.Array:
    """Create the array of a layer's maps, with `block` images in a Zarr shard."""
    shape, shard = ((count, layer.channels, *layer.grid) for count in (images, block))
    return create_array(
        group.create_group(layer.name), "maps", shape=shape, shard=shard, dtype=dtype
    )


def _write_moments(group: zarr.Group, maps: LiveActivations) -> None:
    """Write the arrays `mean` and `deviation` of each layer."""
    for layer, moments in zip(maps.layers, maps.moments(), strict=True):
        for name, values in (("mean", moments.mean), ("deviation", moments.deviation)):
            array = create_array(
                group.require_group(layer.name),
                name,
                shape=values.shape,
                shard=values.shape,
                dtype="float64",
            )
            array[...] = values
