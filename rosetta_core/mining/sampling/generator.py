"""Samples from a generator, with a random seed of its own for each image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.io.zarr_store import library_versions
from rosetta_core.mining.sampling.samples import UNCONDITIONAL, write_samples
from rosetta_core.runtime.progress import Progress
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.network import Generator

__all__ = ["image_class", "image_seed", "sample_shard"]

CLASS_STREAM = 1  # separates the draw of an image's class from the draw of its latent


def image_seed(seed: int, image: int) -> int:
    """Return the random seed of an image; the images of different runs have different seeds.

    Args:
        seed: random seed of the run.
        image: number of the image.
    """
    state = np.random.SeedSequence(seed, spawn_key=(image,)).generate_state(1, np.uint64)
    return int(state[0] >> 1)  # torch accepts seeds below 2⁶³


def image_class(seed: int, image: int, classes: Sequence[int]) -> int:
    """Return the class of an image, drawn from `classes`.

    Args:
        seed: random seed of the run.
        image: number of the image.
        classes: classes to draw from.
    """
    return int(np.random.default_rng([seed, image, CLASS_STREAM]).choice(classes))


@torch.no_grad()
def sample_shard(
    generator: Generator,
    store: Path,
    *,
    images: range,
    seed: int,
    truncation: float,
    classes: Sequence[int] | None,
    device: torch.device,
) -> None:
    """Draw images and write them to a store with a manifest.

    Image i depends on `seed`, `truncation`, `classes` and i only. The store has the arrays
    `latents` (n, z) float32, `images` (n, h, w, 3) uint8, and `classes` and `seeds` (n,) int64.

    Args:
        generator: the generator on `device`, built with `truncation`.
        store: path of the store.
        images: numbers of the images in the run.
        seed: random seed of the run.
        truncation: truncation psi, recorded with the images.
        classes: classes to draw from, for a class-conditional generator; None for all.
        device: device of the generator.
    """
    seeds = [image_seed(seed, image) for image in images]
    latents = generator.sample_latents(seeds)  # (n, z)
    labels = np.full(len(images), UNCONDITIONAL, dtype=np.int64)
    if generator.classes:
        chosen = range(generator.classes) if classes is None else classes
        labels = np.array([image_class(seed, image, chosen) for image in images], dtype=np.int64)
    drawn = []
    with Progress(f"sampling {store.stem}", total=len(images)) as progress:
        # one by one: in batches, the rounding depends on the batch
        for latent, label in zip(latents.split(1), torch.from_numpy(labels).split(1), strict=True):
            pixels = generator.generate(
                latent.to(device), label.to(device) if generator.classes else None
            )
            drawn.append(to_bytes(pixels).cpu())
            progress.advance()
    arrays: dict[str, NDArray] = {
        "latents": latents.numpy(),
        "images": torch.cat(drawn).numpy(),
        "classes": labels,
        "seeds": np.array(seeds, dtype=np.int64),
    }
    about = {"seed": seed, "truncation": truncation, "versions": library_versions("torch")}
    write_samples(store, arrays, images=images, about=about)
