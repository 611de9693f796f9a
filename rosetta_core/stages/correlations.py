"""The stage that correlates the pivot's units with those of other models.

A job makes one pass over the pivot's maps, for one or several models, the pivot among them. With
`correlation.blocks` a job has a part of the pivot's units.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.sources import LIVE_SOURCE, activation_source, alive_units
from rosetta_core.stages.retry import retry_with_less_memory
from rosetta_core.stages.stage import Job, Stage
from rosetta_core.stages.units import write_units
from rosetta_core.validation import parse_bytes
from rosetta_core.zoo.layers import map_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rosetta_core.runs.plan import Cost, RunShapes

__all__ = ["STAGE", "passes", "run"]

ONE_PASS = 2**36  # bytes of the pivot's maps; more are read once for all models, not once a model


def passes(config: Config) -> list[list[str]]:
    """Return the models that one job correlates with the pivot, a list for each job.

    Models have a job each, so that changing one reruns one job. All models share one pass where
    networks feed the correlations directly, and where the pivot's maps are too large to read
    once per model.
    """
    models = [model.name for model in config.models]
    if not config.stores_activations:
        return [models]
    # by name: planning is not part of a job's code
    describe = import_module("rosetta_core.zoo.model_info").describe
    pivot = describe(config.pivot, RunPaths(config).resources)
    maps = config.sampling.images * map_bytes(pivot.layers, config.pivot.float32_layers)
    return [models] if maps > ONE_PASS else [[model] for model in models]


@retry_with_less_memory
def run(config: Config, *, models: Sequence[str], block: int | None = None) -> tuple[Path, ...]:
    """Correlate the pivot's units with those of models, in one pass over the pivot's maps.

    Args:
        config: configuration of the run.
        models: names of the models; the pivot may be among them.
        block: number of the block of the pivot's units; None: all units.

    Returns:
        The stores and, where no maps are stored, the tables of units.
    """
    import torch

    from rosetta_core.mining.correlation.image_subsets import split_half_subsets
    from rosetta_core.mining.correlation.pearson import correlate_blocks
    from rosetta_core.mining.correlation.store import write_correlations
    from rosetta_core.mining.matching.topk_store import TopKCollector, write_topk
    from rosetta_core.runs.provenance.weights import model_digest
    from rosetta_core.runtime.devices import resolve_device

    paths, pivot = RunPaths(config), config.pivot.name
    models = [config.model(name).name for name in dict.fromkeys(models)]
    maps = {name: activation_source(config, name) for name in dict.fromkeys([pivot, *models])}
    sizes = {name: sum(x.channels for x in source.layers) for name, source in maps.items()}
    rows = _rows(sizes[pivot], config.correlation.blocks, block)

    def alive(model: int | None) -> "NDArray[np.bool_]":
        return alive_units(config, maps[pivot if model is None else models[model]])

    stores = [paths.correlations(model, block) for model in models]
    blocks = correlate_blocks(
        maps[pivot],
        [maps[model] for model in models],
        memory_budget=parse_bytes(config.memory_budget),
        device=resolve_device(config.device),
        threads=torch.get_num_threads(),
        rows=rows,
        subsets=split_half_subsets(config.sampling.images, splits=config.splits),
    )
    collector = TopKCollector(
        rows=rows,
        alive=alive,
        pivot_index=models.index(pivot) if pivot in models else None,
        k=config.partners,
    )
    if config.keeps_matrix:
        write_correlations(
            stores,
            blocks,
            columns=[sizes[model] for model in models],
            rows=rows,
            alive=alive,
            collector=collector,
            subsets=2 * config.splits,
        )
    else:
        write_topk(stores, blocks, collector, subsets=2 * config.splits)
    if config.stores_activations:
        return tuple(stores)
    tables = [
        write_units(
            config,
            name,
            maps[name].layers,
            maps[name].moments(),
            weights=model_digest(config.model(name), paths),
        )
        for name in maps
    ]
    return (*stores, *tables)


def _rows(units: int, blocks: int, block: int | None) -> range:
    """Return the units of a block of rows, of nearly equal size; all units for None."""
    if block is None:
        return range(units)
    if not 0 <= block < blocks:
        raise RosettaError(f"--block: there is no block {block}; give one from 0 to {blocks - 1}")
    return range(units * block // blocks, units * (block + 1) // blocks)


def jobs(config: Config) -> list[Job]:
    """Return one job per pass and block."""
    return _jobs(config, passes(config))


def output_jobs(config: Config) -> list[Job]:
    """Return one job per model and block, which together write the same as all jobs."""
    return _jobs(config, [[model.name] for model in config.models])


def _jobs(config: Config, passes: Sequence[Sequence[str]]) -> list[Job]:
    blocks = config.correlation.blocks
    numbers: list[int | None] = list(range(blocks)) if blocks > 1 else [None]
    return [{"models": models, "block": block} for models in passes for block in numbers]


def settings(config: Config, **_: object) -> list[Any]:
    """Return what determines the correlations beside the maps."""
    return [
        *(config.keeps_matrix, config.partners, config.splits),
        config.activations.min_relative_std,
        *config.live_settings(),
    ]


def writes(paths: RunPaths, job: Job) -> list[Path]:
    """Return the stores of a job and, where no maps are stored, the tables of units."""
    stores = [paths.correlations(model, job["block"]) for model in job["models"]]
    return stores if paths.stores_activations else [*stores, *map(paths.units, job["models"])]


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of all passes: products, reading and reducing maps, matrices."""
    config, live, count = run.config, run.live, len(passes(run.config))
    blocks = config.correlation.blocks
    # a job of the pivot alone reads its maps once, every other one also as rows
    again = (count - 1) * blocks
    read = blocks * run.values + again * run.images * run.size(run.pivot.layers)
    stored = blocks * run.stored_bytes(*run.models) + again * run.stored_bytes(config.pivot.name)
    products = run.images * sum(
        run.pair_operations(run.pivot, description) for description in run.models.values()
    )
    return run.cost(
        operations=products + live * run.forward_operations,
        reads=0 if live else stored,
        writes=run.matrix_bytes,
        memory=run.network_memory
        + min(run.budget, run.FLOAT64 * run.pairs + run.FLOAT32 * run.values),
        seconds=products / run.rates.products
        + read * run.rates.reduced
        + (run.forward_seconds if live else read * run.rates.read),
    )


STAGE = Stage(
    "correlations",
    "correlate the pivot's units with those of models",
    run,
    jobs=jobs,
    settings=settings,
    writes=writes,
    output_jobs=output_jobs,
    cost=cost,
    models=lambda config, **_: [] if config.stores_activations else config.models,
    modules=lambda config, **_: [] if config.stores_activations else [LIVE_SOURCE],
)
