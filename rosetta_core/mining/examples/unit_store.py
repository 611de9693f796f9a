"""What the units of a model fire at, on disk.

LayerExamples          a layer's units with their examples
write_unit_examples    into a store
read_unit_examples     out of it
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rosetta_core.io.zarr_store import (
    ZSTD,
    create_array,
    new_store,
    open_group,
    read_array,
    read_attribute,
)

__all__ = ["NO_IMAGE", "LayerExamples", "read_unit_examples", "write_unit_examples"]

NO_IMAGE = -1  # no image


@dataclass(frozen=True)
class LayerExamples:
    """The examples of a layer's units, best first.

    Attributes:
        images: their numbers (c, k) int32; -1 where a unit has fewer, as dead ones have.
        peaks: the largest activation on each (c, k) float32, in std above the unit's mean.
        maps: the standardised maps (c, k, h, w) as bytes, at most 48 positions a side.
        histogram: activations of each unit over all images (c, 128) int64, in quarters of a std
            from 4 below the mean.
        sparsity: how few activations each unit responds at (c,) float64; NaN of dead units.
        selectivity: how few images each unit responds to (c,) float64; NaN of dead units.
    """

    images: NDArray[np.int32]
    peaks: NDArray[np.float32]
    maps: NDArray[np.uint8]
    histogram: NDArray[np.int64]
    sparsity: NDArray[np.float64]
    selectivity: NDArray[np.float64]


def write_unit_examples(store: Path, layers: Sequence[LayerExamples]) -> None:
    """Write a group a layer, by its number, with the arrays of LayerExamples."""
    with new_store(store) as group:
        group.attrs["layers"] = len(layers)
        for number, layer in enumerate(layers):
            for field in fields(LayerExamples):
                values = getattr(layer, field.name)
                array = create_array(
                    group,
                    f"{number}/{field.name}",
                    shape=values.shape,
                    shard=values.shape,
                    dtype=values.dtype.name,
                    compressor=ZSTD,
                )
                array[...] = values


def read_unit_examples(store: Path) -> list[LayerExamples]:
    """Read the examples of a model's units, by layer; RosettaError if the store is damaged."""
    group = open_group(store)
    names = [field.name for field in fields(LayerExamples)]
    return [
        LayerExamples(**{name: read_array(group, f"{number}/{name}") for name in names})
        for number in range(int(read_attribute(group, "layers")))
    ]
