"""Images and maps of a finished run, read by image number in any order."""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["gather", "read_maps"]


def read_maps(
    source: "ActivationSource", layer: int, images: range, channel: slice
) -> NDArray[np.float16]:
    """Return the maps (n, h, w) of one channel on consecutive images."""
    import torch

    from rosetta_core.runtime.threads import TorchThreadPool

    with TorchThreadPool(torch.get_num_threads()) as workers:
        source.load(images, workers)
    return source.read(layer, images, channel)[:, 0].cpu().numpy()


def gather(
    read: Callable[[range], NDArray],
    numbers: NDArray[np.int64],
    *,
    max_images: int | None = None,
) -> NDArray:
    """Read images in any order, each once and consecutive ones together.

    Args:
        read: function that returns the values of consecutive images (n, …).
        numbers: image numbers (n,), in any order.
        max_images: images to read at once; None: no limit.

    Returns:
        Values (n, …), in the order of `numbers`.
    """
    # without numbers, one image gives the shape
    unique = np.unique(numbers) if len(numbers) else np.zeros(1, np.int64)
    bounds = [0, *(np.flatnonzero(np.diff(unique) > 1) + 1).tolist(), len(unique)]
    parts = []
    for first, last in pairwise(bounds):
        start, stop = int(unique[first]), int(unique[last - 1]) + 1
        step = max_images or stop - start
        parts += [read(range(at, min(at + step, stop))) for at in range(start, stop, step)]
    return np.concatenate(parts)[np.searchsorted(unique, numbers)]
