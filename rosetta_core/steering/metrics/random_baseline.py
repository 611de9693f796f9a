"""Random baseline: statistics of maps over random images of the generator.

The images are those of 64 starting latents that no restart uses.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.steering.generator import GeneratedImages, SteeredGenerator
from rosetta_core.steering.optimise.latents import class_labels, initial_latents
from rosetta_core.steering.optimise.objective import Objective

__all__ = ["minimum_activations", "random_similarities"]

RANDOM_IMAGES = 64
FIRST_NUMBER = 1_000_000  # number of the first latent; restarts have smaller numbers


@torch.no_grad()
def random_similarities(
    generator: SteeredGenerator,
    objective: Objective,
    *,
    space: str = "z",
    class_label: int | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return the similarity of the maps of random images to a target (64,).

    Args:
        generator: the generator.
        objective: objective of a single item.
        space: name of the latent space.
        class_label: class of the images; None for the generator's default class.
        seed: random seed of the latents.
    """
    images = _random_images(
        generator, objective.layers, space=space, class_label=class_label, seed=seed
    )
    return np.array([float(objective(generated.maps)) for generated in images])


@torch.no_grad()
def minimum_activations(
    generator: SteeredGenerator,
    *,
    space: str = "z",
    class_label: int | None = None,
    seed: int = 0,
) -> dict[str, NDArray[np.float32]]:
    """Return the minimum activation of every unit (c,) over random images, by layer.

    Args:
        generator: the generator.
        space: name of the latent space.
        class_label: class of the images; None for the generator's default class.
        seed: random seed of the latents.
    """
    minimum: dict[str, NDArray[np.float32]] = {}
    images = _random_images(
        generator, list(generator.grids), space=space, class_label=class_label, seed=seed
    )
    for generated in images:
        for layer, maps in generated.maps.items():
            lowest = maps[0].amin(dim=(1, 2)).cpu().numpy()
            minimum[layer] = np.minimum(minimum.get(layer, lowest), lowest)
    return minimum


def _random_images(
    generator: SteeredGenerator,
    layers: Sequence[str],
    *,
    space: str,
    class_label: int | None,
    seed: int,
) -> Iterator[GeneratedImages]:
    """Generate random images one at a time, so that each is independent of the others."""
    classes = class_labels(generator, class_label, count=1)
    for i in range(RANDOM_IMAGES):
        latent = initial_latents(
            generator, [FIRST_NUMBER + i], seed=seed, space=space, classes=classes
        )
        yield generator.generate(latent, space=space, classes=classes, layers=layers)
