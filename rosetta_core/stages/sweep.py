"""The stages that try fewer images, neighbours and encoders; `snakemake sweep_curves` runs them.

sweep           the best partners of the pivot's and a model's units, of ever more images
sweep_curves    how findings depend on images, neighbours and encoders

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.io.tables import write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import retry_with_less_memory
from rosetta_core.stages.mining import living, mined
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["sweep", "sweep_curves"]


@retry_with_less_memory
def sweep(config: Config, *, model: str) -> Path:
    """Mine a model with ever more images, and with the halves of each, in one pass over its maps.

    Returns:
        The store, whose subsets are those of `mining.subsets.firsts`.
    """
    import torch

    from rosetta_core.mining.correlation.image_subsets import firsts
    from rosetta_core.mining.correlation.pearson import correlate_blocks
    from rosetta_core.mining.matching.topk_store import TopKCollector, write_topk
    from rosetta_core.runs.sources import activation_source
    from rosetta_core.runtime.devices import resolve_device

    model, paths = config.model(model).name, RunPaths(config)
    pivot = activation_source(config, config.pivot.name)
    other = pivot if model == config.pivot.name else activation_source(config, model)

    def alive(number: int | None) -> "NDArray[np.bool_]":
        return living(config, pivot if number is None else other)

    subsets = firsts(config.swept_images)
    rows = range(sum(layer.channels for layer in pivot.layers))
    blocks = correlate_blocks(
        pivot,
        [other],
        memory_budget=parse_bytes(config.memory_budget),
        device=resolve_device(config.device),
        threads=torch.get_num_threads(),
        subsets=subsets,
    )
    collector = TopKCollector(
        rows=rows,
        alive=alive,
        pivot_index=0 if other is pivot else None,
        k=max(config.significance.sweep.k),
    )
    write_topk([paths.sweep(model)], blocks, collector, subsets=len(subsets))
    return paths.sweep(model)


def sweep_curves(config: Config) -> list[Path]:
    """Write the table of a sweep, and draw its curves."""
    from rosetta_core.drawing.canvas import save
    from rosetta_core.mining.significance.sweep import sweep_table
    from rosetta_core.pages.plots.sweep_curves import sweep_figure

    paths, tried = RunPaths(config), config.significance.sweep
    table = sweep_table(
        lambda subset, k: mined(config, paths.sweep, k=k, subset=subset),
        images=config.swept_images,
        k=tried.k,
        encoders=[encoder.name for encoder in config.encoders],
    )
    figure = sweep_figure(table, k=config.neighbours.k)
    for path in paths.sweep_curves:
        save(figure, path)
    return [write_table(table, paths.sweep_table), *paths.sweep_curves]
