"""Images, latents and masks as steering functions take them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rosetta_core.api.arguments import whole_number
from rosetta_core.api.images import ImageSet
from rosetta_core.api.images.pixels import to_bytes
from rosetta_core.api.steering.results import SteeringResult
from rosetta_core.config.images import TargetImage
from rosetta_core.config.reading import parse_section
from rosetta_core.errors import RosettaError
from rosetta_core.io.images import MIN_MASK, convert_image, crop_square, read_image, resize_image
from rosetta_core.stages.steering.networks import load_mask, load_target
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.optimise.latents import (
    class_labels,
    generate_image,
    latents_from_seeds,
)
from rosetta_core.validation import SEED_LIMIT

__all__ = ["latents_of", "mask_of", "targets_of"]


def targets_of(
    source: Any, steered: SteeredGenerator, *, class_label: int | None
) -> list[tuple[NDArray[np.uint8], str]]:
    """Return images to reproduce, each with a title, at the size of the generator's images.

    Args:
        source: one image or several: a path, a PIL image, an array (h, w, 3), a tensor (3, h, w),
            or the keys of an image as in a configuration; a list of these, an array (n, h, w, 3), a
            tensor (n, 3, h, w), or images from `images` or `sample`.
        steered: the generator.
        class_label: class of images that are given by a seed.

    Raises:
        RosettaError: there are no images, or one of them is not an image.
    """
    height, width = generate_image(steered, 0, class_label=class_label).shape[:2]
    titled = []
    for number, one in enumerate(_items(source)):
        if isinstance(one, Mapping):
            spec = parse_section(TargetImage, one, source="image")
            image = load_target(spec, steered, class_label=class_label, max_pixels=None)
            titled.append((image, spec.title))
            continue
        pixels, title = _pixels(one, number)
        titled.append((resize_image(crop_square(pixels), (height, width)), title))
    if not titled:
        raise RosettaError("image: there is none; give at least one")
    return titled


def _items(source: Any) -> list[Any]:
    """Return the images of a source, one by one."""
    if isinstance(source, ImageSet):
        return list(source.pixels)
    if isinstance(source, np.ndarray | Tensor):
        if source.ndim not in (3, 4):
            raise RosettaError(
                f"image: shape {tuple(source.shape)} is not one of an image; give (h, w, 3), a "
                "tensor (3, h, w), or several of one size"
            )
        return [source] if source.ndim == 3 else list(source)
    if isinstance(source, list | tuple):
        return list(source)
    return [source]


def _pixels(image: Any, number: int) -> tuple[NDArray[np.uint8], str]:
    """Return the pixels (h, w, 3) and the title of an image."""
    if isinstance(image, str | Path):
        path = Path(image)
        if path.is_dir():
            raise RosettaError(f"image: {path} is a folder; give images(…) of it, or a file")
        return read_image(path), str(path)
    if isinstance(image, Image.Image):
        return convert_image(image), f"image {number}"
    if not isinstance(image, np.ndarray | Tensor):
        raise RosettaError(
            f"image: {type(image).__name__} is not an image; give a path, a PIL image, an array "
            "(h, w, 3) or a tensor (3, h, w)"
        )
    if image.ndim != 3 or 0 in image.shape:
        raise RosettaError(
            f"image: shape {tuple(image.shape)} is not one of an image; give (h, w, 3) or a tensor "
            "(3, h, w)"
        )
    return to_bytes(image), f"image {number}"


def latents_of(
    source: Any, steered: SteeredGenerator, *, space: str, class_label: int | None
) -> list[tuple[Tensor, str]]:
    """Return latents (1, …) of a latent space, each with a title.

    Args:
        source: latents (…) or (n, …), the seeds of images, or the result of another function.
        steered: the generator.
        space: name of the latent space.
        class_label: class of the images.

    Raises:
        RosettaError: the latents have another shape, are not finite, or there are none.
    """
    classes = class_labels(steered, class_label, count=1)

    def drawn(seed: int) -> Tensor:
        return latents_from_seeds(steered, [seed], space=space, classes=classes)

    shape = tuple(drawn(0).shape[1:])
    title = "latent"
    if isinstance(source, SteeringResult):
        source, title = source.latents, f"result of {source.kind}"
    if not isinstance(source, np.ndarray | Tensor):
        seeds = source if isinstance(source, list | tuple | range) else [source]
        if not seeds:
            raise RosettaError("latents: there are none; give at least one")
        if not all(isinstance(seed, int | np.integer) for seed in seeds):
            raise RosettaError(
                f"latents: {type(source).__name__} is neither latents nor seeds; give an array "
                f"(n, {', '.join(map(str, shape))}), a seed, or the result of invert"
            )
        numbers = [whole_number("seed", seed, least=0, most=SEED_LIMIT - 1) for seed in seeds]
        return [(drawn(number), f"seed {number}") for number in numbers]
    if isinstance(source, np.ndarray) and source.dtype.kind not in "biuf":
        raise RosettaError(f"latents: type {source.dtype} is not a float; give floats, or seeds")
    latents = torch.as_tensor(source).detach()
    latents = latents[None] if tuple(latents.shape) == shape else latents
    if tuple(latents.shape[1:]) != shape or not len(latents):
        raise RosettaError(
            f"latents: shape {tuple(latents.shape)} is not one of {space} of {steered.name}; give "
            f"(n, {', '.join(map(str, shape))})"
        )
    if not latents.is_floating_point():
        raise RosettaError(f"latents: type {latents.dtype} is not a float; give floats, or seeds")
    if not torch.isfinite(latents).all():
        raise RosettaError("latents: are not finite; remove NaN and infinity")
    latents = latents.to("cpu", torch.float32)
    return [(latents[[row]], f"{title} {row}") for row in range(len(latents))]


def mask_of(
    mask: Any, steered: SteeredGenerator, *, class_label: int | None
) -> NDArray[np.float32]:
    """Return a mask (h, w) from 0 to 1.

    Args:
        mask: a path, a PIL image, or an array or tensor (h, w): bool, uint8, or floats in 0..1.
        steered: the generator, whose images have the size of the mask.
        class_label: class of its images.

    Raises:
        RosettaError: it is not a mask of that size, or no pixel is bright.
    """
    size = generate_image(steered, 0, class_label=class_label).shape[:2]
    if isinstance(mask, str | Path):
        return load_mask(Path(mask), size=(size[0], size[1]))
    if isinstance(mask, Image.Image):
        values = convert_image(mask).mean(axis=2).round().astype(np.uint8)
    elif isinstance(mask, np.ndarray | Tensor):
        values = np.asarray(mask.detach().cpu() if isinstance(mask, Tensor) else mask)
    else:
        raise RosettaError(
            f"mask: {type(mask).__name__} is not a mask; give a path, a PIL image or an array"
        )
    if values.shape != size:
        raise RosettaError(
            f"mask: shape {values.shape} is not that of the generator's images; give {size}"
        )
    match values.dtype.kind, values.dtype.itemsize:
        case "b", _:
            weights = values.astype(np.float32)
        case "u", 1:
            weights = values.astype(np.float32) / 255
        case "f", _:
            weights = values.astype(np.float32)
        case _:
            raise RosettaError(f"mask: type {values.dtype} is not bool, uint8 or float; convert it")
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() > 1:
        raise RosettaError("mask: values are not in 0..1; give bool, uint8 or floats in 0..1")
    if weights.max() < MIN_MASK:
        raise RosettaError(
            f"mask: no pixel is bright (the largest value is {weights.max():.2g}, white is 1); "
            "make it white where units may change"
        )
    return weights
