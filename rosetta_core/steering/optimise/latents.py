"""Where descents begin.

starting_latents    by number, the same for every job with the same seed
given_latents       those of seeds that a user chose
drawn_image         of a seed
class_labels        the class to draw, if the generator has classes
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import Pivot

__all__ = ["class_labels", "drawn_image", "given_latents", "starting_latents"]

STARTS = 1  # sets the seeds of starts apart from those of the run's images


def starting_latents(
    pivot: Pivot, numbers: Sequence[int], *, seed: int, space: str, classes: Tensor | None
) -> Tensor:
    """Return random latents (n, …); start number i depends on the seed and on i alone."""
    states = [np.random.SeedSequence(seed, spawn_key=(STARTS, i)) for i in numbers]
    seeds = [int(state.generate_state(1, np.uint64)[0] >> 1) for state in states]
    return given_latents(pivot, seeds, space=space, classes=classes)


@torch.no_grad()
def given_latents(
    pivot: Pivot, seeds: Sequence[int], *, space: str, classes: Tensor | None
) -> Tensor:
    """Return the latents (n, …) of seeds in a space of the generator."""
    z = pivot.generator.sample_latents(seeds).to(pivot.device)
    return pivot.generator.latent_space(space).from_z(z, classes)


def class_labels(pivot: Pivot, label: int | None, *, count: int) -> Tensor | None:
    """Return the class to draw (count,), or None for a generator without classes.

    Args:
        pivot: the generator.
        label: the class; None for the run's, if it has only one.
        count: how many images are drawn.

    Raises:
        RosettaError: a label for a generator without classes, none for one that has them, or one
            that it doesn't have.
    """
    classes = pivot.generator.classes
    label = pivot.label if label is None else label
    if not classes and label is None:
        return None
    if not classes or label is None or label >= classes:
        has = f"has classes 0 to {classes - 1}" if classes else "has no classes"
        given = "class_label is missing" if label is None else f"class_label is {label}"
        raise RosettaError(f"{pivot.name} {has}, but {given}")
    return torch.full((count,), label, device=pivot.device)


def drawn_image(pivot: Pivot, seed: int, *, label: int | None = None) -> NDArray[np.uint8]:
    """Return the image (h, w, 3) of a seed; of a class, for a generator that has them.

    RosettaError as for `class_labels`.
    """
    classes = class_labels(pivot, label, count=1)
    latent = given_latents(pivot, [seed], space="z", classes=classes)
    images, _ = pivot.look(latent, space="z", classes=classes)
    return images[0]
