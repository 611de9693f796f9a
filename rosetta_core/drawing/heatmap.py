"""Activation maps drawn over images as heat maps.

The browser draws the same with the same colour scales (pages/dictionary/static/maps.js).
"""

from functools import cache

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["SCALES", "colours", "contrast", "overlay", "picture"]

OPACITY = 0.72  # at full strength
SCALES = {  # part of the matplotlib colour map of that name; turbo begins almost black
    "turbo": (0.12, 1.0),
    "viridis": (0.0, 1.0),
    "magma": (0.0, 1.0),
    "gray": (0.0, 1.0),
}


@cache
def colours(scale: str = "turbo") -> NDArray[np.float32]:
    """Return a colour scale (256, 3) with values from 0 to 1."""
    first, last = SCALES[scale]
    return matplotlib.colormaps[scale](np.linspace(first, last, 256))[:, :3].astype(np.float32)


def contrast(maps: NDArray[np.float32]) -> float:
    """Return the standardised activation at full strength: the 99.5% quantile, at least 1."""
    return max(1.0, float(np.quantile(maps, 0.995)))


def picture(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Scale an image (h, w, 3) to size × size."""
    scaled = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(scaled)


def overlay(
    image: NDArray[np.uint8], activation: NDArray[np.float32], *, full: float, size: int
) -> NDArray[np.uint8]:
    """Draw the activation map of a unit over an image.

    Args:
        image: image (h, w, 3).
        activation: standardised map (h', w'); values up to 0, the unit's mean, are transparent.
        full: activation at full strength, in standard deviations.
        size: side of the result in pixels.

    Returns:
        The picture (size, size, 3).
    """
    base = picture(image, size).astype(np.float32) / 255
    grey = base @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    base = 0.35 * base + 0.65 * grey[:, :, None]  # nearly grey, so that colours come from the map
    scaled = Image.fromarray(activation.astype(np.float32)).resize(
        (size, size), Image.Resampling.BILINEAR
    )
    heat = np.clip(np.asarray(scaled) / full, 0, 1)
    colour = colours()[(heat * 255).astype(np.uint8)]
    alpha = OPACITY * (heat**0.7)[:, :, None]
    blended = (1 - alpha) * base + alpha * colour
    return (blended * 255).round().astype(np.uint8)
