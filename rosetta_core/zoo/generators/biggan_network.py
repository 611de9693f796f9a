"""Network of BigGAN-deep (Brock, Donahue and Simonyan, 2019).

Modules and weights are named as in the published files.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.zoo.generators.latents import one_hot

__all__ = ["ATTENTION", "BOTTLENECK", "START", "BigGANDeep", "SpectralNorm", "statistics_rows"]

START = 16  # channels of the first maps, in channel widths
BOTTLENECK = 4  # factor by which a block reduces its channels
ATTENTION = 8  # factor by which attention reduces its channels, for queries and keys


def statistics_rows(truncation: float, rows: int) -> tuple[int, float]:
    """Return the batch statistics of a truncation, among rows measured at truncations 0 to 1.

    Returns:
        Index of a row, and its weight in the mean with the next row; a weight of 0 means the row
        alone. An interpolation would use one minus this weight, but the published networks are run
        with it.
    """
    fraction, index = math.modf(truncation / (1 / (rows - 1)))
    if index == rows - 1:  # rounding may leave a fraction, but there is no next row
        return rows - 1, 0.0
    return int(index), fraction


class SpectralNorm(nn.Module):
    """A weight W divided by σ = u·(W v) (Miyato et al., 2018, eq. 8).

    u and v are the vectors of the last power iteration in training, stored with the weights; σ
    estimates the largest singular value.
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
    """A linear layer with spectral normalisation."""

    def __init__(self, channels: int, out: int, *, bias: bool = True) -> None:
        super().__init__((out, channels), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


class SpectralConv(SpectralNorm):
    """A convolution with spectral normalisation; maps keep their size."""

    def __init__(self, channels: int, out: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__((out, channels, kernel, kernel), bias=bias)
        self.padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias, padding=self.padding)


class BatchNorm(nn.Module):
    """Batch normalisation with statistics measured at several truncations."""

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, channels: int, *, rows: int, eps: float, truncation: float) -> None:
        super().__init__()
        self.eps = eps
        self.index, self.fraction = statistics_rows(truncation, rows)
        self.register_buffer("running_means", torch.zeros(rows, channels))
        self.register_buffer("running_vars", torch.ones(rows, channels))

    def normalise(self, x: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        """Normalise maps (n, c, h, w), then apply a gain and an offset (n or 1, c)."""
        mean, variance = self._at(self.running_means), self._at(self.running_vars)  # (c,)
        x = (x - mean[:, None, None]) / (variance + self.eps).sqrt()[:, None, None]
        return x * gain[:, :, None, None] + offset[:, :, None, None]

    def _at(self, statistics: Tensor) -> Tensor:
        row = statistics[self.index]
        if not self.fraction:
            return row
        return row * self.fraction + statistics[self.index + 1] * (1 - self.fraction)


class PlainBatchNorm(BatchNorm):
    """Batch normalisation with one gain and one offset per channel."""

    def __init__(self, channels: int, **statistics: Any) -> None:
        super().__init__(channels, **statistics)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(x, self.weight[None], self.bias[None])


class ConditionalBatchNorm(BatchNorm):
    """Batch normalisation with gain and offset linear in the condition (latent and class)."""

    def __init__(self, channels: int, *, condition: int, **statistics: Any) -> None:
        super().__init__(channels, **statistics)
        self.scale = SpectralLinear(condition, channels, bias=False)
        self.offset = SpectralLinear(condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.normalise(x, 1 + self.scale(condition), self.offset(condition))


class Block(nn.Module):
    """A residual block with a bottleneck (figure 16 of the paper).

    If the block has fewer outputs than inputs, its shortcut is the first channels.
    """

    def __init__(self, channels: int, out: int, *, up: bool, condition: int, **norm: Any) -> None:
        super().__init__()
        self.up, self.out = up, out
        middle = channels // BOTTLENECK
        steps = [(channels, middle, 1), (middle, middle, 3), (middle, middle, 3), (middle, out, 1)]
        for step, (inputs, outputs, kernel) in enumerate(steps):
            self.add_module(f"bn_{step}", ConditionalBatchNorm(inputs, condition=condition, **norm))
            self.add_module(f"relu_{step}", nn.ReLU())
            self.add_module(f"conv_{step}", SpectralConv(inputs, outputs, kernel))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map (n, channels, h, w) to (n, out, h, w), or to (n, out, 2h, 2w) if `up`."""
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
    """Self-attention over positions (Zhang et al., 2019); keys and values at half the side."""

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
        mixed = (values @ attention.transpose(1, 2)).unflatten(2, x.shape[2:])  # (n, c/2, h, w)
        return x + self.gamma * self.snconv1x1_o_conv(mixed)


class Synthesis(nn.Module):
    """Generates images (n, 3, h, w) from conditions (n, 2 · z_dim)."""

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
        for position, (up, inputs, outputs) in enumerate(arguments["layers"]):
            if position == arguments["attention_layer_position"]:
                self.layers.append(SelfAttention(inputs * width))
            block = Block(inputs * width, outputs * width, up=up, condition=condition, **norm)
            self.layers.append(block)
        self.bn = PlainBatchNorm(width, **norm)
        self.relu = nn.ReLU()
        # it has as many outputs as inputs; the first three are the image
        self.conv_to_rgb = SpectralConv(width, width, 3)

    def forward(self, condition: Tensor) -> Tensor:
        # the published weights number these positions before their channels
        x = self.gen_z(condition).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)  # (n, c, 4, 4)
        for layer in self.layers:
            x = layer(x, condition) if isinstance(layer, Block) else layer(x)
        return self.conv_to_rgb(self.relu(self.bn(x)))[:, :3].tanh()


class BigGANDeep(nn.Module):
    """BigGAN-deep at one truncation, which selects the batch statistics."""

    def __init__(self, arguments: Mapping[str, Any], *, truncation: float) -> None:
        super().__init__()
        # the length of an embedding is z_dim; class_embed_dim has no effect
        self.embeddings = nn.Linear(arguments["num_classes"], arguments["z_dim"], bias=False)
        self.generator = Synthesis(arguments, truncation=truncation)

    def forward(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        """Generate images (n, 3, h, w) in -1..1 from latents (n, z_dim) and class labels (n,)."""
        return self.generate_mixed(z, one_hot(classes, self.embeddings.in_features, like=z))

    def generate_mixed(self, z: Tensor, class_vectors: Tensor) -> Tensor:
        """Generate images of mixed classes; the vectors (n, num_classes) hold their shares."""
        return self.generator(torch.cat([z, self.embeddings(class_vectors)], 1))
