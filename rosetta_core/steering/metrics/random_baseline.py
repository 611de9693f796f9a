"""What random images of the generator come to, to compare with.

similarity_of_random_images    of their maps with an objective's targets
lowest_activations             of every unit, the least that it takes on them
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.config.steering import LatentOptimisation
from rosetta_core.steering.generator import Drawing, Pivot
from rosetta_core.steering.optimise.latents import class_labels, starting_latents
from rosetta_core.steering.optimise.objective import Objective

__all__ = ["lowest_activations", "similarity_of_random_images"]

RANDOM = 64
FIRST = 1_000_000  # number of the first: no start has it


@torch.no_grad()
def similarity_of_random_images(
    pivot: Pivot, job: LatentOptimisation, objective: Objective
) -> NDArray[np.float64]:
    """Return the similarities (64,) of random images, other than the starts, with one target.

    Args:
        pivot: the generator.
        job: the latent space, the class and the seed.
        objective: of one item.
    """
    every = _random_drawings(pivot, job, objective.layers)
    return np.array([float(objective(drawing.maps)) for drawing in every])


@torch.no_grad()
def lowest_activations(pivot: Pivot, job: LatentOptimisation) -> dict[str, NDArray[np.float32]]:
    """Return by layer the least activation (c,) of every unit on random images."""
    lowest: dict[str, NDArray[np.float32]] = {}
    for drawing in _random_drawings(pivot, job, list(pivot.grids)):
        for layer, maps in drawing.maps.items():
            least = maps[0].amin(dim=(1, 2)).cpu().numpy()
            lowest[layer] = np.minimum(lowest.get(layer, least), least)
    return lowest


def _random_drawings(
    pivot: Pivot, job: LatentOptimisation, layers: Sequence[str]
) -> Iterator[Drawing]:
    """Random images one by one, so that none depends on the others."""
    label = class_labels(pivot, job.class_label, count=1)
    for i in range(RANDOM):
        latent = starting_latents(pivot, [FIRST + i], seed=job.seed, space=job.space, classes=label)
        yield pivot.draw(latent, space=job.space, classes=label, layers=layers)
