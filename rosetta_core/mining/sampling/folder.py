"""Images of a folder, for a pivot that draws none.

take_shard     those of a shard, cropped and resized, into a store
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rosetta_core.io.atomic import sha256_of
from rosetta_core.io.images import cropped, read_image, resized
from rosetta_core.io.zarr_store import versions
from rosetta_core.mining.sampling.samples import UNCONDITIONAL, write_samples
from rosetta_core.runtime.progress import Progress

__all__ = ["take_shard"]


def take_shard(files: Sequence[Path], store: Path, *, images: range, size: int) -> None:
    """Crop images to the square in their middle, resize them, and write them to a store.

    The store holds `images` (n, size, size, 3) bytes and `classes` (n,), all -1; the manifest
    records the files.

    Args:
        files: of the shard.
        store: where to.
        images: their running numbers.
        size: side, in pixels.

    Raises:
        RosettaError: a file is no image, or a broken one.
    """
    taken = np.empty((len(files), size, size, 3), np.uint8)
    with Progress(f"images {store.stem}", total=len(files)) as progress:
        for place, file in enumerate(files):
            taken[place] = resized(cropped(read_image(file), None), (size, size))
            progress.advance()
    write_samples(
        store,
        {"images": taken, "classes": np.full(len(files), UNCONDITIONAL, dtype=np.int64)},
        images=images,
        about={
            "sources": [[str(f), sha256_of(f)] for f in files],
            "versions": versions("pillow"),
        },
    )
