"""The activation stores of one model, opened together: layers, images and moments, not the maps.

This module does not import torch.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import manifest_path
from rosetta_core.io.stores.store import manifest_images, open_store, read_array, repair_hint
from rosetta_core.mining.correlation.moments import Moments, pool_moments
from rosetta_core.zoo.layers import Layer

__all__ = ["ActivationShards"]

MAX_SIDE = 2**31


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
        self.name, self.layers, self.float32 = _described(stores[0], first)
        self.starts: list[int] = [0]
        for store, (_, manifest) in zip(stores, opened, strict=True):
            same = all(
                manifest.get(key) == first.get(key) for key in ("model", "layers", "float32")
            )
            if not same:
                raise RosettaError(
                    f"{store}: not of the same model as {stores[0]}; {repair_hint(store)}"
                )
            self.starts.append(self.starts[-1] + len(manifest_images(store, manifest)))

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


def _described(store: Path, manifest: Mapping[str, Any]) -> tuple[str, list[Layer], list[str]]:
    """Return the model, its layers and those in float32 of a manifest; RosettaError otherwise."""
    model, layers, float32 = (manifest.get(key) for key in ("model", "layers", "float32"))
    try:
        if not isinstance(model, str) or not isinstance(float32 or [], list):
            raise TypeError("model is not a name")
        described = [Layer(**layer) for layer in layers or ()]
        sizes = [
            side for x in described for side in (x.channels, x.height, x.width, x.margin, *x.grid)
        ]
        names = {x.name for x in described}
        if not described or len(names) < len(described) or not names.issuperset(float32 or []):
            raise TypeError("layers have no names")
        if any(type(side) is not int or not 0 <= side < MAX_SIDE for side in sizes):
            raise TypeError("layers have no sizes")
    except TypeError as error:
        raise RosettaError(
            f"{manifest_path(store)}: does not describe the layers of a model; {repair_hint(store)}"
        ) from error
    return model, described, float32 or []
