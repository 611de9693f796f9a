"""The activation maps of a model, read from its stores.

StoredMaps    the maps of a model over all its shards
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import zarr
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.mining.maps import Maps
from rosetta_core.mining.moments import Moments, pool
from rosetta_core.mining.stored_array import StoredArray
from rosetta_core.mining.stores import open_store, read_array
from rosetta_core.zoo.layer import Layer

__all__ = ["StoredMaps"]


class StoredMaps(Maps):
    """The activation maps of one model over all images, read piece by piece from its shards.

    Attributes:
        name: of the model.
        layers: in order; units are numbered through them.
        images: how many.
    """

    def __init__(self, stores: Sequence[Path]) -> None:
        """Open the shards; RosettaError if one is damaged or they are of different models."""
        opened = [open_store(store) for store in stores]
        self._groups = [group for group, _ in opened]
        self._stores = list(stores)
        manifests = [manifest for _, manifest in opened]
        self.name: str = manifests[0]["model"]
        self.layers = [Layer(**layer) for layer in manifests[0]["layers"]]
        self._starts: list[int] = [0]
        self._arrays: list[list[StoredArray]] = []  # by shard and layer
        self._moments: list[Moments] = []
        for store, manifest in zip(stores, manifests, strict=True):
            if (manifest["model"], manifest["layers"]) != (self.name, manifests[0]["layers"]):
                raise RosettaError(f"{store}: is of another model than {stores[0]}; delete it")
            start, stop = manifest["images"]
            group = self._groups[len(self._arrays)]
            self._arrays.append(
                [_stored_array(store, group, layer, stop - start) for layer in self.layers]
            )
            self._starts.append(self._starts[-1] + stop - start)
        self.images = self._starts[-1]

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Read the maps (n, c, h, w) of some images and channels of layer number `layer`."""
        name = self.layers[layer].name
        parts = []
        for shard, inside in self._pieces(images):
            try:
                parts.append(self._arrays[shard][layer].read(inside, channels))
            except (OSError, ValueError, RuntimeError) as error:
                raise RosettaError(
                    f"{self._stores[shard]}/{name}/maps, images {images.start} to "
                    f"{images.stop - 1}: is damaged ({error}); delete the store and run again"
                ) from error
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def together(self, layer: int) -> int:
        """Channels of an inner chunk."""
        return self._arrays[0][layer].together

    def pieces(self, largest: int) -> Iterator[range]:
        """Split the images into ranges of at most `largest`, none across two shards.

        Images are stored in blocks of a power of two, so powers of two are read fastest.
        """
        for start, stop in pairwise(self._starts):
            for first in range(start, stop, largest):
                yield range(first, min(first + largest, stop))

    def place(self, layer: int, image: int) -> str:
        """The store, the layer and the image."""
        shard = bisect_right(self._starts, image) - 1
        return f"{self._stores[shard]}: layer {self.layers[layer].name!r}, image {image}"

    def moments(self) -> list[Moments]:
        """The moments of each layer over all images, as they were before rounding."""
        if not self._moments:
            self._moments = [self._layer_moments(layer) for layer in self.layers]
        return self._moments

    def _layer_moments(self, layer: Layer) -> Moments:
        positions = layer.height * layer.width
        counts = [b - a for a, b in pairwise(self._starts)]
        shards = []
        for images, group in zip(counts, self._groups, strict=True):
            mean, deviation = (
                read_array(group, f"{layer.name}/{name}") for name in ("mean", "deviation")
            )
            shards.append(Moments(images * positions, mean, deviation))
        return pool(shards)

    def _pieces(self, images: range) -> Iterator[tuple[int, range]]:
        """The shards that hold some images, and the images' places in each."""
        for shard, (start, stop) in enumerate(pairwise(self._starts)):
            first, last = max(images.start, start), min(images.stop, stop)
            if first < last:
                yield shard, range(first - start, last - start)


def _stored_array(store: Path, group: zarr.Group, layer: Layer, images: int) -> StoredArray:
    """A layer's maps; RosettaError if they are not what the store's manifest says."""
    expected = (images, layer.channels, *layer.grid)
    maps = group.get(f"{layer.name}/maps")
    if not isinstance(maps, zarr.Array) or maps.shape != expected or maps.dtype != np.float16:
        found = f"{maps.dtype} {maps.shape}" if isinstance(maps, zarr.Array) else "no array"
        raise RosettaError(
            f"{store}: layer {layer.name!r} holds {found}, not float16 {expected} as its "
            "manifest says; delete the store and run again"
        )
    return StoredArray(maps, store / layer.name / "maps")
