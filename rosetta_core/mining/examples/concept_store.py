"""The concepts on every image, on disk.

ConceptExamples          what is kept of them
StoredConceptExamples    out of what `write_concept_examples` wrote
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.io.zarr_store import open_group, read_array, read_attribute

__all__ = ["ConceptExamples", "StoredConceptExamples"]


class ConceptExamples(Protocol):
    """The concepts on all images.

    Attributes:
        models: their names, the pivot first.
        representative: the unit of each model that stands for a concept (concepts, models) int32.
        scores: how strongly a concept shows on an image (concepts, images) float32.
    """

    models: list[str]
    representative: NDArray[np.int32]
    scores: NDArray[np.float32]

    def maps(self, concept: int, model: str) -> NDArray[np.uint8]:
        """The standardised maps (n, h, w) of a concept's representative unit on all images, as bytes."""
        ...


class StoredConceptExamples(ConceptExamples):
    """The concepts on all images, read from the store."""

    def __init__(self, store: Path, units: Mapping[str, pd.DataFrame]) -> None:
        """Open a store; RosettaError if it is damaged.

        Args:
            store: what `write_concept_examples` wrote.
            units: by model its table of units.
        """
        self._group = open_group(store)
        self.models = list(read_attribute(self._group, "models"))
        self.representative = read_array(self._group, "representative")
        self.scores = read_array(self._group, "score")
        self._layers = {  # by model the layer of every unit
            model: pd.factorize(units[model]["layer"])[0] for model in self.models
        }

    def maps(self, concept: int, model: str) -> NDArray[np.uint8]:
        """The standardised maps (n, h, w) of a concept's representative unit on all images, as bytes."""
        number = self.models.index(model)
        unit = int(self.representative[concept, number])
        layers = self._layers[model]
        same = [
            u for u in set(self.representative[:, number].tolist()) if layers[u] == layers[unit]
        ]
        return read_array(self._group, f"maps/{number}/{layers[unit]}", sorted(same).index(unit))
