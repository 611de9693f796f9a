"""A sequence of images that are read one after the other, with their names and labels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rosetta_core.api.images.image_set import Label
from rosetta_core.errors import RosettaError
from rosetta_core.runtime.progress import Progress

__all__ = ["ImageStream", "Reading", "StreamedImage"]


@dataclass(frozen=True)
class Reading:
    """How images are read.

    Attributes:
        size: side of the images in pixels; None: unchanged, if their source is not encoded.
        encoded_size: side of images that are read from files.
        column: column of images in rows; None: found by name or type.
        bit_depth: bits of the values in 16-bit files; None: 16.
    """

    size: int | None
    encoded_size: int
    column: str | None = None
    bit_depth: int | None = None


class StreamedImage(NamedTuple):
    """One image (h, w, 3) uint8 with its name, "" for none, and its label."""

    pixels: NDArray[np.uint8]
    name: str = ""
    label: Label = None


@dataclass(frozen=True)
class ImageStream:
    """Images that are read when they are iterated over, once.

    Attributes:
        images: the images.
        source: folder or kind of source, for pages and errors.
        total: number of images, if it is known before they are read.
        label_names: name of each class number, if the source has names.
    """

    images: Iterable[StreamedImage]
    source: str
    total: int | None = None
    label_names: tuple[str, ...] = ()

    def read(self, count: int | None) -> Iterator[StreamedImage]:
        """Yield the first `count` images, or all; report progress.

        Raises:
            RosettaError: there are fewer images or none, or they differ in size.
        """
        if self.total is not None:
            self._check_count(self.total, count)
        seen, shape = 0, (0, 0, 0)
        with Progress("images", total=count or self.total or 0) as progress:
            for image in self.images:
                if not seen:
                    shape = image.pixels.shape
                if image.pixels.shape != shape:
                    one, other = sorted((shape, image.pixels.shape))
                    raise RosettaError(
                        f"images: they differ in size ({one[0]} × {one[1]}, {other[0]} × "
                        f"{other[1]}); give size"
                    )
                yield image
                seen += 1
                progress.advance()
                if seen == count:
                    break
        self._check_count(seen, count)

    def _check_count(self, found: int, count: int | None) -> None:
        if not found:
            raise RosettaError(f"images: there is none in {self.source}; give at least one")
        if count is not None and found < count:
            raise RosettaError(
                f"images: count is {count:,}, but {self.source} has {found:,}; use at most "
                f"{found:,}, or leave count out"
            )
