"""Map targets for steering, from encoder activations on the target images.

Pairs of a generator unit and an encoder unit come from the tables of a run; the encoder's maps of
the target image become the targets of the generator's units (paper, section 4.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.optimise.prepared_targets import MapTarget
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.network import Encoder

__all__ = ["EncoderView", "Pairs", "encoder_targets", "matched_pairs"]

Pairs = Literal["rosetta", "best_buddies"]


@dataclass(frozen=True)
class EncoderView:
    """An encoder with the statistics of its units and its pairs with the generator.

    Attributes:
        name: name of the model.
        encoder: the network with its weights, on the generator's device.
        units: table of its units: unit, layer, channel, mean, std.
        pairs: (generator unit, encoder unit) (p, 2), in descending order of correlation.
    """

    name: str
    encoder: Encoder
    units: pd.DataFrame
    pairs: NDArray[np.int64]


def matched_pairs(
    encoder: str, *, rosetta: pd.DataFrame, best_buddies: pd.DataFrame, pairs: Pairs
) -> NDArray[np.int64]:
    """Return the pairs of a generator and an encoder, in descending order of correlation.

    Args:
        encoder: name of the encoder.
        rosetta: table of Rosetta neurons of the run, with all encoders.
        best_buddies: table of best buddies of the generator and the encoder.
        pairs: `rosetta` for pairs of Rosetta neurons, `best_buddies` for all best buddies.

    Returns:
        (generator unit, encoder unit) (p, 2).

    Raises:
        RosettaError: there are no pairs.
    """
    match pairs:
        case "rosetta":
            table, kind = rosetta[rosetta["model"] == encoder], "Rosetta neurons"
        case "best_buddies":
            table, kind = best_buddies, "best buddies"
        case _:
            assert_never(pairs)
    if table.empty:
        raise RosettaError(
            f"{encoder}: the run has no {kind} with it to guide an inversion; raise "
            "neighbours.k or leave the encoder out"
        )
    table = table.sort_values(["corr", "pivot_unit", "unit"], ascending=[False, True, True])
    return table[["pivot_unit", "unit"]].to_numpy(np.int64)


@torch.no_grad()
def encoder_targets(
    view: EncoderView,
    images: NDArray[np.uint8],
    *,
    generator: SteeredGenerator,
    pairs: NDArray[np.int64] | None = None,
) -> list[MapTarget]:
    """Return the encoder's maps of images as targets of the generator's units.

    Maps are standardised by the mean and standard deviation of the encoder's units. All weights
    are 1.

    Args:
        view: the encoder.
        images: images (n, h, w, 3).
        generator: the generator whose units the targets are for.
        pairs: some of the encoder's pairs (p, 2); all of them if None.

    Returns:
        One target per layer of the generator and layer of the encoder.
    """
    pairs = view.pairs if pairs is None else pairs
    generator_units = generator.units.set_index("unit").loc[pairs[:, 0], ["layer", "channel"]]
    encoder_units = view.units.set_index("unit").loc[
        pairs[:, 1], ["layer", "channel", "mean", "std"]
    ]
    table = pd.concat(
        [
            generator_units.reset_index(drop=True).add_prefix("generator_"),
            encoder_units.reset_index(drop=True),
        ],
        axis=1,
    )
    layers = encoder_units["layer"].unique().tolist()
    maps = _encoder_maps(view.encoder, images, layers, device=generator.device)
    targets = []
    for (own_layer, layer), rows in table.groupby(["generator_layer", "layer"], sort=False):
        channels = torch.from_numpy(rows["channel"].to_numpy(np.int64, copy=True))
        mean, std = (
            torch.from_numpy(rows[name].to_numpy(np.float64, copy=True))[:, None, None]
            for name in ("mean", "std")
        )
        standardised = (maps[layer][:, channels].double() - mean) / std  # (n, p, h, w)
        own_channels = rows["generator_channel"].to_numpy(np.int64)
        weights = torch.ones(standardised.shape[:2])
        targets.append(MapTarget(own_layer, own_channels, standardised, weights))
    return targets


def _encoder_maps(
    encoder: Encoder, images: NDArray[np.uint8], layers: Sequence[str], *, device: torch.device
) -> dict[str, Tensor]:
    """Return the maps (n, c, h, w) of some layers; each image is a batch of its own."""
    batches: dict[str, list[Tensor]] = {layer: [] for layer in layers}

    def receive(layer: str, maps: Tensor) -> None:
        batches[layer].append(maps.cpu().clone())

    with encoder.capture(layers, receive=receive):
        for image in torch.from_numpy(images).split(1):
            encoder.forward(preprocess(image.to(device), encoder.input))
    return {layer: torch.cat(maps) for layer, maps in batches.items()}
