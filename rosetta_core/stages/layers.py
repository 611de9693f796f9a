"""The stage that compares the selectivity of Rosetta units and other units by layer."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage, once

__all__ = ["STAGE", "run"]


def run(config: Config) -> tuple[Path, ...]:
    """Write the tables of units' sparsity and selectivity, of layers, and of superiority."""
    from rosetta_core.mining.examples.layers import (
        layer_table,
        selectivity_table,
        vargha_delaney_table,
    )
    from rosetta_core.mining.examples.selectivity import read_selectivity

    paths = RunPaths(config)
    names = [model.name for model in config.models]
    found = selectivity_table({name: read_selectivity(paths.unit_examples(name)) for name in names})
    units = {name: read_table(paths.units(name)) for name in names}
    buddies = {e.name: read_table(paths.best_buddies(e.name)) for e in config.encoders}
    rosetta = read_table(paths.rosetta)
    return (
        write_table(found, paths.selectivity),
        write_table(layer_table(units, found, buddies=buddies, rosetta=rosetta), paths.layers),
        write_table(
            vargha_delaney_table(units, found, buddies=buddies, rosetta=rosetta),
            paths.vargha_delaney,
        ),
    )


STAGE = Stage(
    "layers",
    "compare selectivity of Rosetta units and other units by layer",
    run,
    jobs=once,
    settings=lambda config: [encoder.name for encoder in config.encoders],
    writes=lambda paths, job: [paths.selectivity, paths.layers, paths.vargha_delaney],
    cost=lambda run: run.cost(memory=run.PROCESS, seconds=run.START),
    single_core=True,
)
