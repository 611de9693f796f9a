"""How well images reproduce their targets.

recovery     PSNR, SSIM and a perceptual distance of each
"""

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.similarity import psnr, ssim
from rosetta_core.zoo.encoders.preprocessing import to_pixels

__all__ = ["recovery"]


def recovery(
    images: NDArray[np.uint8],
    target: NDArray[np.uint8],
    judge: PerceptualDistance,
    *,
    device: torch.device,
) -> dict[str, NDArray[np.float64]]:
    """How well images (n, h, w, 3) reproduce targets (n, h, w, 3): by name a number each."""
    with torch.no_grad():
        looked_at = judge.look_at(to_pixels(target, device=device))
        distance = judge(to_pixels(images, device=device), looked_at).cpu().numpy()
    pairs = list(zip(images, target, strict=True))
    return {
        "PSNR (dB)": np.array([psnr(*pair) for pair in pairs]),
        "SSIM": np.array([ssim(*pair) for pair in pairs]),
        judge.name: distance.astype(np.float64),
    }
