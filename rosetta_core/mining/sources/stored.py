"""Activation maps of a model, read from its stores."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.io.stores.reader import ArrayReader
from rosetta_core.io.stores.store import Store, repair_hint
from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.mining.sources.shards import ActivationShards
from rosetta_core.zoo.layers import Layer

__all__ = ["StoredActivations"]


class StoredActivations(ActivationSource):
    """The activation maps of one model over all images, read from the stores of its shards.

    Args:
        stores: paths of the stores, in the order of their images.

    Attributes:
        name: name of the model.
        layers: its layers in order; units are numbered through them.
        images: number of images.

    Raises:
        RosettaError: a store is missing or damaged, or the stores are of different models.
    """

    def __init__(self, stores: Sequence[Path]) -> None:
        self._shards = ActivationShards(stores)
        self.name, self.layers = self._shards.name, self._shards.layers
        self.images = self._shards.starts[-1]
        self._moments: list[Moments] = []
        self._readers = [  # by shard and layer
            [
                _open_maps(
                    store,
                    group,
                    layer,
                    images,
                    dtype="float32" if layer.name in self._shards.float32 else "float16",
                )
                for layer in self.layers
            ]
            for store, group, images in zip(
                stores, self._shards.groups, self._shards.images, strict=True
            )
        ]

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return the maps (n, c, h, w) of some images and channels of a layer.

        Raises:
            RosettaError: the store is damaged.
        """
        parts = []
        for shard, inside in self._split_by_shard(images):
            try:
                parts.append(self._readers[shard][layer].read(inside, channels))
            except RosettaError:
                raise
            except (OSError, ValueError, RuntimeError) as error:
                store, name = self._shards.stores[shard], self.layers[layer].name
                raise RosettaError(
                    f"{store}/{name}/maps, images {images.start} to {images.stop - 1}: is damaged "
                    f"({error}); {repair_hint(store)}"
                ) from error
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def chunk_channels(self, layer: int) -> int:
        """Return the number of channels of an inner chunk."""
        return self._readers[0][layer].chunks[1]

    def iter_batches(self, batch_size: int) -> Iterator[range]:
        """Yield the images as ranges of at most `batch_size`, each within one shard.

        Maps are stored in blocks of a power of two of images; batches of a power of two are read
        fastest.
        """
        for start, stop in pairwise(self._shards.starts):
            for first in range(start, stop, batch_size):
                yield range(first, min(first + batch_size, stop))

    def describe(self, layer: int, image: int) -> str:
        """Return the store, the layer and the image of a map."""
        shard = bisect_right(self._shards.starts, image) - 1
        return f"{self._shards.stores[shard]}: layer {self.layers[layer].name!r}, image {image}"

    def moments(self) -> list[Moments]:
        """Return the moments per layer over all images, from before the maps were rounded."""
        if not self._moments:
            self._moments = self._shards.moments()
        return self._moments

    def _split_by_shard(self, images: range) -> Iterator[tuple[int, range]]:
        """Yield the shards that contain some images, and the positions of the images in each."""
        for shard, (start, stop) in enumerate(pairwise(self._shards.starts)):
            first, last = max(images.start, start), min(images.stop, stop)
            if first < last:
                yield shard, range(first - start, last - start)


def _open_maps(store: Path, group: Store, layer: Layer, images: int, *, dtype: str) -> ArrayReader:
    """Open the maps of a layer; RosettaError if they do not match the store's manifest."""
    expected = (images, layer.channels, *layer.grid)
    name = f"{layer.name}/maps"
    maps = group[name] if name in group else None  # noqa: SIM401 (a store is no mapping)
    if maps is None or maps.shape != expected or maps.dtype != dtype:
        actual = f"{maps.dtype} {maps.shape}" if maps else "no array"
        raise RosettaError(
            f"{store}: layer {layer.name!r} has {actual}, but the manifest says {dtype} "
            f"{expected}; {repair_hint(store)}"
        )
    return maps
