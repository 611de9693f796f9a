"""Stores of a run's samples: images, latents, classes and seeds, or the files of the images.

This module does not import torch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rosetta_core.io.stores.store import (
    create_array,
    manifest_images,
    new_store,
    open_store,
    read_array,
    read_pairs,
    read_texts,
    write_manifest,
)

__all__ = ["LABELS", "NAMES", "UNCONDITIONAL", "Samples", "write_samples"]

UNCONDITIONAL = -1  # class of images without a class
NAMES, LABELS = "names", "labels"  # attributes of images that were given in memory


def write_samples(
    store: Path, arrays: Mapping[str, NDArray], *, images: range, about: Mapping[str, Any]
) -> None:
    """Write the samples of a shard to a store with a manifest.

    Args:
        store: path of the store.
        arrays: arrays (n, …) by name.
        images: numbers of the images in the run.
        about: attributes of the store and entries of the manifest.
    """
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

    Args:
        stores: paths of the stores, in the order of their images.

    Attributes:
        count: number of images.

    Raises:
        RosettaError: a store is missing or damaged.
    """

    def __init__(self, stores: Sequence[Path]) -> None:
        opened = [open_store(store) for store in stores]
        self._groups = [group for group, _ in opened]
        counts = [
            len(manifest_images(store, manifest))
            for store, (_, manifest) in zip(stores, opened, strict=True)
        ]
        self._starts: list[int] = np.cumsum([0, *counts]).tolist()
        self.count = self._starts[-1]

    def latents(self, images: range) -> NDArray[np.float32]:
        """Return the latents (n, z) of some images."""
        return self._read("latents", images)

    def classes(self, images: range) -> NDArray[np.int64]:
        """Return the classes (n,) of some images; -1 if they have none."""
        return self._read("classes", images)

    def images(self, images: range) -> NDArray[np.uint8]:
        """Return some images (n, h, w, 3)."""
        return self._read("images", images)

    def origins(self) -> list[str]:
        """Return the origin of every image: its file or name, "class 3", or "" for no class."""
        origins: list[str] = []
        for group in self._groups:
            if NAMES in group.attrs:
                origins += read_texts(group, NAMES)
            elif "sources" in group.attrs:
                origins += [file for file, _ in read_pairs(group, "sources")]
            else:
                labels = read_array(group, "classes").tolist()
                origins += ["" if label == UNCONDITIONAL else f"class {label}" for label in labels]
        return origins

    def file_names(self) -> list[str]:
        """Return the name of every image's file, without its folder; none if they were drawn."""
        if all(NAMES in group.attrs for group in self._groups):
            return self.origins()
        if any("sources" not in group.attrs for group in self._groups):
            return []
        return [PurePath(origin).name for origin in self.origins()]

    def labels(self) -> list[str]:
        """Return the label of every image that was given with labels in memory; none otherwise."""
        if any(LABELS not in group.attrs for group in self._groups):
            return []
        return [label for group in self._groups for label in read_texts(group, LABELS)]

    def _read(self, name: str, images: range) -> NDArray:
        parts = []
        for group, start, stop in zip(self._groups, self._starts, self._starts[1:], strict=False):
            first, last = max(images.start, start), min(images.stop, stop)
            if first < last:
                parts.append(read_array(group, name, slice(first - start, last - start)))
        return np.concatenate(parts)
