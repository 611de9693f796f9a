"""Which units and which images show a concept best.

leading_units     of a concept, the Rosetta neuron with the best buddies, and those buddies
evidence          per image, how much two units fire together and at the same places
unit_maps         one unit's maps, standardised
best_examples     the images with the most evidence, found piece by piece
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from rosetta_core.mining.grids import common_grids
from rosetta_core.mining.maps import Maps
from rosetta_core.mining.resize import adjoint

__all__ = ["Example", "best_examples", "evidence", "leading_units", "unit_maps"]


def leading_units(concept: pd.DataFrame, *, pivot: str) -> dict[str, int]:
    """Return one unit per model that stand for a concept, the pivot's first.

    The pivot's is the Rosetta neuron whose best buddies, one per encoder, correlate best on
    average; the encoders' are those buddies. Ties go to the lower unit.

    Args:
        concept: the concept's rows of the table of Rosetta neurons.
        pivot: the name of the pivot.
    """
    best = concept.sort_values(["corr", "unit"], ascending=[False, True]).drop_duplicates(
        ["pivot_unit", "model"]
    )
    strength = best.groupby("pivot_unit")["corr"].mean()
    leader = strength.index[int(np.argmax(strength.to_numpy()))]
    buddies = best[best["pivot_unit"] == leader].set_index("model")["unit"]
    order = concept["model"].drop_duplicates()
    return {pivot: int(leader), **{model: int(buddies[model]) for model in order}}


def unit_maps(maps: Maps, unit: pd.Series, images: range) -> NDArray[np.float32]:
    """Read one unit's maps (n, h, w), standardised with its mean and std.

    Args:
        maps: the model's maps, loaded.
        unit: its row in the table of units.
        images: which images.
    """
    layer = [layer.name for layer in maps.layers].index(unit["layer"])
    channel = int(unit["channel"])
    found = maps.read(layer, images, slice(channel, channel + 1))[:, 0].float().cpu().numpy()
    return (found - np.float32(unit["mean"])) / np.float32(unit["std"])


def evidence(
    pivot: NDArray[np.float32], encoders: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Return per image (n,) the mean product of the pivot's map with each encoder's.

    The maps (n, h, w) are standardised; products are averaged over the positions of the larger
    grid and then over the encoders, so that the mean over all images is about the correlation.
    """
    total = np.zeros(len(pivot))
    for other in encoders.values():
        small, large = common_grids(pivot.shape[1:], other.shape[1:])
        f, g = (
            adjoint(torch.from_numpy(maps)[:, None], [small])[small] for maps in (pivot, other)
        )  # (n, 1, h, w) both
        total += (f * g).double().sum(dim=(1, 2, 3)).numpy() / (large[0] * large[1])
    return total / len(encoders)


@dataclass(frozen=True)
class Example:
    """An image that shows a concept, and the maps (h, w) of its leading units there, by model."""

    score: float
    image: int
    maps: dict[str, NDArray[np.float32]]


def best_examples(
    pivot: str,
    maps: Mapping[str, NDArray[np.float32]],
    images: range,
    *,
    before: Sequence[Example],
    count: int,
) -> list[Example]:
    """Return the `count` images with the most evidence, of some images and those found before.

    Args:
        pivot: its name among the models.
        maps: by model the standardised maps (n, h, w) of a concept's leading unit.
        images: their numbers.
        before: what earlier images gave.
        count: how many to keep; highest score first, ties to the lower number.
    """
    scores = evidence(maps[pivot], {model: maps[model] for model in maps if model != pivot})
    best = np.argsort(-scores, kind="stable")[:count]
    new = [
        Example(
            float(scores[i]), images[i], {model: found[i].copy() for model, found in maps.items()}
        )
        for i in best
    ]
    ranked = sorted([*before, *new], key=lambda example: (-example.score, example.image))
    return ranked[:count]
