"""Pixels of images as bytes, from arrays, tensors, PIL images and encoded files.

Encoded files are decoded by `io.images` only, within its formats and its limit of pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.io.images import convert_image, crop_square, read_image, resize_image

__all__ = ["SIZE", "decode", "resized", "to_bytes"]

SIZE = 256  # default side of images that are read from files
RANGE = 1e-3  # pixels may lie so far outside 0..1


def to_bytes(image: Any, bit_depth: int | None = None) -> NDArray[np.uint8]:
    """Return one image as bytes (h, w, 3)."""
    if isinstance(image, Image.Image):
        return convert_image(image, bit_depth=bit_depth)
    if not isinstance(image, np.ndarray | Tensor) or image.ndim != 3:
        shape = tuple(getattr(image, "shape", ())) or type(image).__name__
        raise RosettaError(f"images: {shape} is not an image; give (h, w, 3), (3, h, w) or PIL")
    if isinstance(image, Tensor):
        values = image.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        array = values.permute(1, 2, 0).numpy()
    else:
        array = image
    if array.shape[2] not in (1, 3):
        raise RosettaError(
            f"images: shape {tuple(image.shape)} has no axis of 3 colours in its place; give "
            "arrays (h, w, 3) or tensors (3, h, w)"
        )
    if 0 in array.shape:
        raise RosettaError(f"images: shape {tuple(image.shape)} has no pixels; remove the image")
    if array.dtype != np.uint8:
        if array.dtype.kind != "f":
            kind = array.dtype
            raise RosettaError(
                f"images: type {kind} is neither uint8 nor float; convert it to uint8"
            )
        low, high = float(array.min()), float(array.max())
        if not np.isfinite([low, high]).all():
            raise RosettaError("images: pixels are not finite; remove the image")
        if low < -RANGE or high > 1 + RANGE:
            raise RosettaError(
                f"images: pixels are in {low:.3g}..{high:.3g}, not in 0..1; give uint8, or pixels "
                "before their normalisation"
            )
        array = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def decode(
    content: bytes | None, name: str, size: int, *, bit_depth: int | None = None
) -> NDArray[np.uint8]:
    """Return the central square (size, size, 3) of an encoded image.

    Args:
        content: content of the file; None: `name` is the path of the file.
        name: path, or place of the content in its archive or table, for errors.
        size: side of the image in pixels.
        bit_depth: bits of the values in 16-bit files.
    """
    return resized(read_image(Path(name), bit_depth=bit_depth, content=content), size)


def resized(image: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    """Return the central square of an image with a side of `size` pixels; None: the image."""
    return image if size is None else resize_image(crop_square(image), (size, size))
