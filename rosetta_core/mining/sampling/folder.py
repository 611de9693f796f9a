"""Samples from a folder of images, for a pivot that is not a generator."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rosetta_core.io.atomic import file_sha256
from rosetta_core.io.images import crop_square, read_image, resize_image
from rosetta_core.io.stores.store import library_versions
from rosetta_core.mining.sampling.samples import UNCONDITIONAL, write_samples
from rosetta_core.runtime.progress import Progress

__all__ = ["import_shard"]


def import_shard(
    files: Sequence[Path],
    store: Path,
    *,
    images: range,
    size: int,
    bit_depth: int | None = None,
    max_pixels: int | None = None,
) -> None:
    """Crop images to their central square, resize them, and write them to a store.

    The store has the arrays `images` (n, size, size, 3) uint8 and `classes` (n,), which are -1; its
    manifest records the files and their SHA-256.

    Args:
        files: image files of the shard.
        store: path of the store.
        images: numbers of the images in the run.
        size: side of the stored images, in pixels.
        bit_depth: bits of the values in 16-bit files, as in `read_image`.
        max_pixels: largest image, as in `read_image`.

    Raises:
        RosettaError: a file is not an image, or is damaged.
    """
    pixels = np.empty((len(files), size, size, 3), np.uint8)
    with Progress(f"images {store.stem}", total=len(files)) as progress:
        for place, file in enumerate(files):
            image = crop_square(read_image(file, bit_depth=bit_depth, max_pixels=max_pixels))
            pixels[place] = resize_image(image, (size, size))
            progress.advance()
    write_samples(
        store,
        {"images": pixels, "classes": np.full(len(files), UNCONDITIONAL, dtype=np.int64)},
        images=images,
        about={
            "sources": [[str(file), file_sha256(file)] for file in files],
            "versions": library_versions("pillow"),
        },
    )
