"""Low-pass filters and the alias-free non-linearity of StyleGAN3.

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021: the filters are in
appendix C, the non-linearity in section 3.2, "Filtered nonlinearities (config F)".
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import firwin, kaiser_atten, kaiser_beta
from scipy.special import j1
from torch import Tensor
from torch.nn import functional

__all__ = ["filtered_leaky_relu", "low_pass"]


def low_pass(
    taps: int, *, cutoff: float, width: float, sampling_rate: float, radial: bool = False
) -> Tensor | None:
    """Design a low-pass filter: a sinc, or a jinc in two dimensions, times a Kaiser window.

    Args:
        taps: length of the filter.
        cutoff: f_c, in the unit of the sampling rate.
        width: width of the transition band, 2 f_h, in the same unit.
        sampling_rate: sampling rate at which the filter runs.
        radial: whether the filter is radially symmetric instead of separable.

    Returns:
        (taps,) for use along rows and columns, or (taps, taps) if radial; None for one tap, since
        no filter is needed.
    """
    if taps == 1:
        return None
    if radial:
        designed = _jinc(taps, cutoff=cutoff, width=width, sampling_rate=sampling_rate)
    else:
        designed = firwin(taps, cutoff=cutoff, width=width, fs=sampling_rate)
    return torch.as_tensor(designed, dtype=torch.float32)


def _jinc(taps: int, *, cutoff: float, width: float, sampling_rate: float) -> NDArray[np.float64]:
    """Return J₁(2π f_c r) / (π r), times the windows of rows and columns, with a sum of 1."""
    line = (np.arange(taps) - (taps - 1) / 2) / sampling_rate
    radius = np.pi * np.hypot(line, line[:, None])
    window = np.kaiser(taps, kaiser_beta(kaiser_atten(taps, width / (sampling_rate / 2))))
    limit = np.full_like(radius, cutoff)  # at the centre, for an odd number of taps
    jinc = np.divide(j1(2 * cutoff * radius), radius, out=limit, where=radius > 0)
    designed = jinc * np.outer(window, window)
    return designed / designed.sum()


def filtered_leaky_relu(
    maps: Tensor,
    *,
    up_filter: Tensor | None,
    down_filter: Tensor | None,
    up: int,
    down: int,
    padding: tuple[int, int],
    gain: float,
    slope: float,
    clamp: float | None,
) -> Tensor:
    """Raise the sampling rate, apply a leaky ReLU with a gain and a clamp, and lower the rate.

    Args:
        maps: (n, c, h, w).
        up_filter: (taps,), at the higher rate; None for no filter.
        down_filter: (taps,) or (taps, taps), at the higher rate; None for no filter.
        up: factor by which the rate is raised.
        down: factor by which the rate is lowered.
        padding: rows and columns of zeros before and after the maps at the higher rate, before
            the filter; negative padding crops the maps.
        gain: factor of the leaky ReLU's output.
        slope: slope of the leaky ReLU below zero.
        clamp: largest magnitude after the gain; None for no clamp.

    Returns:
        (n, c, h', w') with h' = ((h·up + padding − up taps + 1) − down taps) / down + 1.
    """
    # gain · lrelu(x) = lrelu(gain · x); the gain is applied to the taps, which are few
    maps = _upsample(maps, up_filter, factor=up, padding=padding, gain=gain)
    maps = functional.leaky_relu(maps, slope, inplace=True)
    if clamp is not None:
        maps = maps.clamp(-clamp, clamp)
    return _downsample(maps, down_filter, factor=down)


def _upsample(
    maps: Tensor, taps: Tensor | None, *, factor: int, padding: tuple[int, int], gain: float
) -> Tensor:
    """Insert factor − 1 zeros after each row and column, pad or crop, filter, and scale."""
    if taps is None:
        if factor == 1:
            return functional.pad(maps, (*padding, *padding)) * gain
        taps = maps.new_ones(1)
    channels = maps.shape[1]
    # a transposed convolution starts before the first row and ends after the last; filtering maps
    # padded by `padding` returns fewer rows at both ends
    before = len(taps) - 1 - padding[0]
    after = len(taps) - factor - padding[1]
    cut = max(min(before, after), 0)
    taps = taps * (factor * gain**0.5)
    for axis in (0, 1):
        shape = (channels, 1, -1, 1) if axis == 0 else (channels, 1, 1, -1)
        maps = functional.conv_transpose2d(
            maps,
            taps.expand(channels, -1).reshape(shape),
            stride=(factor, 1) if axis == 0 else (1, factor),
            padding=(cut, 0) if axis == 0 else (0, cut),
            groups=channels,
        )
    rest = (cut - before, cut - after)
    return functional.pad(maps, (*rest, *rest)) if any(rest) else maps


def _downsample(maps: Tensor, taps: Tensor | None, *, factor: int) -> Tensor:
    """Filter, and keep one of `factor` rows and columns."""
    if taps is None:
        return maps[:, :, ::factor, ::factor]
    channels = maps.shape[1]
    if taps.ndim == 2:
        taps = taps.flip(0, 1).expand(channels, 1, -1, -1)
        return functional.conv2d(maps, taps, stride=factor, groups=channels)
    taps = taps.flip(0).expand(channels, -1)
    rows, columns = taps.reshape(channels, 1, -1, 1), taps.reshape(channels, 1, 1, -1)
    maps = functional.conv2d(maps, rows, stride=(factor, 1), groups=channels)
    return functional.conv2d(maps, columns, stride=(1, factor), groups=channels)
