"""Synthesis network of StyleGAN2 (Karras et al., 2020) in NVIDIA's layout.

Modules and tensors are named as in the published files.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rosetta_core.zoo.generators.stylegan2.modulated import (
    Linear,
    fir_kernel,
    leaky_relu,
    modulated_convolution,
    upsample,
)

__all__ = ["Design", "SynthesisNetwork"]


@dataclass(frozen=True, kw_only=True)
class Design:
    """Common settings of the layers of a synthesis network.

    Attributes:
        w_dim: length of w.
        img_channels: colour channels of the image.
        channel_base: product of channels and resolution, below `channel_max`.
        channel_max: largest number of channels.
        resample_filter: taps of the low-pass filter, along rows and along columns.
        use_noise: whether layers add constant noise.
        conv_clamp: largest magnitude of a layer's outputs; None for no clamp.
        first_sides: height and width of the constant input, at resolution 4.
    """

    w_dim: int
    img_channels: int
    channel_base: int
    channel_max: int
    resample_filter: Sequence[float]
    use_noise: bool
    conv_clamp: float | None
    first_sides: tuple[int, int] = (4, 4)

    def sides(self, resolution: int) -> tuple[int, int]:
        """Return the height and the width of features at a resolution."""
        height, width = self.first_sides
        return height * resolution // 4, width * resolution // 4

    def channels(self, resolution: int) -> int:
        """Return the number of channels at a resolution."""
        return min(self.channel_base // resolution, self.channel_max)


class SynthesisLayer(nn.Module):
    """Modulated convolution, noise, bias, non-linearity; doubles the size if `up` is 2."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, design: Design, *, resolution: int, up: int = 1
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.resolution, self.up = resolution, up
        self.use_noise, self.conv_clamp = design.use_noise, design.conv_clamp
        self.affine = Linear(design.w_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.register_buffer("resample_filter", fir_kernel(design.resample_filter))
        if design.use_noise:
            self.register_buffer("noise_const", torch.randn(design.sides(resolution)))
            self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor, *, noise: bool) -> Tensor:
        """Map (n, in_channels, h, w) and w (n, w_dim) to (n, out_channels, up·h, up·w)."""
        kernel = self.resample_filter * 4 if self.up == 2 else None
        x = modulated_convolution(x, self.weight, self.affine(w), kernel=kernel)
        if noise and self.use_noise:
            x = x + self.noise_const * self.noise_strength
        return _clamped(leaky_relu(x + self.bias[:, None, None]), self.conv_clamp)


class ToRGBLayer(nn.Module):
    """A modulated 1×1 convolution to colour channels, without demodulation."""

    def __init__(self, in_channels: int, design: Design) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, design.img_channels
        self.conv_clamp = design.conv_clamp
        self.affine = Linear(design.w_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(design.img_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(design.img_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map (n, in_channels, h, w) and w (n, w_dim) to colours (n, img_channels, h, w)."""
        styles = self.affine(w) * self.weight_gain
        x = modulated_convolution(x, self.weight, styles, demodulate=False)
        return _clamped(x + self.bias[:, None, None], self.conv_clamp)


def _clamped(x: Tensor, limit: float | None) -> Tensor:
    return x if limit is None else x.clamp(-limit, limit)


class SynthesisBlock(nn.Module):
    """The layers of one resolution, and their contribution to the image."""

    resample_filter: Tensor

    def __init__(self, design: Design, *, resolution: int) -> None:
        super().__init__()
        channels = design.channels(resolution)
        self.resolution = resolution
        self.in_channels = design.channels(resolution // 2) if resolution > 4 else 0
        self.num_conv = 2 if self.in_channels else 1
        self.register_buffer("resample_filter", fir_kernel(design.resample_filter))
        if self.in_channels:
            self.conv0 = SynthesisLayer(
                self.in_channels, channels, design, resolution=resolution, up=2
            )
        else:
            self.const = nn.Parameter(torch.randn(channels, *design.sides(resolution)))
        self.conv1 = SynthesisLayer(channels, channels, design, resolution=resolution)
        self.torgb = ToRGBLayer(channels, design)

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Tensor, *, noise: bool
    ) -> tuple[Tensor, Tensor]:
        """Return features (n, channels, h, w) and the accumulated image (n, img_channels, h, w).

        Args:
            x: features of the block before; None in the first.
            image: what that block returned; None in the first.
            ws: one w for each convolution and one for ToRGB (n, num_conv + 1, w_dim).
            noise: whether the constant noise is added.
        """
        if x is None:
            x = self.const.expand(len(ws), -1, -1, -1)
        else:
            x = self.conv0(x, ws[:, 0], noise=noise)
        x = self.conv1(x, ws[:, self.num_conv - 1], noise=noise)
        added = self.torgb(x, ws[:, self.num_conv])
        if image is not None:
            added = upsample(image, self.resample_filter * 4) + added
        return x, added


class SynthesisNetwork(nn.Module):
    """Generates images from w+, from 4×4 to the full size."""

    def __init__(self, design: Design, *, resolution: int, num_ws: int) -> None:
        super().__init__()
        self.img_resolution, self.num_ws = resolution, num_ws
        self.block_resolutions = [2**i for i in range(2, resolution.bit_length())]
        for side in self.block_resolutions:
            self.add_module(f"b{side}", SynthesisBlock(design, resolution=side))

    def forward(self, ws: Tensor, *, noise: bool = True) -> Tensor:
        """Generate images (n, img_channels, h, w) from w+ (n, num_ws, w_dim).

        A block's ToRGB shares its w with the first convolution of the next block.
        """
        x = image = None
        slot = 0
        for side in self.block_resolutions:
            block = self.get_submodule(f"b{side}")
            assert isinstance(block, SynthesisBlock)
            x, image = block(x, image, ws[:, slot : slot + block.num_conv + 1], noise=noise)
            slot += block.num_conv
        assert image is not None
        return image
