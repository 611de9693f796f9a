"""Pictures of the pages.

write_images    images as the pivot drew or saw them, at most 256 pixels a side
write_card      a concept's best example, and the pivot's map over it
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.drawing.heatmap import contrast, overlay, picture

__all__ = ["CARD", "write_card", "write_images"]

LARGEST = 256
CARD = 96  # side of each of the two pictures of a card
TOGETHER = 128  # images read at once


def write_images(
    folder: Path, images: Callable[[range], NDArray[np.uint8]], numbers: Iterable[int]
) -> None:
    """Write `pictures/images/{number}.webp` for some images, in a shape that keeps their sides.

    Args:
        folder: of the pages.
        images: gives images (n, h, w, 3).
        numbers: which.
    """
    into = folder / "pictures" / "images"
    into.mkdir(parents=True, exist_ok=True)
    blocks: dict[int, list[int]] = {}
    for number in sorted(set(numbers)):
        blocks.setdefault(number // TOGETHER, []).append(number)
    for its in blocks.values():
        read = images(range(its[0], its[-1] + 1))
        for number in its:
            shown = Image.fromarray(read[number - its[0]])
            shown.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
            shown.save(into / f"{number}.webp", quality=90, method=4)


def write_card(path: Path, image: NDArray[np.uint8], activation: NDArray[np.float32]) -> None:
    """Write an image and, beside it, the standardised map (h, w) of a unit over it."""
    full = contrast(activation)
    both = [picture(image, CARD), overlay(image, activation, full=full, size=CARD)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(both, axis=1)).save(path, quality=82, method=4)
