"""Pictures of the dictionary: images of the run, and cards of concepts."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.drawing.heatmap import contrast, overlay, picture

__all__ = ["CARD", "write_card", "write_images"]

MAX_SIDE = 256  # pixels
CARD = 96  # side of each of the two pictures of a card
BLOCK = 128  # images read at once


def write_images(
    folder: Path, images: Callable[[range], NDArray[np.uint8]], numbers: Iterable[int]
) -> None:
    """Write `pictures/images/{number}.webp`, at most 256 pixels a side, with the aspect ratio kept.

    Args:
        folder: folder of the pages.
        images: returns consecutive images (n, h, w, 3).
        numbers: numbers of the images to write.
    """
    into = folder / "pictures" / "images"
    into.mkdir(parents=True, exist_ok=True)
    blocks: dict[int, list[int]] = {}
    for number in sorted(set(numbers)):
        blocks.setdefault(number // BLOCK, []).append(number)
    for block in blocks.values():
        first = block[0]
        pixels = images(range(first, block[-1] + 1))  # (n, h, w, 3)
        for number in block:
            shown = Image.fromarray(pixels[number - first])
            shown.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
            shown.save(into / f"{number}.webp", quality=90, method=4)


def write_card(path: Path, image: NDArray[np.uint8], activation: NDArray[np.float32]) -> None:
    """Write an image (h, w, 3) and, beside it, the standardised map (h', w') of a unit over it."""
    full = contrast(activation)
    both = [picture(image, CARD), overlay(image, activation, full=full, size=CARD)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(both, axis=1)).save(path, quality=82, method=4)
