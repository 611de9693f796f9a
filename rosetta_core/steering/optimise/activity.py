"""How active units are: the mean of their maps, in standard deviations.

activity    of units above the least that each ever takes
Held        how far units are from as active as they were: what `remove` and `add` hold
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.steering.generator import Pivot

__all__ = ["ActivityPenalty", "activity"]


def activity(
    pivot: Pivot,
    maps: Mapping[str, Tensor],
    *,
    units: NDArray[np.int64],
    lowest: Mapping[str, NDArray[np.float32]],
) -> NDArray[np.float64]:
    """Return the mean of each unit's map above its lowest activation, in its std (u,).

    Args:
        pivot: the generator.
        maps: of one image, by layer (1, c, h, w).
        units: numbers of the generator's units.
        lowest: by layer the least activation of every unit (c,).
    """
    found = []
    for layer, channels in pivot.by_layer(units).items():
        mean, std = (moment[channels] for moment in pivot.moments[layer])
        least = (lowest[layer][channels] - mean) / std
        own = pivot.standardised(maps, layer, channels)[0].mean(dim=(1, 2)).numpy()
        found.append(own - least)
    return np.concatenate(found)


class ActivityPenalty:
    """The mean change of units' activity, up or down, for a batch of latents.

    Unlike a distance of maps it lets activity move within the image, and it grows in proportion:
    a few units that change much cost no more than many that change a little.
    """

    def __init__(
        self, pivot: Pivot, maps: Mapping[str, Tensor], *, units: NDArray[np.int64]
    ) -> None:
        """Hold `units` as active as they are in maps (1, c, h, w) of an image, by layer."""
        self._count = len(units)
        self._held: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        for layer, channels in pivot.by_layer(units).items():
            its = torch.from_numpy(channels).to(pivot.device)
            std = torch.from_numpy(pivot.moments[layer][1][channels]).to(pivot.device)
            self._held[layer] = its, _means(maps[layer].to(pivot.device), its), std.float()

    @property
    def layers(self) -> list[str]:
        """The generator's layers that are looked at."""
        return list(self._held)

    def __call__(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Return the mean change (n,), in standard deviations, from maps (n, c, h, w) by layer."""
        changes = [
            ((_means(maps[layer], its) - before) / std).abs().sum(dim=1)
            for layer, (its, before, std) in self._held.items()
        ]
        return torch.stack(changes).sum(dim=0) / self._count


def _means(maps: Tensor, channels: Tensor) -> Tensor:
    """The means (n, u) of some channels' maps."""
    return maps.mean(dim=(2, 3)).index_select(1, channels)
