"""The samples of a run on disk: its images, and what they were drawn from.

write_samples    images of a shard, wherever they come from, into a store
Samples          the latents and images of a run, read from its shards
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rosetta_core.io.zarr_store import (
    create_array,
    new_store,
    open_store,
    read_array,
    read_attribute,
    write_manifest,
)

__all__ = ["UNCONDITIONAL", "Samples", "write_samples"]

UNCONDITIONAL = -1  # the class label of a generator without classes


def write_samples(
    store: Path, arrays: Mapping[str, NDArray], *, images: range, about: Mapping[str, Any]
) -> None:
    """Write the arrays of a shard (n, …) to a store, with a manifest that records `about`."""
    with new_store(store) as group:
        group.attrs.update(about)
        for name, values in arrays.items():
            array = create_array(
                group, name, shape=values.shape, shard=values.shape, dtype=values.dtype.name
            )
            array[...] = values
    write_manifest(store, {**about, "images": [images.start, images.stop]})


class Samples:
    """The samples of a run, read from the stores of its shards.

    Attributes:
        count: how many images there are.
    """

    def __init__(self, stores: Sequence[Path]) -> None:
        """Open the shards, in order; RosettaError if one is damaged."""
        opened = [open_store(store) for store in stores]
        self._groups = [group for group, _ in opened]
        starts = np.cumsum([0, *(m["images"][1] - m["images"][0] for _, m in opened)])
        self._starts: list[int] = starts.tolist()
        self.count = self._starts[-1]

    def latents(self, images: range) -> NDArray[np.float32]:
        """The latents (n, z) of some images."""
        return self._read("latents", images)

    def classes(self, images: range) -> NDArray[np.int64]:
        """The classes (n,) of some images; -1 where the generator has none."""
        return self._read("classes", images)

    def origins(self) -> list[str]:
        """Of every image the file it was taken from, or "class 3"; empty of one drawn of none."""
        found: list[str] = []
        for group in self._groups:
            if "sources" in group.attrs:
                found += [file for file, _ in read_attribute(group, "sources")]
            else:
                labels = read_array(group, "classes").tolist()
                found += ["" if label == UNCONDITIONAL else f"class {label}" for label in labels]
        return found

    def images(self, images: range) -> NDArray[np.uint8]:
        """Some images (n, h, w, 3)."""
        return self._read("images", images)

    def _read(self, name: str, images: range) -> NDArray:
        parts = []
        for group, start, stop in zip(self._groups, self._starts, self._starts[1:], strict=False):
            first, last = max(images.start, start), min(images.stop, stop)
            if first < last:
                parts.append(read_array(group, name, slice(first - start, last - start)))
        return np.concatenate(parts)
