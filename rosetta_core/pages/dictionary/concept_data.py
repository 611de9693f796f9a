"""What the page of a concept shows.

concept_data    its pairs, units, examples, neighbours and synonyms
choose          its examples: best, random, from every quarter, where networks disagree
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples.concept_store import ConceptExamples
from rosetta_core.mining.examples.selection import (
    disagreement,
    quartile_examples,
    random_examples,
    top_examples,
)
from rosetta_core.pages.dictionary.lookup import Neighbourhood
from rosetta_core.pages.dictionary.maximisation_data import Show, show_data
from rosetta_core.pages.packed import pack, significant, thousandths
from rosetta_core.runs.run_tables import RunTables

__all__ = ["Chosen", "choose", "concept_data"]

MOST_NEIGHBOURS = 12  # concepts near to a concept


@dataclass(frozen=True)
class Chosen:
    """The example images of a concept."""

    top: list[int]
    random: list[int]
    quarters: list[list[int]]
    apart: list[int]

    @property
    def images(self) -> list[int]:
        """All of them, ascending."""
        parts = [self.top, self.random, self.apart, *self.quarters]
        return sorted({image for part in parts for image in part})


def choose(
    concept: int,
    examples: ConceptExamples,
    *,
    duplicates: NDArray[np.int32],
    count: int,
) -> Chosen:
    """Choose `count` examples a group, half as many from every quarter of the ranking.

    Args:
        concept: its number, which seeds the random ones.
        examples: the concepts on all images.
        duplicates: by image its group of near-duplicates.
        count: how many.
    """
    score = examples.scores[concept]
    maps = (examples.maps(concept, model) for model in examples.models)  # (n, h, w) each
    apart = disagreement(np.stack([its.max(axis=(1, 2)) for its in maps]))
    return Chosen(
        top=top_examples(score, duplicates, count=count),
        random=random_examples(len(score), count=count, seed=concept),
        quarters=quartile_examples(score, count=max(1, count // 2)),
        apart=top_examples(apart, duplicates, count=count),
    )


def concept_data(
    concept: int,
    members: pd.DataFrame,
    chosen: Chosen,
    *,
    findings: RunTables,
    examples: ConceptExamples,
    own: Neighbourhood,
    moments: Mapping[str, NDArray[np.float64]],
    histograms: Mapping[str, NDArray[np.uint8]],
    concept_of: Mapping[int, list[int]],
    shows: Sequence[Show],
) -> dict[str, Any]:
    """Return the content of `data/concepts/{concept}.js`.

    Args:
        concept: its number.
        members: its rows of the table of Rosetta neurons.
        chosen: its example images.
        findings: the run's tables.
        examples: the concepts on all images.
        own: the pivot's units among themselves.
        moments: by model the mean and std of its units (units, 2).
        histograms: by model those of its units.
        concept_of: by Rosetta neuron its concept.
        shows: of this run, those of other concepts too.
    """
    rows = members[["pivot_unit", "model", "unit", "corr"]]
    pairs = list(zip(*(rows[column].tolist() for column in rows), strict=True))
    units = _units(pairs, findings)
    images = chosen.images
    shown = [examples.maps(concept, model)[images] for model in findings.names]  # (i, h, w) each
    numbers = {model: number for number, model in enumerate(findings.names)}
    return {
        "pairs": [
            [own, numbers[model], unit, round(1e4 * corr)] for own, model, unit, corr in pairs
        ],
        "told": _told(rows, findings),
        "units": [
            [[unit, *significant(moments[model][unit])] for unit in units[model]]
            for model in findings.names
        ],
        "histograms": pack(histograms[model][units[model]] for model in findings.names),
        **_relations(concept, units[findings.pivot], own, concept_of),
        "top": chosen.top,
        "random": chosen.random,
        "quarters": chosen.quarters,
        "apart": chosen.apart,
        "images": images,
        "score": thousandths(examples.scores[concept, images]),
        "shows": show_data(shows, concept),
        "grids": [list(maps.shape[1:]) for maps in shown],
        "maps": pack(shown),
    }


def _units(
    pairs: Sequence[tuple[int, str, int, float]], findings: RunTables
) -> dict[str, list[int]]:
    """By model the concept's units, those with the best correlations first.

    The pivot's by the mean over the encoders of the best correlation with each.
    """
    best: dict[str, dict[int, float]] = {model: {} for model in findings.encoders}
    own: dict[int, dict[str, float]] = {}
    for neuron, model, unit, corr in pairs:
        best[model][unit] = max(corr, best[model].get(unit, corr))
        by_model = own.setdefault(neuron, {})
        by_model[model] = max(corr, by_model.get(model, corr))
    strength = {neuron: sum(its.values()) / len(its) for neuron, its in own.items()}
    return {
        model: sorted(its, key=lambda unit: (-its[unit], unit))
        for model, its in {findings.pivot: strength, **best}.items()
    }


def _told(pairs: pd.DataFrame, findings: RunTables) -> dict[str, list[int]]:
    """What is told of pairs, in their order, in 1/10,000; nothing of what isn't known."""
    if findings.significance is None:
        return {}
    keys = ["pivot_unit", "model", "unit"]
    found = pairs[keys].merge(
        findings.significance.pairs, on=keys, how="left", validate="one_to_one"
    )
    return {
        column: thousandths(found[column] * 10)
        for column in (
            "corr_excess",
            "p_value",
            "recovery_rate",
            "corr_ci_low",
            "corr_ci_high",
            "peak_overlap",
        )
        if found[column].notna().any()
    }


def _relations(
    concept: int, neurons: list[int], own: Neighbourhood, concept_of: Mapping[int, list[int]]
) -> dict[str, list[list[int]]]:
    """Synonyms: the neurons' best buddies in the pivot. Neighbours: concepts near, no buddies."""
    synonyms: list[list[int]] = []
    best: dict[int, list[int]] = {}
    for unit in neurons:
        for near in own.of_pivot(unit):
            other = concept_of.get(near.unit, [-1])[0]
            corr = round(1e4 * near.corr)
            if near.mutual and (other != concept or unit < near.unit):
                synonyms.append([unit, near.unit, corr, other])
            if other not in (-1, concept) and (other not in best or corr > best[other][1]):
                best[other] = [other, corr, unit, near.unit]
    neighbours = sorted(best.values(), key=lambda row: (-row[1], row[0]))[:MOST_NEIGHBOURS]
    synonyms.sort(key=lambda row: (-row[2], row[0], row[1]))
    return {"synonyms": synonyms, "neighbours": neighbours}
