"""Similarity of two images: PSNR and SSIM."""

import math

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from rosetta_core.errors import RosettaError

__all__ = ["PSNR", "SSIM", "WINDOW", "check_comparable", "psnr", "ssim"]

PSNR, SSIM = "PSNR (dB)", "SSIM"  # names of the metrics
PEAK = 255
WINDOW = 11  # window of SSIM in pixels: a Gaussian of 1.5 pixels, cut off at 3.5 of them


def psnr(image: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio, 10 log₁₀(255² / MSE), in decibels.

    The MSE is a mean over all pixels and channels. For identical images, whose MSE is 0, it is
    replaced by that of the smallest possible difference, one level in one channel of one pixel:
    89 dB at 64×64. So means over images are finite.

    Args:
        image: byte image (h, w, 3).
        target: byte image (h, w, 3).

    Raises:
        RosettaError: the images are not byte images of the same size.
    """
    check_comparable(image, target)
    error = image.astype(np.float64) - target
    return 10 * math.log10(PEAK**2 / max(np.square(error).mean(), 1 / image.size))


def ssim(image: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity: at most 1, and 1 only for identical images.

    Defined by Wang, Bovik, Sheikh and Simoncelli (2004): 11×11 windows, all inside the image, with
    Gaussian weights of 1.5 pixels; variances without Bessel's correction; K₁ = 0.01, K₂ = 0.03.
    Their images are grey; this is the mean over the three channels.

    Args:
        image: byte image (h, w, 3), at least 11×11.
        target: byte image (h, w, 3).

    Raises:
        RosettaError: the images are not byte images of the same size, or are too small.
    """
    check_comparable(image, target)
    height, width = image.shape[:2]
    if min(height, width) < WINDOW:
        raise RosettaError(
            f"SSIM: the images have {height}×{width} pixels, the window {WINDOW}×{WINDOW}; "
            "compare larger images"
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


def check_comparable(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> None:
    """Check that two arrays are byte images (h, w, 3) of the same size.

    Raises:
        RosettaError: they are not.
    """
    for array in (image, other):
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
            raise RosettaError(
                f"comparing images: one is {array.dtype} {array.shape}; give uint8 (h, w, 3)"
            )
    if image.shape != other.shape:
        raise RosettaError(
            f"comparing images: one is {image.shape}, the other {other.shape}; "
            "resize one of them to the size of the other"
        )
