"""Activity of units, and a penalty on its change.

The activity of a unit on an image is the spatial mean of its map, in standard deviations over the
run's images.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.steering.generator import SteeredGenerator

__all__ = ["ActivityPenalty", "unit_activity"]


def unit_activity(
    generator: SteeredGenerator,
    maps: Mapping[str, Tensor],
    *,
    units: NDArray[np.int64],
    minimum: Mapping[str, NDArray[np.float32]],
) -> NDArray[np.float64]:
    """Return the activity of units above their minimum activation.

    Args:
        generator: the generator.
        maps: raw maps of one image (1, c, h, w) by layer.
        units: unit numbers (u,).
        minimum: minimum activation of every unit (c,) by layer.

    Returns:
        Activity (u,) in standard deviations, in the order of the generator's table of units.
    """
    activities = []
    for layer, channels in generator.channels_by_layer(units).items():
        mean, std = (moment[channels] for moment in generator.moments[layer])
        lowest = (minimum[layer][channels] - mean) / std
        own = generator.standardise(maps, layer, channels)[0].mean(dim=(1, 2)).numpy()
        activities.append(own - lowest)
    return np.concatenate(activities)


class ActivityPenalty:
    """Mean absolute change of the activity of units, for a batch of latents.

    Unlike a distance of maps it does not depend on where in the image units are active. It grows
    linearly: a large change of one unit costs as much as small changes of many.
    """

    def __init__(
        self, generator: SteeredGenerator, maps: Mapping[str, Tensor], *, units: NDArray[np.int64]
    ) -> None:
        """Set the activity that units are kept at.

        Args:
            generator: the generator.
            maps: raw maps of the image that sets the activity (1, c, h, w) by layer.
            units: numbers of the units that are kept (u,).
        """
        self._count = len(units)
        self._kept: dict[str, tuple[Tensor, Tensor, Tensor]] = {}  # channels, means, stds
        for layer, numbers in generator.channels_by_layer(units).items():
            channels = torch.from_numpy(numbers).to(generator.device)
            std = torch.from_numpy(generator.moments[layer][1][numbers]).to(generator.device)
            means = _means(maps[layer].to(generator.device), channels)
            self._kept[layer] = channels, means, std.float()

    @property
    def layers(self) -> list[str]:
        """The generator's layers with units that are kept."""
        return list(self._kept)

    def __call__(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Return the mean change (n,), in standard deviations, for maps (n, c, h, w) by layer."""
        changes = [
            ((_means(maps[layer], channels) - before) / std).abs().sum(dim=1)
            for layer, (channels, before, std) in self._kept.items()
        ]
        return torch.stack(changes).sum(dim=0) / self._count


def _means(maps: Tensor, channels: Tensor) -> Tensor:
    """Return the spatial means (n, u) of some channels of maps (n, c, h, w)."""
    return maps.mean(dim=(2, 3)).index_select(1, channels)
