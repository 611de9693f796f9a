"""Stores of examples: of the units of a model, and of the concepts of a run.

They are read without PyTorch. `examples/units/{model}.zarr` has a group for each layer, named by
its number, with the arrays of `LayerExamples`. `examples/concepts.zarr` is written by
`concepts.write_concept_examples`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.errors import RosettaError
from rosetta_core.io.stores.store import (
    ZSTD,
    create_array,
    new_store,
    open_group,
    read_array,
    read_attribute,
    read_count,
    repair_hint,
)

__all__ = [
    "NO_IMAGE",
    "ConceptExamples",
    "LayerExamples",
    "StoredConceptExamples",
    "read_unit_examples",
    "write_unit_examples",
]

NO_IMAGE = -1


@dataclass(frozen=True)
class LayerExamples:
    """Top images, histograms and selectivity of a layer's units.

    Attributes:
        images: numbers of the k top images, best first (c, k) int32; -1 where a unit has fewer, as
            dead units have.
        peaks: largest activation on each (c, k) float32, in std above the unit's mean.
        maps: heat maps (c, k, h, w) as bytes, at most 48 positions per side.
        histogram: activations of each unit over all images (c, 128) int64, in steps of a quarter
            std from 4 std below the mean.
        sparsity: sparsity of each unit (c,) float64; NaN of dead units.
        selectivity: selectivity of each unit (c,) float64; NaN of dead units.
    """

    images: NDArray[np.int32]
    peaks: NDArray[np.float32]
    maps: NDArray[np.uint8]
    histogram: NDArray[np.int64]
    sparsity: NDArray[np.float64]
    selectivity: NDArray[np.float64]


def write_unit_examples(store: Path, layers: Sequence[LayerExamples]) -> None:
    """Write the examples of a model's units, by layer."""
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
        for number in range(read_count(group, "layers"))
    ]


class ConceptExamples(Protocol):
    """Scores and heat maps of concepts on all images.

    Attributes:
        models: names of the models, the pivot first.
        representative: representative unit of each model (concepts, models) int32.
        scores: concept scores (concepts, images) float32.
    """

    models: list[str]
    representative: NDArray[np.int32]
    scores: NDArray[np.float32]

    def maps(self, concept: int, model: str) -> NDArray[np.uint8]:
        """Return the heat maps (n, h, w) of a concept's representative unit on all images."""
        ...


class StoredConceptExamples(ConceptExamples):
    """Scores and heat maps of concepts on all images, read from their store."""

    def __init__(self, store: Path, units: Mapping[str, pd.DataFrame]) -> None:
        """Open a store.

        Args:
            store: path of the store.
            units: by model its table of units.

        Raises:
            RosettaError: the store is damaged.
        """
        self._group = open_group(store)
        self.models = _models(store, read_attribute(self._group, "models"), known=list(units))
        self.representative = read_array(self._group, "representative")
        self.scores = read_array(self._group, "score")
        concepts, models = len(self.scores), len(self.models)
        if self.scores.ndim != 2 or self.representative.shape != (concepts, models):
            raise RosettaError(
                f"{store}: has scores {self.scores.shape} and units {self.representative.shape}; "
                f"{repair_hint(store)}"
            )
        for number, model in enumerate(self.models):
            column = self.representative[:, number]
            if concepts and not 0 <= column.min() <= column.max() < len(units[model]):
                raise RosettaError(
                    f"{store}: names units that {model} does not have; {repair_hint(store)}"
                )
        self._layers = {  # by model the layer number of each unit
            model: pd.factorize(units[model]["layer"])[0] for model in self.models
        }

    def maps(self, concept: int, model: str) -> NDArray[np.uint8]:
        """Return the heat maps (n, h, w) of a concept's representative unit on all images."""
        number = self.models.index(model)
        units, layers = self.representative[:, number], self._layers[model]
        unit = int(units[concept])
        of_layer = sorted(u for u in set(units.tolist()) if layers[u] == layers[unit])
        place = of_layer.index(unit)
        return read_array(self._group, f"maps/{number}/{layers[unit]}", slice(place, place + 1))[0]


def _models(store: Path, names: object, *, known: Sequence[str]) -> list[str]:
    """Return names of models; RosettaError unless all are known."""
    if not isinstance(names, list) or not names or any(name not in known for name in names):
        raise RosettaError(
            f"{store}: is of other models than the run's, {', '.join(known)}; {repair_hint(store)}"
        )
    return names
