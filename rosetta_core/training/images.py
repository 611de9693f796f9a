"""The images of a training, every step's the same whenever it is run.

TrainingImages    images by their running number
DrawnImages       those that a generator draws
FolderImages      those of a folder
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.io.images import cropped, read_image, resized
from rosetta_core.mining.sampling.generator import image_class, image_seed
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.network import Generator

__all__ = ["DrawnImages", "FolderImages", "TrainingImages"]

HELD = 2**30  # bytes of images that were read, so that those of a small folder are read once


class TrainingImages(Protocol):
    """Images by their running number; image i is the same whatever the batch."""

    def batch(self, images: range) -> Tensor:
        """Some images: bytes (n, 3, h, w)."""


class DrawnImages:
    """Images that a generator draws; there is no end of them."""

    def __init__(self, generator: Generator, *, seed: int, device: torch.device) -> None:
        self._generator, self._seed, self._device = generator, seed, device

    @torch.no_grad()
    def batch(self, images: range) -> Tensor:
        """Some images: bytes (n, 3, h, w)."""
        latents = self._generator.sample_latents([image_seed(self._seed, i) for i in images])
        classes = None
        if count := self._generator.classes:
            drawn = [image_class(self._seed, i, range(count)) for i in images]
            classes = torch.tensor(drawn, device=self._device)
        return to_bytes(self._generator.generate(latents.to(self._device), classes)).permute(
            0, 3, 1, 2
        )


class FolderImages:
    """The images of a folder, again and again in another order."""

    def __init__(self, files: Sequence[Path], *, size: int, seed: int) -> None:
        self._files, self._size, self._seed = files, size, seed
        self._image = lru_cache(maxsize=HELD // (3 * size**2))(self._read)
        self._order = lru_cache(maxsize=2)(self._permuted)

    def batch(self, images: range) -> Tensor:
        """Some images: bytes (n, 3, h, w)."""
        found = np.stack([self._image(self._file(i)) for i in images])
        return torch.from_numpy(found).permute(0, 3, 1, 2)

    def _file(self, image: int) -> int:
        """Which file is image number `image`: the order is another in every epoch."""
        epoch, place = divmod(image, len(self._files))
        return int(self._order(epoch)[place])

    def _permuted(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._files))

    def _read(self, file: int) -> NDArray[np.uint8]:
        return resized(cropped(read_image(self._files[file]), None), (self._size, self._size))
