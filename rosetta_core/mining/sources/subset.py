"""Subsets of a model's units, as a smaller source or as standardised maps.

Only the stored chunks that contain chosen units are read, each once.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.sources.base import ActivationSource, WrappedSource
from rosetta_core.runtime.threads import TorchThreadPool

__all__ = ["UnitPositions", "UnitSubset", "standardise"]


class UnitSubset(WrappedSource):
    """Some units of a model, renumbered from 0 in ascending order.

    Layers without a chosen unit are left out.

    Args:
        source: activation maps of the model.
        units: numbers of the chosen units in the model; order and repetitions do not matter.

    Attributes:
        units: the chosen numbers, ascending.
        layer_numbers: number in the model of each layer that is left.
    """

    def __init__(self, source: ActivationSource, units: Iterable[int]) -> None:
        super().__init__(source)
        self.units = np.unique(np.fromiter(units, np.int64))
        ends = np.cumsum([layer.channels for layer in source.layers])
        firsts = ends - [layer.channels for layer in source.layers]
        chosen = [
            self.units[(self.units >= first) & (self.units < end)] - first
            for first, end in zip(firsts, ends, strict=True)
        ]
        self.layer_numbers = [number for number, channels in enumerate(chosen) if len(channels)]
        self._channels = [chosen[number] for number in self.layer_numbers]
        self.layers = [
            replace(source.layers[number], channels=len(channels))
            for number, channels in zip(self.layer_numbers, self._channels, strict=True)
        ]

    def chunk_channels(self, layer: int) -> int:
        """Return 1: the chosen channels of a chunk are not a fixed number (see `chunks`)."""
        return 1

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return the maps (n, c, h, w) of some images and of some chosen channels of a layer."""
        number = self.layer_numbers[layer]
        return _read_channels(self.source, number, images, self._channels[layer][channels])

    def chunks(self, layer: int) -> list[slice]:
        """Return the chosen channels of a layer as one slice for each stored chunk."""
        chunk = self._channels[layer] // self.source.chunk_channels(self.layer_numbers[layer])
        _, firsts = np.unique(chunk, return_index=True)
        return [slice(a, b) for a, b in pairwise([*firsts.tolist(), len(chunk)])]

    def moments(self) -> list[Moments]:
        """Return the moments of the chosen channels, per layer."""
        return self._chosen(self.source.moments())

    def pilot_moments(self) -> list[Moments]:
        """Return the approximate moments of the chosen channels, per layer."""
        return self._chosen(self.source.pilot_moments())

    def _chosen(self, moments: list[Moments]) -> list[Moments]:
        return [
            Moments(moments[i].count, moments[i].mean[channels], moments[i].deviation[channels])
            for i, channels in zip(self.layer_numbers, self._channels, strict=True)
        ]


class UnitPositions:
    """Some units of a model, read as standardised maps by layer.

    Attributes:
        maps: activation maps of the model.
    """

    def __init__(self, maps: ActivationSource, units: pd.DataFrame, numbers: Iterable[int]) -> None:
        """Locate the chosen units.

        Args:
            maps: activation maps of the model.
            units: its unit table.
            numbers: numbers of the chosen units; order and repetitions do not matter.
        """
        self.maps = maps
        layer_numbers = {layer.name: number for number, layer in enumerate(maps.layers)}
        chosen = units.loc[sorted(set(numbers))]
        self._rows = {
            layer_numbers[name]: rows for name, rows in chosen.groupby("layer", sort=False)
        }
        self._positions = {
            int(unit): (layer, position)
            for layer, rows in self._rows.items()
            for position, unit in enumerate(rows["unit"])
        }

    def locate(self, unit: int) -> tuple[int, int]:
        """Return a chosen unit's layer number, and its position among the layer's chosen units."""
        return self._positions[unit]

    def bytes_per_image(self) -> int:
        """Return the bytes that an image takes: loaded, read, and while it is standardised."""
        layers = self.maps.layers
        sizes = (len(rows) * layers[i].height * layers[i].width for i, rows in self._rows.items())
        return self.maps.bytes_per_image() + 3 * 4 * sum(sizes)

    def read(self, images: range, workers: TorchThreadPool) -> dict[int, Tensor]:
        """Return by layer number the standardised maps (n, k, h, w) of its k chosen units."""

        def read_layer(layer: int) -> Tensor:
            rows = self._rows[layer]
            channels = rows["channel"].to_numpy()
            maps = _read_channels(self.maps, layer, images, channels).cpu().contiguous()
            return standardise(maps, mean=rows["mean"].to_numpy(), std=rows["std"].to_numpy())

        return dict(zip(self._rows, workers.map(read_layer, self._rows), strict=True))


def standardise(maps: Tensor, *, mean: NDArray[np.float64], std: NDArray[np.float64]) -> Tensor:
    """Standardise maps to mean 0 and standard deviation 1, in float32.

    Args:
        maps: activation maps (n, c, h, w).
        mean: mean of each unit (c,).
        std: standard deviation of each unit (c,); maps of a unit with std 0 become 0.
    """
    scale = np.divide(1.0, std, out=np.zeros_like(std), where=std > 0)
    shift, factor = (
        torch.from_numpy(values.astype(np.float32)).to(maps.device)[:, None, None]
        for values in (mean, scale)
    )
    return maps.float().sub_(shift).mul_(factor)


def _read_channels(
    source: ActivationSource, layer: int, images: range, channels: NDArray[np.integer]
) -> Tensor:
    """Return the maps (n, k, h, w) of k ascending channels of a layer, as a copy."""
    size = source.chunk_channels(layer)
    if size == 1:  # not stored in chunks: one read
        first = int(channels[0])
        maps = source.read(layer, images, slice(first, int(channels[-1]) + 1))
        return maps[:, torch.from_numpy(channels - first).long().to(maps.device)]
    parts = []
    for chunk in np.unique(channels // size):
        first = int(chunk) * size
        inside = torch.from_numpy(channels[channels // size == chunk] - first).long()
        maps = source.read(layer, images, slice(first, first + size))
        parts.append(maps[:, inside.to(maps.device)])  # (n, k', h, w)
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
