"""What encoders see in target images, as targets of the generator's units.

Seen             an encoder, what the run knows of its units, and its pairs with the pivot
matches_of       the maps of an encoder's matched units on images
matched_pairs    which units of the pivot go with which of an encoder
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.optimise.objective import MapTarget
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.network import Encoder

__all__ = ["EncoderView", "matched_pairs", "matches_of"]


@dataclass(frozen=True)
class EncoderView:
    """An encoder and what the run knows of it.

    Attributes:
        name: of the model.
        encoder: with its weights, on the pivot's device.
        units: the run's table of its units.
        pairs: of a unit of the pivot and one of the encoder (p, 2), those that match best first.
    """

    name: str
    encoder: Encoder
    units: pd.DataFrame
    pairs: NDArray[np.int64]


def matched_pairs(
    encoder: str, *, rosetta: pd.DataFrame, best_buddies: pd.DataFrame, pairs: str
) -> NDArray[np.int64]:
    """Return pairs (p, 2) of a unit of the pivot and one of an encoder, best first.

    Args:
        encoder: its name.
        rosetta: the run's table of Rosetta neurons.
        best_buddies: the run's table of best buddies of the pivot and the encoder.
        pairs: `rosetta`, those of Rosetta neurons; `best_buddies`, all.

    Raises:
        RosettaError: there are none.
    """
    table = rosetta[rosetta["model"] == encoder] if pairs == "rosetta" else best_buddies
    if table.empty:
        what = "Rosetta neurons" if pairs == "rosetta" else "best buddies"
        raise RosettaError(
            f"{encoder}: the run found no {what} with it, so nothing guides an inversion; raise "
            "neighbours.k or leave the encoder out"
        )
    table = table.sort_values(["corr", "pivot_unit", "unit"], ascending=[False, True, True])
    return table[["pivot_unit", "unit"]].to_numpy(np.int64)


@torch.no_grad()
def matches_of(
    seen: EncoderView,
    images: NDArray[np.uint8],
    *,
    pivot: Pivot,
    pairs: NDArray[np.int64] | None = None,
) -> list[MapTarget]:
    """Look at images and return the matched maps, standardised by the run's images, weight 1.

    Args:
        seen: the encoder.
        images: (n, h, w, 3).
        pivot: whose units are to have these maps.
        pairs: some of the encoder's (p, 2), all unless given.
    """
    pairs = seen.pairs if pairs is None else pairs
    own = pivot.units.set_index("unit").loc[pairs[:, 0], ["layer", "channel"]]
    its = seen.units.set_index("unit").loc[pairs[:, 1], ["layer", "channel", "mean", "std"]]
    table = pd.concat(
        [own.reset_index(drop=True).add_prefix("own_"), its.reset_index(drop=True)], axis=1
    )
    maps = _look_at(seen.encoder, images, its["layer"].unique().tolist(), device=pivot.device)
    found = []
    for (own_layer, layer), rows in table.groupby(["own_layer", "layer"], sort=False):
        chosen = maps[layer][:, torch.from_numpy(rows["channel"].to_numpy(np.int64, copy=True))]
        mean, std = (
            torch.from_numpy(rows[name].to_numpy(np.float64, copy=True))[:, None, None]
            for name in ("mean", "std")
        )
        targets = (chosen.double() - mean) / std  # (n, p, h, w)
        channels = rows["own_channel"].to_numpy(np.int64)
        found.append(MapTarget(own_layer, channels, targets, torch.ones(targets.shape[:2])))
    return found


def _look_at(
    encoder: Encoder, images: NDArray[np.uint8], layers: Sequence[str], *, device: torch.device
) -> dict[str, Tensor]:
    """The maps (n, c, h, w) of some layers, image by image: none depends on the others."""
    seen: dict[str, list[Tensor]] = {layer: [] for layer in layers}

    def receive(layer: str, maps: Tensor) -> None:
        seen[layer].append(maps.cpu().clone())

    with encoder.capture(layers, receive=receive):
        for image in torch.from_numpy(images).split(1):
            encoder.network(preprocess(image.to(device), encoder.input))
    return {layer: torch.cat(maps) for layer, maps in seen.items()}
