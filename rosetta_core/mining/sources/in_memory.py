"""Activation maps held in memory, as one array per layer."""

from collections.abc import Mapping

import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.moments import Moments, compute_moments
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.zoo.layers import Layer

__all__ = ["InMemoryActivations"]


class InMemoryActivations(ActivationSource):
    """Activation maps held in memory.

    Args:
        arrays: arrays (n, c, h, w) by layer name, all of the same number n of images.
        name: name of the model, for progress and error messages.

    Raises:
        RosettaError: there are no arrays, an array does not have four axes, or the numbers of
            images differ.
    """

    def __init__(self, arrays: Mapping[str, NDArray], *, name: str = "arrays") -> None:
        if not arrays:
            raise RosettaError(f"{name}: no arrays; give one array (n, c, h, w) per layer")
        for layer, array in arrays.items():
            if array.ndim != 4:
                raise RosettaError(
                    f"{name}, layer {layer!r}: shape {array.shape} is not (n, c, h, w)"
                )
        counts = {layer: len(array) for layer, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise RosettaError(
                f"{name}: the layers have different numbers of images ({counts}); use the same "
                "images for all layers"
            )
        self.name = name
        self._arrays = list(arrays.values())
        self.layers = [Layer(layer, *array.shape[1:]) for layer, array in arrays.items()]
        self.images = len(self._arrays[0])
        self._moments: list[Moments] = []

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return the maps (n, c, h, w) of some images and channels of a layer, without a copy."""
        return torch.from_numpy(self._arrays[layer][images.start : images.stop, channels])

    def moments(self) -> list[Moments]:
        """Return the moments per layer over all images."""
        if not self._moments:
            self._moments = [compute_moments(array) for array in self._arrays]
        return self._moments
