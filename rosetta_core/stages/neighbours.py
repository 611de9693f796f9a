"""The stage that finds nearest neighbours and best buddies of the pivot and a model."""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.io.tables import write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage, per_model

if TYPE_CHECKING:
    from rosetta_core.runs.plan import Cost, RunShapes

__all__ = ["STAGE", "run"]


def run(config: Config, *, model: str) -> tuple[Path, Path]:
    """Write the tables of nearest neighbours and best buddies; return their paths."""
    from rosetta_core.mining.correlation.store import read_correlations
    from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
    from rosetta_core.mining.matching.topk import mask_self, topk
    from rosetta_core.mining.matching.topk_store import read_topk

    paths, k = RunPaths(config), config.neighbours.k
    name = config.model(model).name
    store = paths.correlations(name)
    if not config.keeps_matrix:
        table = neighbour_table(*read_topk(store, k))
    elif name == config.pivot.name:
        table = neighbour_table(topk(mask_self(read_correlations(store)), k), None)
    else:
        corr = read_correlations(store)
        table = neighbour_table(topk(corr, k), topk(corr.T, k))
    return (
        write_table(table, paths.neighbours(name)),
        write_table(best_buddies(table), paths.best_buddies(name)),
    )


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of reading and sorting all correlations."""
    largest = max(run.units(description) for description in run.models.values())
    return run.cost(
        reads=run.matrix_bytes,
        memory=run.PROCESS + 4 * run.FLOAT32 * run.units(run.pivot) * largest,
        seconds=run.START * len(run.models) + run.pairs * run.RANK_PAIR,
    )


STAGE = Stage(
    "neighbours",
    "find nearest neighbours and best buddies of the pivot and a model",
    run,
    jobs=per_model,
    settings=lambda config, *, model: [config.neighbours.k, config.keeps_matrix],
    writes=lambda paths, job: [paths.neighbours(job["model"]), paths.best_buddies(job["model"])],
    cost=cost,
    single_core=True,
)
