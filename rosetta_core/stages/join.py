"""The stage that joins the blocks of a pair's correlations."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage, per_model

__all__ = ["STAGE", "run"]


def run(config: Config, *, model: str) -> Path:
    """Join the blocks of the correlations of the pivot and a model; return their store."""
    from rosetta_core.mining.correlation.store import join_correlations
    from rosetta_core.mining.matching.topk_store import join_topk

    name, paths = config.model(model).name, RunPaths(config)
    blocks = [paths.correlations(name, block) for block in range(config.correlation.blocks)]
    join_blocks = join_correlations if config.keeps_matrix else join_topk
    join_blocks(blocks, paths.correlations(name), subsets=2 * config.splits)
    return paths.correlations(name)


STAGE = Stage(
    "join",
    "join the blocks of a pair's correlations",
    run,
    jobs=lambda config: per_model(config) if config.correlation.blocks > 1 else [],
    settings=lambda config, *, model: [config.keeps_matrix, config.splits],
    writes=lambda paths, job: [paths.correlations(job["model"])],
)
