"""How few activations, and how few images, a unit responds to.

sparseness         of a response: 0 where it is always the same, 1 where one value has all of it
ResponseSums          the sums over a layer's maps that sparsity and selectivity are taken from
read_selectivity    both, of a model's units, out of the store of their examples

A unit responds where its activation is above its mean over all images and positions, by as much as
it is: what pages show in warm colours. Correlations know neither a unit's zero nor its scale, and
what is at rest for a ReLU isn't for a GELU, a leaky ReLU or a normalisation; so neither does this.
"""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rosetta_core.io.zarr_store import open_group, read_array, read_attribute

__all__ = ["MEASURES", "ResponseSums", "read_selectivity", "treves_rolls_sparseness"]

MEASURES = ("sparsity", "selectivity")


def treves_rolls_sparseness(mean: ArrayLike, square: ArrayLike, count: int) -> NDArray[np.float64]:
    """Return the lifetime sparseness of non-negative responses (Vinje and Gallant, 2000).

    S = (1 - a) / (1 - 1/n) with a = mean² / square, the sparseness of Rolls and Tovee (1995) after
    Treves and Rolls (1991). The scale of a response doesn't matter. Of k equal responses among n,
    the others being 0, it is (1 - k/n) / (1 - 1/n).

    Args:
        mean: of the responses.
        square: the mean of their squares.
        count: n, how many they are.

    Returns:
        From 0 to 1; NaN of what never responds, and of a single response.
    """
    mean, square = np.asarray(mean, np.float64), np.asarray(square, np.float64)
    if count < 2:
        return np.full_like(mean, np.nan)
    active = np.divide(mean**2, square, out=np.full_like(mean, np.nan), where=square > 0)
    return np.clip((1 - active) / (1 - 1 / count), 0, 1)


class ResponseSums:
    """How a layer's units respond, as sums that images are added to in any pieces and order."""

    def __init__(self, units: int) -> None:
        self._sums = np.zeros((3, units))  # of responses, of their squares, of squared activations

    def add(self, channels: slice, mean: NDArray[np.float32], square: NDArray[np.float32]) -> None:
        """Add images, which no other call adds for these channels; sums over them are in float64.

        Args:
            channels: of which units.
            mean: of the response over each map's positions (n, c).
            square: the mean of its square over them (n, c).
        """
        mean = mean.astype(np.float64)
        for row, values in zip(self._sums, (mean, mean**2, square), strict=True):
            row[channels] += values.sum(axis=0, dtype=np.float64)

    def sparsity(self, images: int, positions: int) -> NDArray[np.float64]:
        """The sparseness over all activations (c,): 1 for a unit that responds at one place."""
        mean, _, square = self._sums / images
        return treves_rolls_sparseness(mean, square, images * positions)

    def selectivity(self, images: int) -> NDArray[np.float64]:
        """The sparseness over images (c,), of the mean response: 1 for a unit of one image."""
        mean, square, _ = self._sums / images
        return treves_rolls_sparseness(mean, square, images)


def read_selectivity(store: Path) -> dict[str, NDArray[np.float64]]:
    """Read by measure the values of a model's units (u,), in their order; NaN of dead ones.

    RosettaError if the store is damaged.
    """
    group = open_group(store)
    layers = range(int(read_attribute(group, "layers")))
    return {
        measure: np.concatenate([read_array(group, f"{number}/{measure}") for number in layers])
        for measure in MEASURES
    }
