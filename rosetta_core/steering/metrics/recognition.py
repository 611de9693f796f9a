"""Recognition: whether a result is nearer to its target than random images are."""

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.metrics.evaluation_table import DISTRACTORS
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.optimise.latents import class_labels, initial_latents
from rosetta_core.zoo.encoders.preprocessing import to_pixels

__all__ = ["recognised"]

FIRST_DISTRACTOR = 2_000_000  # number of the first latent; no restart and no baseline uses it


@torch.no_grad()
def recognised(
    generator: SteeredGenerator,
    images: NDArray[np.uint8],
    distances: NDArray[np.float64],
    *,
    evaluation_distance: PerceptualDistance,
    space: str = "z",
    class_label: int | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return 1 where an image is nearer to its target than to any random image, else 0 (n,).

    Args:
        generator: the generator, which produces the random images.
        images: the images (n, h, w, 3).
        distances: distances of the images from their targets (n,).
        evaluation_distance: the perceptual distance.
        space: name of the latent space.
        class_label: class of the random images; None for the generator's default class.
        seed: random seed of the latents.
    """
    classes = class_labels(generator, class_label, count=DISTRACTORS)
    latents = initial_latents(
        generator,
        range(FIRST_DISTRACTOR, FIRST_DISTRACTOR + DISTRACTORS),
        seed=seed,
        space=space,
        classes=classes,
    )
    distractors, _ = generator.render(latents, space=space, classes=classes)
    features = evaluation_distance.features(to_pixels(distractors, device=generator.device))
    pixels = to_pixels(images, device=generator.device)
    nearest = [float(evaluation_distance(image, features).min()) for image in pixels.split(1)]
    return (distances < nearest).astype(np.float64)
