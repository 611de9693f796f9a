"""Activation maps held in memory, as one array or tensor per layer."""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.zoo.layers import Layer

__all__ = ["InMemoryActivations", "Maps"]

Maps = NDArray | Tensor  # maps of a layer (n, c, h, w)

LEAST_STD, LARGEST_STD = 1e-15, 1e15  # beyond, float32 products are 0 or infinite
BLOCK = 2**24  # values whose deviations are computed at once


class InMemoryActivations(ActivationSource):
    """Activation maps held in memory, on the CPU or on a GPU, without a copy.

    Args:
        maps: maps (n, c, h, w) by layer name, of any real type; all of the same number n of images
            and on the same device.
        name: name of the model, for progress and error messages.

    Attributes:
        device: device of the maps.

    Raises:
        RosettaError: there are no maps, or they are not real (n, c, h, w), not finite, or of
            different numbers of images or devices.
    """

    def __init__(self, maps: Mapping[str, Maps], *, name: str = "arrays") -> None:
        if not maps:
            raise RosettaError(f"{name}: no maps; give an array (n, c, h, w) per layer")
        self.name = name
        self._maps = [_as_tensor(values, f"{name}, layer {x!r}") for x, values in maps.items()]
        self.layers = [
            Layer(layer, *values.shape[1:]) for layer, values in zip(maps, self._maps, strict=True)
        ]
        counts = dict(zip(maps, map(len, self._maps), strict=True))
        if len(set(counts.values())) > 1:
            raise RosettaError(
                f"{name}: the layers have different numbers of images ({counts}); use the same "
                "images for all layers"
            )
        devices = {str(values.device) for values in self._maps}
        if len(devices) > 1:
            raise RosettaError(
                f"{name}: the layers are on different devices ({', '.join(sorted(devices))}); "
                "move them to one"
            )
        self.images = len(self._maps[0])
        self.device = self._maps[0].device
        self._moments = [self._compute_moments(layer) for layer in range(len(self.layers))]

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return the maps (n, c, h, w) of some images and channels of a layer, without a copy."""
        return self._maps[layer][images.start : images.stop, channels]

    def moments(self) -> list[Moments]:
        """Return the moments per layer over all images."""
        return self._moments

    def _compute_moments(self, layer: int) -> Moments:
        """Return the moments of a layer; RosettaError if a map is not finite."""
        maps = self._maps[layer]
        count = maps[:, :1].numel()
        mean = torch.empty(maps.shape[1], dtype=torch.float64)
        deviation = torch.empty_like(mean)
        step = max(1, BLOCK // count)
        for start in range(0, maps.shape[1], step):
            channels = slice(start, start + step)
            values = maps[:, channels].double()  # (n, c, h, w)
            means = values.mean(dim=(0, 2, 3))
            values = values - means[:, None, None]
            mean[channels] = means.cpu()
            deviation[channels] = values.square_().sum(dim=(0, 2, 3)).cpu()
        bad = (~torch.isfinite(mean)).nonzero().flatten().tolist()
        if bad:
            values = maps[:, bad[0]]  # (n, h, w)
            image, row, column = (~torch.isfinite(values)).nonzero()[0].tolist()
            raise RosettaError(
                f"{self.describe(layer, image)}, channel {bad[0]}, position ({row}, {column}): the "
                f"map contains {float(values[image, row, column]):g}; remove the image or the layer"
            )
        moments = Moments(count, mean.numpy(), deviation.numpy())
        varying = moments.std[moments.std > 0]
        if varying.size and not (varying.min() > LEAST_STD and varying.max() < LARGEST_STD):
            wrong = varying.min() if varying.min() <= LEAST_STD else varying.max()
            raise RosettaError(
                f"{self.name}, layer {self.layers[layer].name!r}: a unit has a std of {wrong:g}, "
                f"outside {LEAST_STD:g} to {LARGEST_STD:g}; scale the maps"
            )
        return moments


def _as_tensor(maps: Maps, where: str) -> Tensor:
    """Return maps as a tensor, without a copy where that is possible."""
    if not isinstance(maps, np.ndarray | Tensor):
        kind = type(maps).__name__
        raise RosettaError(f"{where}: is a {kind}; give a NumPy array or a tensor (n, c, h, w)")
    if maps.ndim != 4 or 0 in maps.shape:
        raise RosettaError(f"{where}: shape {tuple(maps.shape)} is not (n, c, h, w)")
    if isinstance(maps, np.ndarray):
        if maps.dtype.kind not in "fiub":
            raise RosettaError(f"{where}: type {maps.dtype} is not real; give real numbers")
        native = maps.astype(maps.dtype.newbyteorder("="), copy=False)
        if native.dtype.itemsize > 8:  # longdouble
            native = native.astype(np.float64)
        if any(stride < 0 for stride in native.strides):
            native = native.copy()  # torch has no negative strides
        with warnings.catch_warnings(action="ignore"):  # maps are only read
            maps = torch.from_numpy(native)
    if maps.is_complex() or maps.is_quantized or maps.layout != torch.strided:
        raise RosettaError(
            f"{where}: type {maps.dtype} with layout {maps.layout} is not real and dense; convert "
            "the tensor"
        )
    # whole numbers beyond float32's would be rounded
    exact = maps.is_floating_point() or maps.dtype in (torch.bool, torch.uint8, torch.int8)
    return (maps if exact else maps.double()).detach()
