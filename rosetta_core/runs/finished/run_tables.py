"""Reader of all tables of a finished run."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table
from rosetta_core.mining.run_tables import ModelFacts, RunTables, SignificanceTables
from rosetta_core.runs.finished.table_checks import check_columns, check_units, table_kinds
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.local import RandomWeights

__all__ = ["model_facts", "read_run_tables"]


def model_facts(model: ModelSpec) -> ModelFacts:
    """Return the description of a model for readers."""
    return ModelFacts(
        name=model.name,
        network=model.architecture or model.target or model.family,
        source=_source(model),
        licence=(model.weights and model.weights.licence) or "licence unknown",
        random=isinstance(model.weights, RandomWeights),
    )


def _source(model: ModelSpec) -> str:
    """Return where the weights of a model come from."""
    if model.weights:
        return model.weights.source
    return "wrapped module" if model.family == "in_memory" else "user-defined function"


def read_run_tables(config: Config) -> RunTables:
    """Read the tables of a run.

    Raises:
        RosettaError: a table is missing, damaged, or not of this run; the message names the first.
    """
    paths, kinds = RunPaths(config), table_kinds(config)
    read: dict[Path, pd.DataFrame] = {}

    def table(path: Path) -> pd.DataFrame:
        read[path] = read_table(path)
        check_columns(path, read[path], kind=kinds[path][0])
        return read[path]

    names = [model.name for model in config.models]
    tables = RunTables(
        run=config.run,
        images=config.sampling.images,
        seed=config.sampling.seed,
        truncation=config.sampling.truncation,
        k=config.neighbours.k,
        models=[model_facts(model) for model in config.models],
        units={name: table(paths.units(name)) for name in names},
        neighbours={name: table(paths.neighbours(name)) for name in names},
        best_buddies={name: table(paths.best_buddies(name)) for name in names},
        rosetta=table(paths.rosetta),
        concepts=table(paths.concepts),
        selectivity=table(paths.selectivity),
        layers=table(paths.layers),
        vargha_delaney=table(paths.vargha_delaney),
        folder=config.sampling.folder or config.sampling.source,
        significance=_read_significance(config, table) if config.has_significance else None,
    )
    for _, error in check_units(read, kinds, models=names):
        raise error
    return tables


def _read_significance(config: Config, table: Callable[[Path], pd.DataFrame]) -> SignificanceTables:
    paths = RunPaths(config)
    return SignificanceTables(
        pairs=table(paths.pair_significance),
        concepts=table(paths.concept_significance),
        null_counts=table(paths.null_counts) if config.nulls else None,
        split_half=table(paths.split_half) if config.splits else None,
    )
