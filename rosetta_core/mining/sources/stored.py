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
from rosetta_core.io.zarr_reader import StoredArray
from rosetta_core.io.zarr_store import cure_of
from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.mining.sources.shards import ActivationShards
from rosetta_core.zoo.layers import Layer

__all__ = ["StoredActivations"]


class StoredActivations(ActivationSource):
    """The activation maps of one model over all images, read piece by piece from its shards.

    Attributes:
        name: of the model.
        layers: in order; units are numbered through them.
        images: how many.
    """

    def __init__(self, stores: Sequence[Path]) -> None:
        """Open the shards; RosettaError if one is damaged or they are of different models."""
        self._shards = ActivationShards(stores)
        self.name, self.layers = self._shards.name, self._shards.layers
        self.images = self._shards.starts[-1]
        self._moments: list[Moments] = []
        self._arrays = [  # by shard and layer
            [_stored_array(store, group, layer, images) for layer in self.layers]
            for store, group, images in zip(
                stores, self._shards.groups, self._shards.images, strict=True
            )
        ]

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Read the maps (n, c, h, w) of some images and channels of layer number `layer`."""
        name = self.layers[layer].name
        parts = []
        for shard, inside in self._pieces(images):
            try:
                parts.append(self._arrays[shard][layer].read(inside, channels))
            except (OSError, ValueError, RuntimeError) as error:
                store = self._shards.stores[shard]
                raise RosettaError(
                    f"{store}/{name}/maps, images {images.start} to {images.stop - 1}: is damaged "
                    f"({error}); {cure_of(store)}"
                ) from error
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def together(self, layer: int) -> int:
        """Channels of an inner chunk."""
        return self._arrays[0][layer].together

    def pieces(self, largest: int) -> Iterator[range]:
        """Split the images into ranges of at most `largest`, none across two shards.

        Images are stored in blocks of a power of two, so powers of two are read fastest.
        """
        for start, stop in pairwise(self._shards.starts):
            for first in range(start, stop, largest):
                yield range(first, min(first + largest, stop))

    def place(self, layer: int, image: int) -> str:
        """The store, the layer and the image."""
        shard = bisect_right(self._shards.starts, image) - 1
        return f"{self._shards.stores[shard]}: layer {self.layers[layer].name!r}, image {image}"

    def moments(self) -> list[Moments]:
        """The moments of each layer over all images, as they were before rounding."""
        if not self._moments:
            self._moments = self._shards.moments()
        return self._moments

    def _pieces(self, images: range) -> Iterator[tuple[int, range]]:
        """The shards that hold some images, and the images' places in each."""
        for shard, (start, stop) in enumerate(pairwise(self._shards.starts)):
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
            f"manifest says; {cure_of(store)}"
        )
    return StoredArray(maps, store / layer.name / "maps")
