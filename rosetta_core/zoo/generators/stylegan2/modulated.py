"""Operations of StyleGAN2, shared by both layouts of its weights.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, and "A
Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019.
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
    """Apply a leaky ReLU of slope 0.2, times √2, which preserves the variance of the input."""
    return functional.leaky_relu(x, 0.2) * math.sqrt(2)


class Linear(nn.Module):
    """A fully connected layer with an equalised learning rate: it scales weights when it runs.

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
    """Return the separable low-pass filter (f, f) of these taps, normalised to sum to `gain`.

    Raises:
        RosettaError: the taps are not a list of numbers with a sum other than 0.
    """
    numbers = isinstance(taps, list | tuple) and all(isinstance(t, int | float) for t in taps)
    if not numbers or not sum(taps):
        raise RosettaError(
            f"low-pass filter is {taps!r}; give a list of taps, for example [1, 3, 3, 1]"
        )
    line = torch.tensor(taps, dtype=torch.float32)
    square = line[:, None] * line
    return square / square.sum() * gain


def upsample(maps: Tensor, kernel: Tensor) -> Tensor:
    """Double the rows and columns of maps: insert zeros, then apply a low-pass filter.

    Args:
        maps: (n, c, h, w).
        kernel: (f, f), with a sum of 4, because three of four input values are zero.

    Returns:
        (n, c, 2h, 2w).
    """
    channels, taps = maps.shape[1], kernel.shape[0]
    kernel = kernel.expand(channels, 1, -1, -1)
    # a transposed convolution inserts zeros and convolves with the kernel
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
    """Convolve with weights scaled by the style of each sample (section 2.2, equations 1-3).

    w'_ijk = s_i w_ijk is the modulated weight, w''_ijk = w'_ijk / √(Σ_ik w'_ijk² + ε) the
    demodulated one, for inputs i, outputs j and footprint k. A convolution is linear, so inputs
    are scaled by s_i and outputs by the inverse root, and all samples share one convolution.

    Args:
        maps: (n, i, h, w).
        weight: (j, i, k, k).
        styles: s (n, i).
        demodulate: scale outputs to the variance that inputs of unit variance would give.
        kernel: (f, f) low-pass filter with a sum of 4, if rows and columns are doubled before the
            convolution; both are run as a transposed convolution and a filter.

    Returns:
        (n, j, h, w), or (n, j, 2h, 2w) with a kernel.
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
    """Filter maps (n, c, 2h+k-2, 2w+k-2) of a k×k transposed convolution: (n, c, 2h, 2w)."""
    channels, surplus = maps.shape[1], kernel.shape[0] - footprint
    before, after = (surplus + 2) // 2, (surplus + 1) // 2
    maps = functional.pad(maps, (before, after, before, after))
    return functional.conv2d(maps, kernel.flip(0, 1).expand(channels, 1, -1, -1), groups=channels)


def truncate(w: Tensor, mean: Tensor, *, psi: float) -> Tensor:
    """Return w̄ + ψ (w − w̄) for w (..., w_dim) (StyleGAN, appendix B)."""
    return w if psi == 1 else mean + psi * (w - mean)


def w_slots(resolution: int, *, family: str) -> int:
    """Return the number of w vectors of a generator: two per resolution 4, 8, …, `resolution`.

    Raises:
        RosettaError: the resolution is not a power of two from 4 on.
    """
    if resolution < 4 or resolution & (resolution - 1):
        raise RosettaError(f"{family}: resolution {resolution} is invalid; give a power of two")
    return 2 * (resolution.bit_length() - 2)
