"""The activation stores of one model, opened together: layers, images and moments, not the maps.

This module does not import torch.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.io.zarr_store import open_store, read_array, repair_hint
from rosetta_core.mining.correlation.moments import Moments, pool_moments
from rosetta_core.zoo.layers import Layer

__all__ = ["ActivationShards"]


class ActivationShards:
    """The stores of one model, one for each shard of the images.

    Args:
        stores: paths of the stores, in the order of their images.

    Attributes:
        name: name of the model.
        layers: its layers in order; units are numbered through them.
        float32: names of the layers whose maps are float32; the maps of others are float16.
        stores: paths of the stores.
        groups: the opened stores.
        starts: number of the first image of each shard, and at the end the number of images.

    Raises:
        RosettaError: a store is missing or damaged, or the stores are of different models.
    """

    def __init__(self, stores: Sequence[Path]) -> None:
        opened = [open_store(store) for store in stores]
        first = opened[0][1]
        self.stores = list(stores)
        self.groups = [group for group, _ in opened]
        self.name: str = first["model"]
        self.layers = [Layer(**layer) for layer in first["layers"]]
        self.float32: list[str] = first.get("float32", [])
        self.starts: list[int] = [0]
        for store, (_, manifest) in zip(stores, opened, strict=True):
            same = all(
                manifest.get(key) == first.get(key) for key in ("model", "layers", "float32")
            )
            if not same:
                raise RosettaError(
                    f"{store}: not of the same model as {stores[0]}; {repair_hint(store)}"
                )
            start, stop = manifest["images"]
            self.starts.append(self.starts[-1] + stop - start)

    @property
    def images(self) -> list[int]:
        """Number of images of each shard."""
        return [stop - start for start, stop in pairwise(self.starts)]

    def moments(self) -> list[Moments]:
        """Return the moments per layer over all images, from before the maps were rounded."""
        return [self._layer_moments(layer) for layer in self.layers]

    def _layer_moments(self, layer: Layer) -> Moments:
        positions = layer.height * layer.width
        shards = []
        for images, group in zip(self.images, self.groups, strict=True):
            mean, deviation = (
                read_array(group, f"{layer.name}/{name}") for name in ("mean", "deviation")
            )
            shards.append(Moments(images * positions, mean, deviation))
        return pool_moments(shards)
