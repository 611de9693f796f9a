"""Interface of activation sources: the activation maps of a model's layers over a set of images.

The correlations read every source in the same way, whether a network runs on demand or maps are
stored on disk or held in memory: in batches of images, loaded first and then read layer by layer.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import Layer

__all__ = ["MAX_BATCH_IMAGES", "ActivationSource", "WrappedSource", "fit_batch_size", "read_maps"]

MAX_BATCH_IMAGES = 128  # images per batch; stores hold their maps in blocks of at most as many


def fit_batch_size(bytes_per_image: int, *, memory_budget: int) -> int:
    """Return the number of images per batch that fits half of a memory budget.

    Args:
        bytes_per_image: bytes that one image takes.
        memory_budget: bytes.

    Returns:
        A power of two, at most 128 and at least 1; the blocks of stores are powers of two as well.
    """
    fit = max(1, min(MAX_BATCH_IMAGES, memory_budget // 2 // max(1, bytes_per_image)))
    return 1 << fit.bit_length() - 1


class ActivationSource(ABC):
    """The activation maps of a model's layers over `images` images.

    Maps of a batch are read after `load`, from several threads at once if need be. The defaults
    here suit sources whose maps can be read at any time, without loading.

    Attributes:
        name: name of the model.
        layers: its layers in order; units are numbered through them.
        images: number of images.
    """

    name: str
    layers: list[Layer]
    images: int

    def load(self, images: range, workers: TorchThreadPool) -> None:
        """Load the maps of a batch of images and drop those of other batches."""
        return

    def release(self) -> None:
        """Drop the loaded maps."""
        return

    def bytes_per_image(self) -> int:
        """Return the bytes that each loaded image takes; 0 if maps are not loaded."""
        return 0

    @abstractmethod
    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return the maps (n, c, h, w) of loaded images and of some channels of a layer.

        Args:
            layer: number of the layer.
            images: numbers of the images.
            channels: channels of the layer, with step 1.
        """

    def chunk_channels(self, layer: int) -> int:
        """Return the number of channels that are stored, and best read, together; 1 if any."""
        return 1

    def iter_batches(self, batch_size: int) -> Iterator[range]:
        """Yield the images as ranges of at most `batch_size` images that are cheap to read."""
        for start in range(0, self.images, batch_size):
            yield range(start, min(start + batch_size, self.images))

    def pilot_moments(self) -> list[Moments]:
        """Return approximate moments per layer, available before anything is loaded.

        They only centre the maps, so results do not depend on them except for rounding.
        """
        return self.moments()

    @abstractmethod
    def moments(self) -> list[Moments]:
        """Return the moments per layer over all images, once all of them have been loaded."""

    def describe(self, layer: int, image: int) -> str:
        """Return the origin of a map, for error messages."""
        return f"{self.name}: layer {self.layers[layer].name!r}, image {image}"


class WrappedSource(ActivationSource):
    """A source that changes what another source returns.

    Loading, batches and moments are those of the wrapped source.

    Attributes:
        source: the wrapped source.
    """

    def __init__(self, source: ActivationSource) -> None:
        self.source = source
        self.name, self.layers, self.images = source.name, source.layers, source.images

    def load(self, images: range, workers: TorchThreadPool) -> None:
        """Load the maps of a batch of images of the wrapped source."""
        self.source.load(images, workers)

    def release(self) -> None:
        """Drop the loaded maps of the wrapped source."""
        self.source.release()

    def bytes_per_image(self) -> int:
        """Return the bytes that each loaded image of the wrapped source takes."""
        return self.source.bytes_per_image()

    def chunk_channels(self, layer: int) -> int:
        """Return the number of channels that the wrapped source stores together."""
        return self.source.chunk_channels(layer)

    def iter_batches(self, batch_size: int) -> Iterator[range]:
        """Yield the batches of the wrapped source."""
        return self.source.iter_batches(batch_size)

    def pilot_moments(self) -> list[Moments]:
        """Return the approximate moments of the wrapped source."""
        return self.source.pilot_moments()

    def moments(self) -> list[Moments]:
        """Return the moments of the wrapped source."""
        return self.source.moments()


def read_maps(
    source: ActivationSource, layer: int, images: range, channel: slice
) -> NDArray[np.floating]:
    """Return the maps (n, h, w) of one channel on consecutive images."""
    with TorchThreadPool(torch.get_num_threads()) as workers:
        source.load(images, workers)
    return source.read(layer, images, channel)[:, 0].cpu().numpy()
