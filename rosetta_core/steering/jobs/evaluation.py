"""Evaluation: inversion of many images, with and without pairs (paper, Table 1).

Each image is inverted by several methods: by reconstruction alone, with the pairs of each encoder,
and with those of all encoders. The starting latents of an image depend on its pixels and are the
same for all methods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.map_targets import EncoderView, encoder_targets
from rosetta_core.steering.metrics.evaluation_table import RECOGNISED, SIMILARITY, evaluation_table
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.recognition import recognised
from rosetta_core.steering.metrics.reconstruction import reconstruction_metrics
from rosetta_core.steering.optimise.gradient_descent import Checkpoint, optimise
from rosetta_core.steering.optimise.latents import class_labels, initial_latents
from rosetta_core.steering.optimise.loss import activation_loss, guided_loss
from rosetta_core.steering.optimise.prepared_targets import MapTarget
from rosetta_core.steering.optimise.result import best_restarts
from rosetta_core.steering.optimise.settings import GuidedSettings
from rosetta_core.zoo.encoders.preprocessing import to_pixels

__all__ = ["EVALUATION_SETTINGS", "EvaluationResult", "evaluate"]

EVALUATION_SETTINGS = GuidedSettings(restarts=1, perceptual_weight=1.0)
ROWS = 32  # latents that are optimised at once, which bounds the memory


@dataclass(frozen=True)
class EvaluationResult:
    """Result of an evaluation of n images by m methods.

    Attributes:
        methods: names of the methods.
        target: images to invert (n, h, w, 3).
        before: image of the first starting latent of each (n, h, w, 3).
        after: image of the best restart (n, m, h, w, 3).
        latents: latents of these images (n, m, …), in the space searched.
        metrics: item, method, restart, best, metric, value.
        table: method, metric, mean, ci_low, ci_high, images; see `evaluation_table`.
    """

    methods: list[str]
    target: NDArray[np.uint8]
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    latents: NDArray[np.float32]
    metrics: pd.DataFrame
    table: pd.DataFrame


@dataclass(frozen=True)
class _Batch:
    """Results of some images (n) by all methods (m) from all restarts (s)."""

    before: NDArray[np.uint8]  # (n, h, w, 3)
    after: NDArray[np.uint8]  # (m, n, s, h, w, 3)
    latents: NDArray[np.float32]  # (m, n, s, …)
    best: NDArray[np.int64]  # restart (m, n)
    metrics: dict[str, NDArray[np.float64]]  # by name (m, n, s)


def evaluate(
    generator: SteeredGenerator,
    images: NDArray[np.uint8],
    encoders: Sequence[EncoderView],
    *,
    evaluation_distance: PerceptualDistance,
    loss_distance: PerceptualDistance | None = None,
    settings: GuidedSettings = EVALUATION_SETTINGS,
    checkpoint: Checkpoint | None = None,
    name: str = "evaluation",
    titles: Sequence[str] | None = None,
) -> EvaluationResult:
    """Invert images without pairs, with the pairs of each encoder, and with all pairs.

    As many images as the memory allows are inverted at once, by all methods; rows of a batch are
    independent.

    Args:
        generator: the generator.
        images: images (n, h, w, 3), of the size of the generator's images.
        encoders: the encoders, with their pairs.
        evaluation_distance: perceptual distance that measures the results.
        loss_distance: perceptual distance in the loss; None if its weight is 0.
        settings: settings of the optimisation.
        checkpoint: file to resume from and to save to; each batch has a file of its own next to it.
        name: name of the job, for progress and errors.
        titles: name of each image (n,); its number if None.

    Raises:
        RosettaError: the loss is not finite.
    """
    titles = [str(i) for i in range(len(images))] if titles is None else titles
    methods = _methods(encoders, settings)
    at_once = max(1, ROWS // (len(methods) * settings.restarts))
    firsts = range(0, len(images), at_once)
    checkpoints = [_batch_checkpoint(checkpoint, first, at_once) for first in firsts]
    batches = [
        _invert_batch(
            generator,
            images[first : first + at_once],
            encoders,
            methods=methods,
            evaluation_distance=evaluation_distance,
            loss_distance=loss_distance,
            settings=settings,
            checkpoint=batch_checkpoint,
            name=f"{name}, image {first + 1} of {len(images)}" if len(firsts) > 1 else name,
        )
        for first, batch_checkpoint in zip(firsts, checkpoints, strict=True)
    ]
    for batch_checkpoint in checkpoints:
        if batch_checkpoint:
            batch_checkpoint.remove()
    best = np.concatenate([batch.best for batch in batches], axis=1)  # (m, n)
    values = {
        metric: np.concatenate([batch.metrics[metric] for batch in batches], axis=1)
        for metric in batches[0].metrics
    }
    metrics = _metrics_table(values, best, titles=titles, methods=list(methods))
    return EvaluationResult(
        methods=list(methods),
        target=images,
        before=np.concatenate([batch.before for batch in batches]),
        after=_select_best(np.concatenate([batch.after for batch in batches], axis=1), best),
        latents=_select_best(np.concatenate([batch.latents for batch in batches], axis=1), best),
        metrics=metrics,
        table=evaluation_table(metrics),
    )


def _methods(encoders: Sequence[EncoderView], settings: GuidedSettings) -> dict[str, set[str]]:
    """Return the encoders whose pairs guide each method, by the name of the method."""
    names = {
        (False, False): "regulariser only",
        (False, True): "perceptual only",
        (True, False): "pixels only",
        (True, True): "reconstruction only",
    }
    first = names[settings.pixel_weight > 0, settings.perceptual_weight > 0]
    methods: dict[str, set[str]] = {first: set()}
    methods |= {f"+ {view.name}": {view.name} for view in encoders}
    if len(encoders) > 1:
        methods["+ all"] = {view.name for view in encoders}
    return methods


def _batch_checkpoint(checkpoint: Checkpoint | None, first: int, at_once: int) -> Checkpoint | None:
    """Return the checkpoint of the batch that begins with image `first`."""
    if checkpoint is None:
        return None
    path = checkpoint.path.with_name(f"{checkpoint.path.name}.{first}")
    return replace(checkpoint, path=path, key=f"{checkpoint.key}, {at_once} images from {first}")


def _invert_batch(
    generator: SteeredGenerator,
    images: NDArray[np.uint8],
    encoders: Sequence[EncoderView],
    *,
    methods: dict[str, set[str]],
    evaluation_distance: PerceptualDistance,
    loss_distance: PerceptualDistance | None,
    settings: GuidedSettings,
    checkpoint: Checkpoint | None,
    name: str,
) -> _Batch:
    """Invert images as one batch: rows are ordered by method, then image, then restart."""
    restarts, space = settings.restarts, settings.space
    shape = (len(methods), len(images), restarts)
    items = np.repeat(np.arange(len(images)), restarts).tolist()  # image of each row of a method
    all_items = items * len(methods)
    targets = {view.name: encoder_targets(view, images, generator=generator) for view in encoders}
    weights = {
        view.name: [float(view.name in guides) for guides in methods.values() for _ in items]
        for view in encoders
    }
    target_images = images[all_items]
    loss = guided_loss(
        generator,
        [
            target.select(all_items, weights[encoder])
            for encoder, encoder_maps in targets.items()
            for target in encoder_maps
        ],
        settings,
        images=to_pixels(target_images, device=generator.device),
        distance=loss_distance,
    )
    method_classes = class_labels(generator, settings.class_label, count=len(items))
    classes = class_labels(generator, settings.class_label, count=len(all_items))
    # starting latents depend on the image, not on its place among the others
    checksums = [crc32(image.tobytes()) for image in images]
    numbers = [checksum + restart for checksum in checksums for restart in range(restarts)]
    start = initial_latents(
        generator, numbers, seed=settings.seed, space=space, classes=method_classes
    )
    optimised = optimise(
        generator,
        loss,
        torch.cat([start] * len(methods)),
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        space=space,
        classes=classes,
        checkpoint=checkpoint,
        name=name,
    )
    before, _ = generator.render(
        start[::restarts],
        space=space,
        classes=None if method_classes is None else method_classes[::restarts],
    )
    after, maps = generator.render(optimised.latents, space=space, classes=classes)
    all_targets = [target.select(items) for maps_of in targets.values() for target in maps_of]
    metrics = {
        **reconstruction_metrics(
            after, target_images, evaluation_distance, device=generator.device
        ),
        SIMILARITY: _similarity(generator, all_targets, maps, settings, methods=len(methods)),
    }
    metrics[RECOGNISED] = recognised(
        generator,
        after,
        metrics[evaluation_distance.name],
        evaluation_distance=evaluation_distance,
        space=space,
        class_label=settings.class_label,
        seed=settings.seed,
    )
    best = np.reshape(best_restarts(optimised.total, restarts=restarts), shape[:2]) % restarts
    return _Batch(
        before=before,
        after=after.reshape(*shape, *after.shape[1:]),
        latents=optimised.latents.numpy().reshape(*shape, *optimised.latents.shape[1:]),
        best=best,
        metrics={metric: values.reshape(shape) for metric, values in metrics.items()},
    )


def _similarity(
    generator: SteeredGenerator,
    targets: Sequence[MapTarget],
    maps: Mapping[str, Tensor],
    settings: GuidedSettings,
    *,
    methods: int,
) -> NDArray[np.float64]:
    """Return the similarity of the results' maps to the targets of all encoders (rows,)."""
    objective = activation_loss(
        generator, targets, settings, similarity=settings.similarity
    ).objective
    by_method = zip(*(maps[layer].chunk(methods) for layer in objective.layers), strict=True)
    values = [objective(dict(zip(objective.layers, chunk, strict=True))) for chunk in by_method]
    return torch.cat(values).cpu().numpy().astype(np.float64)


def _select_best(values: NDArray[Any], best: NDArray[np.int64]) -> NDArray[Any]:
    """Return the values of the best restarts (n, m, …) out of values (m, n, s, …)."""
    methods, images = np.indices(best.shape)
    return values[methods, images, best].swapaxes(0, 1)


def _metrics_table(
    metrics: Mapping[str, NDArray[np.float64]],
    best: NDArray[np.int64],
    *,
    titles: Sequence[str],
    methods: Sequence[str],
) -> pd.DataFrame:
    """Return all values (m, n, s) of each metric as a table."""
    rows = [
        (title, method, np.int32(restart), restart == best[m, i], metric, values[m, i, restart])
        for i, title in enumerate(titles)
        for m, method in enumerate(methods)
        for metric, values in metrics.items()
        for restart in range(values.shape[2])
    ]
    return pd.DataFrame(rows, columns=["item", "method", "restart", "best", "metric", "value"])
