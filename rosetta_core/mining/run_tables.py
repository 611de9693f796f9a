"""Tables of a mined run, in memory.

The columns of every table are those of the Parquet files under `tables/`, which docs describe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from rosetta_core.mining.matching.concept_ids import concept_ids, find_concept

__all__ = ["ModelFacts", "RunTables", "SignificanceTables", "unit_id"]


@dataclass(frozen=True)
class ModelFacts:
    """Description of a model, for readers.

    Attributes:
        name: name of the model in the run.
        network: its architecture.
        source: where its weights come from.
        licence: licence of the weights.
        random: whether the weights are random, so that nothing was learned.
    """

    name: str
    network: str
    source: str
    licence: str
    random: bool = False


@dataclass(frozen=True)
class SignificanceTables:
    """Significance of pairs and concepts.

    Attributes:
        pairs: one row per best-buddy pair.
        concepts: one row per concept.
        null_counts: observed and null counts by null model; None for a run without null models.
        split_half: counts and agreement of split halves; None for a run without splits.
    """

    pairs: pd.DataFrame
    concepts: pd.DataFrame
    null_counts: pd.DataFrame | None
    split_half: pd.DataFrame | None


@dataclass(frozen=True)
class RunTables:
    """All tables of a run.

    Attributes:
        run: name of the run.
        images: number of images.
        seed: random seed of the images.
        truncation: truncation psi of the generator.
        k: K of the mutual nearest neighbours.
        models: all models, the pivot first.
        units: table of units, by model.
        neighbours: nearest neighbours between the pivot and each model, by model.
        best_buddies: best buddies between the pivot and each model, by model.
        rosetta: Rosetta neurons, one row per neuron and best buddy.
        concepts: one row per concept.
        selectivity: sparsity and selectivity of every unit.
        layers: one row per layer of every model.
        vargha_delaney: comparison of Rosetta units with other units, by model and measure.
        folder: folder of input images; None if the pivot generated the images.
        significance: significance of pairs and concepts; None for a run without any.
    """

    run: str
    images: int
    seed: int
    truncation: float
    k: int
    models: list[ModelFacts]
    units: Mapping[str, pd.DataFrame]
    neighbours: Mapping[str, pd.DataFrame]
    best_buddies: Mapping[str, pd.DataFrame]
    rosetta: pd.DataFrame
    concepts: pd.DataFrame
    selectivity: pd.DataFrame
    layers: pd.DataFrame
    vargha_delaney: pd.DataFrame
    folder: str | None = None
    significance: SignificanceTables | None = None

    @property
    def names(self) -> list[str]:
        """Names of all models, the pivot first."""
        return [model.name for model in self.models]

    @property
    def pivot(self) -> str:
        """Name of the pivot."""
        return self.models[0].name

    @property
    def encoders(self) -> list[str]:
        """Names of the encoders."""
        return self.names[1:]

    @cached_property
    def concept_ids(self) -> list[str]:
        """Stable ids of the concepts, layer/channel of their representative neurons."""
        return concept_ids(self.rosetta, self.units[self.pivot])

    def concept_number(self, concept: int | str) -> int:
        """Return the number of a concept, given its number or its id; RosettaError if unknown."""
        return find_concept(
            concept,
            run=self.run,
            pivot=self.pivot,
            rosetta=self.rosetta,
            units=self.units[self.pivot],
        )


def unit_id(model: str, layer: str, channel: int) -> str:
    """Return the stable name of a unit, model/layer/channel."""
    return f"{model}/{layer}/{channel}"
