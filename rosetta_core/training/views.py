"""What of an image an encoder in training sees: random crops, mirrored, in other colours.

plain_view      the image itself, or a random crop of it
dino_views      two large crops and several small ones, as DINO takes them

Transformations are torchvision's, image by image; they draw torch's own random numbers. Images are
bytes, views are too.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from rosetta_core.training.recipe import SelfDistillation

__all__ = ["Views", "dino_views", "plain_view"]

Views = Callable[[Tensor], list[Tensor]]


def plain_view(size: int, *, smallest_crop: float, flip: bool) -> Views:
    """Return what turns images (n, 3, h, w) into one view of each, [(n, 3, size, size)]."""
    view = v2.Compose(
        [
            _crop(size, (smallest_crop, 1.0)),
            v2.RandomHorizontalFlip(0.5 if flip else 0.0),
        ]
    )
    return lambda images: [_each(view, images)]


def dino_views(method: SelfDistillation, size: int, *, flip: bool) -> Views:
    """Return what turns images (n, 3, h, w) into views, the two large ones first.

    Args:
        method: how many small crops, how large all are, and how much colours are distorted.
        size: side of the large crops in pixels, unless the method says another.
        flip: whether every second one is mirrored.
    """

    def view(side: int, scale: Sequence[float], *, blur: float, solarised: float) -> v2.Compose:
        jitter = v2.RandomApply([v2.ColorJitter(*method.jitter)], p=0.8)
        blurred = v2.RandomApply([v2.GaussianBlur(side // 16 * 2 + 1, (0.1, 2.0))], p=blur)
        return v2.Compose(
            [
                _crop(side, scale),
                v2.RandomHorizontalFlip(0.5 if flip else 0.0),
                jitter,
                v2.RandomGrayscale(method.grey),
                blurred,
                v2.RandomSolarize(128, solarised),
            ]
        )

    large = method.global_size or size
    first, second, small = method.blur
    views = [
        view(large, method.global_scale, blur=first, solarised=0),
        view(large, method.global_scale, blur=second, solarised=method.solarised),
    ]
    local = view(method.local_size, method.local_scale, blur=small, solarised=0)
    views += [local] * method.local_crops
    return lambda images: [_each(each, images) for each in views]


def _crop(size: int, scale: Sequence[float]) -> v2.Transform:
    smallest, largest = scale
    if smallest == 1:
        return v2.Resize((size, size))
    return v2.RandomResizedCrop(
        size, scale=(smallest, largest), interpolation=InterpolationMode.BICUBIC, antialias=True
    )


def _each(view: v2.Compose, images: Tensor) -> Tensor:
    return torch.stack([view(image) for image in images])
