"""Match sets of image subsets, read from their stores of nearest neighbours."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError

if TYPE_CHECKING:
    from rosetta_core.mining.significance.split_half import MatchSet

__all__ = ["LARGEST_K", "image_counts", "read_match_set"]

LARGEST_K = 20  # neighbours of each unit that a sweep keeps, so that K up to it can be tried
FEWEST = 64  # images of the smallest subset, unless counts are given
LEAST = 4  # images that a subset needs, for halves of two


def image_counts(config: Config, images: Sequence[int] | None = None) -> list[int]:
    """Return the sizes of the image subsets in ascending order, the last being all images.

    Args:
        config: configuration of the run.
        images: sizes to try; None: 64, 128 and so on.

    Raises:
        RosettaError: a size is below 4 or above `sampling.images`.
    """
    every = config.sampling.images
    if images is None:
        images = [2**power for power in range(FEWEST.bit_length() - 1, every.bit_length())]
    for count in images:
        if not LEAST <= count <= every:
            raise RosettaError(
                f"--images: {count} is not from {LEAST} to sampling.images ({every})"
            )
    return sorted({*images, every})


def read_match_set(
    config: Config, store_of: Callable[[str], Path], *, k: int, subset: int
) -> "MatchSet":
    """Return the best buddies of all models on a subset of the images.

    Args:
        config: configuration of the run.
        store_of: returns the top-K store of the pivot and a model.
        k: number of mutual nearest neighbours.
        subset: number of the subset in these stores.
    """
    from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
    from rosetta_core.mining.matching.topk_store import read_topk
    from rosetta_core.mining.significance.split_half import MatchSet

    buddies = {
        model.name: best_buddies(
            neighbour_table(*read_topk(store_of(model.name), k, subset=subset))
        )
        for model in config.models
    }
    within_pivot = buddies.pop(config.pivot.name)
    return MatchSet(buddies, within_pivot)
