"""Conversion of images between generators, files and encoders.

Generators return pixels (n, 3, h, w) in -1..1, files hold bytes (n, h, w, 3), and encoders take
normalised pixels (n, 3, height, width).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rosetta_core.zoo.model_spec import Input

__all__ = ["preprocess", "preprocess_pixels", "to_bytes", "to_pixels"]


def to_bytes(images: Tensor) -> Tensor:
    """Convert images (n, 3, h, w) in -1..1 to bytes (n, h, w, 3), rounded and clamped."""
    scaled = (images.float() + 1).mul_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def to_pixels(images: NDArray[np.uint8], *, device: torch.device) -> Tensor:
    """Convert bytes (n, h, w, 3) to images (n, 3, h, w) in -1..1, as a generator returns them."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def preprocess(images: Tensor, input: Input) -> Tensor:
    """Crop, resize and normalise bytes (n, h, w, 3).

    Args:
        images: uint8 (n, h, w, 3).
        input: preprocessing of the encoder.

    Returns:
        float32 (n, 3, height, width), with channels last in memory.
    """
    return preprocess_pixels(images.permute(0, 3, 1, 2).float().div_(255), input)


def preprocess_pixels(pixels: Tensor, input: Input) -> Tensor:
    """Crop, resize and normalise pixels, differentiably.

    An encoder's maps cover the part of the image that it receives. Models of the zoo receive the
    whole image (`crop` 1), since a crop would shift their maps against the pivot's.

    Args:
        pixels: (n, 3, h, w) in 0..1.
        input: preprocessing of the encoder.

    Returns:
        (n, 3, height, width), with channels last in memory.
    """
    height, width = (max(1, round(side * input.crop)) for side in pixels.shape[2:])
    top, left = (pixels.shape[2] - height) // 2, (pixels.shape[3] - width) // 2
    pixels = pixels[:, :, top : top + height, left : left + width]
    if pixels.shape[2:] != input.sides:
        pixels = functional.interpolate(
            pixels, size=input.sides, mode=input.interpolation, antialias=True
        ).clamp_(0, 1)
    mean, std = (
        torch.tensor(values, device=pixels.device)[:, None, None]
        for values in (input.mean, input.std)
    )
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
