"""Images of generators: conversion to RGB in -1..1, and checks that they are images.

A generator states the values of black and white in its `output_range`, -1 and 1 by default. The
default is a guess, so the first images of a run, and the images of every shard, are checked. Values
a little beyond the range are usual: StyleGANs have no tanh, and their images are clipped.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.runtime.progress import log

__all__ = ["DEFAULT_RANGE", "ImageChecks", "OutputRange", "image_shape_problem", "to_rgb"]

OutputRange = tuple[float, float]  # values of black and of white
DEFAULT_RANGE: OutputRange = (-1.0, 1.0)
USUAL_RANGES: Sequence[OutputRange] = (
    (0, 1),
    (-0.5, 0.5),
    DEFAULT_RANGE,
    (0, 255),
    (-127.5, 127.5),
)
# limits on RGB in -1..1
# a share of values beyond a magnitude that is refused: an eighth or half of the range outside it
REFUSED = ((1.25, 0.05), (2.0, 0.005))
LOGGED = (1.05, 0.1)  # a share of clipped values that is logged
USED_SHARE = 0.25  # of a range that is suggested
LOWEST_SHARE = 0.05  # negative values up to this share of the largest are rounding of 0..1
NEAR_END = 0.05  # distance from black or white within which all values of an image are one colour


def to_rgb(images: Tensor, output_range: OutputRange | None) -> Tensor:
    """Convert what a generator returns to RGB in -1..1, differentiably.

    Args:
        images: (n, c, h, w) with 1 channel (repeated), 3 channels, or 4: RGBA, which is composited
            on white.
        output_range: values of black and white, and of transparent and opaque; None: -1 and 1.

    Returns:
        float32 (n, 3, h, w), or float64 for such images; not clipped. RGB in -1..1 is returned as
        it is.

    Raises:
        RosettaError: these are not images, or are complex.
    """
    if problem := image_shape_problem(images):
        raise RosettaError(f"a generator has to return images, but {problem}")
    black, white = output_range or DEFAULT_RANGE
    if images.dtype != torch.float64:
        images = images.float()
    if (black, white) != DEFAULT_RANGE:
        images = (images - black) * (2 / (white - black)) - 1
    if images.shape[1] == 4:
        opacity = ((images[:, 3:] + 1) / 2).clamp(0, 1)  # (n, 1, h, w)
        images = images[:, :3] * opacity + (1 - opacity)
    return images.expand(-1, 3, -1, -1)  # (n, 3, h, w)


def image_shape_problem(images: object) -> str | None:
    """Return what prevents values from being images (n, c, h, w) of 1, 3 or 4 real channels."""
    if not isinstance(images, Tensor):
        return f"returns a {type(images).__name__}; return a tensor (n, 3, h, w)"
    if images.ndim != 4:
        return f"returns shape {tuple(images.shape)}; return images (n, 3, h, w)"
    if images.shape[1] not in (1, 3, 4):
        return (
            f"returns images (n, c, h, w) of shape {tuple(images.shape)}; return 1 channel (grey), "
            "3 (RGB) or 4 (RGBA)"
        )
    if images.is_complex():
        return f"returns {images.dtype} images; return real numbers"
    return None


class ImageChecks:
    """Checks of generated images: finite, different, not of a single colour, in the stated range.

    Args:
        where: beginning of messages: the model, and its images if not all.
        output_range: range that the generator states; None if -1..1 is a guess, so that images
            that are never darker than mid-grey are taken for 0..1.
        ranges: check the range; False for random weights, whose images have no range yet.
    """

    def __init__(
        self, where: str, output_range: OutputRange | None, *, ranges: bool = True
    ) -> None:
        self._where, self._stated, self._ranges = where, output_range, ranges
        self._low: list[Tensor] = []  # smallest and largest value per image (n,)
        self._high: list[Tensor] = []
        self._beyond: list[Tensor] = []  # shares of values beyond each magnitude (n, 3)
        self._flat: list[Tensor] = []  # whether an image has a single colour (n,)
        self._mean: list[Tensor] = []  # mean of all values, per image (n,)

    def add(self, images: Tensor, *, first: int) -> None:
        """Include images (n, 3, h, w) as `to_rgb` returns them; `first` is the first's number.

        Raises:
            RosettaError: a value is NaN or infinite.
        """
        low, high = images.amin((2, 3)), images.amax((2, 3))  # (n, 3)
        finite = (low.isfinite() & high.isfinite()).all(dim=1)
        if not finite.all():
            number = first + int((~finite).nonzero()[0])
            raise RosettaError(
                f"{self._where}: image {number} has values that are NaN or infinite; give other "
                "weights, or correct the generator"
            )
        shown = [values.clamp(-1, 1).add(1).mul(127.5).round() for values in (low, high)]
        self._flat.append((shown[0] == shown[1]).all(dim=1))
        magnitude = images.abs()
        shares = [(magnitude > limit).float().mean((1, 2, 3)) for limit, _ in (*REFUSED, LOGGED)]
        self._beyond.append(torch.stack(shares, dim=1))
        self._mean.append(images.mean((1, 2, 3)))
        self._low.append(low.amin(dim=1))
        self._high.append(high.amax(dim=1))

    def finish(self) -> None:
        """Check all images that were included; log what is unusual.

        Raises:
            RosettaError: they are outside the range, all of a single colour, or all the same.
        """
        low, high, flat, mean = (
            torch.cat(parts) for parts in (self._low, self._high, self._flat, self._mean)
        )
        problem = (self._ranges and self._outside(low, high)) or None
        if problem is None and flat.all():
            problem = "every image has a single colour; give other weights, or correct output_range"
        same = all(bool((values == values[0]).all()) for values in (low, high, mean))
        if problem is None and same and len(mean) > 1:
            problem = (
                "all images are the same, whatever the latent; give other weights, or correct the "
                "generator"
            )
        if problem is None and self._ranges:
            problem = self._looks_like_0_to_1(low, high)
        if problem:
            raise RosettaError(f"{self._where}: {problem}")
        if self._ranges and self._shares()[-1] > LOGGED[1]:
            log.warning(
                "%s: many values are clipped to output_range %s; they reach from %s",
                self._where,
                _text(self._stated or DEFAULT_RANGE),
                self._span(low, high),
            )
        if flat.any():
            log.warning("%s: %d images have a single colour", self._where, int(flat.sum()))

    def _outside(self, low: Tensor, high: Tensor) -> str | None:
        stated, span = _text(self._stated or DEFAULT_RANGE), self._span(low, high)
        shares = self._shares()
        if any(share > limit for share, (_, limit) in zip(shares, REFUSED, strict=False)):
            return (
                f"values reach from {span}, but output_range is {stated}; set output_range: "
                f"{_text(self._suggested(low, high))} on the pivot"
            )
        if high.max() <= NEAR_END - 1 or low.min() >= 1 - NEAR_END:
            colour = "black" if high.max() < 0 else "white"
            return (
                f"all images are {colour}: values reach from {span}, but output_range is {stated}; "
                f"set output_range: {_text(self._suggested(low, high))} on the pivot"
            )
        return None

    def _looks_like_0_to_1(self, low: Tensor, high: Tensor) -> str | None:
        if self._stated is None and low.min() >= -LOWEST_SHARE * high.max() and high.max() > 0:
            return (
                f"values reach from {self._span(low, high)}, so black seems to be 0, not -1; set "
                "output_range: [0, 1] on the pivot, or [-1, 1] if images have no dark pixels"
            )
        return None

    def _shares(self) -> list[float]:
        """Return the mean shares of values beyond each magnitude."""
        return torch.cat(self._beyond).mean(dim=0).tolist()

    def _raw(self, value: float) -> float:
        """Return what the generator returned for a value in -1..1."""
        black, white = self._stated or DEFAULT_RANGE
        return black + (value + 1) / 2 * (white - black)

    def _span(self, low: Tensor, high: Tensor) -> str:
        return f"{self._raw(low.min().item()):.3g} to {self._raw(high.max().item()):.3g}"

    def _suggested(self, low: Tensor, high: Tensor) -> OutputRange:
        """Return the narrowest usual range that nearly contains the images, or their own."""
        smallest, largest = self._raw(low.min().item()), self._raw(high.max().item())
        for black, white in USUAL_RANGES:
            width = white - black
            inside = black - width / 8 <= smallest and largest <= white + width / 8
            if inside and largest - smallest >= USED_SHARE * width:
                return black, white
        return float(f"{smallest:.2g}"), float(f"{largest:.2g}")


def _text(values: OutputRange) -> str:
    return f"[{values[0]:g}, {values[1]:g}]"
