"""Scores and heat maps of concepts and units on images that were not mined.

Maps are standardised by the mean and std of the mined images. Where the pivot is used, a score
is the concept score of the dictionary (see `concepts`). A generator cannot process images: without
the pivot, the product is taken between units of two encoders that are best buddies of the same
Rosetta neuron, and averaged over all pairs of encoders. With a single encoder, it is the mean
square of the positive part of the maps of its units.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rosetta_core.mining.examples.concepts import PairBlock, concept_scores, pair_blocks
from rosetta_core.mining.examples.heat_maps import downsample
from rosetta_core.mining.matching.concepts import representative_units
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.mining.sources.subset import UnitPositions
from rosetta_core.runtime.threads import TorchThreadPool

__all__ = ["BatchScores", "NewImageScorer", "units_to_score"]

Batch = Mapping[str, Mapping[int, Tensor]]  # by model and layer the standardised maps (n, k, h, w)


@dataclass(frozen=True)
class BatchScores:
    """Scores and maps of a batch of images.

    Attributes:
        concepts: concept scores (n, concepts) float32.
        units: peak of each unit (n, units) float32, in std above its mean.
        maps: of each concept, then of each unit, the standardised maps (n, h, w) float32.
    """

    concepts: NDArray[np.float32]
    units: NDArray[np.float32]
    maps: list[NDArray[np.float32]]


def units_to_score(
    rosetta: pd.DataFrame,
    models: Sequence[str],
    *,
    pivot: str,
    concepts: Iterable[int],
    units: Iterable[tuple[str, int]],
) -> dict[str, list[int]]:
    """Return by model the numbers of the units whose maps are needed; models without any are kept.

    Args:
        rosetta: table of Rosetta neurons.
        models: models that are used.
        pivot: name of the pivot.
        concepts: numbers of the concepts.
        units: model and number of further units.
    """
    members = rosetta[rosetta["concept"].isin(list(concepts))]
    needed: dict[str, set[int]] = {model: set() for model in models}
    for model, numbers in needed.items():
        own = (
            members["pivot_unit"] if model == pivot else members["unit"][members["model"] == model]
        )
        numbers.update(map(int, own))
    for model, unit in units:
        needed[model].add(unit)
    return {model: sorted(numbers) for model, numbers in needed.items()}


class NewImageScorer:
    """Scores of concepts and units on batches of images.

    Args:
        rosetta: table of Rosetta neurons.
        units: by model its table of units.
        maps: activation maps of each model that is used; layers without a needed unit may be
            missing.
        pivot: name of the pivot.
        concepts: numbers of the concepts.
        chosen: model and number of the units.
    """

    def __init__(
        self,
        rosetta: pd.DataFrame,
        *,
        units: Mapping[str, pd.DataFrame],
        maps: Mapping[str, ActivationSource],
        pivot: str,
        concepts: Sequence[int],
        chosen: Sequence[tuple[str, int]],
    ) -> None:
        needed = units_to_score(rosetta, list(maps), pivot=pivot, concepts=concepts, units=chosen)
        self._positions = {
            model: UnitPositions(maps[model], units[model], numbers)
            for model, numbers in needed.items()
        }
        self._chosen = [(model, *self._positions[model].locate(unit)) for model, unit in chosen]
        self._concepts = []
        for concept in concepts:
            members = rosetta[rosetta["concept"] == concept]
            representative = representative_units(members, pivot=pivot)
            places = [(x, *self._positions[x].locate(representative[x])) for x in maps]
            self._concepts.append((_terms(members, self._positions, pivot=pivot), places))

    def bytes_per_image(self) -> int:
        """Return the bytes that an image takes while it is scored."""
        return sum(positions.bytes_per_image() for positions in self._positions.values())

    def score(self, images: range, workers: TorchThreadPool) -> BatchScores:
        """Return the scores and maps of a batch of images."""
        batch: dict[str, dict[int, Tensor]] = {}
        for model, positions in self._positions.items():
            positions.maps.load(images, workers)
            batch[model] = positions.read(images, workers)
        scored = list(workers.map(lambda one: _score(*one, batch), self._concepts))
        chosen = [batch[model][layer][:, position] for model, layer, position in self._chosen]
        peaks = [maps.amax(dim=(1, 2)).numpy() for maps in chosen]  # each (n,)
        return BatchScores(
            concepts=_columns([values for values, _ in scored], len(images)),
            units=_columns(peaks, len(images)),
            maps=[maps for _, maps in scored] + [downsample(maps).numpy() for maps in chosen],
        )


@dataclass(frozen=True)
class _Term:
    """Part of a concept's score: pairs with a first model, or one model with itself."""

    first: str
    blocks: Sequence[PairBlock]
    units: Sequence[tuple[int, int]]  # layers and positions, of one model with itself


