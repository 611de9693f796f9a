"""Samples from a generator, with a random seed of its own for each image."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.io.stores.store import library_versions
from rosetta_core.mining.sampling.samples import UNCONDITIONAL, write_samples
from rosetta_core.runtime.progress import Progress
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.generators.output import ImageChecks
from rosetta_core.zoo.network import Generator

__all__ = ["check_first_images", "draw_samples", "image_class", "image_seed", "sample_shard"]

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
def check_first_images(
    generator: Generator,
    *,
    name: str,
    images: range,
    seed: int,
    classes: Sequence[int] | None,
) -> None:
    """Generate the first images of a run and check their values, before the run.

    Args:
        generator: the generator, built with the run's truncation, on any device.
        name: name of the model, for errors.
        images: numbers of the images.
        seed: random seed of the run.
        classes: classes to draw from; None for all.

    Raises:
        RosettaError: the images are not images in the generator's range.
    """
    latents, labels = _draws(generator, images, seed=seed, classes=classes)
    checks = ImageChecks(name, generator.output_range)
    for number, image in zip(
        images, _generate(generator, latents, labels, device=generator.device), strict=True
    ):
        checks.add(image, first=number)
    checks.finish()


@torch.no_grad()
def draw_samples(
    generator: Generator,
    images: range,
    *,
    title: str,
    seed: int,
    classes: Sequence[int] | None,
    checks: ImageChecks,
    threads: int = 1,
) -> dict[str, NDArray]:
    """Draw images and check their values.

    Image i depends on `seed`, the generator, `classes` and i only.

    Args:
        generator: the generator, built with the truncation.
        images: numbers of the images in the run.
        title: title of the progress bar.
        seed: random seed of the run.
        classes: classes to draw from, for a class-conditional generator; None for all.
        checks: checks of the images' values.
        threads: number of images that a CPU draws at once; each takes memory.

    Returns:
        The arrays `latents` (n, z) float32, `images` (n, h, w, 3) uint8, and `classes` and `seeds`
        (n,) int64.

    Raises:
        RosettaError: the images are not finite, all the same, or outside the generator's range.
    """
    latents, labels = _draws(generator, images, seed=seed, classes=classes)
    drawn = []
    with Progress(title, total=len(images)) as progress:
        generated = _generate(generator, latents, labels, device=generator.device, threads=threads)
        for number, pixels in zip(images, generated, strict=True):
            checks.add(pixels, first=number)
            drawn.append(to_bytes(pixels).cpu())
            progress.advance()
    checks.finish()
    return {
        "latents": latents.numpy(),
        "images": torch.cat(drawn).numpy(),
        "classes": labels,
        "seeds": np.array([image_seed(seed, image) for image in images], dtype=np.int64),
    }


def sample_shard(
    generator: Generator,
    store: Path,
    *,
    name: str,
    images: range,
    seed: int,
    truncation: float,
    classes: Sequence[int] | None,
    check_range: bool = True,
    weights: str | None = None,
) -> None:
    """Draw images, check their values, and write them to a store with a manifest.

    Image i depends on `seed`, `truncation`, `classes` and i only. The store has the arrays of
    `draw_samples`.

    Args:
        generator: the generator, built with `truncation`.
        store: path of the store.
        name: name of the model, for errors.
        images: numbers of the images in the run.
        seed: random seed of the run.
        truncation: truncation psi, recorded with the images.
        classes: classes to draw from, for a class-conditional generator; None for all.
        check_range: whether the range of the images is checked.
        weights: SHA-256 of the generator's weights, recorded with the images.

    Raises:
        RosettaError: the images are not finite, all the same, or outside the generator's range.
    """
    checks = ImageChecks(
        f"{name}: images of shard {store.stem}", generator.output_range, ranges=check_range
    )
    arrays = draw_samples(
        generator,
        images,
        title=f"sampling {store.stem}",
        seed=seed,
        classes=classes,
        checks=checks,
    )
    about = {
        "seed": seed,
        "truncation": truncation,
        "weights": weights,
        "versions": library_versions("torch"),
    }
    write_samples(store, arrays, images=images, about=about)


def _draws(
    generator: Generator, images: range, *, seed: int, classes: Sequence[int] | None
) -> tuple[Tensor, NDArray[np.int64]]:
    """Return the latents (n, z) and the class labels (n,) of some images."""
    latents = generator.sample_latents([image_seed(seed, image) for image in images])
    if not generator.classes:
        return latents, np.full(len(images), UNCONDITIONAL, dtype=np.int64)
    chosen = range(generator.classes) if classes is None else classes
    return latents, np.array([image_class(seed, i, chosen) for i in images], dtype=np.int64)


def _generate(
    generator: Generator,
    latents: Tensor,
    labels: NDArray[np.int64],
    *,
    device: torch.device,
    threads: int = 1,
) -> Iterator[Tensor]:
    """Yield each image (1, 3, h, w); in batches, the rounding would depend on the batch."""

    def draw(number: int) -> Tensor:
        one = slice(number, number + 1)
        label = torch.from_numpy(labels[one]).to(device) if generator.classes else None
        return generator.generate(latents[one].to(device), label)

    numbers = range(len(latents))
    if threads == 1 or device.type != "cpu":
        yield from map(draw, numbers)
        return
    with TorchThreadPool(threads) as workers:
        yield from workers.map(draw, numbers)
