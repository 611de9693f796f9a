"""Images that hardly differ, of which a page needs only one.

thumbnails              images averaged down to 8 × 8 pixels
near_duplicates         the group of near-duplicates that each image belongs to
find_near_duplicates    the same, of images that are read piece by piece
without_duplicates             the first image of every group, in a given order
"""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["find_near_duplicates", "group_near_duplicates", "thumbnails", "without_duplicates"]

SIDE = 8
NEAR = 8.0  # grey levels of 256; the nearest two of 512 faces of the face zoo differ by 11
ROWS = 1024  # of distances at once
PIECE = 64  # images read at once


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return images (n, h, w, 3) averaged down to 8 × 8 pixels, a row (192,) each."""
    small = [
        np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
        for image in images
    ]
    return np.stack(small).reshape(len(images), -1)


def group_near_duplicates(small: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return for each image the lowest number of an image that it hardly differs from.

    Two images hardly differ when the root of the mean squared difference of their thumbnails is at
    most 8 grey levels; and so do all that hang together in this way.

    Args:
        small: the thumbnails of all images.
    """
    squares = (small.astype(np.float64) ** 2).sum(1)
    bound = NEAR**2 * small.shape[1]
    ends: list[list[NDArray[np.intp]]] = [[], []]
    for start in range(0, len(small), ROWS):
        rows = small[start : start + ROWS]
        distance = squares[start : start + ROWS, None] + squares - 2 * (rows @ small.T)
        near, other = np.nonzero(distance <= bound)
        ends[0].append(near + start)
        ends[1].append(other)
    both = tuple(np.concatenate(side) for side in ends)
    graph = coo_array((np.ones(len(both[0]), bool), both), shape=(len(small),) * 2)
    _, group = connected_components(graph, directed=False)
    _, first = np.unique(group, return_index=True)
    return first[group].astype(np.int32)


def find_near_duplicates(
    images: Callable[[range], NDArray[np.uint8]], count: int
) -> NDArray[np.int32]:
    """Return the groups of near-duplicates of `count` images.

    Args:
        images: gives some of them (n, h, w, 3).
        count: how many there are.
    """
    pieces = [range(start, min(start + PIECE, count)) for start in range(0, count, PIECE)]
    return group_near_duplicates(np.concatenate([thumbnails(images(piece)) for piece in pieces]))


def without_duplicates(
    images: Iterable[int], groups: NDArray[np.int32], *, count: int | None = None
) -> list[int]:
    """Return at most `count` of the images, in their order, leaving out later near-duplicates."""
    seen: set[int] = set()
    chosen: list[int] = []
    for image in images:
        if count is not None and len(chosen) == count:
            break
        if image >= 0 and int(groups[image]) not in seen:
            seen.add(int(groups[image]))
            chosen.append(int(image))
    return chosen
