"""Activation maps drawn over images.

SCALES        colour scales to draw maps with, the usual one first
colours       a colour scale
picture       an image, scaled
overlay       a map as a heat map over an image
contrast      the activation that is drawn at full strength

The pages draw the same in the browser (static/maps.js), from the same colour scales.
"""

from functools import cache

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["SCALES", "colours", "contrast", "overlay", "picture"]

OPACITY = 0.72  # of the hottest place
SCALES = {  # by name the part of matplotlib's colour map of that name: turbo begins all but black
    "turbo": (0.12, 1.0),
    "viridis": (0.0, 1.0),
    "magma": (0.0, 1.0),
    "gray": (0.0, 1.0),
}


@cache
def colours(scale: str = "turbo") -> NDArray[np.float32]:
    """Return a colour scale (256, 3), from 0 to 1."""
    first, last = SCALES[scale]
    return matplotlib.colormaps[scale](np.linspace(first, last, 256))[:, :3].astype(np.float32)


def contrast(maps: NDArray[np.float32]) -> float:
    """The standardised activation to draw at full strength: the 99.5% quantile, at least 1."""
    return max(1.0, float(np.quantile(maps, 0.995)))


def picture(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Scale an image (h, w, 3) to size × size."""
    scaled = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(scaled)


def overlay(
    image: NDArray[np.uint8], activation: NDArray[np.float32], *, full: float, size: int
) -> NDArray[np.uint8]:
    """Draw a unit's map over an image.

    Args:
        image: (h, w, 3).
        activation: the map (h', w'), standardised: 0 is the unit's mean, which stays clear.
        full: the activation at full strength.
        size: side of the result.
    """
    base = picture(image, size).astype(np.float32) / 255
    grey = base @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    base = 0.35 * base + 0.65 * grey[:, :, None]  # pale, so that the colours are the map's
    scaled = Image.fromarray(activation.astype(np.float32)).resize(
        (size, size), Image.Resampling.BILINEAR
    )
    heat = np.clip(np.asarray(scaled) / full, 0, 1)
    colour = colours()[(heat * 255).astype(np.uint8)]
    alpha = OPACITY * (heat**0.7)[:, :, None]
    blended = (1 - alpha) * base + alpha * colour
    return (blended * 255).round().astype(np.uint8)
