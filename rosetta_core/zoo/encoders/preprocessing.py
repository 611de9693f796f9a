"""Images on their way into an encoder.

preprocess           crop, resize and normalise bytes as an encoder wants them
preprocess_pixels    the same of pixels, differentiable
to_bytes          a generator's images as bytes; to_pixels turns them back
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rosetta_core.zoo.model_spec import Input

__all__ = ["preprocess", "preprocess_pixels", "to_bytes", "to_pixels"]


def to_bytes(images: Tensor) -> Tensor:
    """Turn images (n, 3, h, w) in -1..1 into bytes (n, h, w, 3)."""
    scaled = (images.float() + 1).mul_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def to_pixels(images: NDArray[np.uint8], *, device: torch.device) -> Tensor:
    """Turn bytes (n, h, w, 3) into images as a generator draws them: (n, 3, h, w) in -1..1."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def preprocess(images: Tensor, input: Input) -> Tensor:
    """Crop, resize and normalise bytes (n, h, w, 3) to (n, 3, size, size), channels last."""
    return preprocess_pixels(images.permute(0, 3, 1, 2).float().div_(255), input)


def preprocess_pixels(pixels: Tensor, input: Input) -> Tensor:
    """Crop, resize and normalise pixels (n, 3, h, w) in 0..1 to (n, 3, size, size), channels last.

    Differentiable with respect to the pixels. The maps of an encoder lie on the part of the image
    that it sees. The zoo's models therefore see all of it (`crop` 1): a crop would shift their
    maps against the pivot's.
    """
    height, width = (max(1, round(side * input.crop)) for side in pixels.shape[2:])
    top, left = (pixels.shape[2] - height) // 2, (pixels.shape[3] - width) // 2
    pixels = pixels[:, :, top : top + height, left : left + width]
    if pixels.shape[2:] != (input.size, input.size):
        pixels = functional.interpolate(
            pixels, size=(input.size, input.size), mode=input.interpolation, antialias=True
        ).clamp_(0, 1)
    mean, std = (
        torch.tensor(values, device=pixels.device)[:, None, None]
        for values in (input.mean, input.std)
    )
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
