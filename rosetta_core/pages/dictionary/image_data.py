"""What the page of an image shows: the concepts on it, by the maps of the pivot's representative units.

page_images     which images have a page
image_data      the concepts of one of them
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rosetta_core.pages.packed import pack, thousandths

__all__ = ["MOST_CONCEPTS", "image_data", "page_images", "strongest"]

MOST_CONCEPTS = 120  # on one page


def page_images(best: Iterable[int], images: int, *, count: int) -> list[int]:
    """Return the images that have a page, ascending: the best examples, then the first of all.

    Args:
        best: the examples of the concepts, the most important first.
        images: how many there are.
        count: how many pages.
    """
    wanted = list(dict.fromkeys([*best, *range(images)]))
    return sorted(wanted[:count])


def strongest(score: NDArray[np.float32]) -> list[int]:
    """Return the concepts that show most strongly on an image, of its score (concepts,)."""
    return np.argsort(-score, kind="stable")[:MOST_CONCEPTS].tolist()


def image_data(
    score: NDArray[np.float32], maps: Mapping[int, NDArray[np.uint8]], *, origin: str = ""
) -> dict[str, Any]:
    """Return the content of `data/images/{image}.js`.

    Args:
        score: how strongly each concept shows on the image (concepts,).
        maps: by concept, those of `strongest`, the map (h, w) of the pivot's representative unit.
        origin: the file that the image was taken from, or "class 3"; empty for neither.
    """
    order = strongest(score)
    return {
        "origin": origin,
        "concepts": order,
        "score": thousandths(score[order]),
        "grids": [list(maps[concept].shape) for concept in order],
        "maps": pack(maps[concept] for concept in order),
    }