def _terms(
    members: pd.DataFrame, positions: Mapping[str, UnitPositions], *, pivot: str
) -> list[_Term]:
    """Return the terms whose mean is the score of a concept.

    Args:
        members: rows of the concept in the table of Rosetta neurons.
        positions: chosen units of the models that are used.
        pivot: name of the pivot.
    """
    encoders = [model for model in positions if model != pivot]
    own = {model: members[members["model"] == model] for model in encoders}
    if pivot in positions and encoders:
        pairs = pd.concat(list(own.values()))
        return [_Term(pivot, pair_blocks(pairs, positions, pivot=pivot), ())]
    if len(encoders) > 1:
        return [
            _Term(one, pair_blocks(_joined(own[one], own[other]), positions, pivot=one), ())
            for one, other in combinations(encoders, 2)
        ]
    (model,) = positions
    numbers = members["pivot_unit"] if model == pivot else own[model]["unit"]
    places = [positions[model].locate(int(unit)) for unit in sorted(set(numbers))]
    return [_Term(model, (), places)]


def _joined(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of units of two encoders with a common Rosetta neuron, each pair once.

    The units of the first encoder are in the column of the pivot's.
    """
    pairs = one[["pivot_unit", "unit"]].merge(other, on="pivot_unit", suffixes=("_one", ""))
    pairs = pairs.assign(pivot_unit=pairs["unit_one"])
    return pairs.drop_duplicates(["pivot_unit", "unit"])


def _score(
    terms: Sequence[_Term], places: Sequence[tuple[str, int, int]], batch: Batch
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the scores (n,) of a concept, and its maps (n, h, w)."""
    values = [
        concept_scores(term.blocks, batch, pivot=term.first)
        if term.blocks
        else _own_score(batch[term.first], term.units)
        for term in terms
    ]
    maps = [downsample(batch[model][layer][:, [position]]) for model, layer, position in places]
    return np.mean(values, axis=0), _mean_map(maps).numpy()


def _own_score(maps: Mapping[int, Tensor], units: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Return the mean square of the positive part of the maps of units, by image (n,)."""
    squares = [
        maps[layer][:, position].clamp(min=0).square().mean(dim=(1, 2), dtype=torch.float64)
        for layer, position in units
    ]
    return torch.stack(squares).mean(0).numpy()


def _mean_map(maps: Sequence[Tensor]) -> Tensor:
    """Return the mean (n, h, w) of maps (n, 1, h', w'), resized to the largest grid."""
    grid = [max(part.shape[side] for part in maps) for side in (2, 3)]
    resized = [functional.interpolate(x, size=grid, mode="bilinear") for x in maps]
    return torch.stack(resized).mean(0)[:, 0]


def _columns(values: Sequence[NDArray], images: int) -> NDArray[np.float32]:
    """Return values (n,) as columns (n, count) of float32."""
    return np.stack(values, axis=1).astype(np.float32) if values else np.zeros((images, 0), "f4")
