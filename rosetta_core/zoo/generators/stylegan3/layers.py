"""Synthesis network of StyleGAN3: Fourier features and alias-free layers.

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021. Modules and tensors are
named as in the published files.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.zoo.generators.stylegan2.modulated import Linear
from rosetta_core.zoo.generators.stylegan3.filters import filtered_leaky_relu, low_pass
from rosetta_core.zoo.generators.stylegan3.layer_plan import LayerPlan, Signal

__all__ = ["FourierFeatures", "SynthesisLayer", "SynthesisNetwork"]

EPSILON = 1e-8


class FourierFeatures(nn.Module):
    """Plane waves with frequencies in the band of the first layer (section 3.1, config B).

    w rotates and translates them (section 3.2, "Transformed Fourier features (config H)").

    Attributes:
        signal: output of the module.
        transform: transform (3, 3) of the user, from points of the image to points of the image
            that w alone would give.
    """

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, signal: Signal, *, w_dim: int) -> None:
        super().__init__()
        self.signal = signal
        channels = signal.channels
        # for normal vectors exp(-r²/2) is uniform, so its root is a radius uniform in a disc
        freqs = torch.randn(channels, 2)
        radii = freqs.norm(dim=1, keepdim=True)
        freqs = freqs / radii * (-radii.square() / 4).exp() * signal.cutoff
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.affine = Linear(w_dim, 4)
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias[0] = 1

    def forward(self, w: Tensor) -> Tensor:
        """Map w (n, w_dim) to maps (n, channels, size, size)."""
        transforms = self._transforms(w) @ self.transform  # (n, 3, 3)
        freqs = self.freqs @ transforms[:, :2, :2]  # (n, c, 2)
        phases = self.phases + (self.freqs @ transforms[:, :2, 2:])[:, :, 0]  # (n, c)
        # waves that a scaling moves beyond the band are attenuated before they alias
        cutoff, nyquist = self.signal.cutoff, self.signal.sampling_rate / 2
        amplitudes = (1 - (freqs.norm(dim=2) - cutoff) / (nyquist - cutoff)).clamp(0, 1)
        waves = self._positions() @ freqs.transpose(1, 2)[:, None]  # (n, h, w, c)
        waves = torch.sin((waves + phases[:, None, None]) * (2 * math.pi))
        waves = waves * amplitudes[:, None, None]
        maps = waves @ (self.weight / math.sqrt(self.signal.channels)).T
        return maps.permute(0, 3, 1, 2).contiguous()  # (n, c, h, w)

    def _transforms(self, w: Tensor) -> Tensor:
        """Return inverses (n, 3, 3) of the rotation and translation of the image given by w."""
        parameters = self.affine(w)  # (n, 4): cosine, sine, x, y
        parameters = parameters / parameters[:, :2].norm(dim=1, keepdim=True)
        cosine, sine, x, y = parameters.unbind(1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        rotation = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], dim=1)
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1)
        return rotation.unflatten(1, (3, 3)) @ shift.unflatten(1, (3, 3))

    def _positions(self) -> Tensor:
        """Return positions (h, w, 2) of the maps' pixels, as x and y; the image is -0.5..0.5."""
        size, rate = self.signal.size, self.signal.sampling_rate
        line = torch.arange(size, dtype=self.freqs.dtype, device=self.freqs.device)
        line = (line + (1 - size) / 2) / rate
        return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=2)


class SynthesisLayer(nn.Module):
    """A modulated convolution, and a leaky ReLU between low-pass filters (section 3).

    Attributes:
        plan: sizes, bands and resampling.
        magnitude_ema: σ², the mean square of the layer's input in training; inputs are divided by
            σ (section 3.1, config D).
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, plan: LayerPlan, *, w_dim: int) -> None:
        super().__init__()
        self.plan = plan
        source, target, side = plan.input, plan.output, plan.conv_kernel
        self.weight = nn.Parameter(torch.randn(target.channels, source.channels, side, side))
        self.bias = nn.Parameter(torch.zeros(target.channels))
        self.register_buffer("magnitude_ema", torch.ones(()))
        self.register_buffer(
            "up_filter",
            low_pass(
                plan.up_taps,
                cutoff=source.cutoff,
                width=source.half_width * 2,
                sampling_rate=plan.tmp_sampling_rate,
            ),
        )
        self.register_buffer(
            "down_filter",
            low_pass(
                plan.down_taps,
                cutoff=target.cutoff,
                width=target.half_width * 2,
                sampling_rate=plan.tmp_sampling_rate,
                radial=plan.down_radial,
            ),
        )
        self.affine = Linear(w_dim, source.channels, bias=1.0)

    def forward(self, maps: Tensor, w: Tensor) -> Tensor:
        """Map (n, i, h, w), of the input size, and w (n, w_dim) to maps of the output size."""
        plan = self.plan
        maps = self._convolve(maps, self.affine(w)) + self.bias[:, None, None]
        return filtered_leaky_relu(
            maps,
            up_filter=self.up_filter,
            down_filter=self.down_filter,
            up=plan.up_factor,
            down=plan.down_factor,
            padding=plan.padding,
            gain=1 if plan.is_torgb else math.sqrt(2),
            slope=1 if plan.is_torgb else 0.2,
            clamp=plan.conv_clamp,
        )

    def _convolve(self, maps: Tensor, styles: Tensor) -> Tensor:
        """Convolve maps (n, i, h, w) with weights scaled by styles (n, i): (n, j, h+k-1, w+k-1).

        A convolution is linear, so inputs are scaled by the styles, and outputs by the demodulation
        and the input's magnitude; all samples share one convolution.
        """
        weight: Tensor = self.weight
        gain = self.magnitude_ema.rsqrt()
        if self.plan.is_torgb:
            styles, scales = styles / math.sqrt(weight[0].numel()), gain
        else:
            # mean squares of 1 keep the sums far above EPSILON
            weight = weight * weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
            styles = styles * styles.square().mean(1, keepdim=True).rsqrt()
            sums = styles.square() @ weight.square().sum((2, 3)).T  # (n, j)
            scales = ((sums + EPSILON).rsqrt() * gain)[:, :, None, None]
        maps = maps * styles[:, :, None, None]
        return functional.conv2d(maps, weight, padding=self.plan.conv_kernel - 1) * scales


class SynthesisNetwork(nn.Module):
    """Fourier features followed by layers, each with its own w.

    Attributes:
        input: Fourier features.
        layer_names: names of the layers, in the order in which they run.
        num_ws: number of w vectors.
    """

    def __init__(self, plans: Sequence[LayerPlan], *, w_dim: int, output_scale: float) -> None:
        super().__init__()
        self.output_scale = output_scale
        self.layer_names = [plan.name for plan in plans]
        self.num_ws = len(plans) + 1
        self.input = FourierFeatures(plans[0].input, w_dim=w_dim)
        for plan in plans:
            self.add_module(plan.name, SynthesisLayer(plan, w_dim=w_dim))

    def forward(self, ws: Tensor) -> Tensor:
        """Generate images (n, 3, h, w) from w+ (n, num_ws, w_dim)."""
        first, *rest = ws.unbind(1)
        maps = self.input(first)
        for name, w in zip(self.layer_names, rest, strict=True):
            maps = self.get_submodule(name)(maps, w)
        return maps * self.output_scale
