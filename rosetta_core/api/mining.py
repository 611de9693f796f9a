"""Mining in memory: from models and images to Rosetta neurons and concepts."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.api.arguments import (
    check_neighbours,
    check_share,
    memory_bytes,
    model_name,
    whole_number,
)
from rosetta_core.api.arrays import MIN_RELATIVE_STD
from rosetta_core.api.images import ImageSet, images
from rosetta_core.api.images.drawn import drawn_by
from rosetta_core.api.mined import Mined
from rosetta_core.api.models import Model, check_evaluation, load_model
from rosetta_core.config.sections import GPU_BATCH, MIN_PARTNERS, Dictionary
from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.moments import alive_units
from rosetta_core.mining.correlation.pearson import correlate_blocks
from rosetta_core.mining.examples.layers import (
    layer_table,
    selectivity_table,
    vargha_delaney_table,
)
from rosetta_core.mining.examples.near_duplicates import find_near_duplicates
from rosetta_core.mining.examples.selectivity import MEASURES
from rosetta_core.mining.examples.stores import LayerExamples
from rosetta_core.mining.examples.units import find_unit_examples
from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
from rosetta_core.mining.matching.concepts import concept_table, rosetta_table
from rosetta_core.mining.matching.topk_store import TopKCollector
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.mining.sources.unit_table import unit_table
from rosetta_core.zoo.network import Generator

__all__ = ["mine"]

UNIT_EXAMPLES = Dictionary().unit_examples  # top images of each unit, as in the configuration


def mine(
    pivot: Model | str,
    encoders: Sequence[Model | str],
    image_set: ImageSet | object,
    *,
    k: int = 5,
    memory_budget: str = "2 GiB",
    batch_size: int | None = None,
    min_relative_std: float = MIN_RELATIVE_STD,
    name: str = "mined",
) -> Mined:
    """Find the units that models share, and group them into concepts.

    Networks run on batches of images, and no map is kept: memory stays within the budget, and every
    network runs once for the correlations, and once for the top images of its units. The numbers
    are those of the workflow.

    Args:
        pivot: model with whose units all others are compared: a generator, or an encoder.
        encoders: the other models.
        image_set: images that the pivot drew (`sample`), or any images for an encoder as the pivot
            (`images`, or what it reads).
        k: K of the mutual nearest neighbours; the paper uses 5.
        memory_budget: working memory, for example "2 GiB".
        batch_size: images per forward pass; None: 1 on a CPU, 16 on a GPU.
        min_relative_std: units with a std below this fraction of |mean| are dead.
        name: name of the result, for pages.

    Raises:
        RosettaError: names repeat, the images do not suit the pivot, models are on different
            devices, or a network fails.
    """
    if isinstance(encoders, str | Model) or not isinstance(encoders, Iterable):
        raise RosettaError("encoders: give a list of models")
    whole_number("k", k)
    if batch_size is not None:
        whole_number("batch_size", batch_size)
    check_share("min_relative_std", min_relative_std)
    budget, name = memory_bytes("memory_budget", memory_budget), model_name(name)
    models = [_model(x) for x in (pivot, *encoders)]
    _check(models, k)
    samples = image_set if isinstance(image_set, ImageSet) else images(image_set)
    first = models[0]
    if first.is_generator and not drawn_by(samples, first):
        raise RosettaError(
            f"{first.name}: the images were not drawn by it; draw them with sample(pivot, …), and "
            "give mine the same pivot"
        )
    sources = {model.name: _source(model, samples, batch_size) for model in models}
    tables, examples, collector = _mine(
        models, sources, samples, k=k, budget=budget, min_relative_std=min_relative_std, name=name
    )
    return Mined(
        tables,
        models=models,
        sources=sources,
        images=samples,
        unit_examples=examples,
        neighbours=collector,
        min_relative_std=min_relative_std,
        memory_budget=budget,
    )


def _model(given: Model | str) -> Model:
    """Return a model, loaded if it is a name; RosettaError for anything else."""
    if isinstance(given, Model):
        return given
    if not isinstance(given, str):
        raise RosettaError(f"mine: {type(given).__name__} is not a model; use load_model or wrap")
    return load_model(given)


def _check(models: Sequence[Model], k: int) -> None:
    """Refuse models that cannot be mined together, or with this number of neighbours."""
    names = [model.name for model in models]
    if len(models) < 2:
        raise RosettaError("encoders: there are none; give at least one")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise RosettaError(
            f"encoders: {repeated[0]} is there twice; give the models names of their own"
        )
    if generators := [model.name for model in models[1:] if model.is_generator]:
        raise RosettaError(f"encoders: {generators[0]} is a generator; it can only be the pivot")
    for model in models:
        check_evaluation(model.name, model.network.network)
        units = sum(layer.channels for layer in model.layers)
        neighbours = units - 1 if model is models[0] else units  # a unit is not its own neighbour
        check_neighbours(k, neighbours, what=f"units of {model.name}")
    devices = {str(model.network.device) for model in models}
    if len(devices) > 1:
        raise RosettaError(
            f"models are on different devices ({', '.join(sorted(devices))}); move them to one"
        )


def _source(model: Model, samples: ImageSet, batch_size: int | None) -> LiveActivations:
    """Return the maps of a model on the images, from its network."""
    device = model.network.device

    def inputs(numbers: range) -> tuple[NDArray, ...]:
        inside = slice(numbers.start, numbers.stop)
        if not isinstance(model.network, Generator):
            return (samples.pixels[inside],)
        assert samples.latents is not None and samples.classes is not None
        latents = samples.latents[inside]
        return (latents, samples.classes[inside]) if model.network.classes else (latents,)

    return LiveActivations(
        model.network,
        name=model.name,
        layers=model.layers,
        inputs=inputs,
        images=len(samples),
        batch_size=batch_size or (1 if device.type == "cpu" else GPU_BATCH),
        device=device,
        float32=model.float32,
    )


def _source_name(pivot: Model, samples: ImageSet) -> str | None:
    """Return the source of images, for pages; None if the pivot drew them."""
    if pivot.is_generator:
        return None
    drawer = samples.generator.name if samples.generator else "memory"
    return samples.source or f"images of {drawer}"


def _mine(
    models: Sequence[Model],
    sources: Mapping[str, ActivationSource],
    samples: ImageSet,
    *,
    k: int,
    budget: int,
    min_relative_std: float,
    name: str,
) -> tuple[RunTables, dict[str, list[LayerExamples]], TopKCollector]:
    """Return the tables of models on images, the top images of their units, and all neighbours."""
    names = list(sources)
    maps, threads = list(sources.values()), torch.get_num_threads()

    def alive(model: int | None) -> NDArray[np.bool_]:
        layers = maps[model or 0].moments()
        return np.concatenate([alive_units(x, min_relative_std=min_relative_std) for x in layers])

    blocks = correlate_blocks(
        maps[0], maps, memory_budget=budget, device=models[0].network.device, threads=threads
    )
    rows = range(sum(layer.channels for layer in maps[0].layers))
    collector = TopKCollector(rows=rows, alive=alive, pivot_index=0, k=max(MIN_PARTNERS, k))
    for block in blocks:
        collector.add(block)
    neighbours = {}
    for number, model in enumerate(names):
        of_pivot, of_model = collector.result(number)
        neighbours[model] = neighbour_table(of_pivot.truncate(k), of_model and of_model.truncate(k))
    buddies = {model: best_buddies(table) for model, table in neighbours.items()}
    of_encoders = {model: buddies[model] for model in names[1:]}
    rosetta = rosetta_table(of_encoders, buddies[names[0]])
    units = {
        model: unit_table(source.layers, source.moments(), min_relative_std=min_relative_std)
        for model, source in sources.items()
    }
    duplicates = find_near_duplicates(samples.read, len(samples))
    examples = {
        model: find_unit_examples(
            source,
            units[model],
            duplicates=duplicates,
            count=min(UNIT_EXAMPLES, len(samples)),
            memory_budget=budget,
            threads=threads,
        )
        for model, source in sources.items()
    }
    selectivity = selectivity_table(
        {
            model: {x: np.concatenate([getattr(part, x) for part in layers]) for x in MEASURES}
            for model, layers in examples.items()
        }
    )
    known = {"buddies": of_encoders, "rosetta": rosetta}
    tables = RunTables(
        run=name,
        images=len(samples),
        seed=samples.seed,
        truncation=models[0].truncation,
        k=k,
        models=[model.facts for model in models],
        units=units,
        neighbours=neighbours,
        best_buddies=buddies,
        rosetta=rosetta,
        concepts=concept_table(rosetta),
        selectivity=selectivity,
        layers=layer_table(units, selectivity, **known),
        vargha_delaney=vargha_delaney_table(units, selectivity, **known),
        folder=_source_name(models[0], samples),
    )
    return tables, examples, collector
