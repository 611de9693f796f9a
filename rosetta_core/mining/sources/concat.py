"""Concatenation of the activation maps of several models, read and correlated in one pass."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from torch import Tensor

from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["ConcatSource"]


class ConcatSource(ActivationSource):
    """The layers of several models, one model after another; units are numbered through them.

    Args:
        models: sources over the same images, whose maps can be read without loading.
        name: name of the concatenation.

    Attributes:
        first_units: unit number of each model's first unit, and at the end the number of units.
    """

    def __init__(self, models: Sequence[ActivationSource], *, name: str) -> None:
        self.name, self.images = name, models[0].images
        self.layers = [layer for model in models for layer in model.layers]
        units = (sum(layer.channels for layer in model.layers) for model in models)
        self.first_units = [0, *accumulate(units)]
        self._models = models
        self._places = [(model, i) for model in models for i in range(len(model.layers))]

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return the maps (n, c, h, w) of some images and channels of a layer."""
        model, number = self._places[layer]
        return model.read(number, images, channels)

    def chunk_channels(self, layer: int) -> int:
        """Return the number of channels that the layer's model stores together."""
        model, number = self._places[layer]
        return model.chunk_channels(number)

    def iter_batches(self, batch_size: int) -> Iterator[range]:
        """Yield the batches of the first model."""
        return self._models[0].iter_batches(batch_size)

    def moments(self) -> list[Moments]:
        """Return the moments of all models, per layer."""
        return [moments for model in self._models for moments in model.moments()]

    def describe(self, layer: int, image: int) -> str:
        """Return the origin of a map, as its model describes it."""
        model, number = self._places[layer]
        return model.describe(number, image)
