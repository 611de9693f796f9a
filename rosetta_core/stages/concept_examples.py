"""The stage that computes the concept score of every concept on every image."""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.sources import LIVE_SOURCE, activation_source
from rosetta_core.stages.retry import retry_with_less_memory
from rosetta_core.stages.stage import Stage, once
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    from rosetta_core.runs.plan import Cost, RunShapes

__all__ = ["STAGE", "run"]


@retry_with_less_memory
def run(config: Config) -> Path:
    """Compute the concept scores of all images and store the concepts' maps; return the store."""
    import torch

    from rosetta_core.mining.examples.concepts import write_concept_examples

    paths = RunPaths(config)
    names = [model.name for model in config.models]
    write_concept_examples(
        paths.concept_examples,
        read_table(paths.rosetta),
        units={name: read_table(paths.units(name)) for name in names},
        maps={name: activation_source(config, name) for name in names},
        memory_budget=parse_bytes(config.memory_budget),
        threads=torch.get_num_threads(),
    )
    return paths.concept_examples


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of one pass over all maps, at most: what lies between units is read too."""
    return run.cost(
        operations=run.live * run.forward_operations,
        reads=0 if run.live else run.stored_bytes(*run.models),
        writes=run.concept_bytes,
        memory=(run.network_memory if run.live else run.PROCESS) + run.map_memory,
        seconds=run.START
        + run.values * run.rates.reduced
        + (run.forward_seconds if run.live else run.values * run.rates.read),
    )


STAGE = Stage(
    "concept_examples",
    "compute the concept score of every concept on every image",
    run,
    jobs=once,
    settings=lambda config: config.live_settings(),
    writes=lambda paths, job: [paths.concept_examples],
    cost=cost,
    models=lambda config: [] if config.stores_activations else config.models,
    modules=lambda config: [] if config.stores_activations else [LIVE_SOURCE],
)
