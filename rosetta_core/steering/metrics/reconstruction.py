"""Reconstruction metrics: PSNR, SSIM and a perceptual distance between images and targets."""

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.steering.metrics.image_similarity import PSNR, SSIM, WINDOW, psnr, ssim
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.zoo.encoders.preprocessing import to_pixels

__all__ = ["reconstruction_metrics"]


def reconstruction_metrics(
    images: NDArray[np.uint8],
    target: NDArray[np.uint8],
    distance: PerceptualDistance | None,
    *,
    device: torch.device,
) -> dict[str, NDArray[np.float64]]:
    """Measure how well images reproduce their targets.

    Args:
        images: images (n, h, w, 3).
        target: their targets (n, h, w, 3).
        distance: perceptual distance, which also names its metric; None leaves it out.
        device: device of the perceptual distance.

    Returns:
        PSNR, SSIM and perceptual distance of each image (n,), by the name of the metric. SSIM is
        left out if images are smaller than its window.
    """
    pairs = list(zip(images, target, strict=True))
    metrics = {PSNR: np.array([psnr(*pair) for pair in pairs])}
    if min(images.shape[1:3]) >= WINDOW:
        metrics[SSIM] = np.array([ssim(*pair) for pair in pairs])
    if distance is None:
        return metrics
    with torch.no_grad():
        features = distance.features(to_pixels(target, device=device))
        distances = distance(to_pixels(images, device=device), features).cpu().numpy()
    return {**metrics, distance.name: distances.astype(np.float64)}
