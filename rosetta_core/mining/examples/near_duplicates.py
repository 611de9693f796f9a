"""Groups of near-duplicate images, of which pages show one each."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["find_near_duplicates", "group_near_duplicates", "thumbnails", "without_duplicates"]

SIDE = 8  # of thumbnails, in pixels
NEAR = 8.0  # grey levels of 256; the nearest two of 512 faces of the face zoo differ by 11
ROWS = 1024  # of the distance matrix at once
BATCH = 64  # images read at once


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images (n, h, w, 3) averaged down to 8 × 8 pixels, flattened (n, 192)."""
    small = [
        np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
        for image in images
    ]
    return np.stack(small).reshape(len(images), -1)


def group_near_duplicates(small: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the group of near-duplicates of each image, named by its lowest image number (n,).

    Two images are near-duplicates if the root mean squared difference of their thumbnails is at
    most 8 grey levels. Groups are the connected components.

    Args:
        small: thumbnails of all images (n, 192).
    """
    squares = (small.astype(np.float64) ** 2).sum(1)
    bound = NEAR**2 * small.shape[1]
    ends: list[list[NDArray[np.intp]]] = [[], []]
    for start in range(0, len(small), ROWS):
        rows = small[start : start + ROWS]
        distance = squares[start : start + ROWS, None] + squares - 2 * (rows @ small.T)
        row, column = np.nonzero(distance <= bound)
        ends[0].append(row + start)
        ends[1].append(column)
    links = tuple(np.concatenate(side) for side in ends)
    graph = coo_array((np.ones(len(links[0]), bool), links), shape=(len(small),) * 2)
    _, group = connected_components(graph, directed=False)
    _, first = np.unique(group, return_index=True)
    return first[group].astype(np.int32)


def find_near_duplicates(
    images: Callable[[range], NDArray[np.uint8]], count: int
) -> NDArray[np.int32]:
    """Return the group of near-duplicates of each image (count,), reading images in batches.

    Args:
        images: reads consecutive images (n, h, w, 3).
        count: number of images.
    """
    batches = [range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
    return group_near_duplicates(np.concatenate([thumbnails(images(batch)) for batch in batches]))


def without_duplicates(
    images: Iterable[int], groups: NDArray[np.int32], *, count: int | None = None
) -> list[int]:
    """Return the first image of each group of near-duplicates, in the given order.

    Args:
        images: numbers of images; negative ones are left out.
        groups: group of near-duplicates of each image.
        count: maximum number of images to return; None: no limit.
    """
    seen: set[int] = set()
    chosen: list[int] = []
    for image in images:
        if count is not None and len(chosen) == count:
            break
        if image >= 0 and int(groups[image]) not in seen:
            seen.add(int(groups[image]))
            chosen.append(int(image))
    return chosen
