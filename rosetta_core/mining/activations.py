"""Activations: a network looks at every image, and its maps are written down.

record_shard    run a network over a shard and write its maps and moments to a store
block_images    how many images' maps fit a memory budget
MapMoments      gathers moments from maps as they come
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.files import whole
from rosetta_core.mining.moments import Moments, pool
from rosetta_core.mining.stores import create_array, versions, write_manifest
from rosetta_core.progress import Progress
from rosetta_core.zoo.hooks import capture
from rosetta_core.zoo.images import prepare
from rosetta_core.zoo.layer import Layer
from rosetta_core.zoo.network import Encoder, Generator

__all__ = ["MapMoments", "block_images", "record_shard"]

LARGEST = torch.finfo(torch.float16).max
LARGEST_BLOCK = 128  # images written at once; a power of two, so that blocks of models nest


@torch.no_grad()
def record_shard(
    model: Generator | Encoder,
    store: Path,
    *,
    layers: Sequence[Layer],
    inputs: NDArray,
    images: range,
    batch_size: int,
    memory_budget: int,
    device: torch.device,
    about: dict[str, Any],
) -> None:
    """Run a network over a shard and write its activation maps to a store with a manifest.

    Args:
        model: the network.
        store: where to.
        layers: whose maps, in order.
        inputs: latents (n, z) for a generator, images (n, h, w, 3) in bytes for an encoder.
        images: the numbers of the images.
        batch_size: images per forward pass. With 1, an image's maps depend on nothing else; with
            more, the last bits depend on the batch, and with them the rounding to float16.
        memory_budget: bytes that maps may take before they are written.
        device: where the network is.
        about: what else the manifest records.

    Per layer the store holds `maps` (n, c, h, w) float16 and, taken before rounding, the float64
    moments `mean` and `deviation` (c,) over all n·h·w activations.

    Raises:
        RosettaError: a map holds NaN, infinity, or a value that float16 can't hold.
    """
    per_image = 2 * sum(layer.size for layer in layers)
    block = block_images(per_image, memory_budget=memory_budget // 2, most=len(images))
    moments = {layer.name: MapMoments() for layer in layers}
    held: dict[str, list[Tensor]] = {layer.name: [] for layer in layers}

    def receive(name: str, maps: Tensor) -> None:
        _refuse_unstorable(maps, name, first=images.start + len(moments[name]))
        moments[name].add(maps.float())
        held[name].append(maps.to(torch.float16).contiguous().cpu())

    prefix = model.prefix_tokens if isinstance(model, Encoder) else 0
    hooks = capture(model.network, list(moments), receive=receive, prefix_tokens=prefix)
    title = f"{about['model']} {store.stem}"
    with whole(store) as temporary, hooks, Progress(title, total=len(images)) as progress:
        group = zarr.open_group(temporary, mode="w")
        arrays = {layer.name: _create(group, layer, len(images), block) for layer in layers}
        for start in range(0, len(images), block):
            for part in torch.from_numpy(inputs[start : start + block]).split(batch_size):
                batch = part.to(device)
                model.network(prepare(batch, model.input) if isinstance(model, Encoder) else batch)
                progress.advance(len(part))
            for layer in layers:
                maps = torch.cat(held[layer.name]).numpy()
                held[layer.name].clear()
                arrays[layer.name][start : start + len(maps)] = maps
        digest = sha256()
        for layer in layers:
            pooled = moments[layer.name].pooled()
            for name, values in (("mean", pooled.mean), ("deviation", pooled.deviation)):
                array = create_array(
                    group.require_group(layer.name),
                    name,
                    shape=values.shape,
                    shard=values.shape,
                    dtype="float64",
                )
                array[...] = values
                digest.update(values.tobytes())
    write_manifest(
        store,
        {
            **about,
            "images": [images.start, images.stop],
            "dtype": "float16",
            "layers": [vars(layer) for layer in layers],
            "digest": digest.hexdigest(),
            "versions": versions("torch"),
        },
    )


def block_images(per_image: int, *, memory_budget: int, most: int) -> int:
    """The largest power of two of images that fits the budget, at most 128, at least 1."""
    block = 1
    while block * 2 * per_image <= memory_budget and block < min(most, LARGEST_BLOCK):
        block *= 2
    return block


def _create(group: zarr.Group, layer: Layer, images: int, block: int) -> zarr.Array:
    shape = (images, layer.channels, *layer.grid)
    shard = (block, *shape[1:])
    return create_array(
        group.create_group(layer.name), "maps", shape=shape, shard=shard, dtype="float16"
    )


def _refuse_unstorable(maps: Tensor, layer: str, *, first: int) -> None:
    """Raise for NaN, infinity and what float16 can't hold; `first` numbers the first image."""
    low, high = torch.aminmax(maps)
    if torch.maximum(-low, high) <= LARGEST:  # false for NaN
        return
    place = (~(maps.abs() <= LARGEST)).nonzero()[0]
    raise RosettaError(
        f"layer {layer!r}, channel {place[1]}, image {first + place[0]}: the activation "
        f"{maps[tuple(place)]:g} can't be stored as float16; leave the layer out"
    )


class MapMoments:
    """Gathers moments from maps (n, c, h, w), batch by batch.

    A map's own sums are taken in float32 about the map's own mean, so that nothing cancels;
    everything across maps is float64. What comes out doesn't depend on the batches.
    """

    def __init__(self) -> None:
        self._parts: list[Moments] = []

    def add(self, maps: Tensor) -> None:
        """Take in a batch of float32 maps (n, c, h, w)."""
        positions = maps.shape[2] * maps.shape[3]
        shift = maps.mean(dim=(2, 3), keepdim=True)  # (n, c, 1, 1)
        centred = maps - shift
        rest = centred.sum(dim=(2, 3)).double()  # what float32 left of the mean
        squares = centred.square_().sum(dim=(2, 3)).double()
        mean = (shift[:, :, 0, 0].double() + rest / positions).cpu().numpy()  # (n, c)
        deviation = (squares - rest.square() / positions).clamp_(min=0).cpu().numpy()
        for row_mean, row_deviation in zip(mean, deviation, strict=True):
            self._parts.append(Moments(positions, row_mean, row_deviation))

    def __len__(self) -> int:
        return len(self._parts)

    def pooled(self) -> Moments:
        """The moments of all maps so far."""
        return pool(self._parts)
