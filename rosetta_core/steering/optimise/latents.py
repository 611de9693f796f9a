"""Starting latents and class labels of optimisations.

A starting latent depends on the job's seed and on its own number alone, not on the number of
restarts. Numbers from 1,000,000 on are used for random baselines.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import SteeredGenerator

__all__ = ["class_labels", "generate_image", "initial_latents", "latents_from_seeds"]

INITIAL_LATENTS = 1  # spawn key, which separates these seeds from those of the run's images


def initial_latents(
    generator: SteeredGenerator,
    numbers: Sequence[int],
    *,
    seed: int,
    space: str,
    classes: Tensor | None,
) -> Tensor:
    """Return random latents (n, …).

    Args:
        generator: the generator.
        numbers: number of each latent (n,).
        seed: random seed of the job.
        space: name of the latent space.
        classes: class labels (n,), None for an unconditional generator.
    """
    states = [np.random.SeedSequence(seed, spawn_key=(INITIAL_LATENTS, i)) for i in numbers]
    seeds = [int(state.generate_state(1, np.uint64)[0] >> 1) for state in states]
    return latents_from_seeds(generator, seeds, space=space, classes=classes)


@torch.no_grad()
def latents_from_seeds(
    generator: SteeredGenerator, seeds: Sequence[int], *, space: str, classes: Tensor | None
) -> Tensor:
    """Return the latents (n, …) of seeds, in a latent space of the generator."""
    z = generator.generator.sample_latents(seeds).to(generator.device)
    return generator.generator.latent_space(space).from_z(z, classes)


def class_labels(
    generator: SteeredGenerator, class_label: int | None, *, count: int
) -> Tensor | None:
    """Return the class labels of a batch.

    Args:
        generator: the generator.
        class_label: the class; None for the generator's default class.
        count: number of images in the batch.

    Returns:
        Class labels (count,), or None for an unconditional generator.

    Raises:
        RosettaError: the generator is unconditional and a class is given, or it is conditional and
            the class is missing or out of range.
    """
    classes = generator.generator.classes
    label = generator.default_class if class_label is None else class_label
    if not classes and label is None:
        return None
    if not classes or label is None or label >= classes:
        range_ = f"has classes 0 to {classes - 1}" if classes else "has no classes"
        state = "class_label is missing" if label is None else f"class_label is {label}"
        raise RosettaError(f"{generator.name} {range_}, but {state}")
    return torch.full((count,), label, device=generator.device)


def generate_image(
    generator: SteeredGenerator, seed: int, *, class_label: int | None = None
) -> NDArray[np.uint8]:
    """Return the image (h, w, 3) of a seed.

    Args:
        generator: the generator.
        seed: seed of the latent z.
        class_label: the class; None for the generator's default class.

    Raises:
        RosettaError: the class is missing or impossible, see `class_labels`.
    """
    classes = class_labels(generator, class_label, count=1)
    latent = latents_from_seeds(generator, [seed], space="z", classes=classes)
    images, _ = generator.render(latent, space="z", classes=classes)
    return images[0]
