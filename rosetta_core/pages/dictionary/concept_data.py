"""Data of the page of a concept: examples, verdict, units, pairs and links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.selection import (
    disagreement,
    quartile_examples,
    random_examples,
    top_examples,
)
from rosetta_core.mining.examples.stores import ConceptExamples
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.pages.data_files import pack, rounded, significant
from rosetta_core.pages.dictionary.columns import TABLES, Column, encode, present
from rosetta_core.pages.dictionary.lookup import NeighbourLookup
from rosetta_core.pages.dictionary.maximisation_data import Maximisation, maximisation_data
from rosetta_core.pages.dictionary.verdict import Verdict

__all__ = ["ExampleImages", "choose_examples", "concept_data", "pair_columns", "pair_table"]

MAX_RELATED = 12  # related concepts of one concept
PAIR = ["pivot_unit", "model", "unit"]


@dataclass(frozen=True)
class ExampleImages:
    """Example images of a concept, by their numbers.

    Attributes:
        top: images with the highest scores, one of each group of near-duplicates.
        random: random images.
        quartiles: images from each quartile of the scores, highest quartile first.
        disagreement: images with the largest rank difference between pivot and encoders.
    """

    top: list[int]
    random: list[int]
    quartiles: list[list[int]]
    disagreement: list[int]

    @property
    def images(self) -> list[int]:
        """All of them, ascending."""
        groups = [self.top, self.random, self.disagreement, *self.quartiles]
        return sorted({image for group in groups for image in group})


def choose_examples(
    concept: int, examples: ConceptExamples, *, duplicates: NDArray[np.int32], count: int
) -> ExampleImages:
    """Choose the example images of a concept.

    Args:
        concept: number of the concept; it seeds the random images.
        examples: scores and maps of the concepts on all images.
        duplicates: by image the number of its group of near-duplicates (n,).
        count: images per group; half as many per quartile, at least one.
    """
    scores = examples.scores[concept]
    maps = (examples.maps(concept, model) for model in examples.models)  # (n, h, w) each
    ranks_differ = disagreement(np.stack([one.max(axis=(1, 2)) for one in maps]))
    return ExampleImages(
        top=top_examples(scores, duplicates, count=count),
        random=random_examples(len(scores), count=count, seed=concept),
        quartiles=quartile_examples(scores, count=max(1, count // 2)),
        disagreement=top_examples(ranks_differ, duplicates, count=count),
    )


def concept_data(
    concept: int,
    members: pd.DataFrame,
    chosen: ExampleImages,
    *,
    tables: RunTables,
    columns: Sequence[Column],
    verdict: Verdict,
    examples: ConceptExamples,
    pivot_lookup: NeighbourLookup,
    moments: Mapping[str, NDArray[np.float64]],
    histograms: Mapping[str, NDArray[np.uint8]],
    concept_of: Mapping[int, list[int]],
    maximisations: Sequence[Maximisation],
) -> dict[str, Any]:
    """Return the content of `data/concepts/{concept}.js`.

    Args:
        concept: number of the concept.
        members: its rows of `pair_table`.
        chosen: its example images.
        tables: tables of the run.
        columns: columns of pairs that the run has.
        verdict: verdict on the concept.
        examples: scores and maps of the concepts on all images.
        pivot_lookup: nearest neighbours within the pivot.
        moments: by model the mean and std of its units (units, 2).
        histograms: by model the histograms of its units (units, 64).
        concept_of: by Rosetta neuron its concept.
        maximisations: activation maximisations of the run, of any concept.
    """
    number_of = {model: number for number, model in enumerate(tables.names)}
    keys = (members[key].tolist() for key in (*PAIR, "corr"))
    pairs = list(zip(*keys, strict=True))
    units = _units_by_strength(pairs, tables)
    shown = [examples.maps(concept, model)[chosen.images] for model in tables.names]  # (i, h, w)
    return {
        "verdict": verdict.data(),
        "pairs": [[neuron, number_of[model], unit] for neuron, model, unit, _ in pairs],
        "pairColumns": encode(members, columns),
        "units": [
            [[unit, *significant(moments[model][unit])] for unit in units[model]]
            for model in tables.names
        ],
        "histograms": pack(histograms[model][units[model]] for model in tables.names),
        **_relations(concept, units[tables.pivot], pivot_lookup, concept_of),
        "top": chosen.top,
        "random": chosen.random,
        "quartiles": chosen.quartiles,
        "disagreement": chosen.disagreement,
        "images": chosen.images,
        "scores": rounded(examples.scores[concept, chosen.images]),
        "maximisations": maximisation_data(maximisations, concept),
        "sizes": [list(maps.shape[1:]) for maps in shown],
        "maps": pack(shown),
    }


def _units_by_strength(
    pairs: Sequence[tuple[int, str, int, float]], tables: RunTables
) -> dict[str, list[int]]:
    """By model the concept's units, highest correlation first, ties by number.

    A pivot unit counts with the mean over encoders of its highest correlation in each.
    """
    best: dict[str, dict[int, float]] = {model: {} for model in tables.encoders}
    of_neuron: dict[int, dict[str, float]] = {}
    for neuron, model, unit, corr in pairs:
        best[model][unit] = max(corr, best[model].get(unit, corr))
        by_model = of_neuron.setdefault(neuron, {})
        by_model[model] = max(corr, by_model.get(model, corr))
    mean = {
        neuron: sum(by_model.values()) / len(by_model) for neuron, by_model in of_neuron.items()
    }
    return {
        model: sorted(strength, key=lambda unit: (-strength[unit], unit))
        for model, strength in {tables.pivot: mean, **best}.items()
    }


def pair_table(tables: RunTables) -> pd.DataFrame:
    """Return the table of Rosetta neurons joined with the significance of their pairs."""
    if tables.significance is None:
        return tables.rosetta
    significance = tables.significance.pairs.drop(columns="corr")
    return tables.rosetta.merge(significance, on=PAIR, how="left", validate="one_to_one")


def pair_columns(tables: RunTables) -> list[Column]:
    """Return the columns of pairs that a run has: correlation, and significance if computed."""
    known = tables.rosetta if tables.significance is None else tables.significance.pairs
    return present(known, TABLES["pairs"])


def _relations(
    concept: int,
    neurons: list[int],
    pivot_lookup: NeighbourLookup,
    concept_of: Mapping[int, list[int]],
) -> dict[str, list[list[float | None]]]:
    """Best buddies of the neurons within the pivot, and related concepts.

    Returns:
        `pivotBuddies`: rows of neuron, best buddy, correlation, and concept of the buddy (-1 if it
        is not a Rosetta neuron); a pair within the concept is listed once. `related`: rows of
        concept, correlation, neuron, and the neighbour of the neuron in that concept.
    """
    buddies: list[tuple[int, int, float, int]] = []
    best: dict[int, tuple[int, float, int, int]] = {}
    for unit in neurons:
        for near in pivot_lookup.of_pivot(unit):
            other = concept_of.get(near.unit, [-1])[0]
            if near.mutual and (other != concept or unit < near.unit):
                buddies.append((unit, near.unit, near.corr, other))
            if other not in (-1, concept) and (other not in best or near.corr > best[other][1]):
                best[other] = (other, near.corr, unit, near.unit)
    buddies.sort(key=lambda row: (-row[2], row[0], row[1]))
    related = sorted(best.values(), key=lambda row: (-row[1], row[0]))[:MAX_RELATED]
    return {
        "pivotBuddies": [[a, b, *rounded([corr], 4), other] for a, b, corr, other in buddies],
        "related": [[other, *rounded([corr], 4), a, b] for other, corr, a, b in related],
    }
