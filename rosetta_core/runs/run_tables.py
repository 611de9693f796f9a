"""What a run found: its tables, in memory.

ModelFacts       what a model is
SignificanceTables             what is told of pairs and concepts beside their correlation
Findings         everything but maps and images
read_findings    out of a run's tables
unit_id          a unit's stable name, model/layer/channel
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.weights.sources import RandomWeights

__all__ = ["ModelFacts", "RunTables", "SignificanceTables", "read_run_tables", "unit_id"]


@dataclass(frozen=True)
class ModelFacts:
    """What a model is, for people to read.

    Attributes:
        name: of the configuration.
        network: its architecture.
        source: where its weights come from.
        licence: of the weights.
        random: whether they are random: nothing was learned.
    """

    name: str
    network: str
    source: str
    licence: str
    random: bool = False


@dataclass(frozen=True)
class SignificanceTables:
    """What is told of pairs and concepts beside their correlation, as the tables say.

    Attributes:
        pairs: of every pair of best buddies.
        concepts: of every concept.
        null_counts: how many findings chance gives under each null; None if the run has no nulls.
        split_half: how many are found again in halves; None if the run has none.
    """

    pairs: pd.DataFrame
    concepts: pd.DataFrame
    null_counts: pd.DataFrame | None
    split_half: pd.DataFrame | None


@dataclass(frozen=True)
class RunTables:
    """What a run found, as its tables say.

    Attributes:
        run: its name.
        images: how many were drawn, or taken from a folder.
        seed: that they were drawn with.
        truncation: that they were drawn with.
        k: mutual K nearest neighbours are best buddies.
        models: the pivot first.
        units: by model its table of units.
        neighbours: by model the table of nearest neighbours between the pivot and it.
        best_buddies: by model the table of best buddies between the pivot and it.
        rosetta: the table of Rosetta neurons.
        concepts: the table of concepts.
        selectivity: the table of units' sparsity and selectivity.
        layers: the table of layers.
        vargha_delaney: the table of how often Rosetta units are more selective.
        folder: that the images were taken from; None if the pivot drew them.
        significance: what is told of it beside correlations; None if the run has no evidence.
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
        """The models' names, the pivot's first."""
        return [model.name for model in self.models]

    @property
    def pivot(self) -> str:
        """The pivot's name."""
        return self.models[0].name

    @property
    def encoders(self) -> list[str]:
        """The encoders' names."""
        return self.names[1:]


def read_run_tables(config: Config) -> RunTables:
    """Read the tables of a run; RosettaError names the first that is missing."""
    paths = RunPaths(config)
    facts = [
        ModelFacts(
            name=model.name,
            network=model.architecture or model.target or model.family,
            source=model.weights.source if model.weights else "a function of your own",
            licence=(model.weights and model.weights.licence) or "licence not given",
            random=isinstance(model.weights, RandomWeights),
        )
        for model in config.models
    ]
    names = [model.name for model in config.models]
    return RunTables(
        run=config.run,
        images=config.sampling.images,
        seed=config.sampling.seed,
        truncation=config.sampling.truncation,
        k=config.neighbours.k,
        models=facts,
        units={name: read_table(paths.units(name)) for name in names},
        neighbours={name: read_table(paths.neighbours(name)) for name in names},
        best_buddies={name: read_table(paths.best_buddies(name)) for name in names},
        rosetta=read_table(paths.rosetta),
        concepts=read_table(paths.concepts),
        selectivity=read_table(paths.selectivity),
        layers=read_table(paths.layers),
        vargha_delaney=read_table(paths.vargha_delaney),
        folder=config.sampling.folder,
        significance=_significance(config) if config.has_significance else None,
    )


def _significance(config: Config) -> SignificanceTables:
    paths = RunPaths(config)
    return SignificanceTables(
        pairs=read_table(paths.pair_significance),
        concepts=read_table(paths.concept_significance),
        null_counts=read_table(paths.null_counts) if config.nulls else None,
        split_half=read_table(paths.split_half) if config.splits else None,
    )


def unit_id(model: str, layer: str, channel: int) -> str:
    """A unit's stable name."""
    return f"{model}/{layer}/{channel}"
