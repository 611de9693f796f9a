"""The network of BigGAN-deep (Brock, Donahue and Simonyan, 2019).

BigGANDeep           latents and classes to images, at one truncation
statistics_rows      which rows of the batch statistics belong to a truncation
SpectralNorm         a weight divided by an estimate of its largest singular value
START                channels of the maps that the first block takes, in channel widths
BOTTLENECK           by what a block divides its channels
ATTENTION            by what attention divides its channels, for queries and keys

The names of its modules and weights are those of the published files.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.zoo.generators.latents import one_hot

__all__ = ["ATTENTION", "BOTTLENECK", "START", "BigGANDeep", "SpectralNorm", "statistics_rows"]

START = 16
BOTTLENECK = 4
ATTENTION = 8


def statistics_rows(truncation: float, rows: int) -> tuple[int, float]:
    """Say which of `rows` batch statistics, measured at truncations 0 to 1, belong to a truncation.

    Returns:
        The index of a row, and a fraction: 0 if the row holds as it is; otherwise it counts by
        the fraction and the row after it by the rest. That is the wrong way round, but it is how
        the published networks are run.
    """
    fraction, index = math.modf(truncation / (1 / (rows - 1)))
    if index == rows - 1:  # rounding may leave a fraction, but no row is after the last
        return rows - 1, 0.0
    return int(index), fraction


class SpectralNorm(nn.Module):
    """A weight W that is divided by σ = u·(W v) (Miyato et al., 2018, eq. 8).

    u and v are those of the last power iteration in training, stored with the weights. σ is an
    estimate of the largest singular value, which the network was trained with.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, shape: tuple[int, ...], *, bias: bool) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        weight = torch.randn(shape) / math.sqrt(math.prod(shape[1:]))
        rows = weight.flatten(1)
        v = functional.normalize(torch.randn(shape[0]) @ rows, dim=0)
        self.weight_orig = nn.Parameter(weight)
        self.register_buffer("weight_u", functional.normalize(rows @ v, dim=0))
        self.register_buffer("weight_v", v)

    @property
    def weight(self) -> Tensor:
        """The weight divided by σ."""
        sigma = self.weight_u @ (self.weight_orig.flatten(1) @ self.weight_v)
        return self.weight_orig / sigma


