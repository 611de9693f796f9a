"""How well images agree.

psnr           the peak signal-to-noise ratio of an image against a target, in decibels
ssim           their structural similarity
check_alike    that two images can be compared
"""

import math

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from rosetta_core.errors import RosettaError

__all__ = ["check_alike", "psnr", "ssim"]

PEAK = 255
WINDOW = 11  # of SSIM, in pixels: a Gaussian of 1.5 that is cut off at 3.5 of them


def psnr(image: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """Return 10 log₁₀(255² / MSE) in decibels, the MSE over all pixels and channels.

    Identical images have no MSE to divide by. They get what the smallest difference there is
    would give, one channel of one pixel one level off: 89 dB at 64×64. So that no image counts
    for more than a better one, and a mean over images stays a number.

    Args:
        image: (h, w, 3).
        target: (h, w, 3).

    Raises:
        RosettaError: these are no two byte images of one size.
    """
    check_alike(image, target)
    error = image.astype(np.float64) - target
    return 10 * math.log10(PEAK**2 / max(np.square(error).mean(), 1 / image.size))


def ssim(image: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity, at most 1, and 1 for identical images only.

    As Wang, Bovik, Sheikh and Simoncelli (2004) define it: windows of 11×11 pixels, all of them
    inside the image, weighted by a Gaussian of 1.5 pixels, variances without Bessel's correction,
    K₁ = 0.01, K₂ = 0.03. They take grey images; here it is the mean over the three channels.

    Args:
        image: (h, w, 3), at least 11×11.
        target: (h, w, 3).

    Raises:
        RosettaError: these are no two byte images of one size, or they are too small.
    """
    check_alike(image, target)
    height, width = image.shape[:2]
    if min(height, width) < WINDOW:
        raise RosettaError(
            f"SSIM: the images have {height}×{width} pixels, its window {WINDOW}×{WINDOW}; "
            "compare larger ones"
        )
    similarity = structural_similarity(
        target,
        image,
        data_range=PEAK,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(similarity)


def check_alike(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> None:
    """Refuse all but two byte images (h, w, 3) of one size.

    Raises:
        RosettaError: they are something else.
    """
    for array in (image, other):
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
            raise RosettaError(
                f"comparing images: one is {array.dtype} {array.shape}; give uint8 (h, w, 3)"
            )
    if image.shape != other.shape:
        raise RosettaError(
            f"comparing images: one is {image.shape}, the other {other.shape}; "
            "resize one of them to the other's size"
        )
