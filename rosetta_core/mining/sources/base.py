"""Where activation maps come from, as far as the correlations care.

Maps              anything that holds the maps of a model's layers
ArrayMaps         maps that lie in memory
MOST_IMAGES       looked at at once; stores hold their maps in such blocks
images_at_once    as many of them as fit a memory budget
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.moments import Moments, moments_of
from rosetta_core.runtime.workers import Workers
from rosetta_core.zoo.layers import Layer

__all__ = ["MOST_IMAGES", "ActivationSource", "InMemoryActivations", "images_at_once"]

MOST_IMAGES = 128


def images_at_once(held: int, *, memory_budget: int) -> int:
    """Return how many images to look at at once: a power of two, like the blocks of stores.

    Args:
        held: bytes that an image takes; half of the budget is theirs.
        memory_budget: bytes.
    """
    fit = max(1, min(MOST_IMAGES, memory_budget // 2 // max(1, held)))
    return 1 << fit.bit_length() - 1


class ActivationSource(Protocol):
    """The maps of a model's layers over `images` images; several threads may read at once.

    What stands here is for maps that are there whenever they are read.
    """

    name: str
    layers: list[Layer]
    images: int

    def load(self, images: range, workers: Workers) -> None:
        """Get the maps of some images ready to be read, and let go of others."""
        return

    def release(self) -> None:
        """Let go of what was loaded."""
        return

    def held(self) -> int:
        """How many bytes a loaded image takes."""
        return 0

    def read(self, layer: int, images: range, channels: slice = ...) -> Tensor:
        """The maps (n, c, h, w) of images that are ready; some channels of layer number `layer`."""
        ...

    def together(self, layer: int) -> int:
        """How many channels of layer number `layer` are best read at once; 1 if any number."""
        return 1

    def pieces(self, largest: int) -> Iterator[range]:
        """The images as ranges of at most `largest` that are cheap to load and read."""
        for start in range(0, self.images, largest):
            yield range(start, min(start + largest, self.images))

    def pilot(self) -> list[Moments]:
        """Per layer about what the moments are, to centre maps by: before anything is loaded."""
        return self.moments()

    def moments(self) -> list[Moments]:
        """Per layer the moments over all images, once all were loaded."""
        ...

    def place(self, layer: int, image: int) -> str:
        """Where a map comes from, to name it in an error."""
        return f"{self.name}: layer {self.layers[layer].name!r}, image {image}"


class InMemoryActivations(ActivationSource):
    """Maps that lie in memory, as arrays (n, c, h, w) by layer."""

    def __init__(self, arrays: Mapping[str, NDArray], *, name: str = "arrays") -> None:
        """Take arrays of the same number of images."""
        self.name = name
        self._arrays = list(arrays.values())
        self.layers = [Layer(layer, *array.shape[1:]) for layer, array in arrays.items()]
        self.images = len(self._arrays[0])
        self._moments: list[Moments] = []

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Some images and channels of layer number `layer`."""
        return torch.from_numpy(self._arrays[layer][images.start : images.stop, channels])

    def moments(self) -> list[Moments]:
        """Per layer the moments over all images."""
        if not self._moments:
            self._moments = [moments_of(array) for array in self._arrays]
        return self._moments
