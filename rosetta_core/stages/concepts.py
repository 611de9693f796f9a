"""The stage that finds Rosetta neurons and concepts."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage, once

__all__ = ["STAGE", "run"]


def run(config: Config) -> tuple[Path, Path]:
    """Write the tables of Rosetta neurons and of concepts; return their paths."""
    from rosetta_core.mining.matching.concepts import concept_table, rosetta_table

    paths = RunPaths(config)
    buddies = {e.name: read_table(paths.best_buddies(e.name)) for e in config.encoders}
    table = rosetta_table(buddies, read_table(paths.best_buddies(config.pivot.name)))
    return write_table(table, paths.rosetta), write_table(concept_table(table), paths.concepts)


STAGE = Stage(
    "concepts",
    "find Rosetta neurons and concepts",
    run,
    jobs=once,
    settings=lambda config: [encoder.name for encoder in config.encoders],
    writes=lambda paths, job: [paths.rosetta, paths.concepts],
    cost=lambda run: run.cost(memory=run.PROCESS, seconds=run.START),
    single_core=True,
)
