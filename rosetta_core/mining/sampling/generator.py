"""Sampling: the pivot draws images from per-image seeds.

image_seed       the seed of image i
image_class      the class of image i
sample_shard     draw the images of a shard into a store
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.io.zarr_store import versions
from rosetta_core.mining.sampling.samples import UNCONDITIONAL, write_samples
from rosetta_core.runtime.progress import Progress
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.network import Generator

__all__ = ["image_class", "image_seed", "sample_shard"]

CLASS = 1  # sets the draw of an image's class apart from that of its latent


def image_seed(seed: int, image: int) -> int:
    """The seed of image number `image` in a run with seed `seed`; other runs get others."""
    state = np.random.SeedSequence(seed, spawn_key=(image,)).generate_state(1, np.uint64)
    return int(state[0] >> 1)  # torch takes seeds below 2⁶³


def image_class(seed: int, image: int, classes: Sequence[int]) -> int:
    """The class of image number `image`, one of `classes`, in a run with seed `seed`."""
    return int(np.random.default_rng([seed, image, CLASS]).choice(classes))


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
    """Draw the images numbered `images` and write them to a store with a manifest.

    Image i depends on `seed`, `truncation`, `classes` and i alone. The store holds `latents` (n, z)
    float32, `images` (n, h, w, 3) bytes, `classes` and `seeds` (n,) int64.

    Args:
        generator: on `device`, built to draw with `truncation`.
        store: where to.
        images: the running numbers of the images.
        seed: of the run.
        truncation: recorded with the images.
        classes: to choose from, all unless given; for generators that have them.
        device: where the network is.
    """
    seeds = [image_seed(seed, image) for image in images]
    latents = generator.sample_latents(seeds)  # (n, z)
    labels = np.full(len(images), UNCONDITIONAL, dtype=np.int64)
    if generator.classes:
        chosen = range(generator.classes) if classes is None else classes
        labels = np.array([image_class(seed, image, chosen) for image in images], dtype=np.int64)
    drawn = []
    with Progress(f"sampling {store.stem}", total=len(images)) as progress:
        # one by one: in batches, rounding depends on the batch
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
    about = {"seed": seed, "truncation": truncation, "versions": versions("torch")}
    write_samples(store, arrays, images=images, about=about)
