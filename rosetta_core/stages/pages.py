"""The stage that shows what was found.

dictionary     the pages

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from pathlib import Path
from typing import Any

from rosetta_core.config import Config, FileWeights, PackageWeights, parse_bytes
from rosetta_core.paths import RunPaths
from rosetta_core.stages.tables import read_table

__all__ = ["dictionary"]


def dictionary(config: Config) -> Path:
    """Write the pages; return their folder."""
    import torch

    from rosetta_core.mining.sampling import Samples
    from rosetta_core.mining.sources import maps_of
    from rosetta_core.pages.dictionary import write_dictionary
    from rosetta_core.pages.entries import gather_entries, gather_models

    paths, models = RunPaths(config), config.models
    unit_tables = {model.name: read_table(paths.units(model.name)) for model in models}
    rosetta, concept = read_table(paths.rosetta), read_table(paths.concepts)
    entries = gather_entries(
        rosetta,
        concept,
        units=unit_tables,
        maps={model.name: maps_of(config, model.name) for model in models},
        images=Samples([paths.samples(shard) for shard in config.shards]).images,
        examples=config.dictionary.examples,
        memory_budget=parse_bytes(config.memory_budget),
        threads=torch.get_num_threads(),
    )
    about = {
        model.name: {
            "role": "pivot" if model is config.pivot else "encoder",
            "network": model.architecture or model.family,
            "source": _source(model.weights),
            "licence": model.weights.licence or "licence not given",
        }
        for model in models
    }
    buddies = {model.name: read_table(paths.best_buddies(model.name)) for model in models}
    write_dictionary(
        paths.dictionary,
        entries,
        models=gather_models(units=unit_tables, buddies=buddies, about=about),
        facts=_facts(config, neurons=rosetta["pivot_unit"].nunique(), concepts=len(concept)),
        tile=config.dictionary.tile,
    )
    return paths.dictionary


def _source(weights: PackageWeights | FileWeights) -> str:
    return weights.file if isinstance(weights, FileWeights) else weights.package


def _facts(config: Config, *, neurons: int, concepts: int) -> dict[str, Any]:
    sampling = config.sampling
    return {
        "run": config.run,
        "images": sampling.images,
        "k": config.neighbours.k,
        "numbers": [
            ("concepts", concepts),
            ("Rosetta neurons", neurons),
            ("networks", len(config.models)),
            ("images", sampling.images),
        ],
        "how": f"Images from seed {sampling.seed}, truncation {sampling.truncation:g}; "
        f"K = {config.neighbours.k}.",
    }
