"""Sources that keep the values of each unit and destroy what pivot and encoder share.

They are the null models `permute_images` and `roll_positions`. A unit's values do not change, and
with them its mean and variance at its own grid.
"""

import numpy as np
import torch
from torch import Tensor

from rosetta_core.mining.sources.base import ActivationSource, WrappedSource

__all__ = ["PermutedImages", "RolledPositions", "draw_shifts"]


class PermutedImages(WrappedSource):
    """A source whose image i + `shift`, in a circle, has the maps of image i.

    The remaining correlation is due to positions that are active in all images, such as borders or
    the centre.

    Args:
        source: the original source, whose maps can be read without loading.
        shift: 1 to the number of images less one.
    """

    def __init__(self, source: ActivationSource, *, shift: int) -> None:
        super().__init__(source)
        assert 0 < shift < source.images
        self._shift = shift

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return the maps (n, c, h, w) that replace those of some images."""
        first = (images.start - self._shift) % self.images
        before = range(first, min(first + len(images), self.images))
        after = range(len(images) - len(before))
        parts = [self.source.read(layer, part, channels) for part in (before, after) if part]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class RolledPositions(WrappedSource):
    """A source whose maps are rolled, by independent offsets for each image and layer.

    The remaining correlation is due to how strongly units respond to each image, wherever in it.
    Maps of one position do not change.

    Args:
        source: the original source, whose maps can be read without loading.
        seed: random seed of the offsets.
    """

    def __init__(self, source: ActivationSource, *, seed: int) -> None:
        super().__init__(source)
        self._seed = seed

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return the rolled maps (n, c, h, w) of some images."""
        maps = self.source.read(layer, images, channels)
        rolled = torch.empty_like(maps)
        for i, image in enumerate(images):
            rolled[i] = maps[i].roll(self._offset(layer, image), dims=(1, 2))
        return rolled

    def _offset(self, layer: int, image: int) -> tuple[int, int]:
        """Return the rows and columns by which the maps of an image are rolled; not both are 0."""
        height, width = self.layers[layer].grid
        if height * width == 1:
            return 0, 0
        rng = np.random.default_rng([self._seed, layer, image])
        return divmod(int(rng.integers(1, height * width)), width)


def draw_shifts(images: int, *, seed: int) -> tuple[int, int]:
    """Draw two different shifts for `PermutedImages`.

    They are a quarter to three quarters of the images, so that no image receives the maps of its
    neighbours, which may be frames of the same film.

    Args:
        images: number of images, at least three.
        seed: random seed.
    """
    quarter = images // 4
    candidates = np.arange(max(1, quarter), min(images - 1, images - quarter) + 1)
    first, second = np.random.default_rng(seed).choice(candidates, 2, replace=False)
    return int(first), int(second)
