"""How far an image's content moved, and how much larger it became, from the images alone.

Displacement     by how many pixels, and how well the images then agree
displacement     of the content of one image against another's
Magnification    by what factor, and how well the images then agree
magnification    of the content of one image against another's

Images are compared by the gradients of their grey values as complex numbers, down + i·right,
which knows where an edge is and which side of it is dark (Argyriou and Vlachos, 2003), each
divided by the square root of its length: a few strong edges, often of the background, would
outweigh a face, and all lengths alike would let noise count. Brightness and contrast cancel.
Two such fields a and b agree by Re Σ ā·b / sqrt(Σ|a|² Σ|b|²), from -1 to 1.

On 64×64 faces and photographs moved by up to 16 pixels this found the shift in all where content
was lost, was new, had noise of 20 levels or other colours, in 94 % where 30 % of the image was
replaced, and in 78 % where a face moved over a background that stayed. Undivided gradients found
89 % and 70 % of the last two, grey values 72 % and 68 %.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage
from skimage.color import rgb2gray

from rosetta_core.steering.metrics.similarity import check_alike

__all__ = ["Displacement", "Magnification", "displacement", "magnification"]

Field = NDArray[np.complex128]

SIDE = 64  # in pixels, at which an image's content is looked at
LEAST_OVERLAP = 0.5  # of the image's area
LARGEST = 3.0  # scale
STEP = 0.03  # of a scale's logarithm
OFF_CENTRE = 16  # of these parts of a side, one is how far a centre may be off
FAINTEST = 1e-5  # gradient, of full range a pixel; its root divides what is fainter
EQUAL = 1e-9  # agreements that differ by less


@dataclass(frozen=True)
class Displacement:
    """How far content moved.

    Attributes:
        down: in pixels; negative is up.
        right: in pixels; negative is left.
        agreement: of what both images show, at the nearest whole pixels, -1 to 1.
    """

    down: float
    right: float
    agreement: float


@dataclass(frozen=True)
class Magnification:
    """How much larger content became.

    Attributes:
        scale: above 1 it became larger, below 1 smaller.
        agreement: of what both images show, at the nearest scale looked at, -1 to 1.
    """

    scale: float
    agreement: float


def displacement(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Displacement:
    """Return by how much content moved: after[y, x] shows before[y - down, x - right].

    The shift of the best agreement, over the overlap only, of all shifts by whole pixels that
    leave half of the area to compare; parabolas through its neighbours give the rest of a pixel.
    Of equally good shifts it is the shortest. If much of the image stays as it was, no shift at
    all may be the best. Images that have nothing in common agree somewhere too: 64×64 faces of
    different people by 0.15 to 0.34.

    Args:
        before: (h, w, 3).
        after: (h, w, 3).

    Raises:
        RosettaError: these are no two byte images of one size.
    """
    check_alike(before, after)
    height, width = before.shape[:2]
    sigma = max(1.0, min(height, width) / SIDE)
    downs, rights = (np.arange(-(side // 2), side // 2 + 1) for side in (height, width))
    agreements = _over_shifts(_field(_grey(before), sigma), _field(_grey(after), sigma))
    overlap = np.outer(1 - abs(downs) / height, 1 - abs(rights) / width)
    allowed = np.where(overlap >= LEAST_OVERLAP, agreements, -np.inf)
    length = np.hypot(downs[:, None], rights)
    best = np.where(allowed >= allowed.max() - EQUAL, length, np.inf).argmin()
    row, column = np.unravel_index(best, allowed.shape)
    return Displacement(
        down=float(downs[row] + _peak(allowed[:, column], int(row))),
        right=float(rights[column] + _peak(allowed[row], int(column))),
        agreement=_bounded(agreements[row, column]),
    )


def magnification(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Magnification:
    """Return by what scale content became larger: `after` shows the centre of `before` enlarged.

    Of scales from 1/3 to 3 in steps of 3 %, and a parabola through the neighbours, the one of the
    best agreement. At each the part that both images show is cut out of both and brought to one
    size, the image's own or, if that is larger, 64 pixels on the short side. The centres may be
    off by a sixteenth of the side. Swapping the images gives the inverse scale. 64×64 faces of
    different people agree by up to 0.36.

    Args:
        before: (h, w, 3).
        after: (h, w, 3).

    Raises:
        RosettaError: these are no two byte images of one size.
    """
    check_alike(before, after)
    first, second = (Image.fromarray(_grey(image).astype(np.float32)) for image in (before, after))
    reach = math.ceil(math.log(LARGEST) / STEP)
    steps = np.arange(-reach, reach + 1)
    whole_first, whole_second = _centre(first, 1), _centre(second, 1)
    agreements = np.array(
        [
            _near_centre(_centre(first, math.exp(step * STEP)), whole_second)
            if step > 0
            else _near_centre(whole_first, _centre(second, math.exp(-step * STEP)))
            for step in steps
        ]
    )
    best = np.where(agreements >= agreements.max() - EQUAL, abs(steps), np.inf).argmin()
    return Magnification(
        scale=math.exp(STEP * (steps[best] + _peak(agreements, int(best)))),
        agreement=_bounded(agreements[best]),
    )


def _grey(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return rgb2gray(image)  # (h, w), 0 to 1


def _field(grey: NDArray[np.floating], sigma: float) -> Field:
    """Gradients after a Gaussian of `sigma` pixels, divided by the roots of their lengths."""
    down, right = (
        ndimage.gaussian_filter(grey, sigma, order=order, output=np.float64)
        for order in ((1, 0), (0, 1))
    )
    gradient = down + 1j * right  # (h, w)
    return gradient / np.sqrt(np.maximum(abs(gradient), FAINTEST))


def _over_shifts(before: Field, after: Field) -> NDArray[np.float64]:
    """Agreements (2⌊h/2⌋ + 1, 2⌊w/2⌋ + 1) at all shifts by up to half a side, of the overlaps."""
    height, width = before.shape
    reach = height // 2, width // 2
    size = [fft.next_fast_len(side + far) for side, far in zip(before.shape, reach, strict=True)]
    products = fft.ifft2(fft.fft2(after, size) * fft.fft2(before, size).conj()).real
    downs, rights = (np.arange(-far, far + 1) for far in reach)
    energies = _energies(before, -downs, -rights) * _energies(after, downs, rights)
    return _ratio(products[np.ix_(downs, rights)], energies, before, after)


def _energies(field: Field, downs: NDArray[np.int_], rights: NDArray[np.int_]) -> NDArray:
    """Σ|field|² over what a frame moved by each of the shifts has in common with the field."""
    sums = np.pad((abs(field) ** 2).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    height, width = field.shape
    tops, bottoms = np.maximum(downs, 0), height + np.minimum(downs, 0)
    lefts, ends = np.maximum(rights, 0), width + np.minimum(rights, 0)
    rows = sums[bottoms] - sums[tops]
    return rows[:, ends] - rows[:, lefts]


def _near_centre(first: Field, second: Field) -> float:
    """The best agreement at a shift by up to a sixteenth of a side, around the edges."""
    products = fft.ifft2(fft.fft2(second) * fft.fft2(first).conj()).real
    near = (range(-(side // OFF_CENTRE), side // OFF_CENTRE + 1) for side in first.shape)
    energy = (abs(first) ** 2).sum() * (abs(second) ** 2).sum()
    return float(_ratio(products[np.ix_(*near)], energy, first, second).max())


def _ratio(products: NDArray, energies: NDArray, first: Field, second: Field) -> NDArray:
    """Products over the roots of energies, 0 where one of the fields is as good as empty."""
    full = (abs(first) ** 2).sum() * (abs(second) ** 2).sum()
    told = energies > EQUAL * full
    return np.where(told, products / np.sqrt(np.where(told, energies, 1)), 0)


def _centre(grey: Image.Image, scale: float) -> Field:
    """The field of the image's centre enlarged by `scale`, at the size that is looked at."""
    width, height = grey.size
    size = [max(1, round(side * min(1, SIDE / min(grey.size)))) for side in grey.size]
    across, down = width / scale, height / scale
    left, top = (width - across) / 2, (height - down) / 2
    box = (left, top, left + across, top + down)
    seen = grey.resize((size[0], size[1]), Image.Resampling.BICUBIC, box=box)
    return _field(np.asarray(seen), 1.0)


def _peak(values: NDArray[np.float64], at: int) -> float:
    """Where the parabola through a maximum and its two neighbours peaks, from -½ to ½."""
    if not 0 < at < len(values) - 1:
        return 0.0
    low, top, high = values[at - 1 : at + 2]
    bend = low - 2 * top + high
    return float((low - high) / bend / 2) if -math.inf < bend < -EQUAL else 0.0


def _bounded(agreement: float) -> float:
    return float(np.clip(agreement, -1, 1))
