"""The stage that computes confidence intervals and peak overlap of best-buddy pairs."""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.sources import activation_source
from rosetta_core.stages.retry import retry_with_less_memory
from rosetta_core.stages.stage import Stage
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    from rosetta_core.runs.plan import Cost, RunShapes

__all__ = ["STAGE", "run"]


@retry_with_less_memory
def run(config: Config) -> Path:
    """Write the statistics of the best buddies of the pivot and all encoders; return the table."""
    import numpy as np
    import pandas as pd
    import torch

    from rosetta_core.mining.significance.pair_statistics import pair_statistics
    from rosetta_core.mining.sources.concat import ConcatSource

    if not config.intervals:
        raise RosettaError(
            f"run {config.run!r}: no pair statistics, since significance.intervals is false; set "
            "it to true"
        )
    paths, names = RunPaths(config), [encoder.name for encoder in config.encoders]
    sources = [activation_source(config, name) for name in names]
    encoders = ConcatSource(sources, name="all encoders")
    tables = [
        read_table(paths.best_buddies(name))[["pivot_unit", "unit"]].assign(model=name)
        for name in names
    ]
    pairs = pd.concat(tables, ignore_index=True)
    first = pairs["model"].map(dict(zip(names, encoders.first_units, strict=False)))
    units = np.stack([pairs["pivot_unit"], pairs["unit"] + first], axis=1).astype(np.int64)
    statistics = pair_statistics(
        activation_source(config, config.pivot.name),
        encoders,
        pairs=units,
        memory_budget=parse_bytes(config.memory_budget),
        threads=torch.get_num_threads(),
    )
    table = pairs.assign(**statistics)[["pivot_unit", "model", "unit", *statistics]]
    return write_table(table, paths.pair_statistics)


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of one pass over all maps, at most: what lies between units is read too."""
    return run.cost(
        reads=run.stored_bytes(*run.models),
        memory=run.PROCESS + min(run.budget, run.FLOAT32 * run.values),
        seconds=run.START + run.values * (run.rates.reduced + run.rates.read),
    )


STAGE = Stage(
    "pair_statistics",
    "compute confidence intervals and peak overlap of best-buddy pairs",
    run,
    jobs=lambda config: [{}] if config.intervals else [],
    settings=lambda config: [
        [encoder.name for encoder in config.encoders],
        config.activations.min_relative_std,
    ],
    writes=lambda paths, job: [paths.pair_statistics],
    cost=cost,
)
