"""Selection of example images of a concept by its scores."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.near_duplicates import without_duplicates

__all__ = ["QUARTILES", "disagreement", "quartile_examples", "random_examples", "top_examples"]

QUARTILES = 4


def top_examples(
    scores: NDArray[np.float32], duplicates: NDArray[np.int32], *, count: int
) -> list[int]:
    """Return at most `count` images with the highest scores, without near-duplicates.

    Args:
        scores: score of each image (n,).
        duplicates: group of near-duplicates of each image (n,).
        count: maximum number of images.
    """
    return without_duplicates(_ranking(scores), duplicates, count=count)


def random_examples(images: int, *, count: int, seed: int) -> list[int]:
    """Return at most `count` random numbers of images, ascending.

    Args:
        images: number of images.
        count: maximum number of images to return.
        seed: random seed.
    """
    chosen = np.random.default_rng(seed).permutation(images)[:count]
    return sorted(chosen.tolist())


def quartile_examples(scores: NDArray[np.float32], *, count: int) -> list[list[int]]:
    """Return at most `count` evenly spaced images of each score quartile, the highest first."""
    quartiles = np.array_split(np.array(_ranking(scores)), QUARTILES)
    examples = []
    for quartile in quartiles:
        ranks = np.linspace(0, len(quartile) - 1, min(count, len(quartile))).round().astype(int)
        examples.append(quartile[ranks].tolist())
    return examples


def disagreement(peaks: NDArray) -> NDArray[np.float32]:
    """Return the disagreement of the pivot and the encoders on each image (n,), from 0 to 1.

    It is the absolute difference of the image's rank in the pivot, as a share of all images, and
    its mean rank in the encoders. It is large where only one side is active.

    Args:
        peaks: highest value of each model's map on each image, the pivot first (models, n).
    """
    ranks = pd.DataFrame(peaks).rank(axis=1, pct=True).to_numpy()
    return np.abs(ranks[0] - ranks[1:].mean(0)).astype(np.float32)


def _ranking(scores: NDArray[np.float32]) -> list[int]:
    """Images by descending score, ties by ascending number."""
    return np.argsort(-scores, kind="stable").tolist()
