"""Maps of several models over the same images, as one model.

Joined    is read and correlated in one pass
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from torch import Tensor

from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["ConcatSource"]


class ConcatSource(ActivationSource):
    """The layers of several models, one model after the other; units are numbered through them.

    Attributes:
        firsts: the number of each model's first unit; at last how many units there are.
    """

    def __init__(self, models: Sequence[ActivationSource], *, name: str) -> None:
        """Join maps of the same images that are there whenever they are read."""
        self.name, self.images = name, models[0].images
        self.layers = [layer for model in models for layer in model.layers]
        units = (sum(layer.channels for layer in model.layers) for model in models)
        self.firsts = [0, *accumulate(units)]
        self._models = models
        self._places = [(model, i) for model in models for i in range(len(model.layers))]

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Read the maps (n, c, h, w) of some images and channels of layer number `layer`."""
        model, number = self._places[layer]
        return model.read(number, images, channels)

    def together(self, layer: int) -> int:
        """As many channels as the layer's model says."""
        model, number = self._places[layer]
        return model.together(number)

    def pieces(self, largest: int) -> Iterator[range]:
        """As of the first model."""
        return self._models[0].pieces(largest)

    def moments(self) -> list[Moments]:
        """Those of all models."""
        return [moments for model in self._models for moments in model.moments()]

    def place(self, layer: int, image: int) -> str:
        """As the layer's model says."""
        model, number = self._places[layer]
        return model.place(number, image)
