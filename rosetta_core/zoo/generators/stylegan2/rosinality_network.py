"""Network of StyleGAN2 (Karras et al., 2020); modules are named as in rosinality's layout."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.generators.stylegan2.modulated import (
    Linear,
    fir_kernel,
    leaky_relu,
    modulated_convolution,
    truncate,
    unit_second_moment,
    upsample,
    w_slots,
)

__all__ = ["StyleGAN2"]

FAMILY = "stylegan2_rosinality"
UPSAMPLING_GAIN = 4.0  # sum of a low-pass filter that doubles rows and columns


class UnitSecondMoment(nn.Module):
    """`unit_second_moment` as a module, the first step of the mapping network."""

    def forward(self, z: Tensor) -> Tensor:
        return unit_second_moment(z)


class Kernel(nn.Module):
    """A module that holds a low-pass filter."""

    kernel: Tensor

    def __init__(self, taps: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("kernel", fir_kernel(taps, gain=UPSAMPLING_GAIN))


class Upsample(Kernel):
    """`upsample` as a module."""

    def forward(self, maps: Tensor) -> Tensor:
        return upsample(maps, self.kernel)


class Input(nn.Module):
    """The learned constant input of the synthesis network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, ws: Tensor) -> Tensor:
        return self.input.expand(len(ws), -1, -1, -1)  # (n, channels, 4, 4)


class ModulatedConvolution(nn.Module):
    """`modulated_convolution` with learned weights and a style that is linear in w."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        footprint: int,
        style_dim: int,
        demodulate: bool = True,
        up_taps: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, footprint, footprint))
        self.weight_gain = 1 / math.sqrt(inputs * footprint**2)
        self.demodulate = demodulate
        self.blur = Kernel(up_taps) if up_taps else None
        self.modulation = Linear(style_dim, inputs, bias=1.0)

    def forward(self, maps: Tensor, w: Tensor) -> Tensor:
        return modulated_convolution(
            maps,
            self.weight[0] * self.weight_gain,
            self.modulation(w),
            demodulate=self.demodulate,
            kernel=self.blur.kernel if self.blur else None,
        )


class Noise(nn.Module):
    """Adds a noise image, times a learned strength, to all maps."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor, noise: Tensor | None) -> Tensor:
        return maps if noise is None else maps + self.weight * noise


class Activation(nn.Module):
    """Adds a bias and applies the leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        return leaky_relu(maps + self.bias[:, None, None])


class StyledConvolution(nn.Module):
    """Modulated convolution, noise, bias, non-linearity; doubles the size with `up_taps`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        style_dim: int,
        up_taps: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.conv = ModulatedConvolution(
            inputs, outputs, footprint=3, style_dim=style_dim, up_taps=up_taps
        )
        self.noise = Noise()
        self.activate = Activation(outputs)

    def forward(self, maps: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        return self.activate(self.noise(self.conv(maps, w), noise))


class ToRGB(nn.Module):
    """A modulated 1×1 convolution to colours, added to the image of the lower resolutions."""

    def __init__(
        self, inputs: int, *, style_dim: int, up_taps: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.upsample = Upsample(up_taps) if up_taps else None
        self.conv = ModulatedConvolution(
            inputs, 3, footprint=1, style_dim=style_dim, demodulate=False
        )
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, maps: Tensor, w: Tensor, image: Tensor | None = None) -> Tensor:
        added = self.conv(maps, w) + self.bias
        if self.upsample is None or image is None:
            return added
        return added + self.upsample(image)


class StyleGAN2(nn.Module):
    """Mapping network, synthesis network, constant noise, and the mean w.

    In the layout the mean w is separate from the weights; here it is the buffer `latent_avg`: zero
    before training, and NaN if a checkpoint lacks it.
    """

    latent_avg: Tensor

    def __init__(
        self,
        *,
        size: int,
        style_dim: int,
        n_mlp: int,
        channels: Mapping[int, int],
        taps: Sequence[float],
        lr_mlp: float,
        truncation: float,
    ) -> None:
        super().__init__()
        self.size, self.style_dim, self.truncation = size, style_dim, truncation
        self.n_latent = w_slots(size, family=FAMILY)
        layers = (
            Linear(style_dim, style_dim, learning_rate=lr_mlp, activate=True) for _ in range(n_mlp)
        )
        self.style = nn.Sequential(UnitSecondMoment(), *layers)
        self.input = Input(channels[4])
        self.conv1 = StyledConvolution(channels[4], channels[4], style_dim=style_dim)
        self.to_rgb1 = ToRGB(channels[4], style_dim=style_dim)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        self.noises = nn.Module()
        self.noises.register_buffer("noise_0", torch.randn(1, 1, 4, 4))
        for i in range(3, size.bit_length()):
            side = 2**i
            inputs, outputs = channels[side // 2], channels[side]
            self.convs += [
                StyledConvolution(inputs, outputs, style_dim=style_dim, up_taps=taps),
                StyledConvolution(outputs, outputs, style_dim=style_dim),
            ]
            self.to_rgbs.append(ToRGB(outputs, style_dim=style_dim, up_taps=taps))
            for layer in (2 * i - 5, 2 * i - 4):
                self.noises.register_buffer(f"noise_{layer}", torch.randn(1, 1, side, side))
        self.register_buffer("latent_avg", torch.zeros(style_dim))

    def mapping(self, z: Tensor, *, truncation_psi: float = 1.0) -> Tensor:
        """Map z (n, style_dim) to w (n, style_dim), truncated by ψ.

        Raises:
            RosettaError: ψ is not 1 and the mean w is missing.
        """
        if truncation_psi != 1 and not self.latent_avg.is_meta and self.latent_avg.isnan().any():
            raise RosettaError(
                f"{FAMILY}: truncation is {truncation_psi}, but the weights lack the mean w; "
                "give a checkpoint with latent_avg, or set truncation to 1"
            )
        return truncate(self.style(z), self.latent_avg, psi=truncation_psi)

    def synthesis(self, ws: Tensor, *, noise: bool = True) -> Tensor:
        """Generate images (n, 3, size, size) from w+ (n, n_latent, style_dim).

        A resolution's ToRGB shares its w with the first convolution of the next resolution.
        """
        noises = [
            self.noises.get_buffer(f"noise_{i}") if noise else None
            for i in range(self.n_latent - 1)
        ]
        x = self.conv1(self.input(ws), ws[:, 0], noises[0])
        image = self.to_rgb1(x, ws[:, 1])
        for i, to_rgb in enumerate(self.to_rgbs):
            slot = 2 * i + 1
            x = self.convs[slot - 1](x, ws[:, slot], noises[slot])
            x = self.convs[slot](x, ws[:, slot + 1], noises[slot + 1])
            image = to_rgb(x, ws[:, slot + 2], image)
        return image

    def w(self, z: Tensor, _classes: Tensor | None = None) -> Tensor:
        """Return the truncated w (n, style_dim) of z (n, style_dim)."""
        return self.mapping(z, truncation_psi=self.truncation)

    def forward(self, z: Tensor) -> Tensor:
        """Generate images (n, 3, size, size) from z (n, style_dim)."""
        return self.synthesis(self.w(z)[:, None].repeat(1, self.n_latent, 1))
