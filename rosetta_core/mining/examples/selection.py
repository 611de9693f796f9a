"""Which images are shown as examples.

top_examples         those with the highest scores, one of each near-duplicates
random_examples      any
quartile_examples    from every quarter of the ranking
disagreement         how differently networks fire at each image
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.near_duplicates import without_duplicates

__all__ = ["QUARTILES", "disagreement", "quartile_examples", "random_examples", "top_examples"]

QUARTILES = 4


def ranking(scores: NDArray[np.float32]) -> list[int]:
    """The images from the highest score to the lowest, ties by their number."""
    return np.argsort(-scores, kind="stable").tolist()


def top_examples(
    scores: NDArray[np.float32], duplicates: NDArray[np.int32], *, count: int
) -> list[int]:
    """Return at most `count` images with the highest scores, one of each near-duplicates.

    Args:
        scores: per image, as `scores` returns them.
        duplicates: per image its group of near-duplicates.
        count: how many.
    """
    return without_duplicates(ranking(scores), duplicates, count=count)


def random_examples(images: int, *, count: int, seed: int) -> list[int]:
    """Return at most `count` of the images at random, the same ones for the same seed."""
    chosen = np.random.default_rng(seed).permutation(images)[:count]
    return sorted(chosen.tolist())


def quartile_examples(scores: NDArray[np.float32], *, count: int) -> list[list[int]]:
    """Return by quarter of the ranking, the best first, at most `count` images evenly spaced."""
    quarters = np.array_split(np.array(ranking(scores)), QUARTILES)
    spread = []
    for quarter in quarters:
        places = np.linspace(0, len(quarter) - 1, min(count, len(quarter))).round().astype(int)
        spread.append(quarter[places].tolist())
    return spread


def disagreement(peaks: NDArray) -> NDArray[np.float32]:
    """Return how differently the pivot and the encoders fire at each image (n,), from 0 to 1.

    The image's place in the pivot's order of images, from 0 to 1, less the mean of its places in
    the encoders', either way: where only one side fires, as at a tongue that isn't there.

    Args:
        peaks: by network, the pivot first, the highest value of its map on each image (models, n).
    """
    places = pd.DataFrame(peaks).rank(axis=1, pct=True).to_numpy()
    return np.abs(places[0] - places[1:].mean(0)).astype(np.float32)
