"""Which frequencies each layer of a StyleGAN3 passes on, and what follows from it.

Signal          feature maps between two layers: their band, and how they are sampled
LayerPlan       one layer: what it takes and gives, and the resampling in between
progression     the signals between the layers, whose bands widen step by step
plan_layers     the layers between them
plan_network    the layers of a StyleGAN3

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021, section 3.2,
"Flexible layers (config T)".
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
        channels: how many maps there are.
        size: rows and columns, with the margin around the image.
        sampling_rate: rows and columns per image.
        cutoff: f_c, cycles per image.
        half_width: f_h, half the transition band of the filter, cycles per image.
    """

    channels: int
    size: int
    sampling_rate: int
    cutoff: float
    half_width: float

    @property
    def margin(self) -> int:
        """Rows and columns on each side that lie around the image."""
        return (self.size - self.sampling_rate) // 2


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """A convolution and the filtered non-linearity after it.

    Attributes:
        name: L, its number, the size and the channels that it gives.
        takes: its input.
        gives: its output.
        is_torgb: whether it gives the image: no non-linearity and no resampling.
        is_critically_sampled: whether its cutoff is half its sampling rate.
        conv_kernel: rows and columns of the convolution's footprint.
        filter_size: taps of a filter per unit of its factor.
        lrelu_upsampling: how much higher the non-linearity's sampling rate is.
        use_radial_filters: whether the filters that lower the rate are radial where possible.
        conv_clamp: greatest magnitude of what the non-linearity gives.
    """

    name: str
    takes: Signal
    gives: Signal
    is_torgb: bool
    is_critically_sampled: bool
    conv_kernel: int
    filter_size: int
    lrelu_upsampling: int
    use_radial_filters: bool
    conv_clamp: float | None

    @property
    def tmp_sampling_rate(self) -> int:
        """The sampling rate of the non-linearity."""
        rate = max(self.takes.sampling_rate, self.gives.sampling_rate)
        return rate if self.is_torgb else rate * self.lrelu_upsampling

    @property
    def up_factor(self) -> int:
        """By how much the sampling rate is raised before the non-linearity."""
        return self.tmp_sampling_rate // self.takes.sampling_rate

    @property
    def down_factor(self) -> int:
        """By how much it is lowered after it."""
        return self.tmp_sampling_rate // self.gives.sampling_rate

    @property
    def up_taps(self) -> int:
        """Length of the filter that raises the rate; 1 if there is none."""
        return self._taps(self.up_factor)

    @property
    def down_taps(self) -> int:
        """Length of the filter that lowers it; 1 if there is none."""
        return self._taps(self.down_factor)

    def _taps(self, factor: int) -> int:
        return self.filter_size * factor if factor > 1 and not self.is_torgb else 1

    @property
    def down_radial(self) -> bool:
        """Whether the filter that lowers the rate is radial."""
        return self.use_radial_filters and not self.is_critically_sampled

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after the maps at the higher rate, so that `gives.size` comes out."""
        wanted = (self.gives.size - 1) * self.down_factor + 1 + self.up_taps + self.down_taps - 2
        total = wanted - (self.takes.size + self.conv_kernel - 1) * self.up_factor
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
    """Widen the band geometrically from layer to layer until it fills the image.

    f_c[i] = f_c,0 (f_c,N / f_c,0)^min(i / (N − N_crit), 1), likewise the stopband f_t[i];
    s[i] is the least power of two that is at least min(2 f_t[i], resolution), and
    f_h[i] = max(f_t[i], s[i] / 2) − f_c[i].

    Args:
        resolution: rows and columns of the image.
        layers: N; with layer 0 there is one more.
        first_cutoff: f_c,0, cycles per image.
        first_stopband: f_t,0, cycles per image.
        arguments: num_critical, last_stopband_rel, margin_size, channel_base, channel_max and
            img_channels.
        where: the network, for messages.

    Raises:
        RosettaError: if the resolution is no power of two, or there are too few layers or
            channels.
    """
    if resolution < 4 or resolution & (resolution - 1):
        raise RosettaError(f"{where}: cannot draw {resolution}×{resolution}; give a power of two")
    if layers <= arguments["num_critical"]:
        raise RosettaError(
            f"{where}: {layers} layers are too few; give more than the {arguments['num_critical']} "
            "that are critically sampled"
        )
    if not first_cutoff < resolution / 2:
        raise RosettaError(
            f"{where}: the first cutoff, {first_cutoff:g}, leaves the bands nothing to widen to at "
            f"{resolution}×{resolution}; give less than {resolution / 2:g}"
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
        raise RosettaError(f"{where}: some layers would have no channels; raise channel_base")
    columns = zip(channels, sizes, rates, cutoffs, half_widths, strict=True)
    return [Signal(int(c), int(s), int(r), float(f), float(h)) for c, s, r, f, h in columns]


def plan_layers(
    signals: Sequence[Signal], *, arguments: Mapping[str, Any], number: int = 0
) -> list[LayerPlan]:
    """Plan the layers that give these signals, of which the first takes what it gives.

    Args:
        signals: what the layers give.
        arguments: num_critical, conv_kernel, filter_size, lrelu_upsampling, use_radial_filters
            and conv_clamp.
        number: of the first layer.
    """
    last = len(signals) - 1
    return [
        LayerPlan(
            name=f"L{number + place}_{gives.size}_{gives.channels}",
            takes=signals[max(place - 1, 0)],
            gives=gives,
            is_torgb=place == last,
            is_critically_sampled=place >= last - arguments["num_critical"],
            conv_kernel=1 if place == last else arguments["conv_kernel"],
            filter_size=arguments["filter_size"],
            lrelu_upsampling=arguments["lrelu_upsampling"],
            use_radial_filters=arguments["use_radial_filters"],
            conv_clamp=arguments["conv_clamp"],
        )
        for place, gives in enumerate(signals)
    ]


def plan_network(arguments: Mapping[str, Any], *, where: str) -> list[LayerPlan]:
    """Plan the layers of a StyleGAN3 from its constructor's arguments; `where` is for messages.

    Raises:
        RosettaError: if the resolution is no power of two, or there are too few layers or
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
