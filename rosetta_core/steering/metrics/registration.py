"""Image registration: translation and magnification of image content.

Images are compared by the gradients of their grey values as complex numbers, dy + i·dx, which
encode where an edge is and which side of it is dark (Argyriou and Vlachos, 2003). Each gradient is
divided by the square root of its length: otherwise a few strong edges, often of the background,
outweigh a face; with unit lengths, noise counts as much as edges. Brightness and contrast cancel.
The agreement of two gradient fields a and b is Re Σ ā·b / sqrt(Σ|a|² Σ|b|²), from -1 to 1.

Measured on 64×64 faces and photographs, shifted by up to 16 pixels: the shift was found in all
images with missing content, new content, noise of 20 levels or other colours; in 94% with 30% of
the image replaced; in 78% where a face moved over a fixed background. Undivided gradients found 89%
and 70% of the last two, grey values 72% and 68%.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage
from skimage.color import rgb2gray

from rosetta_core.steering.metrics.image_similarity import check_comparable

__all__ = ["Displacement", "Magnification", "displacement", "magnification"]

Field = NDArray[np.complex128]

SIDE = 64  # image side in pixels at which content is compared
LEAST_OVERLAP = 0.5  # share of the image's area
LARGEST = 3.0  # scale
STEP = 0.03  # step of the logarithm of a scale
OFF_CENTRE = 16  # centres may differ by one of this many parts of a side
FAINTEST = 1e-5  # gradient length, in full range per pixel, below which division is constant
EQUAL = 1e-9  # agreements that differ by less are equal


@dataclass(frozen=True)
class Displacement:
    """Translation of image content.

    Attributes:
        dx: shift to the right in pixels; negative to the left.
        dy: shift downwards in pixels; negative upwards.
        agreement: agreement of the overlap at the nearest shift by whole pixels, -1 to 1.
    """

    dx: float
    dy: float
    agreement: float


@dataclass(frozen=True)
class Magnification:
    """Magnification of image content.

    Attributes:
        scale: above 1 if content became larger, below 1 if smaller.
        agreement: agreement of the common part at the nearest scale that was tried, -1 to 1.
    """

    scale: float
    agreement: float


def displacement(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Displacement:
    """Return the shift of the content of an image: after[y, x] shows before[y - dy, x - dx].

    It is the shift with the highest agreement over the overlap, among all shifts by whole pixels
    that leave half of the area as overlap; parabolas through its neighbours add a fraction of a
    pixel. Of equally good shifts the shortest is returned. If most of the image did not change, a
    shift of 0 may be the best. Unrelated images agree somewhere too: 64×64 faces of different
    people by 0.15 to 0.34.

    Args:
        before: byte image (h, w, 3).
        after: byte image (h, w, 3).

    Raises:
        RosettaError: the images are not byte images of the same size.
    """
    check_comparable(before, after)
    height, width = before.shape[:2]
    sigma = max(1.0, min(height, width) / SIDE)
    dys, dxs = (np.arange(-(side // 2), side // 2 + 1) for side in (height, width))
    agreements = _shift_agreements(_field(_grey(before), sigma), _field(_grey(after), sigma))
    overlap = np.outer(1 - abs(dys) / height, 1 - abs(dxs) / width)
    allowed = np.where(overlap >= LEAST_OVERLAP, agreements, -np.inf)
    length = np.hypot(dys[:, None], dxs)
    best = np.where(allowed >= allowed.max() - EQUAL, length, np.inf).argmin()
    row, column = np.unravel_index(best, allowed.shape)
    return Displacement(
        dx=float(dxs[column] + _peak_offset(allowed[row], int(column))),
        dy=float(dys[row] + _peak_offset(allowed[:, column], int(row))),
        agreement=_bounded(agreements[row, column]),
    )


def magnification(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Magnification:
    """Return the scale at which `after` shows the centre of `before`.

    It is the scale with the highest agreement, among scales from 1/3 to 3 in steps of 3%; a
    parabola through its neighbours refines it. At each scale, the common part is cut out of both
    images and resized to the image's own size, or to 64 pixels on the short side if the image is
    larger. Centres may differ by a sixteenth of the side. Swapping the images gives the inverse
    scale. 64×64 faces of different people agree by up to 0.36.

    Args:
        before: byte image (h, w, 3).
        after: byte image (h, w, 3).

    Raises:
        RosettaError: the images are not byte images of the same size.
    """
    check_comparable(before, after)
    first, second = (Image.fromarray(_grey(image).astype(np.float32)) for image in (before, after))
    largest = math.ceil(math.log(LARGEST) / STEP)
    steps = np.arange(-largest, largest + 1)
    whole_first, whole_second = _centre(first, 1), _centre(second, 1)
    agreements = np.array(
        [
            _central_agreement(_centre(first, math.exp(step * STEP)), whole_second)
            if step > 0
            else _central_agreement(whole_first, _centre(second, math.exp(-step * STEP)))
            for step in steps
        ]
    )
    best = np.where(agreements >= agreements.max() - EQUAL, abs(steps), np.inf).argmin()
    return Magnification(
        scale=math.exp(STEP * (steps[best] + _peak_offset(agreements, int(best)))),
        agreement=_bounded(agreements[best]),
    )


def _grey(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return rgb2gray(image)  # (h, w), 0 to 1


def _field(grey: NDArray[np.floating], sigma: float) -> Field:
    """Return gradients (h, w) after a Gaussian of `sigma`, over the roots of their lengths."""
    dy, dx = (
        ndimage.gaussian_filter(grey, sigma, order=order, output=np.float64)
        for order in ((1, 0), (0, 1))
    )
    gradient = dy + 1j * dx  # (h, w)
    return gradient / np.sqrt(np.maximum(abs(gradient), FAINTEST))


def _shift_agreements(before: Field, after: Field) -> NDArray[np.float64]:
    """Return the agreement of the overlap at every shift by up to half a side.

    Returns:
        (2⌊h/2⌋ + 1, 2⌊w/2⌋ + 1), vertical by horizontal shifts.
    """
    height, width = before.shape
    reach = height // 2, width // 2
    size = [fft.next_fast_len(side + far) for side, far in zip(before.shape, reach, strict=True)]
    products = fft.ifft2(fft.fft2(after, size) * fft.fft2(before, size).conj()).real
    dys, dxs = (np.arange(-far, far + 1) for far in reach)
    energies = _overlap_energies(before, -dys, -dxs) * _overlap_energies(after, dys, dxs)
    return _normalise(products[np.ix_(dys, dxs)], energies, before, after)


def _overlap_energies(field: Field, dys: NDArray[np.int_], dxs: NDArray[np.int_]) -> NDArray:
    """Return Σ|field|² over the overlap of the field with a frame at each shift."""
    sums = np.pad((abs(field) ** 2).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = field.shape
    tops, bottoms = np.maximum(dys, 0), height + np.minimum(dys, 0)
    lefts, rights = np.maximum(dxs, 0), width + np.minimum(dxs, 0)
    rows = sums[bottoms] - sums[tops]
    return rows[:, rights] - rows[:, lefts]


def _central_agreement(first: Field, second: Field) -> float:
    """Return the best agreement at shifts by up to a sixteenth of a side, with wrap-around."""
    products = fft.ifft2(fft.fft2(second) * fft.fft2(first).conj()).real
    near = (range(-(side // OFF_CENTRE), side // OFF_CENTRE + 1) for side in first.shape)
    energy = (abs(first) ** 2).sum() * (abs(second) ** 2).sum()
    return float(_normalise(products[np.ix_(*near)], energy, first, second).max())


def _normalise(products: NDArray, energies: NDArray, first: Field, second: Field) -> NDArray:
    """Return products over the roots of energies, 0 where one of the fields is nearly empty."""
    full = (abs(first) ** 2).sum() * (abs(second) ** 2).sum()
    defined = energies > EQUAL * full
    return np.where(defined, products / np.sqrt(np.where(defined, energies, 1)), 0)


def _centre(grey: Image.Image, scale: float) -> Field:
    """Return the gradients of the image's centre, enlarged by `scale`, at the size compared."""
    width, height = grey.size
    size = [max(1, round(side * min(1, SIDE / min(grey.size)))) for side in grey.size]
    crop_width, crop_height = width / scale, height / scale
    left, top = (width - crop_width) / 2, (height - crop_height) / 2
    box = (left, top, left + crop_width, top + crop_height)
    resized = grey.resize((size[0], size[1]), Image.Resampling.BICUBIC, box=box)
    return _field(np.asarray(resized), 1.0)


def _peak_offset(values: NDArray[np.float64], at: int) -> float:
    """Return the vertex of the parabola through a maximum and its neighbours, from -½ to ½.

    It is 0 at the ends, and where a neighbour is -inf because its overlap is too small.
    """
    if not 0 < at < len(values) - 1:
        return 0.0
    low, top, high = values[at - 1 : at + 2]
    bend = low - 2 * top + high
    return float((low - high) / bend / 2) if -math.inf < bend < -EQUAL else 0.0


def _bounded(agreement: float) -> float:
    return float(np.clip(agreement, -1, 1))
