"""Frequency bands of the layers of a StyleGAN3, and the sizes and filters that follow from them.

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021, section 3.2, "Flexible
layers (config T)".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rosetta_core.errors import RosettaError

__all__ = ["LayerPlan", "Signal", "plan_layers", "plan_network", "progression"]


@dataclass(frozen=True)
class Signal:
    """Feature maps between two layers.

    Attributes:
        channels: number of maps.
        size: rows and columns, including the margin around the image.
        sampling_rate: rows and columns per image.
        cutoff: f_c, in cycles per image.
        half_width: f_h, half the width of the filter's transition band, in cycles per image.
    """

    channels: int
    size: int
    sampling_rate: int
    cutoff: float
    half_width: float

    @property
    def margin(self) -> int:
        """Rows and columns on each side that lie outside the image."""
        return (self.size - self.sampling_rate) // 2


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """A convolution and the filtered non-linearity after it.

    Attributes:
        name: L with the layer's number, output size and output channels.
        input: signal that the layer takes.
        output: signal that the layer returns.
        is_torgb: whether the output is the image, without non-linearity and resampling.
        is_critically_sampled: whether the cutoff is half the sampling rate.
        conv_kernel: rows and columns of the convolution's kernel.
        filter_size: taps of a filter per unit of its resampling factor.
        lrelu_upsampling: factor by which the non-linearity's sampling rate is raised.
        use_radial_filters: whether downsampling filters are radial, unless critically sampled.
        conv_clamp: largest magnitude of the non-linearity's output; None for no clamp.
    """

    name: str
    input: Signal
    output: Signal
    is_torgb: bool
    is_critically_sampled: bool
    conv_kernel: int
    filter_size: int
    lrelu_upsampling: int
    use_radial_filters: bool
    conv_clamp: float | None

    @property
    def tmp_sampling_rate(self) -> int:
        """Sampling rate of the non-linearity."""
        rate = max(self.input.sampling_rate, self.output.sampling_rate)
        return rate if self.is_torgb else rate * self.lrelu_upsampling

    @property
    def up_factor(self) -> int:
        """Factor by which the sampling rate is raised before the non-linearity."""
        return self.tmp_sampling_rate // self.input.sampling_rate

    @property
    def down_factor(self) -> int:
        """Factor by which the sampling rate is lowered after the non-linearity."""
        return self.tmp_sampling_rate // self.output.sampling_rate

    @property
    def up_taps(self) -> int:
        """Length of the upsampling filter; 1 if there is none."""
        return self._taps(self.up_factor)

    @property
    def down_taps(self) -> int:
        """Length of the downsampling filter; 1 if there is none."""
        return self._taps(self.down_factor)

    def _taps(self, factor: int) -> int:
        return self.filter_size * factor if factor > 1 and not self.is_torgb else 1

    @property
    def down_radial(self) -> bool:
        """Whether the downsampling filter is radial."""
        return self.use_radial_filters and not self.is_critically_sampled

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after the maps at the higher rate that result in `output.size`."""
        needed = (self.output.size - 1) * self.down_factor + 1 + self.up_taps + self.down_taps - 2
        total = needed - (self.input.size + self.conv_kernel - 1) * self.up_factor
        before = (total + self.up_factor) // 2
        return before, total - before


def progression(
    resolution: int,
    *,
    layers: int,
    first_cutoff: float,
    first_stopband: float,
    arguments: Mapping[str, Any],
    where: str,
) -> list[Signal]:
    """Return the signals between layers; bands widen geometrically until they fill the image.

    f_c[i] = f_c,0 (f_c,N / f_c,0)^min(i / (N − N_crit), 1), likewise the stopband f_t[i];
    s[i] is the least power of two that is at least min(2 f_t[i], resolution), and
    f_h[i] = max(f_t[i], s[i] / 2) − f_c[i].

    Args:
        resolution: rows and columns of the image.
        layers: N; there are N + 1 layers, since they are numbered from 0.
        first_cutoff: f_c,0, in cycles per image.
        first_stopband: f_t,0, in cycles per image.
        arguments: num_critical, last_stopband_rel, margin_size, channel_base, channel_max and
            img_channels.
        where: name of the network, for errors.

    Raises:
        RosettaError: the resolution is not a power of two, or there are too few layers or
            channels.
    """
    if resolution < 4 or resolution & (resolution - 1):
        raise RosettaError(f"{where}: resolution {resolution} is invalid; give a power of two")
    if layers <= arguments["num_critical"]:
        raise RosettaError(
            f"{where}: {layers} layers are too few; give more than the {arguments['num_critical']} "
            "that are critically sampled"
        )
    if not first_cutoff < resolution / 2:
        raise RosettaError(
            f"{where}: first cutoff is {first_cutoff:g}, too high for resolution {resolution}; "
            f"give less than {resolution / 2:g}"
        )
    exponents = np.minimum(np.arange(layers + 1) / (layers - arguments["num_critical"]), 1)
    last_cutoff = resolution / 2
    last_stopband = last_cutoff * arguments["last_stopband_rel"]
    cutoffs = first_cutoff * (last_cutoff / first_cutoff) ** exponents
    stopbands = first_stopband * (last_stopband / first_stopband) ** exponents
    rates = np.exp2(np.ceil(np.log2(np.minimum(stopbands * 2, resolution))))
    half_widths = np.maximum(stopbands, rates / 2) - cutoffs
    sizes = rates + 2 * arguments["margin_size"]
    sizes[-2:] = resolution
    channels = np.rint(
        np.minimum(arguments["channel_base"] / 2 / cutoffs, arguments["channel_max"])
    )
    channels[-1] = arguments["img_channels"]
    if channels.min() < 1:
        raise RosettaError(f"{where}: some layers have no channels; raise channel_base")
    columns = zip(channels, sizes, rates, cutoffs, half_widths, strict=True)
    return [Signal(int(c), int(s), int(r), float(f), float(h)) for c, s, r, f, h in columns]


def plan_layers(
    signals: Sequence[Signal], *, arguments: Mapping[str, Any], number: int = 0
) -> list[LayerPlan]:
    """Plan the layers whose outputs are these signals; the first layer keeps its signal's band.

    Args:
        signals: outputs of the layers.
        arguments: num_critical, conv_kernel, filter_size, lrelu_upsampling, use_radial_filters
            and conv_clamp.
        number: number of the first layer.
    """
    last = len(signals) - 1
    return [
        LayerPlan(
            name=f"L{number + position}_{output.size}_{output.channels}",
            input=signals[max(position - 1, 0)],
            output=output,
            is_torgb=position == last,
            is_critically_sampled=position >= last - arguments["num_critical"],
            conv_kernel=1 if position == last else arguments["conv_kernel"],
            filter_size=arguments["filter_size"],
            lrelu_upsampling=arguments["lrelu_upsampling"],
            use_radial_filters=arguments["use_radial_filters"],
            conv_clamp=arguments["conv_clamp"],
        )
        for position, output in enumerate(signals)
    ]


def plan_network(arguments: Mapping[str, Any], *, where: str) -> list[LayerPlan]:
    """Plan the layers of a StyleGAN3 from its constructor arguments; `where` is for errors.

    Raises:
        RosettaError: the resolution is not a power of two, or there are too few layers or
            channels.
    """
    signals = progression(
        arguments["img_resolution"],
        layers=arguments["num_layers"],
        first_cutoff=arguments["first_cutoff"],
        first_stopband=arguments["first_stopband"],
        arguments=arguments,
        where=where,
    )
    return plan_layers(signals, arguments=arguments)
