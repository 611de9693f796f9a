"""Reader of all tables of a finished run."""

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table
from rosetta_core.mining.run_tables import ModelFacts, RunTables, SignificanceTables
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.weights.local import RandomWeights

__all__ = ["read_run_tables"]


def read_run_tables(config: Config) -> RunTables:
    """Read the tables of a run.

    Raises:
        RosettaError: a table is missing; the message names the first one.
    """
    paths = RunPaths(config)
    facts = [
        ModelFacts(
            name=model.name,
            network=model.architecture or model.target or model.family,
            source=model.weights.source if model.weights else "user-defined function",
            licence=(model.weights and model.weights.licence) or "licence unknown",
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
        significance=_read_significance(config) if config.has_significance else None,
    )


def _read_significance(config: Config) -> SignificanceTables:
    paths = RunPaths(config)
    return SignificanceTables(
        pairs=read_table(paths.pair_significance),
        concepts=read_table(paths.concept_significance),
        null_counts=read_table(paths.null_counts) if config.nulls else None,
        split_half=read_table(paths.split_half) if config.splits else None,
    )
