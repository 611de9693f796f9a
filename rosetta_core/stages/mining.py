"""The stages that find concepts.

passes          which models are correlated in one job
correlations    the pivot's units with those of models
join            the correlations of a pair from those of blocks of rows
living          which units of a model are alive
neighbours      nearest neighbours and best buddies of the pivot and a model
mined           best buddies of a subset of the images
concepts        Rosetta neurons and concepts

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import retry_with_less_memory
from rosetta_core.stages.networks import write_units
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rosetta_core.mining.significance.split_half import MatchSet
    from rosetta_core.mining.sources.base import ActivationSource


__all__ = ["concepts", "correlations", "join", "living", "mined", "neighbours", "passes"]


def passes(config: Config) -> list[list[str]]:
    """Return the models that are correlated with the pivot together, in one job each list.

    Networks that feed the correlations directly run once, so all of them; of stored maps each
    model by itself, unless `correlation.together`.
    """
    models = [model.name for model in config.models]
    if config.correlation.together or config.mining.store == "none":
        return [models]
    return [[model] for model in models]


@retry_with_less_memory
def correlations(
    config: Config, *, models: Sequence[str], block: int | None = None
) -> tuple[Path, ...]:
    """Correlate the pivot's units with those of models, in one pass over the pivot's maps.

    Args:
        config: the run.
        models: their names; the pivot may be among them.
        block: which of `correlation.blocks` of the pivot's units; all of them unless given.

    Returns:
        The stores and, where networks run without stores, the tables of units.
    """
    import torch

    from rosetta_core.mining.correlation.image_subsets import halves
    from rosetta_core.mining.correlation.pearson import correlate_blocks
    from rosetta_core.mining.correlation.store import write_correlations
    from rosetta_core.mining.matching.topk_store import TopKCollector, write_topk
    from rosetta_core.runs.sources import activation_source
    from rosetta_core.runtime.devices import resolve_device

    paths, pivot = RunPaths(config), config.pivot.name
    models = [config.model(name).name for name in dict.fromkeys(models)]
    maps = {name: activation_source(config, name) for name in dict.fromkeys([pivot, *models])}
    sizes = {name: sum(x.channels for x in source.layers) for name, source in maps.items()}
    rows = block_rows(sizes[pivot], config.correlation.blocks, block)

    def alive(model: int | None) -> "NDArray[np.bool_]":
        return living(config, maps[pivot if model is None else models[model]])

    stores = [paths.correlations(model, block) for model in models]
    blocks = correlate_blocks(
        maps[pivot],
        [maps[model] for model in models],
        memory_budget=parse_bytes(config.memory_budget),
        device=resolve_device(config.device),
        threads=torch.get_num_threads(),
        rows=rows,
        subsets=halves(config.sampling.images, splits=config.splits),
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
    if config.mining.store == "zarr":
        return tuple(stores)
    tables = [write_units(config, name, maps[name].layers, maps[name].moments()) for name in maps]
    return (*stores, *tables)


def living(config: Config, maps: "ActivationSource") -> "NDArray[np.bool_]":
    """Tell which units of a model are alive, once its maps were loaded."""
    import numpy as np

    from rosetta_core.mining.correlation.moments import alive

    near_constant = config.activations.near_constant
    return np.concatenate([alive(layer, near_constant=near_constant) for layer in maps.moments()])


def block_rows(units: int, blocks: int, block: int | None) -> range:
    """The units of a block of rows, of nearly equal size; all units for None."""
    if block is None:
        return range(units)
    if not 0 <= block < blocks:
        raise RosettaError(f"--block: no block {block}; they are 0 to {blocks - 1}")
    return range(units * block // blocks, units * (block + 1) // blocks)


def join(config: Config, *, model: str) -> Path:
    """Join the blocks of the correlations of the pivot and a model; return their store."""
    from rosetta_core.mining.correlation.store import join_correlations
    from rosetta_core.mining.matching.topk_store import join_topk

    model = config.model(model).name  # an unknown one is an error that lists them
    paths = RunPaths(config)
    blocks = [paths.correlations(model, block) for block in range(config.correlation.blocks)]
    join_blocks = join_correlations if config.keeps_matrix else join_topk
    join_blocks(blocks, paths.correlations(model), subsets=2 * config.splits)
    return paths.correlations(model)


def neighbours(config: Config, *, model: str) -> tuple[Path, Path]:
    """Write the tables of nearest neighbours and best buddies of the pivot and a model."""
    from rosetta_core.mining.correlation.store import read_correlations
    from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
    from rosetta_core.mining.matching.topk import mask_self, topk
    from rosetta_core.mining.matching.topk_store import read_topk

    paths, k = RunPaths(config), config.neighbours.k
    model = config.model(model).name
    store = paths.correlations(model)
    if not config.keeps_matrix:
        table = neighbour_table(*read_topk(store, k))
    elif model == config.pivot.name:
        table = neighbour_table(topk(mask_self(read_correlations(store)), k), None)
    else:
        corr = read_correlations(store)
        table = neighbour_table(topk(corr, k), topk(corr.T, k))
    return (
        write_table(table, paths.neighbours(model)),
        write_table(best_buddies(table), paths.best_buddies(model)),
    )


def mined(config: Config, store_of: Callable[[str], Path], *, k: int, subset: int) -> "MatchSet":
    """Return what a subset of the images gives.

    Args:
        config: the run.
        store_of: by model where the best partners of its and the pivot's units lie.
        k: mutual nearest neighbours.
        subset: its number there.
    """
    from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
    from rosetta_core.mining.matching.topk_store import read_topk
    from rosetta_core.mining.significance.split_half import MatchSet

    found = {
        model.name: best_buddies(
            neighbour_table(*read_topk(store_of(model.name), k, subset=subset))
        )
        for model in config.models
    }
    own = found.pop(config.pivot.name)
    return MatchSet(found, own)


def concepts(config: Config) -> tuple[Path, Path]:
    """Write the tables of Rosetta neurons and of concepts."""
    from rosetta_core.mining.matching.concepts import concept_table, rosetta_table

    paths = RunPaths(config)
    buddies = {e.name: read_table(paths.best_buddies(e.name)) for e in config.encoders}
    table = rosetta_table(buddies, read_table(paths.best_buddies(config.pivot.name)))
    return (
        write_table(table, paths.rosetta),
        write_table(concept_table(table), paths.concepts),
    )
