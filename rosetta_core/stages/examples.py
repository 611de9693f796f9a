"""The stages that look for what shows a unit or a concept best.

unit_examples       the images and maps that each unit of a model fires at
concept_examples    how strongly the concepts show on every image, and their maps there

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import retry_with_less_memory
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    from rosetta_core.mining.sampling.samples import Samples


__all__ = ["concept_examples", "samples_of", "unit_examples"]


def samples_of(config: Config) -> "Samples":
    """The images of a run."""
    from rosetta_core.mining.sampling.samples import Samples

    paths = RunPaths(config)
    return Samples([paths.samples(shard) for shard in config.shards])


@retry_with_less_memory
def unit_examples(config: Config, *, model: str) -> Path:
    """Find the images that each unit of a model fires at; return their store."""
    import torch

    from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
    from rosetta_core.mining.examples.unit_store import write_unit_examples
    from rosetta_core.mining.examples.units import find_unit_examples
    from rosetta_core.runs.sources import activation_source

    model = config.model(model).name  # an unknown one is an error that lists them
    paths, samples = RunPaths(config), samples_of(config)
    found = find_unit_examples(
        activation_source(config, model),
        read_table(paths.units(model)),
        duplicates=find_near_duplicates(samples.images, samples.count),
        count=min(config.dictionary.unit_examples, samples.count),
        memory_budget=parse_bytes(config.memory_budget),
        threads=torch.get_num_threads(),
    )
    write_unit_examples(paths.unit_examples(model), found)
    return paths.unit_examples(model)


@retry_with_less_memory
def concept_examples(config: Config) -> Path:
    """Find how strongly the concepts show on every image; return the store."""
    import torch

    from rosetta_core.mining.examples.concepts import write_concept_examples
    from rosetta_core.runs.sources import activation_source

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
