"""Maps in which what an encoder shares with the pivot is destroyed, and all else is kept.

ImagesShuffled       every image's maps are another image's: what is left of a correlation lies at
                     the same place of all images, as borders and the centre do
PositionsShuffled    every image's maps are moved round by an offset of its own: what is left is how
                     much a unit fires at an image

shifts               two of ImagesShuffled

Each unit has the values that it had, so means and variances at its own grid are the same.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runtime.workers import Workers

__all__ = ["PermutedImages", "RolledPositions", "shifts"]


class _Changed(ActivationSource):
    """Maps that are those of others, changed as they are read."""

    def __init__(self, maps: ActivationSource) -> None:
        self._maps = maps
        self.name, self.layers, self.images = maps.name, maps.layers, maps.images

    def load(self, images: range, workers: Workers) -> None:
        """Nothing: stored maps are there."""

    def together(self, layer: int) -> int:
        """As many channels as of the maps themselves."""
        return self._maps.together(layer)

    def pieces(self, largest: int) -> Iterator[range]:
        """As of the maps themselves."""
        return self._maps.pieces(largest)

    def moments(self) -> list[Moments]:
        """Those of the maps themselves."""
        return self._maps.moments()


class PermutedImages(_Changed):
    """Image i + `shift` has the maps of image i, in a circle.

    Args:
        maps: that are there whenever they are read.
        shift: 1 up to the number of images less one.
    """

    def __init__(self, maps: ActivationSource, *, shift: int) -> None:
        super().__init__(maps)
        assert 0 < shift < maps.images
        self._shift = shift

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Read the maps (n, c, h, w) that stand for some images'."""
        first = (images.start - self._shift) % self.images
        before = range(first, min(first + len(images), self.images))
        after = range(len(images) - len(before))
        parts = [self._maps.read(layer, part, channels) for part in (before, after) if part]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class RolledPositions(_Changed):
    """Every image's maps are rolled, by no offset in common with another image or layer.

    Maps of one position stay as they are.

    Args:
        maps: that are there whenever they are read.
        seed: of the offsets.
    """

    def __init__(self, maps: ActivationSource, *, seed: int) -> None:
        super().__init__(maps)
        self._seed = seed

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Read the rolled maps (n, c, h, w) of some images."""
        stored = self._maps.read(layer, images, channels)
        rolled = torch.empty_like(stored)
        for i, image in enumerate(images):
            rolled[i] = stored[i].roll(self._offset(layer, image), dims=(1, 2))
        return rolled

    def _offset(self, layer: int, image: int) -> tuple[int, int]:
        """Rows and columns by which an image's maps are rolled: never both 0, if that can be."""
        height, width = self.layers[layer].grid
        if height * width == 1:
            return 0, 0
        rng = np.random.default_rng([self._seed, layer, image])
        return divmod(int(rng.integers(1, height * width)), width)


def shifts(images: int, *, seed: int) -> tuple[int, int]:
    """Return two shifts of three images or more, a quarter to three quarters of a round.

    So that no image has its neighbours' maps, which may be of the same film.
    """
    quarter = images // 4
    among = np.arange(max(1, quarter), min(images - 1, images - quarter) + 1)
    first, second = np.random.default_rng(seed).choice(among, 2, replace=False)
    return int(first), int(second)
