"""Sampling: the pivot draws images from per-image seeds.

image_seed       the seed of image i
image_class      the class of image i
sample_shard     draw the images of a shard into a store
write_samples    images of a shard, wherever they come from, into a store
Samples          the latents and images of a run, read from its shards
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.mining.stores import (
    create_array,
    new_store,
    open_store,
    read_array,
    read_attribute,
    versions,
    write_manifest,
)
from rosetta_core.progress import Progress
from rosetta_core.zoo.images import to_bytes
from rosetta_core.zoo.network import Generator

__all__ = ["UNCONDITIONAL", "Samples", "image_class", "image_seed", "sample_shard", "write_samples"]

UNCONDITIONAL = -1  # the class label of a generator without classes
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
    latents = generator.latents(seeds)  # (n, z)
    labels = np.full(len(images), UNCONDITIONAL, dtype=np.int64)
    if generator.classes:
        chosen = range(generator.classes) if classes is None else classes
        labels = np.array([image_class(seed, image, chosen) for image in images], dtype=np.int64)
    drawn = []
    with Progress(f"sampling {store.stem}", total=len(images)) as progress:
        # one by one: in batches, rounding depends on the batch
        for latent, label in zip(latents.split(1), torch.from_numpy(labels).split(1), strict=True):
            pixels = generator.draw(
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


def write_samples(
    store: Path, arrays: Mapping[str, NDArray], *, images: range, about: Mapping[str, Any]
) -> None:
    """Write the arrays of a shard (n, …) to a store, with a manifest that records `about`."""
    with new_store(store) as group:
        group.attrs.update(about)
        for name, values in arrays.items():
            array = create_array(
                group, name, shape=values.shape, shard=values.shape, dtype=values.dtype.name
            )
            array[...] = values
    write_manifest(store, {**about, "images": [images.start, images.stop]})


class Samples:
    """The samples of a run, read from the stores of its shards.

    Attributes:
        count: how many images there are.
    """

    def __init__(self, stores: Sequence[Path]) -> None:
        """Open the shards, in order; RosettaError if one is damaged."""
        opened = [open_store(store) for store in stores]
        self._groups = [group for group, _ in opened]
        starts = np.cumsum([0, *(m["images"][1] - m["images"][0] for _, m in opened)])
        self._starts: list[int] = starts.tolist()
        self.count = self._starts[-1]

    def latents(self, images: range) -> NDArray[np.float32]:
        """The latents (n, z) of some images."""
        return self._read("latents", images)

    def classes(self, images: range) -> NDArray[np.int64]:
        """The classes (n,) of some images; -1 where the generator has none."""
        return self._read("classes", images)

    def origins(self) -> list[str]:
        """Of every image the file it was taken from, or "class 3"; empty of one drawn of none."""
        found: list[str] = []
        for group in self._groups:
            if "sources" in group.attrs:
                found += [file for file, _ in read_attribute(group, "sources")]
            else:
                labels = read_array(group, "classes").tolist()
                found += ["" if label == UNCONDITIONAL else f"class {label}" for label in labels]
        return found

    def images(self, images: range) -> NDArray[np.uint8]:
        """Some images (n, h, w, 3)."""
        return self._read("images", images)

    def _read(self, name: str, images: range) -> NDArray:
        parts = []
        for group, start, stop in zip(self._groups, self._starts, self._starts[1:], strict=False):
            first, last = max(images.start, start), min(images.stop, stop)
            if first < last:
                parts.append(read_array(group, name, slice(first - start, last - start)))
        return np.concatenate(parts)
