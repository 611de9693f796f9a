"""Steered generator: a generator with the statistics of its mined units.

Maps are standardised by the mean and standard deviation of each unit over the images of a run, as
in Eq. 6 of the paper.
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
from rosetta_core.steering.optimise.prepared_targets import MapTarget
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.layers import Grid
from rosetta_core.zoo.network import Generator

__all__ = ["GeneratedImages", "SteeredGenerator"]


@dataclass(frozen=True)
class GeneratedImages:
    """Images and the activation maps of the same forward pass.

    Attributes:
        images: float images (n, 3, h, w) in -1..1.
        maps: activation maps (n, c, h, w) by layer.
    """

    images: Tensor
    maps: Mapping[str, Tensor]


@dataclass(frozen=True)
class SteeredGenerator:
    """A generator with the statistics of its units over the images of a run.

    Attributes:
        name: name of the model.
        generator: the network with its weights, on `device`.
        units: table of its units: unit, layer, channel, height, width, mean, std, alive.
        neurons: unit numbers of the Rosetta neurons, ascending.
        device: device of the network.
        default_class: class that is generated unless a job names one.
    """

    name: str
    generator: Generator
    units: pd.DataFrame
    neurons: NDArray[np.int64]
    device: torch.device
    default_class: int | None = None

    @cached_property
    def grids(self) -> dict[str, Grid]:
        """Height and width of the maps of each layer."""
        first_rows = self.units.groupby("layer", sort=False).first()
        return {row.Index: (row.height, row.width) for row in first_rows.itertuples()}

    @cached_property
    def moments(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Means (c,) and standard deviations (c,) of the units of each layer."""
        groups = self.units.groupby("layer", sort=False)
        return {
            layer: (rows["mean"].to_numpy(copy=True), rows["std"].to_numpy(copy=True))
            for layer, rows in groups
        }

    def generate(
        self, latents: Tensor, *, space: str, classes: Tensor | None, layers: Sequence[str]
    ) -> GeneratedImages:
        """Generate images, differentiably, and capture the maps of some layers.

        The maps are the tensors of the forward pass, not copies: modules of the network must not
        work in place.

        Args:
            latents: latents (n, …) of the space, on the device of the network.
            space: name of the latent space.
            classes: class labels (n,), None for an unconditional generator.
            layers: names of the layers to capture.
        """
        maps: dict[str, Tensor] = {}
        with self.generator.capture(list(layers), receive=maps.__setitem__):
            images = self.generator.latent_space(space).generate(latents, classes)
        return GeneratedImages(images, maps)

    @torch.no_grad()
    def render(
        self, latents: Tensor, *, space: str, classes: Tensor | None
    ) -> tuple[NDArray[np.uint8], Mapping[str, Tensor]]:
        """Generate byte images, without gradients, and the maps of all layers.

        Args:
            latents: latents (n, …) of the space.
            space: name of the latent space.
            classes: class labels (n,), None for an unconditional generator.

        Returns:
            Images (n, h, w, 3), and maps (n, c, h, w) by layer.
        """
        generated = self.generate(
            latents.to(self.device), space=space, classes=classes, layers=list(self.grids)
        )
        return to_bytes(generated.images).cpu().numpy(), generated.maps

    def unit_number(self, unit: str) -> int:
        """Return the number of a unit that is written as layer/channel.

        Raises:
            RosettaError: there is no such unit, or it is dead.
        """
        layer, _, channel = unit.removeprefix(f"{self.name}/").rpartition("/")
        rows = self.units[self.units["layer"] == layer]
        match = rows.loc[rows["channel"].astype(str) == channel]
        if match.empty:
            layers = self.units["layer"].unique().tolist()
            problem = (
                f"no channel {channel!r} in {layer}, which has 0 to {len(rows) - 1}"
                if len(rows)
                else f"no layer {layer!r} was mined{did_you_mean(layer, layers)}"
            )
            raise RosettaError(f"unit {unit!r} of {self.name}: {problem}; write layer/channel")
        if not match["alive"].iloc[0]:
            raise RosettaError(
                f"unit {unit!r} of {self.name}: is dead, it never varies; name another unit"
            )
        return int(match["unit"].iloc[0])

    def channels_by_layer(self, units: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Return the channels of some units, given by their numbers, for each of their layers."""
        rows = self.units.set_index("unit").loc[np.sort(units)]
        groups = rows.groupby("layer", sort=False)["channel"]
        return {layer: channels.to_numpy(np.int64, copy=True) for layer, channels in groups}

    def other_neurons(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the Rosetta neurons that are not among some units."""
        return np.setdiff1d(self.neurons, units)

    def standardise(
        self, maps: Mapping[str, Tensor], layer: str, channels: NDArray[np.int64]
    ) -> Tensor:
        """Return the standardised maps of some channels.

        Args:
            maps: raw maps (n, c, h, w) by layer.
            layer: name of the layer.
            channels: channels of the layer (u,).

        Returns:
            Maps (n, u, h, w), float64 on the CPU.
        """
        mean, std = (torch.from_numpy(m[channels])[:, None, None] for m in self.moments[layer])
        return (maps[layer].detach().cpu().double()[:, torch.from_numpy(channels)] - mean) / std

    def targets_from_maps(
        self, maps: Mapping[str, Tensor], units: NDArray[np.int64]
    ) -> list[MapTarget]:
        """Return the present maps of some units as their targets, all with weight 1."""
        targets = []
        for layer, channels in self.channels_by_layer(units).items():
            standardised = self.standardise(maps, layer, channels)  # (n, u, h, w)
            weights = torch.ones(standardised.shape[:2])
            targets.append(MapTarget(layer, channels, standardised, weights))
        return targets
