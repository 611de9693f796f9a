"""Maps of some units only, as a smaller model.

SomeUnits    is read and correlated faster than the whole
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runtime.workers import Workers

__all__ = ["UnitSubset"]


class UnitSubset(ActivationSource):
    """Some units of a model, numbered anew in their order.

    Attributes:
        units: their numbers in the model, ascending.
    """

    def __init__(self, maps: ActivationSource, units: Iterable[int]) -> None:
        """Choose units of maps that are there whenever they are read."""
        self.name, self.images, self._maps = maps.name, maps.images, maps
        self.units = np.unique(np.fromiter(units, np.int64))
        ends = np.cumsum([layer.channels for layer in maps.layers])
        firsts = ends - [layer.channels for layer in maps.layers]
        chosen = [
            self.units[(self.units >= first) & (self.units < end)] - first
            for first, end in zip(firsts, ends, strict=True)
        ]
        self._chosen = [(number, own) for number, own in enumerate(chosen) if len(own)]
        self.layers = [
            replace(maps.layers[number], channels=len(own)) for number, own in self._chosen
        ]

    def load(self, images: range, workers: Workers) -> None:
        """Nothing: they are there."""

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Read the maps (n, c, h, w) of some images and of chosen channels of a layer."""
        number, own = self._chosen[layer]
        wanted = own[channels]
        first, last = int(wanted[0]), int(wanted[-1])
        read = self._maps.read(number, images, slice(first, last + 1))
        return read[:, torch.from_numpy(wanted - first)]

    def chunks(self, layer: int) -> list[slice]:
        """The chosen channels of a layer, apart by what is best read at once."""
        number, own = self._chosen[layer]
        _, firsts = np.unique(own // self._maps.together(number), return_index=True)
        return [slice(a, b) for a, b in pairwise([*firsts.tolist(), len(own)])]

    def pieces(self, largest: int) -> Iterator[range]:
        """As of the model."""
        return self._maps.pieces(largest)

    def moments(self) -> list[Moments]:
        """Those of the chosen channels."""
        every = self._maps.moments()
        return [
            Moments(every[i].count, every[i].mean[own], every[i].deviation[own])
            for i, own in self._chosen
        ]
