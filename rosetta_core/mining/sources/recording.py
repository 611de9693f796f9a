"""Activations: a network looks at every image, and its maps are written down.

record_shard    run a network over a shard and write its maps and moments to a store
block_images    how many images' maps fit a memory budget
"""

from pathlib import Path
from typing import Any

import torch
import zarr
from zarr.abc.codec import BytesBytesCodec

from rosetta_core.io.zarr_store import (
    FAST,
    SMALL,
    create_array,
    new_store,
    versions,
    write_manifest,
)
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.workers import Workers
from rosetta_core.zoo.layers import Layer

__all__ = ["block_images", "record_shard"]

LARGEST_BLOCK = 128  # images written at once; a power of two, so that blocks of models nest


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

    Args:
        maps: the network's, over the shard.
        store: where to.
        images: the running numbers of the images.
        memory_budget: bytes that maps may take before they are written.
        threads: how many of the CPU.
        about: what else the manifest records.

    Per layer the store holds `maps` (n, c, h, w) float16 and, taken before rounding, the float64
    moments `mean` and `deviation` (c,) over all n·h·w activations.

    Raises:
        RosettaError: a map holds NaN, infinity, or a value that float16 can't hold.
    """
    block = block_images(maps.held(), memory_budget=memory_budget // 2, most=len(images))
    title = f"{maps.name} {store.stem}"
    with (
        new_store(store) as group,
        Workers(threads) as workers,
        Progress(title, total=len(images)) as progress,
    ):
        compressor = FAST if maps.keepbits is None else SMALL
        arrays = [_create(group, layer, (len(images), block), compressor) for layer in maps.layers]

        def write(layer: int) -> None:
            arrays[layer][piece.start : piece.stop] = maps.read(layer, piece).cpu().numpy()

        for piece in maps.pieces(block):
            maps.load(piece, workers)
            for _ in workers.map(write, range(len(arrays))):
                pass
            progress.advance(len(piece))
        maps.release()
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
    write_manifest(
        store,
        {
            **about,
            "images": [images.start, images.stop],
            "dtype": "float16",
            "layers": [vars(layer) for layer in maps.layers],
            "versions": versions("torch"),
        },
    )


def block_images(per_image: int, *, memory_budget: int, most: int) -> int:
    """The largest power of two of images that fits the budget, at most 128, at least 1."""
    block = 1
    while block * 2 * per_image <= memory_budget and block < min(most, LARGEST_BLOCK):
        block *= 2
    return block


def _create(
    group: zarr.Group, layer: Layer, images: tuple[int, int], compressor: BytesBytesCodec
) -> zarr.Array:
    """Create a layer's array; `images` are how many in all, and how many a shard."""
    shape, shard = ((count, layer.channels, *layer.grid) for count in images)
    return create_array(
        group.create_group(layer.name),
        "maps",
        shape=shape,
        shard=shard,
        dtype="float16",
        compressor=compressor,
    )
