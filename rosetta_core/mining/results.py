"""The result of mining: tables, images and activation maps by unit and image number.

Tables are pandas DataFrames in which every unit has an id, "model/layer/channel";
docs/reference/tables-and-stores.md describes all columns.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.mining.matching.best_buddies import best_buddies as mutual_neighbours
from rosetta_core.mining.matching.best_buddies import neighbour_table
from rosetta_core.mining.matching.concept_map import map_concepts
from rosetta_core.mining.named_tables import (
    best_buddies_table,
    concepts_table,
    layers_table,
    model_pairs_table,
    neighbours_table,
    rosetta_table,
    units_table,
    vargha_delaney_table,
)
from rosetta_core.mining.run_tables import RunTables

if TYPE_CHECKING:
    import torch

    from rosetta_core.mining.examples.stores import ConceptExamples
    from rosetta_core.mining.matching.model_pairs import ModelPairs
    from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["Images", "MiningResult", "Unit"]

Images = int | Sequence[int] | NDArray[np.integer] | None  # image numbers; None: all images
Unit = str | tuple[str, int]  # "model/layer/channel", or a model and a unit number
MAX_IMAGES = 128  # images that a network processes at once


class MiningResult(ABC):
    """What was mined: tables, images and maps.

    Images are chosen by number, by several numbers in any order, or by None, which selects all
    images.

    Args:
        tables: tables of the result.
        memory_budget: bytes of maps that are read at once.
    """

    def __init__(self, tables: RunTables, *, memory_budget: int) -> None:
        self._tables = tables
        self._memory_budget = memory_budget

    @abstractmethod
    def _source(self, model: str) -> "ActivationSource":
        """Return a model's activation source; a network is loaded once."""

    @abstractmethod
    def _read_images(self, images: range) -> NDArray[np.uint8]:
        """Return consecutive images (n, h, w, 3)."""

    @property
    @abstractmethod
    def _concept_examples(self) -> "ConceptExamples":
        """Scores and maps of the concepts on all images."""

    def __repr__(self) -> str:
        tables = self._tables
        processing = self.models if tables.folder else self.encoders
        return (
            f"<{type(self).__name__} {self.name!r}: {tables.images} images of "
            f"{tables.folder or self.pivot}, processed by {', '.join(processing)}; "
            f"{tables.rosetta['pivot_unit'].nunique()} Rosetta neurons in "
            f"{len(tables.concepts)} concepts>"
        )

    @property
    def name(self) -> str:
        """Name of the run."""
        return self._tables.run

    @property
    def pivot(self) -> str:
        """Name of the pivot."""
        return self._tables.pivot

    @property
    def encoders(self) -> list[str]:
        """Names of the encoders."""
        return self._tables.encoders

    @property
    def models(self) -> list[str]:
        """Names of all models, the pivot first."""
        return self._tables.names

    def units(self, model: str | None = None) -> pd.DataFrame:
        """Return the units of a model or of all models, one row per unit."""
        return units_table(self._tables, self._model_names(model))

    def best_buddies(
        self, model: str | None = None, other: str | None = None, *, k: int | None = None
    ) -> pd.DataFrame:
        """Return pairs of best buddies, one row each.

        Those of the pivot are in the tables. Those of any two models, or for another K, are
        computed when they are first requested, from stored maps or by running the networks, and
        kept in memory.

        Args:
            model: a model, of which the best buddies with the pivot are returned; None: of all
                models. With `other`: the model in the pivot's columns.
            other: a second model; the same for the best buddies within a model.
            k: K of the mutual nearest neighbours; None: that of the result.

        Raises:
            RosettaError: there is no such model, k is not a number from 1 to that of the units, or
                the maps of a model are neither stored nor can its network be run.
        """
        if k is not None and (isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1):
            raise RosettaError(f"k: {k!r} is not a whole number from 1 on")
        if other is None and k is None:
            return best_buddies_table(self._tables, self._model_names(model))
        if model is None:
            raise RosettaError("best_buddies: give a model with k or a second model")
        first, second = (self.pivot, model) if other is None else (model, other)
        first, second = self._model_name(first), self._model_name(second)
        least = min(len(self._tables.units[name]) for name in (first, second)) - (first == second)
        if k is not None and k > least:
            raise RosettaError(
                f"k: {k} is more than the {least} units that can be neighbours; use a smaller k"
            )
        self._add_stored_correlations(first, second)
        neighbours = self._pairs.neighbours(first, second, int(k or self._tables.k))
        return model_pairs_table(
            mutual_neighbours(neighbour_table(*neighbours)),
            self._tables,
            first=first,
            second=second,
        )

    @overload
    def correlations(self, model: str) -> NDArray[np.float32]: ...
    @overload
    def correlations(self, model: str, other: str) -> pd.DataFrame: ...
    def correlations(
        self, model: str, other: str | None = None
    ) -> NDArray[np.float32] | pd.DataFrame:
        """Return the correlations of the pivot's units with a model's, or of any two models.

        They are read from the run if it has them, or computed when they are first requested, and
        kept in memory.

        Args:
            model: the model; with `other`, the model in the rows.
            other: model in the columns.

        Returns:
            Pearson's r, NaN where a unit is dead. Of one model an array (units of the pivot, units
            of the model); of two models a DataFrame with layer and channel as the index and as the
            columns, as `rosetta_core.correlate` returns it.

        Raises:
            RosettaError: there is no such model; or a run did not keep the correlations of the
                pivot, or their store is damaged; or the maps of a model are neither stored nor can
                its network be run.
        """
        first, second = (self.pivot, model) if other is None else (model, other)
        first, second = self._model_name(first), self._model_name(second)
        if other is None and (reason := self._not_kept()):
            raise RosettaError(reason)
        self._add_stored_correlations(first, second)
        corr = self._pairs.correlations(first, second)
        if other is None:
            return corr
        index, columns = (
            pd.MultiIndex.from_frame(
                self._tables.units[name][["layer", "channel"]].astype({"channel": np.int64})
            )
            for name in (first, second)
        )
        return pd.DataFrame(corr, index=index, columns=columns)

    def neighbours(self, model: str | None = None) -> pd.DataFrame:
        """Return the nearest neighbours between the pivot and a model or all models, both ways."""
        return neighbours_table(self._tables, self._model_names(model))

    @property
    def rosetta(self) -> pd.DataFrame:
        """Rosetta neurons, one row per pivot unit and best buddy."""
        return rosetta_table(self._tables)

    @property
    def concepts(self) -> pd.DataFrame:
        """Concepts, one row each, sorted by decreasing mean correlation."""
        return concepts_table(self._tables)

    @property
    def layers(self) -> pd.DataFrame:
        """Layers of all models: number of Rosetta units, selectivity and sparsity."""
        return layers_table(self._tables)

    @property
    def vargha_delaney(self) -> pd.DataFrame:
        """Vargha–Delaney A of Rosetta units and other units, one row per model and measure."""
        return vargha_delaney_table(self._tables)

    def concept(self, concept: int | str) -> pd.DataFrame:
        """Return the rows of `rosetta` of one concept.

        Args:
            concept: number of the concept, or its id (column `concept_id` of `concepts`).

        Raises:
            RosettaError: there is no such concept.
        """
        number, table = self._concept_number(concept), self.rosetta
        return table[table["concept"] == number].reset_index(drop=True)

    def map_concepts(self, new: "MiningResult") -> pd.DataFrame:
        """Return what became of each concept in another result of the same pivot.

        Pivots are compared by their names and units, not by their weights.

        Args:
            new: the other result, for example with another K or another number of images.

        Returns:
            One row per pair of concepts that share Rosetta neurons, and per concept of one result
            only: old_id, new_id, n_shared, share_old, share_new, status (kept, split, merged, gone
            or new), old_concept and new_concept.

        Raises:
            RosettaError: it is not a result, or its pivot has another name or other units.
        """
        if not isinstance(new, MiningResult):
            raise RosettaError(
                f"map_concepts: {type(new).__name__} is not a result; use open_run or mine"
            )
        return map_concepts(self._tables, new._tables)

    def images(self, images: Images = None) -> NDArray[np.uint8]:
        """Return images that the pivot generated or that were read from a folder (n, h, w, 3)."""
        return _gather(self._read_images, self._image_numbers(images))

    def maps(
        self, unit: Unit, images: Images = None, *, standardised: bool = False
    ) -> NDArray[np.float32]:
        """Return the activation maps of a unit, from the stores or, without stores, its network.

        Args:
            unit: id "model/layer/channel", or model and unit number.
            images: image numbers; None: all images.
            standardised: return standard deviations from the unit's mean over all images, 0 for a
                constant unit, instead of activations.

        Returns:
            Maps (n, h, w), in the order of `images`.

        Raises:
            RosettaError: there is no such unit or image, or a store is damaged.
        """
        from rosetta_core.mining.sources.base import read_maps

        model, number = self._find_unit(unit)
        numbers, row = self._image_numbers(images), self._tables.units[model].iloc[number]
        source = self._source(model)
        layer = [layer.name for layer in source.layers].index(row["layer"])
        channel = slice(int(row["channel"]), int(row["channel"]) + 1)
        maps = _gather(
            lambda consecutive: read_maps(source, layer, consecutive, channel),
            numbers,
            max_images=self._max_images(source),
        )
        if standardised:
            maps = (maps - row["mean"]) / row["std"] if row["std"] > 0 else np.zeros_like(maps)
        return maps.astype(np.float32)

    @property
    def concept_scores(self) -> NDArray[np.float32]:
        """Concept scores (concepts, images): strength of each concept in each image."""
        return self._concept_examples.scores

    @abstractmethod
    def _device(self) -> "torch.device":
        """Return the device on which correlations are computed."""

    def _stored_correlations(self, model: str) -> NDArray[np.float32] | None:
        """Return the stored correlations of the pivot with a model; None if there are none."""
        return None

    def _not_kept(self) -> str:
        """Return the error of a run that could have kept correlations; empty if there is none."""
        return ""

    def _add_stored_correlations(self, first: str, second: str) -> None:
        """Use the stored correlations of two models, if one is the pivot and they were kept."""
        if self.pivot not in (first, second):
            return
        model = second if first == self.pivot else first
        if (corr := self._stored_correlations(model)) is not None:
            self._pairs.add(self.pivot, model, corr)

    @cached_property
    def _pairs(self) -> "ModelPairs":
        from rosetta_core.mining.matching.model_pairs import ModelPairs

        return ModelPairs(
            source=self._source,
            alive=lambda model: self._tables.units[model]["alive"].to_numpy(),
            memory_budget=self._memory_budget,
            device=self._device,
        )

    def _max_images(self, source: "ActivationSource") -> int:
        """Return the number of images to load at once, within half of the memory budget."""
        budget = self._memory_budget // 2
        return min(MAX_IMAGES, max(1, budget // max(1, source.bytes_per_image())))

    def _model_name(self, model: str) -> str:
        """Return the name of a model; RosettaError if there is none."""
        if model not in self.models:
            raise RosettaError(
                f"unknown model {model!r} in run {self.name!r}; use one of "
                f"{', '.join(self.models)}{did_you_mean(model, self.models)}"
            )
        return model

    def _model_names(self, model: str | None) -> list[str] | None:
        """Return a model's name in a list, or None for all models; RosettaError if unknown."""
        return None if model is None else [self._model_name(model)]

    def _concept_number(self, concept: int | str) -> int:
        """Return the number of a concept, given its number or its id; RosettaError if unknown."""
        return self._tables.concept_number(concept)

    def _image_numbers(self, images: Images) -> NDArray[np.int64]:
        """Return image numbers as an array (n,); RosettaError if one is out of range."""
        count = self._tables.images
        if images is None:
            return np.arange(count)
        numbers = np.atleast_1d(np.asarray(images))
        if numbers.size and numbers.dtype.kind not in "iu":
            raise RosettaError(f"images: {numbers.dtype} is not an integer type; use image numbers")
        for image in numbers[(numbers < 0) | (numbers >= count)].tolist():
            raise RosettaError(
                f"run {self.name!r}: there is no image {image}; use 0 to {count - 1}"
            )
        return numbers.astype(np.int64)

    def _find_unit(self, unit: Unit) -> tuple[str, int]:
        """Return the model and number of a unit; RosettaError if there is no such unit."""
        if not isinstance(unit, str):
            if not isinstance(unit, tuple) or len(unit) != 2:
                raise RosettaError(f"unit: {unit!r} is not a unit; use model/layer/channel")
            model, number = unit
            count = len(self._tables.units[self._model_name(model)])
            if not 0 <= number < count:
                raise RosettaError(f"{model}: there is no unit {number}; use 0 to {count - 1}")
            return model, int(number)
        model, _, rest = unit.partition("/")
        layer, _, channel = rest.rpartition("/")
        table = self._tables.units[self._model_name(model)]
        rows = table[table["layer"] == layer]
        if rows.empty:
            layers = table["layer"].unique().tolist()
            raise RosettaError(
                f"{unit}: layer {layer!r} of {model} was not mined{did_you_mean(layer, layers)}; "
                "use model/layer/channel"
            )
        numbers = rows.loc[rows["channel"].astype(str) == channel, "unit"]
        if numbers.empty:
            raise RosettaError(
                f"{unit}: there is no channel {channel!r} in {layer} of {model}; use 0 to "
                f"{len(rows) - 1}"
            )
        return model, int(numbers.iloc[0])


def _gather(
    read: Callable[[range], NDArray],
    numbers: NDArray[np.int64],
    *,
    max_images: int | None = None,
) -> NDArray:
    """Read images in any order, each once and consecutive ones together.

    Args:
        read: function that returns the values of consecutive images (n, …).
        numbers: image numbers (n,), in any order.
        max_images: images to read at once; None: no limit.

    Returns:
        Values (n, …), in the order of `numbers`.
    """
    # without numbers, one image gives the shape
    unique = np.unique(numbers) if len(numbers) else np.zeros(1, np.int64)
    bounds = [0, *(np.flatnonzero(np.diff(unique) > 1) + 1).tolist(), len(unique)]
    parts = []
    for first, last in pairwise(bounds):
        start, stop = int(unique[first]), int(unique[last - 1]) + 1
        step = max_images or stop - start
        parts += [read(range(at, min(at + step, stop))) for at in range(start, stop, step)]
    return np.concatenate(parts)[np.searchsorted(unique, numbers)]
