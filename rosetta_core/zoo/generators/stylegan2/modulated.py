"""What StyleGAN2 is made of, in whichever layout its weights were published.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020; what it keeps
of StyleGAN is in Karras et al., "A Style-Based Generator Architecture for GANs", CVPR 2019.

Linear                  a fully connected layer with an equalised learning rate
modulated_convolution   a convolution whose weights each sample's style scales
fir_kernel              the low-pass filter of resampling
upsample                twice the rows and columns
leaky_relu              the non-linearity
unit_second_moment      latents with a mean square of 1
truncate                w drawn towards its mean
w_slots                 how many w a generator of that size takes
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.errors import RosettaError

__all__ = [
    "Linear",
    "fir_kernel",
    "leaky_relu",
    "modulated_convolution",
    "truncate",
    "unit_second_moment",
    "upsample",
    "w_slots",
]

EPSILON = 1e-8


def unit_second_moment(latents: Tensor) -> Tensor:
    """Scale each latent (n, size) so that the mean of its squares is 1."""
    return latents * (latents.square().mean(1, keepdim=True) + EPSILON).rsqrt()


def leaky_relu(x: Tensor) -> Tensor:
    """Slope 0.2 below zero, times √2, which keeps the variance of its input."""
    return functional.leaky_relu(x, 0.2) * math.sqrt(2)


class Linear(nn.Module):
    """A fully connected layer that scales its weights as it runs, not as they are initialised.

    Attributes:
        weight_gain: learning rate multiplier / √inputs.
        bias_gain: learning rate multiplier.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: float = 0.0,
        learning_rate: float = 1.0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / learning_rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.weight_gain = learning_rate / math.sqrt(inputs)
        self.bias_gain = learning_rate
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs) to (n, outputs)."""
        x = functional.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return leaky_relu(x) if self.activate else x


def fir_kernel(taps: Sequence[float], *, gain: float = 1.0) -> Tensor:
    """The filter (f, f) that has these taps along rows and columns and sums to `gain`.

    Raises:
        RosettaError: for anything but a list of numbers that sum to something.
    """
    numbers = isinstance(taps, list | tuple) and all(isinstance(t, int | float) for t in taps)
    if not numbers or not sum(taps):
        raise RosettaError(f"low-pass filter {taps!r}: give its taps, as [1, 3, 3, 1]")
    line = torch.tensor(taps, dtype=torch.float32)
    square = line[:, None] * line
    return square / square.sum() * gain


def upsample(maps: Tensor, kernel: Tensor) -> Tensor:
    """Double the rows and columns of maps (n, c, h, w): zeros in between, then a low-pass filter.

    Args:
        maps: (n, c, h, w).
        kernel: (f, f), sums to 4, because three of four values that it sees are zero.
    """
    channels, taps = maps.shape[1], kernel.shape[0]
    kernel = kernel.expand(channels, 1, -1, -1)
    # a transposed convolution is just that: zeros in between, convolved with the kernel
    spread = functional.conv_transpose2d(
        maps, kernel, stride=2, groups=channels
    )  # (n, c, 2h+f-2, 2w+f-2)
    before, after = taps // 2 - 1, (taps + 1) // 2 - 1
    return functional.pad(spread, (-before, -after, -before, -after))  # (n, c, 2h, 2w)


def modulated_convolution(
    maps: Tensor,
    weight: Tensor,
    styles: Tensor,
    *,
    demodulate: bool = True,
    kernel: Tensor | None = None,
) -> Tensor:
    """Convolve with weights that the style of each sample scales (section 2.2, equations 1-3).

    w'_ijk = s_i w_ijk is the modulated weight, w''_ijk = w'_ijk / √(Σ_ik w'_ijk² + ε) the
    demodulated one, for inputs i, outputs j and footprint k. A convolution is linear, so the
    inputs are scaled by s_i and the outputs by the root, and all samples share one convolution.

    Args:
        maps: (n, i, h, w).
        weight: (j, i, k, k).
        styles: s (n, i).
        demodulate: whether the outputs are scaled to the variance that unit inputs would give.
        kernel: (f, f), sums to 4: doubles rows and columns before the convolution. The two are
            run as a transposed convolution and a filter.
    """
    convolved = maps * styles[:, :, None, None]
    if kernel is None:
        convolved = functional.conv2d(convolved, weight, padding=weight.shape[2] // 2)
    else:
        convolved = functional.conv_transpose2d(convolved, weight.transpose(0, 1), stride=2)
        convolved = _filtered(convolved, kernel, footprint=weight.shape[2])
    if not demodulate:
        return convolved
    sums = styles.square() @ weight.square().sum((2, 3)).T  # (n, j)
    return convolved * (sums + EPSILON).rsqrt()[:, :, None, None]


def _filtered(maps: Tensor, kernel: Tensor, *, footprint: int) -> Tensor:
    """Filter maps (n, c, 2h+k-2, 2w+k-2) that a k×k transposed convolution left: (n, c, 2h, 2w)."""
    channels, surplus = maps.shape[1], kernel.shape[0] - footprint
    before, after = (surplus + 2) // 2, (surplus + 1) // 2
    maps = functional.pad(maps, (before, after, before, after))
    return functional.conv2d(maps, kernel.flip(0, 1).expand(channels, 1, -1, -1), groups=channels)


def truncate(w: Tensor, mean: Tensor, *, psi: float) -> Tensor:
    """Draw w (..., w_dim) towards its mean: w̄ + ψ (w − w̄) (StyleGAN, appendix B)."""
    return w if psi == 1 else mean + psi * (w - mean)


def w_slots(resolution: int, *, family: str) -> int:
    """How many w a generator takes: two for each of its resolutions 4, 8, ..., `resolution`.

    Raises:
        RosettaError: for a resolution that doubling 4 does not reach.
    """
    if resolution < 4 or resolution & (resolution - 1):
        raise RosettaError(f"{family}: cannot draw {resolution}×{resolution}; give a power of two")
    return 2 * (resolution.bit_length() - 2)
