"""Match sets of image subsets, read from their stores of nearest neighbours."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config

if TYPE_CHECKING:
    from rosetta_core.mining.significance.split_half import MatchSet

__all__ = ["read_match_set"]


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
