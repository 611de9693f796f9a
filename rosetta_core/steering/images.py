"""Images as an inversion sees them.

SAMPLES         names of the photographs that come with scikit-image
sample_image    one of them
sketched        an image as a pencil drawing
"""

from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.io.images import read_image

__all__ = ["SAMPLES", "sample_image", "sketched"]

FILES = {  # all in the public domain; of scikit-image's others some need a download
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
}
SAMPLES = tuple(FILES)

# of a drawing: chosen by eye for faces, so that eyes and mouth can be read at 64 × 64
LINE = 0.007  # standard deviations of the two Gaussians, as shares of the side
SHADE = 0.025
LIGHT = 0.1  # less than this share of the strongest lines stays paper
PRESSURE = 1.8
STRONGEST = 0.98  # the quantile of the darkness that counts as the strongest lines
FAINTEST = 0.02  # in an image without contrast, noise is no line


def sample_image(name: str) -> NDArray[np.uint8]:
    """Return the pixels (h, w, 3) of one of `SAMPLES`, from disk, never from a network.

    Raises:
        RosettaError: there is no such photograph.
    """
    if name not in FILES:
        raise RosettaError(
            f"no sample image {name!r}; they are {', '.join(SAMPLES)}{did_you_mean(name, SAMPLES)}"
        )
    with as_file(files("skimage") / "data" / FILES[name]) as path:
        return read_image(path)


def sketched(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (h, w, 3) as a pencil drawing: soft grey lines on white paper (h, w, 3).

    A difference of Gaussians finds what is darker than its surroundings, and a soft threshold
    draws it (Winnemöller et al., XDoG, 2012). The strength is relative to the strongest lines
    of the image, and the lines' width to its shorter side, so that they survive a reduction.
    """
    luminance = image @ np.array([0.299, 0.587, 0.114]) / 255  # (h, w)
    side = min(luminance.shape)
    near, far = (
        gaussian_filter(luminance, share * side, mode="nearest") for share in (LINE, SHADE)
    )
    darker = np.maximum(far - near, 0)
    darker /= max(float(np.quantile(darker, STRONGEST)), FAINTEST)
    paper = 1 - np.tanh(PRESSURE * np.maximum(darker - LIGHT, 0))
    grey = (paper * 255).round().astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
