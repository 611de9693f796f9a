"""The generator to steer, and what the run knows of its units.

Pivot        draws images and hands over the maps of its layers, with gradients
Drawing      both
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.steering.optimise.objective import MapTarget
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.layers import Grid
from rosetta_core.zoo.network import Generator

__all__ = ["Drawing", "Pivot"]


@dataclass(frozen=True)
class Drawing:
    """Images and the maps that they were drawn with.

    Attributes:
        images: (n, 3, h, w) in -1..1.
        maps: by layer (n, c, h, w).
    """

    images: Tensor
    maps: Mapping[str, Tensor]


@dataclass(frozen=True)
class Pivot:
    """The generator to steer.

    Attributes:
        name: of the model.
        generator: with its weights, on `device`.
        units: the run's table of its units.
        neurons: the numbers of its Rosetta neurons, ascending.
        device: where the network is.
        label: the class that is drawn unless a job names one.
    """

    name: str
    generator: Generator
    units: pd.DataFrame
    neurons: NDArray[np.int64]
    device: torch.device
    label: int | None = None

    @cached_property
    def grids(self) -> dict[str, Grid]:
        """By layer the grid of its maps."""
        first = self.units.groupby("layer", sort=False).first()
        return {row.Index: (row.height, row.width) for row in first.itertuples()}

    @cached_property
    def moments(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """By layer the means and stds of its units over the run's images."""
        groups = self.units.groupby("layer", sort=False)
        return {
            layer: (rows["mean"].to_numpy(copy=True), rows["std"].to_numpy(copy=True))
            for layer, rows in groups
        }

    def draw(
        self, latents: Tensor, *, space: str, classes: Tensor | None, layers: Sequence[str]
    ) -> Drawing:
        """Draw images, and catch the maps of some layers.

        The maps are those that the network goes on with, not copies: its modules must not work in
        place.
        """
        maps: dict[str, Tensor] = {}
        with self.generator.capture(list(layers), receive=maps.__setitem__):
            images = self.generator.latent_space(space).generate(latents, classes)
        return Drawing(images, maps)

    @torch.no_grad()
    def look(
        self, latents: Tensor, *, space: str, classes: Tensor | None
    ) -> tuple[NDArray[np.uint8], Mapping[str, Tensor]]:
        """Draw images as bytes (n, h, w, 3), with the maps of all layers."""
        layers = list(self.grids)
        drawing = self.draw(latents.to(self.device), space=space, classes=classes, layers=layers)
        return to_bytes(drawing.images).cpu().numpy(), drawing.maps

    def number(self, unit: str) -> int:
        """The number of a unit `layer/channel`; RosettaError if the run has none of that name."""
        layer, _, channel = unit.removeprefix(f"{self.name}/").rpartition("/")
        rows = self.units[self.units["layer"] == layer]
        found = rows.loc[rows["channel"].astype(str) == channel]
        if found.empty:
            layers = self.units["layer"].unique().tolist()
            known = (
                f"no channel {channel!r} in {layer}, they are 0 to {len(rows) - 1}"
                if len(rows)
                else f"no layer {layer!r} was mined{did_you_mean(layer, layers)}"
            )
            raise RosettaError(f"unit {unit!r} of {self.name}: {known}; write layer/channel")
        if not found["alive"].iloc[0]:
            raise RosettaError(f"unit {unit!r} of {self.name}: never varies; name another")
        return int(found["unit"].iloc[0])

    def by_layer(self, units: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """The channels of units, by their number in the table, layer by layer."""
        rows = self.units.set_index("unit").loc[np.sort(units)]
        groups = rows.groupby("layer", sort=False)["channel"]
        return {layer: channels.to_numpy(np.int64, copy=True) for layer, channels in groups}

    def others(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """The Rosetta neurons but some units."""
        return np.setdiff1d(self.neurons, units)

    def standardised(
        self, maps: Mapping[str, Tensor], layer: str, channels: NDArray[np.int64]
    ) -> Tensor:
        """Maps (n, u, h, w) of some channels of a layer, standardised by the run's images."""
        mean, std = (torch.from_numpy(m[channels])[:, None, None] for m in self.moments[layer])
        return (maps[layer].detach().cpu().double()[:, torch.from_numpy(channels)] - mean) / std

    def match(self, maps: Mapping[str, Tensor], units: NDArray[np.int64]) -> list[MapTarget]:
        """Units' own maps as their targets, all with weight 1."""
        found = []
        for layer, channels in self.by_layer(units).items():
            targets = self.standardised(maps, layer, channels)  # (n, u, h, w)
            found.append(MapTarget(layer, channels, targets, torch.ones(targets.shape[:2])))
        return found
