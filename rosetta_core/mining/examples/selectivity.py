"""Sparsity and selectivity of units: Treves–Rolls sparseness over positions and over images.

The response of a unit is its activation above its mean over all images and positions, else 0; heat
maps show it in warm colours. Correlations do not depend on a unit's zero or scale, and the resting
value of a ReLU is not that of a GELU, a leaky ReLU or a normalisation; responses depend on neither.
"""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rosetta_core.io.stores.store import open_group, read_array, read_count

__all__ = ["MEASURES", "ResponseSums", "read_selectivity", "treves_rolls_sparseness"]

MEASURES = ("sparsity", "selectivity")


def treves_rolls_sparseness(mean: ArrayLike, square: ArrayLike, count: int) -> NDArray[np.float64]:
    """Return the lifetime sparseness of non-negative responses (Vinje and Gallant, 2000).

    S = (1 - a) / (1 - 1/n) with a = mean² / square, the sparseness of Rolls and Tovee (1995) after
    Treves and Rolls (1991). It does not depend on the scale of the responses. If k of n responses
    are equal and all others 0, it is (1 - k/n) / (1 - 1/n).

    Args:
        mean: means of the responses.
        square: means of their squares.
        count: number of responses n.

    Returns:
        Values from 0 (all responses are equal) to 1 (a single response is not 0). NaN if all
        responses are 0, or if there is only one.
    """
    mean, square = np.asarray(mean, np.float64), np.asarray(square, np.float64)
    if count < 2:
        return np.full_like(mean, np.nan)
    active = np.divide(mean**2, square, out=np.full_like(mean, np.nan), where=square > 0)
    return np.clip((1 - active) / (1 - 1 / count), 0, 1)


class ResponseSums:
    """Sums over the responses of a layer's units; they do not depend on the order of images."""

    def __init__(self, units: int) -> None:
        # of mean responses, of their squares, and of mean squared responses
        self._sums = np.zeros((3, units))

    def add(self, channels: slice, mean: NDArray[np.float32], square: NDArray[np.float32]) -> None:
        """Add images to some channels; sums are in float64.

        Args:
            channels: units of the layer; no other thread adds to them at the same time.
            mean: mean response over each map's positions (n, c).
            square: mean squared response over them (n, c).
        """
        mean = mean.astype(np.float64)
        for row, values in zip(self._sums, (mean, mean**2, square), strict=True):
            row[channels] += values.sum(axis=0, dtype=np.float64)

    def sparsity(self, images: int, positions: int) -> NDArray[np.float64]:
        """Return the sparseness (c,) over all positions: 1 for a response at a single one."""
        mean, _, square = self._sums / images
        return treves_rolls_sparseness(mean, square, images * positions)

    def selectivity(self, images: int) -> NDArray[np.float64]:
        """Return the sparseness (c,) of mean responses over images: 1 for a single image."""
        mean, square, _ = self._sums / images
        return treves_rolls_sparseness(mean, square, images)


def read_selectivity(store: Path) -> dict[str, NDArray[np.float64]]:
    """Read sparsity and selectivity of a model's units (u,), NaN of dead ones.

    Args:
        store: store of the examples of the model's units.

    Raises:
        RosettaError: the store is damaged.
    """
    group = open_group(store)
    layers = range(read_count(group, "layers"))
    return {
        measure: np.concatenate([read_array(group, f"{number}/{measure}") for number in layers])
        for measure in MEASURES
    }
