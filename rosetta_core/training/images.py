"""Training images, addressed by a running number, and their random views.

Image i is the same whatever the batch, so a resumed training sees the same images. Views are
torchvision's random crops, flips and colour distortions, applied image by image with torch's random
numbers; images and views are bytes.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from rosetta_core.io.images import crop_square, read_image, resize_image
from rosetta_core.mining.sampling.generator import image_class, image_seed
from rosetta_core.training.recipe import DinoSettings
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.network import Generator

__all__ = ["FolderImages", "GeneratedImages", "ImageSource", "Views", "crop_view", "dino_views"]

CACHE_BYTES = 2**30  # of decoded images; a small folder is decoded once

Views = Callable[[Tensor], list[Tensor]]


class ImageSource(Protocol):
    """Images by running number; image i is the same in every batch."""

    def batch(self, images: range) -> Tensor:
        """Return images as bytes (n, 3, h, w)."""


class GeneratedImages:
    """Unlimited samples of a generator, with seeded latents and class labels."""

    def __init__(self, generator: Generator, *, seed: int, device: torch.device) -> None:
        self._generator, self._seed, self._device = generator, seed, device

    @torch.no_grad()
    def batch(self, images: range) -> Tensor:
        """Return images as bytes (n, 3, h, w)."""
        latents = self._generator.sample_latents([image_seed(self._seed, i) for i in images])
        classes = None
        if count := self._generator.classes:
            labels = [image_class(self._seed, i, range(count)) for i in images]
            classes = torch.tensor(labels, device=self._device)
        samples = self._generator.generate(latents.to(self._device), classes)  # (n, 3, h, w)
        return to_bytes(samples).permute(0, 3, 1, 2)


class FolderImages:
    """Image files, cropped to the centre square and resized; every epoch has its own order.

    Args:
        files: image files; image i of epoch e is one of them.
        size: side of the images in pixels.
        seed: seed of the orders.
        bit_depth: bits of the values in 16-bit files, as in `read_image`.
        max_pixels: largest image, as in `read_image`.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        size: int,
        seed: int,
        bit_depth: int | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self._files, self._size, self._seed = files, size, seed
        self._bit_depth, self._max_pixels = bit_depth, max_pixels
        self._image = lru_cache(maxsize=CACHE_BYTES // (3 * size**2))(self._read)
        self._order = lru_cache(maxsize=2)(self._permutation)

    def batch(self, images: range) -> Tensor:
        """Return images as bytes (n, 3, size, size)."""
        pixels = np.stack([self._image(self._file(i)) for i in images])  # (n, size, size, 3)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def _file(self, image: int) -> int:
        """Index of the file of an image."""
        epoch, position = divmod(image, len(self._files))
        return int(self._order(epoch)[position])

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._files))

    def _read(self, file: int) -> NDArray[np.uint8]:
        image = read_image(
            self._files[file], bit_depth=self._bit_depth, max_pixels=self._max_pixels
        )
        return resize_image(crop_square(image, None), (self._size, self._size))


def crop_view(size: int, *, smallest_crop: float, flip: bool) -> Views:
    """Return a function from images (n, 3, h, w) to one view [(n, 3, size, size)].

    Args:
        size: side of the view in pixels.
        smallest_crop: smallest area of the random crops, a share of the image; 1: no cropping.
        flip: mirror each image with probability 0.5.
    """
    view = v2.Compose(
        [
            _crop(size, (smallest_crop, 1.0)),
            v2.RandomHorizontalFlip(0.5 if flip else 0.0),
        ]
    )
    return lambda images: [_apply(view, images)]


def dino_views(settings: DinoSettings, size: int, *, flip: bool) -> Views:
    """Return a function from images (n, 3, h, w) to DINO's crops, the two global ones first.

    Args:
        settings: numbers, sizes, areas and colour distortions of the crops.
        size: side of the global crops in pixels, unless `settings.global_size` is given.
        flip: mirror each crop with probability 0.5.
    """

    def view(side: int, scale: Sequence[float], *, blur: float, solarise: float) -> v2.Compose:
        jitter = v2.RandomApply([v2.ColorJitter(*settings.jitter)], p=0.8)
        blurred = v2.RandomApply([v2.GaussianBlur(side // 16 * 2 + 1, (0.1, 2.0))], p=blur)
        return v2.Compose(
            [
                _crop(side, scale),
                v2.RandomHorizontalFlip(0.5 if flip else 0.0),
                jitter,
                v2.RandomGrayscale(settings.grey),
                blurred,
                v2.RandomSolarize(128, solarise),
            ]
        )

    global_size = settings.global_size or size
    first, second, local = settings.blur
    views = [
        view(global_size, settings.global_scale, blur=first, solarise=0),
        view(global_size, settings.global_scale, blur=second, solarise=settings.solarised),
    ]
    small = view(settings.local_size, settings.local_scale, blur=local, solarise=0)
    views += [small] * settings.local_crops
    return lambda images: [_apply(view, images) for view in views]


def _crop(size: int, scale: Sequence[float]) -> v2.Transform:
    smallest, largest = scale
    if smallest == 1:
        return v2.Resize((size, size))
    return v2.RandomResizedCrop(
        size, scale=(smallest, largest), interpolation=InterpolationMode.BICUBIC, antialias=True
    )


def _apply(view: v2.Compose, images: Tensor) -> Tensor:
    return torch.stack([view(image) for image in images])
