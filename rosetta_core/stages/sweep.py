"""The stage that repeats mining of a model with subsets of the images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.runs.match_sets import LARGEST_K, image_counts
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.sources import LIVE_SOURCE, activation_source, alive_units
from rosetta_core.stages.retry import retry_with_less_memory
from rosetta_core.stages.stage import Stage, per_model
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["STAGE", "run"]


@retry_with_less_memory
def run(
    config: Config, *, model: str, images: Sequence[int] | None = None, largest_k: int = LARGEST_K
) -> Path:
    """Mine a model with increasing numbers of images and with their halves, in one pass.

    Args:
        config: configuration of the run.
        model: name of the model.
        images: numbers of images, as `image_counts` takes them.
        largest_k: partners to keep for each unit.

    Returns:
        The store; its subsets are those of `mining.correlation.image_subsets.firsts`.
    """
    import torch

    from rosetta_core.mining.correlation.image_subsets import growing_subsets
    from rosetta_core.mining.correlation.pearson import correlate_blocks
    from rosetta_core.mining.matching.topk_store import TopKCollector, write_topk
    from rosetta_core.runtime.devices import resolve_device

    name, paths = config.model(model).name, RunPaths(config)
    pivot = activation_source(config, config.pivot.name)
    other = pivot if name == config.pivot.name else activation_source(config, name)

    def alive(number: int | None) -> "NDArray[np.bool_]":
        return alive_units(config, pivot if number is None else other)

    subsets = growing_subsets(image_counts(config, images))
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
        k=largest_k,
    )
    write_topk([paths.sweep(name)], blocks, collector, subsets=len(subsets))
    return paths.sweep(name)


STAGE = Stage(
    "sweep",
    "repeat mining of a model with subsets of the images",
    run,
    jobs=per_model,
    settings=lambda config, *, model: [
        config.activations.min_relative_std,
        image_counts(config),
        *config.live_settings(model),
    ],
    writes=lambda paths, job: [paths.sweep(job["model"])],
    models=lambda config, *, model: (
        [] if config.stores_activations else [config.pivot, config.model(model)]
    ),
    modules=lambda config, **_: [] if config.stores_activations else [LIVE_SOURCE],
    default=False,
    measured=False,
)
