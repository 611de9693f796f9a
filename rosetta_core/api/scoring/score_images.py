"""Scoring of new images with the models and the statistics of a result.

Images stream through the models in batches, so memory does not depend on their number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.api.arguments import memory_bytes, whole_number
from rosetta_core.api.images import ImageSet, images
from rosetta_core.api.images.drawn import drawn_by
from rosetta_core.api.images.image_set import label_texts, number_labels
from rosetta_core.api.images.sources import open_stream
from rosetta_core.api.images.stream import StreamedImage
from rosetta_core.api.models import Model, check_evaluation
from rosetta_core.api.results import Result
from rosetta_core.api.scoring.kept_images import KeptImages
from rosetta_core.api.scoring.scores import Scores
from rosetta_core.config.sections import GPU_BATCH
from rosetta_core.errors import RosettaError
from rosetta_core.mining.examples.new_images import BatchScores, NewImageScorer, units_to_score
from rosetta_core.mining.run_tables import unit_id
from rosetta_core.mining.sources.base import fit_batch_size
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.network import Generator

__all__ = ["Targets", "score_images"]


@dataclass(frozen=True)
class Targets:
    """Concepts and units that are scored, and the models that are used.

    Attributes:
        concepts: numbers of the concepts.
        units: model and number of each unit.
        models: models that are used.
        left_out: reason for each model that is not used.
    """

    concepts: list[int]
    units: list[tuple[str, int]]
    models: list[str]
    left_out: dict[str, str]


@dataclass
class _Batch:
    """Inputs of the models for the images of the current batch."""

    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    latents: tuple[NDArray, ...] = ()


def score_images(
    result: Result,
    source: Any,
    *,
    concepts: Sequence[int | str] | int | str | None,
    units: Sequence[Any],
    models: Sequence[str] | None,
    latents: NDArray[np.float32] | Tensor | None,
    size: int | None,
    count: int | None,
    column: str | None,
    bit_depth: int | None,
    memory_budget: str | None,
) -> Scores:
    """Score images; `Result.score` describes the arguments."""
    if count is not None:
        whole_number("count", count)
    budget = result._memory_budget
    if memory_budget is not None:
        budget = memory_bytes("memory_budget", memory_budget)
    options: dict[str, Any] = {"count": count, "column": column, "bit_depth": bit_depth}
    if latents is not None or isinstance(source, np.ndarray | Tensor | ImageSet):
        size = size if isinstance(source, np.ndarray | Tensor | ImageSet) else size or _side(result)
        source = _with_latents(images(source, size=size, **options), latents)
        options, size = {"count": None}, None
    targets = _targets(result, source, concepts=concepts, units=units, models=models)
    loaded = {name: _loaded(result, name, targets) for name in targets.models}
    batch = _Batch()
    scorer = _scorer(result, loaded, targets, batch)
    side = size or _side(result)
    stream = open_stream(source, size=size, encoded_size=_side(result), **options)
    step = fit_batch_size(scorer.bytes_per_image() + 3 * 2 * side**2, memory_budget=budget)
    in_memory = source if isinstance(source, ImageSet) else None
    titles = len(targets.concepts) + len(targets.units)
    kept = KeptImages(titles, in_memory.pixels if in_memory is not None else None)
    parts: list[BatchScores] = []
    names: list[str] = []
    labels: list[Any] = []
    with TorchThreadPool(torch.get_num_threads()) as workers:
        for block in _blocks(stream.read(options["count"]), step):
            numbers = range(len(names), len(names) + len(block))
            batch.pixels = np.stack([image.pixels for image in block])
            batch.latents = _latents(in_memory, numbers, loaded)
            scored = scorer.score(numbers, workers)
            kept.add(batch.pixels, scored.maps)
            parts.append(replace(scored, maps=[]))
            names += [image.name for image in block]
            labels += [image.label for image in block]
    texts = label_texts(*number_labels(labels, stream.label_names))
    return Scores(
        run=result.name,
        models=tuple(targets.models),
        left_out=targets.left_out,
        concepts=tuple(targets.concepts),
        concept_ids=tuple(result.concepts["concept_id"].iloc[targets.concepts]),
        units=tuple(_unit_id(result, *unit) for unit in targets.units),
        scores=np.concatenate([part.concepts for part in parts]),
        unit_scores=np.concatenate([part.units for part in parts]),
        names=tuple(names) if any(names) else (),
        labels=texts,
        _kept=kept,
    )


def _loaded(result: Result, name: str, targets: Targets) -> Model:
    """Return a model that is used; RosettaError if it cannot be loaded or is being trained."""
    try:
        model = result.model(name)
    except RosettaError as error:
        if len(targets.models) == 1:
            raise
        others = ", ".join(repr(other) for other in targets.models if other != name)
        raise RosettaError(f"{error}; or leave it out: models=[{others}]") from error
    check_evaluation(name, model.network.network)
    return model


def _side(result: Result) -> int:
    """Return the side of the mined images, which encoded images are resized to."""
    return result._read_images(range(1)).shape[1]


def _with_latents(source: ImageSet, latents: NDArray[np.float32] | Tensor | None) -> ImageSet:
    """Return images with latents that the user gives; RosettaError if they do not fit."""
    if latents is None:
        return source
    values = latents.detach().cpu().numpy() if isinstance(latents, Tensor) else latents
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind != "f":
        raise RosettaError("latents: give an array or tensor (n, z) of floats")
    if len(values) != len(source):
        raise RosettaError(
            f"latents: there are {len(values)}, but {len(source)} images; give one per image"
        )
    if not np.isfinite(values).all():
        raise RosettaError("latents: are not finite; remove those images")
    return replace(source, latents=values.astype(np.float32))


def _targets(
    result: Result,
    source: Any,
    *,
    concepts: Sequence[int | str] | int | str | None,
    units: Sequence[Any],
    models: Sequence[str] | None,
) -> Targets:
    """Return what is scored and by which models; RosettaError if that is impossible."""
    left_out = {} if models is None else _not_chosen(result, models)
    if result.pivot not in left_out and (reason := _pivot_problem(result, source)):
        if models is not None:
            raise RosettaError(f"models: {result.pivot} {reason}; leave it out")
        left_out[result.pivot] = reason
    part = [model for model in result.models if model not in left_out]
    if isinstance(units, str) or (len(units) == 2 and isinstance(units[1], int | np.integer)):
        units = [units]
    chosen = list(dict.fromkeys(result._find_unit(unit) for unit in units))
    for model, number in chosen:
        name = _unit_id(result, model, number)
        if model in left_out:
            raise RosettaError(f"units: {name}: {model} {left_out[model]}; choose another unit")
        if not result._tables.units[model]["alive"].iloc[number]:
            raise RosettaError(f"units: {name}: is dead, it hardly varies; choose another unit")
    if concepts is None:
        numbers = [] if chosen else list(range(len(result._tables.concepts)))
    else:
        if isinstance(concepts, int | str | np.integer):
            concepts = [concepts]
        numbers = [result._concept_number(concept) for concept in concepts]
    if not numbers and not chosen:
        raise RosettaError(f"{result.name}: there are no concepts to score; give units")
    if not numbers:
        part = [model for model in part if model in {model for model, _ in chosen}]
    if not part:
        raise RosettaError("models: there are none; give at least one")
    return Targets(list(dict.fromkeys(numbers)), chosen, part, left_out)


def _not_chosen(result: Result, models: Sequence[str]) -> dict[str, str]:
    if isinstance(models, str):
        models = [models]
    chosen = {result._model_name(model) for model in models}
    return {model: "was not chosen" for model in result.models if model not in chosen}


def _pivot_problem(result: Result, source: Any) -> str:
    """Return why the pivot cannot process the images; empty if it can."""
    if not result._pivot_generates():
        return ""
    if not isinstance(source, ImageSet) or source.latents is None:
        return "generates images and was given no latents"
    pivot = result.model(result.pivot)
    network = pivot.network
    assert isinstance(network, Generator)
    if source.generator is not None:
        return "" if drawn_by(source, pivot) else "did not draw the images"
    if source.latents.shape[1] != network.latent_size:
        raise RosettaError(
            f"latents: shape {source.latents.shape} does not fit {pivot.name}; give (n, "
            f"{network.latent_size})"
        )
    if network.classes:
        raise RosettaError(
            f"latents: {pivot.name} needs classes as well; give images of sample({pivot.name}, …)"
        )
    return ""


def _scorer(
    result: Result, models: Mapping[str, Model], targets: Targets, batch: _Batch
) -> NewImageScorer:
    """Return the scorer of the targets, with sources that read the inputs of a batch."""
    tables = result._tables
    needed = units_to_score(
        tables.rosetta,
        targets.models,
        pivot=result.pivot,
        concepts=targets.concepts,
        units=targets.units,
    )
    sources = {}
    for name, model in models.items():
        layers = set(tables.units[name]["layer"].iloc[needed[name]])
        device = model.network.device

        def inputs(
            _: range, generates: bool = isinstance(model.network, Generator)
        ) -> tuple[NDArray, ...]:
            return batch.latents if generates else (batch.pixels,)

        sources[name] = LiveActivations(
            model.network,
            name=name,
            layers=[layer for layer in model.layers if layer.name in layers],
            inputs=inputs,
            images=0,
            batch_size=1 if device.type == "cpu" else GPU_BATCH,
            device=device,
            float32=model.float32,
        )
    return NewImageScorer(
        tables.rosetta,
        units=tables.units,
        maps=sources,
        pivot=result.pivot,
        concepts=targets.concepts,
        chosen=targets.units,
    )


def _latents(
    source: ImageSet | None, numbers: range, models: Mapping[str, Model]
) -> tuple[NDArray, ...]:
    """Return the inputs of a generator for some images; empty if none is used."""
    if source is None or source.latents is None:
        return ()
    inside = slice(numbers.start, numbers.stop)
    networks = [x.network for x in models.values() if isinstance(x.network, Generator)]
    if networks and networks[0].classes:
        assert source.classes is not None
        return source.latents[inside], source.classes[inside]
    return (source.latents[inside],)


def _blocks(stream: Iterator[StreamedImage], size: int) -> Iterator[list[StreamedImage]]:
    """Yield consecutive images in blocks of a size; the last may be smaller."""
    block: list[StreamedImage] = []
    for image in stream:
        block.append(image)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def _unit_id(result: Result, model: str, number: int) -> str:
    row = result._tables.units[model].iloc[number]
    return unit_id(model, row["layer"], row["channel"])
