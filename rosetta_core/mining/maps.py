"""Where activation maps come from, as far as the correlations care.

Maps          anything that holds the maps of a model's layers
ArrayMaps     maps that lie in memory
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rosetta_core.mining.moments import centre, moments_of
from rosetta_core.zoo.layer import Layer

__all__ = ["ArrayMaps", "Maps"]


class Maps(Protocol):
    """The maps of a model's layers over `images` images."""

    name: str
    layers: list[Layer]
    images: int

    def read(self, layer: int, images: range, channels: slice) -> NDArray:
        """The maps (n, c, h, w) of some images and channels of layer number `layer`."""

    def centres(self) -> list[NDArray[np.float64]]:
        """Per layer what to subtract from each unit's maps (c,), see `moments.centre`."""

    def pieces(self, largest: int) -> Iterator[range]:
        """The images as ranges of at most `largest` that are cheap to read."""


class ArrayMaps:
    """Maps that lie in memory, as arrays (n, c, h, w) by layer."""

    def __init__(self, arrays: Mapping[str, NDArray], *, name: str = "arrays") -> None:
        """Take arrays of the same number of images."""
        self.name = name
        self._arrays = list(arrays.values())
        self.layers = [Layer(layer, *array.shape[1:]) for layer, array in arrays.items()]
        self.images = len(self._arrays[0])

    def read(self, layer: int, images: range, channels: slice) -> NDArray:
        """Some images and channels of layer number `layer`."""
        return self._arrays[layer][images.start : images.stop, channels]

    def centres(self) -> list[NDArray[np.float64]]:
        """What to subtract from each unit's maps, per layer."""
        return [centre(moments_of(array)) for array in self._arrays]

    def pieces(self, largest: int) -> Iterator[range]:
        """Split the images into ranges of at most `largest`."""
        for start in range(0, self.images, largest):
            yield range(start, min(start + largest, self.images))
