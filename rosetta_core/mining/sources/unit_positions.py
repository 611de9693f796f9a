"""Some units of a model, wherever they lie in its layers.

ChosenUnits    reads just their maps
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rosetta_core.mining.examples.standardised import standardise
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runtime.workers import Workers

__all__ = ["UnitPositions"]


class UnitPositions:
    """Some units of a model; what is read together in a store is read once.

    Attributes:
        maps: the model's.
    """

    def __init__(self, maps: ActivationSource, units: pd.DataFrame, numbers: Iterable[int]) -> None:
        """Find the units' places.

        Args:
            maps: the model's.
            units: its table of units.
            numbers: of the chosen units.
        """
        self.maps = maps
        names = {layer.name: number for number, layer in enumerate(maps.layers)}
        wanted = units.loc[sorted(set(numbers))]
        self._rows = {names[name]: rows for name, rows in wanted.groupby("layer", sort=False)}
        self._places = {
            int(unit): (layer, place)
            for layer, rows in self._rows.items()
            for place, unit in enumerate(rows["unit"])
        }

    def place(self, unit: int) -> tuple[int, int]:
        """A chosen unit's layer, and its place among the layer's chosen units."""
        return self._places[unit]

    def held(self) -> int:
        """Bytes that an image takes: loaded, read, and worked on."""
        layers = self.maps.layers
        sizes = (len(rows) * layers[i].height * layers[i].width for i, rows in self._rows.items())
        return self.maps.held() + 3 * 4 * sum(sizes)

    def read(self, images: range, workers: Workers) -> dict[int, Tensor]:
        """By layer the standardised maps (n, few, h, w) of its chosen units, in their order."""

        def one(layer: int) -> Tensor:
            rows = self._rows[layer]
            maps = self._read_layer(layer, images, rows["channel"].to_numpy())
            return standardise(maps, mean=rows["mean"].to_numpy(), std=rows["std"].to_numpy())

        return dict(zip(self._rows, workers.map(one, self._rows), strict=True))

    def _read_layer(self, layer: int, images: range, channels: np.ndarray) -> Tensor:
        together = self.maps.together(layer)
        parts = []
        for block in np.unique(channels // together):
            start = int(block) * together
            inside = torch.from_numpy(channels[channels // together == block] - start).long()
            read = self.maps.read(layer, images, slice(start, start + together))
            parts.append(read[:, inside.to(read.device)].cpu())  # (n, few, h, w)
        return torch.cat(parts, dim=1)
