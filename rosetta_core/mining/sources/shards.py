"""A model's stores, opened together: all but the maps, and without torch, which takes seconds.

StoredShards    layers, images and moments of a model over its shards
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.io.zarr_store import cure_of, open_store, read_array
from rosetta_core.mining.correlation.moments import Moments, pool
from rosetta_core.zoo.layers import Layer

__all__ = ["ActivationShards"]


class ActivationShards:
    """The stores of one model.

    Attributes:
        name: of the model.
        layers: in order; units are numbered through them.
        stores: where they lie.
        groups: the stores, opened.
        starts: the number of the first image of every shard, and of the last one the end.
    """

    def __init__(self, stores: Sequence[Path]) -> None:
        """Open the shards; RosettaError if one is damaged or they are of different models."""
        opened = [open_store(store) for store in stores]
        first = opened[0][1]
        self.stores = list(stores)
        self.groups = [group for group, _ in opened]
        self.name: str = first["model"]
        self.layers = [Layer(**layer) for layer in first["layers"]]
        self.starts: list[int] = [0]
        for store, (_, manifest) in zip(stores, opened, strict=True):
            if (manifest["model"], manifest["layers"]) != (self.name, first["layers"]):
                raise RosettaError(
                    f"{store}: is of another model than {stores[0]}; {cure_of(store)}"
                )
            start, stop = manifest["images"]
            self.starts.append(self.starts[-1] + stop - start)

    @property
    def images(self) -> list[int]:
        """How many images each shard has."""
        return [stop - start for start, stop in pairwise(self.starts)]

    def moments(self) -> list[Moments]:
        """The moments of each layer over all images, as they were before rounding."""
        return [self._layer_moments(layer) for layer in self.layers]

    def _layer_moments(self, layer: Layer) -> Moments:
        positions = layer.height * layer.width
        shards = []
        for images, group in zip(self.images, self.groups, strict=True):
            mean, deviation = (
                read_array(group, f"{layer.name}/{name}") for name in ("mean", "deviation")
            )
            shards.append(Moments(images * positions, mean, deviation))
        return pool(shards)