class SpectralLinear(SpectralNorm):
    """A linear map with spectral normalisation."""

    def __init__(self, channels: int, out: int, *, bias: bool = True) -> None:
        super().__init__((out, channels), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


class SpectralConv(SpectralNorm):
    """A convolution with spectral normalisation that keeps the size of the maps."""

    def __init__(self, channels: int, out: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__((out, channels, kernel, kernel), bias=bias)
        self.padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias, padding=self.padding)


class BatchNorm(nn.Module):
    """Batch normalisation with statistics that were measured at several truncations."""

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, channels: int, *, rows: int, eps: float, truncation: float) -> None:
        super().__init__()
        self.eps = eps
        self.index, self.fraction = statistics_rows(truncation, rows)
        self.register_buffer("running_means", torch.zeros(rows, channels))
        self.register_buffer("running_vars", torch.ones(rows, channels))

    def normalise(self, x: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        """Give maps (n, c, h, w) mean 0 and variance 1, then a gain and an offset (n or 1, c)."""
        mean, variance = self._at(self.running_means), self._at(self.running_vars)  # (c,)
        x = (x - mean[:, None, None]) / (variance + self.eps).sqrt()[:, None, None]
        return x * gain[:, :, None, None] + offset[:, :, None, None]

    def _at(self, statistics: Tensor) -> Tensor:
        row = statistics[self.index]
        if not self.fraction:
            return row
        return row * self.fraction + statistics[self.index + 1] * (1 - self.fraction)


class PlainBatchNorm(BatchNorm):
    """Batch normalisation with one gain and offset a channel."""

    def __init__(self, channels: int, **statistics: Any) -> None:
        super().__init__(channels, **statistics)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(x, self.weight[None], self.bias[None])


class ConditionalBatchNorm(BatchNorm):
    """Batch normalisation whose gain and offset are linear in the condition, latent and class."""

    def __init__(self, channels: int, *, condition: int, **statistics: Any) -> None:
        super().__init__(channels, **statistics)
        self.scale = SpectralLinear(condition, channels, bias=False)
        self.offset = SpectralLinear(condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.normalise(x, 1 + self.scale(condition), self.offset(condition))


class Block(nn.Module):
    """A residual block with a bottleneck (figure 16 of the paper).

    The shortcut keeps the first channels where the block has fewer outputs than inputs.
    """

    def __init__(self, channels: int, out: int, *, up: bool, condition: int, **norm: Any) -> None:
        super().__init__()
        self.up, self.out = up, out
        middle = channels // BOTTLENECK
        widths = [(channels, middle, 1), (middle, middle, 3), (middle, middle, 3), (middle, out, 1)]
        for step, (wide, narrow, kernel) in enumerate(widths):
            self.add_module(f"bn_{step}", ConditionalBatchNorm(wide, condition=condition, **norm))
            self.add_module(f"relu_{step}", nn.ReLU())
            self.add_module(f"conv_{step}", SpectralConv(wide, narrow, kernel))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shortcut = x[:, : self.out]
        for step in range(4):
            x = self.get_submodule(f"bn_{step}")(x, condition)
            x = self.get_submodule(f"relu_{step}")(x)
            if self.up and step == 1:
                x, shortcut = _double(x), _double(shortcut)
            x = self.get_submodule(f"conv_{step}")(x)
        return x + shortcut


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class SelfAttention(nn.Module):
    """Self-attention over positions (Zhang et al., 2019), keys and values at half the side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.snconv1x1_theta = SpectralConv(channels, channels // ATTENTION, 1, bias=False)
        self.snconv1x1_phi = SpectralConv(channels, channels // ATTENTION, 1, bias=False)
        self.snconv1x1_g = SpectralConv(channels, channels // 2, 1, bias=False)
        self.snconv1x1_o_conv = SpectralConv(channels // 2, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        queries = self.snconv1x1_theta(x).flatten(2)  # (n, c/8, hw)
        keys = functional.max_pool2d(self.snconv1x1_phi(x), 2).flatten(2)  # (n, c/8, hw/4)
        values = functional.max_pool2d(self.snconv1x1_g(x), 2).flatten(2)  # (n, c/2, hw/4)
        attention = (queries.transpose(1, 2) @ keys).softmax(2)  # (n, hw, hw/4)
        seen = (values @ attention.transpose(1, 2)).unflatten(2, x.shape[2:])  # (n, c/2, h, w)
        return x + self.gamma * self.snconv1x1_o_conv(seen)


class Synthesis(nn.Module):
    """From the condition (n, 2 · z_dim) to the image (n, 3, h, w)."""

    def __init__(self, arguments: Mapping[str, Any], *, truncation: float) -> None:
        super().__init__()
        width, condition = arguments["channel_width"], 2 * arguments["z_dim"]
        norm = {
            "rows": arguments["n_stats"],
            "eps": arguments["eps"],
            "truncation": truncation,
        }
        self.gen_z = SpectralLinear(condition, 4 * 4 * START * width)
        self.layers = nn.ModuleList()
        for position, (up, wide, narrow) in enumerate(arguments["layers"]):
            if position == arguments["attention_layer_position"]:
                self.layers.append(SelfAttention(wide * width))
            block = Block(wide * width, narrow * width, up=up, condition=condition, **norm)
            self.layers.append(block)
        self.bn = PlainBatchNorm(width, **norm)
        self.relu = nn.ReLU()
        # of the image it gives as many channels as it takes, and the first three are used
        self.conv_to_rgb = SpectralConv(width, width, 3)

    def forward(self, condition: Tensor) -> Tensor:
        # the published weights number these positions before their channels
        x = self.gen_z(condition).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)  # (n, c, 4, 4)
        for layer in self.layers:
            x = layer(x, condition) if isinstance(layer, Block) else layer(x)
        return self.conv_to_rgb(self.relu(self.bn(x)))[:, :3].tanh()


class BigGANDeep(nn.Module):
    """BigGAN-deep at one truncation, which chooses the batch statistics."""

    def __init__(self, arguments: Mapping[str, Any], *, truncation: float) -> None:
        super().__init__()
        # an embedding is as long as a latent, whatever class_embed_dim says
        self.embeddings = nn.Linear(arguments["num_classes"], arguments["z_dim"], bias=False)
        self.generator = Synthesis(arguments, truncation=truncation)

    def forward(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """Draw images (n, 3, h, w) in -1..1 of latents (n, z_dim) and classes (n,)."""
        return self.draw_mixed(z, one_hot(classes, self.embeddings.in_features, like=z))

    def draw_mixed(self, z: Tensor, class_vectors: Tensor) -> Tensor:
        """Draw images of mixed classes: the share of each in every image (n, num_classes)."""
        return self.generator(torch.cat([z, self.embeddings(class_vectors)], 1))
