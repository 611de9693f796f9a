"""Pictures and maps of scored images, kept in temporary files while images stream by."""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.drawing.heatmap import overlay, picture
from rosetta_core.io.images import open_image

__all__ = ["KeptImages", "jpeg", "tile"]

SIDE = 256  # largest side of a picture that is kept
QUALITY = 90


class KeptImages:
    """Pictures and maps of images, in a temporary folder that is deleted with the object.

    Pictures are kept as JPEG files of at most 256 pixels a side, maps as float16.

    Args:
        targets: number of concepts and units whose maps are kept.
        pixels: the images (n, h, w, 3) if they are in memory, instead of pictures.
    """

    def __init__(self, targets: int, pixels: NDArray[np.uint8] | None = None) -> None:
        self._pixels = pixels
        self._folder = tempfile.TemporaryDirectory(prefix="rosetta-")
        self._grids: list[tuple[int, int]] = []
        self._ends = [0]  # of the pictures in their file
        self._targets = targets

    def add(self, pixels: NDArray[np.uint8], maps: Sequence[NDArray[np.float32]]) -> None:
        """Keep images (n, h, w, 3), and for each target their maps (n, h', w')."""
        self._grids = [(part.shape[1], part.shape[2]) for part in maps]
        for target, part in enumerate(maps):
            with self._file(target).open("ab") as file:
                file.write(part.astype(np.float16).tobytes())
        if self._pixels is not None:
            return
        with self._file("pictures").open("ab") as file:
            for image in pixels:
                content = jpeg(image)
                file.write(content)
                self._ends.append(self._ends[-1] + len(content))

    def maps(self, target: int) -> NDArray[np.float16]:
        """Return the maps (n, h, w) of a target, mapped into memory."""
        kept = np.memmap(self._file(target), np.float16, mode="r")
        return kept.reshape(-1, *self._grids[target])

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Return an image (h, w, 3), at most 256 pixels a side if it was not in memory."""
        if self._pixels is not None:
            return self._pixels[number]
        with self._file("pictures").open("rb") as file:
            file.seek(self._ends[number])
            content = file.read(self._ends[number + 1] - self._ends[number])
        with open_image(self._file("pictures"), content=content) as image:
            return np.array(image)

    def _file(self, name: int | str) -> Path:
        return Path(self._folder.name) / f"{name}"


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Return an image (h, w, 3) as JPEG, reduced to 256 pixels a side."""
    shown, file = Image.fromarray(image), io.BytesIO()
    shown.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    shown.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def tile(
    image: NDArray[np.uint8], map_: NDArray[np.floating] | None, *, full: float, size: int
) -> NDArray[np.uint8]:
    """Return an image as a square tile, with a map (h, w) over it if there is one."""
    if map_ is None:
        return picture(image, size)
    return overlay(image, map_.astype(np.float32), full=full, size=size)
