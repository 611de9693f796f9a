"""Target images of inversions: sample photographs and pencil sketches.

The photographs come with scikit-image and are in the public domain. Sketches are a difference of
Gaussians with a soft threshold (Winnemöller et al., XDoG, 2012).
"""

from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.io.images import read_image

__all__ = ["SAMPLES", "sample_image", "sketch_image"]

FILES = {  # some of scikit-image's other photographs need a download
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
}
SAMPLES = tuple(FILES)

# chosen by eye for faces, so that eyes and mouth are legible at 64 × 64
LINE = 0.007  # standard deviations of the two Gaussians, as shares of the shorter side
SHADE = 0.025
LIGHT = 0.1  # darkness, as a share of the strongest lines, below which paper stays white
PRESSURE = 1.8
STRONGEST = 0.98  # quantile of the darkness that counts as the strongest lines
FAINTEST = 0.02  # lower bound of this quantile: in an image without contrast, noise is not a line


def sample_image(name: str) -> NDArray[np.uint8]:
    """Return the pixels (h, w, 3) of one of `SAMPLES`, read from the installed scikit-image.

    Raises:
        RosettaError: there is no such photograph.
    """
    if name not in FILES:
        raise RosettaError(
            f"no sample image {name!r}; they are {', '.join(SAMPLES)}{did_you_mean(name, SAMPLES)}"
        )
    with as_file(files("skimage") / "data" / FILES[name]) as path:
        return read_image(path)


def sketch_image(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert an image (h, w, 3) to a pencil sketch (h, w, 3): grey lines on white paper.

    A difference of Gaussians finds pixels that are darker than their surroundings; a soft
    threshold turns them into lines. Line strength is relative to the strongest lines of the image,
    and line width to its shorter side, so that lines survive a reduction.
    """
    luminance = image @ np.array([0.299, 0.587, 0.114]) / 255  # (h, w)
    side = min(luminance.shape)
    fine, coarse = (
        gaussian_filter(luminance, share * side, mode="nearest") for share in (LINE, SHADE)
    )
    darkness = np.maximum(coarse - fine, 0)
    darkness /= max(float(np.quantile(darkness, STRONGEST)), FAINTEST)
    paper = 1 - np.tanh(PRESSURE * np.maximum(darkness - LIGHT, 0))
    grey = (paper * 255).round().astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
