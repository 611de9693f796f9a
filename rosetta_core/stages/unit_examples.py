"""The stage that finds the top-activating images of each unit of a model."""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.sources import LIVE_SOURCE, activation_source
from rosetta_core.stages.retry import retry_with_less_memory
from rosetta_core.stages.stage import Stage, per_model
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    from rosetta_core.runs.plan import Cost, RunShapes

__all__ = ["STAGE", "run"]

LOOK = 3  # times as long as reducing an activation it takes to look for examples
SPARE = 2  # times as many candidates are held as examples are kept
BINS = 128  # bins of a unit's histogram


@retry_with_less_memory
def run(config: Config, *, model: str) -> Path:
    """Find the top-activating images of each unit of a model; return their store."""
    import torch

    from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
    from rosetta_core.mining.examples.stores import write_unit_examples
    from rosetta_core.mining.examples.units import find_unit_examples
    from rosetta_core.mining.sampling.samples import Samples

    name, paths = config.model(model).name, RunPaths(config)
    samples = Samples(paths.sample_stores)
    examples = find_unit_examples(
        activation_source(config, name),
        read_table(paths.units(name)),
        duplicates=find_near_duplicates(samples.images, samples.count),
        count=min(config.dictionary.unit_examples, samples.count),
        memory_budget=parse_bytes(config.memory_budget),
        threads=torch.get_num_threads(),
    )
    write_unit_examples(paths.unit_examples(name), examples)
    return paths.unit_examples(name)


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of one pass over all maps and of the examples."""
    units = [run.units(description) for description in run.models.values()]
    return run.cost(
        operations=run.live * run.forward_operations,
        reads=0 if run.live else run.stored_bytes(*run.models),
        writes=sum(run.example_bytes) + run.FLOAT64 * BINS * sum(units),
        memory=(run.network_memory if run.live else run.PROCESS)
        + run.map_memory
        + SPARE * max(run.example_bytes)
        + run.FLOAT64 * BINS * max(units),
        seconds=run.START * len(run.models)
        + run.values * LOOK * run.rates.reduced
        + (run.forward_seconds if run.live else run.values * run.rates.read),
    )


STAGE = Stage(
    "unit_examples",
    "find the top-activating images of each unit of a model",
    run,
    jobs=per_model,
    settings=lambda config, *, model: [
        config.dictionary.unit_examples,
        *config.live_settings(model),
    ],
    writes=lambda paths, job: [paths.unit_examples(job["model"])],
    cost=cost,
    models=lambda config, *, model: [] if config.stores_activations else [config.model(model)],
    modules=lambda config, **_: [] if config.stores_activations else [LIVE_SOURCE],
)
