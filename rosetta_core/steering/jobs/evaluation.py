"""How much the matches help to find images again (paper, Table 1).

evaluate     invert images without matches, with those of each encoder, and with all
Evaluated    the results, and the table
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

from rosetta_core.config import steering as config
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.map_targets import EncoderView, matches_of
from rosetta_core.steering.metrics.evaluation_table import (
    DISTRACTORS,
    RECOGNISED,
    SIMILARITY,
    table_of,
)
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.recovery import recovery
from rosetta_core.steering.optimise.descent import Checkpoint, descend_for
from rosetta_core.steering.optimise.latents import class_labels, starting_latents
from rosetta_core.steering.optimise.loss import guided_loss, loss_of
from rosetta_core.steering.optimise.objective import MapTarget
from rosetta_core.steering.optimise.result import best_starts
from rosetta_core.zoo.encoders.preprocessing import to_pixels

__all__ = ["Evaluated", "evaluate"]

ROWS = 32  # latents moved at once, which bounds the memory
FIRST = 2_000_000  # number of the first distractor: no start has it


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation comes to.

    Attributes:
        methods: what the images were found by.
        target: the images (n, h, w, 3).
        before: where each began, its first start (n, h, w, 3).
        after: what was found of each by each method, from its best start (n, methods, h, w, 3).
        latents: of those, in the space searched (n, methods, …).
        metrics: all numbers: item, method, start, best, metric, value.
        table: over the images, of their best starts: method, metric, mean, low, high, images. The
            interval of the mean is the bootstrap's, at 95%.
    """

    methods: list[str]
    target: NDArray[np.uint8]
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    latents: NDArray[np.float32]
    metrics: pd.DataFrame
    table: pd.DataFrame


@dataclass(frozen=True)
class _Found:
    """What was found of some images (n) by all methods (m) from all starts (s)."""

    before: NDArray[np.uint8]  # (n, h, w, 3)
    after: NDArray[np.uint8]  # (m, n, s, h, w, 3)
    latents: NDArray[np.float32]  # (m, n, s, …)
    best: NDArray[np.int64]  # a start (m, n)
    measured: dict[str, NDArray[np.float64]]  # by metric (m, n, s)


def evaluate(
    pivot: Pivot,
    job: config.Evaluation,
    images: NDArray[np.uint8],
    *,
    names: Sequence[str],
    seen: Sequence[EncoderView],
    perceptual: PerceptualDistance,
    judge: PerceptualDistance,
    checkpoint: Checkpoint | None = None,
) -> Evaluated:
    """Invert images without matches, with those of each encoder, and with those of all.

    An image has starts of its own, the same for all methods. As many images as memory allows are
    inverted at once, by all methods; each goes its own way.

    Args:
        pivot: the generator.
        job: the settings.
        images: (n, h, w, 3), of the size that the generator draws.
        names: of the images.
        seen: the encoders, with their matches.
        perceptual: how alike images look, as a term of the loss.
        judge: the distance that results are measured by.
        checkpoint: to go on from, and to save to; each batch has its own beside it.

    Raises:
        RosettaError: the loss is no number.
    """
    methods = _methods(job, seen)
    at_once = max(1, ROWS // (len(methods) * job.restarts))
    firsts = range(0, len(images), at_once)
    parts = [_part(checkpoint, first, at_once) for first in firsts]
    found = [
        _found(
            pivot,
            job,
            images[first : first + at_once],
            methods=methods,
            seen=seen,
            perceptual=perceptual,
            judge=judge,
            checkpoint=part,
            what=f"{job.name}, image {first + 1} of {len(images)}" if len(firsts) > 1 else job.name,
        )
        for first, part in zip(firsts, parts, strict=True)
    ]
    for part in parts:
        if part:
            part.remove()
    best = np.concatenate([its.best for its in found], axis=1)  # (m, n)
    measured = {
        metric: np.concatenate([its.measured[metric] for its in found], axis=1)
        for metric in found[0].measured
    }
    metrics = _metrics(measured, best, names=names, methods=list(methods))
    return Evaluated(
        methods=list(methods),
        target=images,
        before=np.concatenate([its.before for its in found]),
        after=_of_best(np.concatenate([its.after for its in found], axis=1), best),
        latents=_of_best(np.concatenate([its.latents for its in found], axis=1), best),
        metrics=metrics,
        table=table_of(metrics),
    )


def _methods(job: config.Evaluation, seen: Sequence[EncoderView]) -> dict[str, set[str]]:
    """By method the encoders whose matches guide it."""
    terms = {
        (False, False): "regulariser only",
        (False, True): "perceptual only",
        (True, False): "pixels only",
        (True, True): "reconstruction only",
    }
    methods: dict[str, set[str]] = {terms[job.pixel_weight > 0, job.perceptual_weight > 0]: set()}
    methods |= {f"+ {one.name}": {one.name} for one in seen}
    if len(seen) > 1:
        methods["+ all"] = {one.name for one in seen}
    return methods


def _part(checkpoint: Checkpoint | None, first: int, at_once: int) -> Checkpoint | None:
    """Where the descent of some of the images is kept."""
    if checkpoint is None:
        return None
    path = checkpoint.path.with_name(f"{checkpoint.path.name}.{first}")
    return replace(checkpoint, path=path, key=f"{checkpoint.key}, {at_once} images from {first}")


def _found(
    pivot: Pivot,
    job: config.Evaluation,
    images: NDArray[np.uint8],
    *,
    methods: dict[str, set[str]],
    seen: Sequence[EncoderView],
    perceptual: PerceptualDistance,
    judge: PerceptualDistance,
    checkpoint: Checkpoint | None,
    what: str,
) -> _Found:
    """Invert some of the images as one batch: method by method, image by image, start by start."""
    shape = (len(methods), len(images), job.restarts)
    items = np.repeat(np.arange(len(images)), job.restarts).tolist()  # of one method
    every = items * len(methods)
    matches = {one.name: matches_of(one, images, pivot=pivot) for one in seen}
    weights = {
        one.name: [float(one.name in used) for used in methods.values() for _ in items]
        for one in seen
    }
    target = images[every]
    loss = guided_loss(
        job,
        pivot,
        [match.of_items(every, weights[name]) for name, its in matches.items() for match in its],
        target=to_pixels(target, device=pivot.device),
        perceptual=perceptual,
    )
    one = class_labels(pivot, job.class_label, count=len(items))
    classes = class_labels(pivot, job.class_label, count=len(every))
    # each image has starts of its own, whatever its place among the others
    own = [crc32(image.tobytes()) for image in images]
    numbers = [number + start for number in own for start in range(job.restarts)]
    starts = starting_latents(pivot, numbers, seed=job.seed, space=job.space, classes=one)
    found = descend_for(
        job,
        pivot,
        loss,
        torch.cat([starts] * len(methods)),
        classes=classes,
        checkpoint=checkpoint,
        what=what,
    )
    before, _ = pivot.look(
        starts[:: job.restarts],
        space=job.space,
        classes=None if one is None else one[:: job.restarts],
    )
    after, maps = pivot.look(found.latents, space=job.space, classes=classes)
    alike = [match.of_items(items) for its in matches.values() for match in its]
    measured = {
        **recovery(after, target, judge, device=pivot.device),
        SIMILARITY: _similarity(pivot, job, alike, maps, methods=len(methods)),
    }
    measured[RECOGNISED] = _recognised(pivot, job, after, measured[judge.name], judge=judge)
    return _Found(
        before=before,
        after=after.reshape(*shape, *after.shape[1:]),
        latents=found.latents.numpy().reshape(*shape, *found.latents.shape[1:]),
        best=np.reshape(best_starts(found.total, starts=job.restarts), shape[:2]) % job.restarts,
        measured={metric: values.reshape(shape) for metric, values in measured.items()},
    )


def _similarity(
    pivot: Pivot,
    job: config.Evaluation,
    matches: Sequence[MapTarget],
    maps: Mapping[str, Tensor],
    *,
    methods: int,
) -> NDArray[np.float64]:
    """Of the results' maps with those of all encoders, whatever guided them (rows,)."""
    objective = loss_of(job, pivot, matches, similarity=job.similarity).objective
    by_method = zip(*(maps[layer].chunk(methods) for layer in objective.layers), strict=True)
    found = [objective(dict(zip(objective.layers, its, strict=True))) for its in by_method]
    return torch.cat(found).cpu().numpy().astype(np.float64)


@torch.no_grad()
def _recognised(
    pivot: Pivot,
    job: config.Evaluation,
    after: NDArray[np.uint8],
    distance: NDArray[np.float64],
    *,
    judge: PerceptualDistance,
) -> NDArray[np.float64]:
    """1 where a result is nearer to its target than to any of the random images, else 0 (rows,).

    Args:
        pivot: the generator, which draws them.
        job: the latent space, the class and the seed.
        after: the results (rows, h, w, 3).
        distance: from their targets (rows,).
        judge: whose distance it is.
    """
    classes = class_labels(pivot, job.class_label, count=DISTRACTORS)
    numbers = range(FIRST, FIRST + DISTRACTORS)
    latents = starting_latents(pivot, numbers, seed=job.seed, space=job.space, classes=classes)
    others, _ = pivot.look(latents, space=job.space, classes=classes)
    looked_at = judge.look_at(to_pixels(others, device=pivot.device))
    pixels = to_pixels(after, device=pivot.device)
    nearest = [float(judge(image, looked_at).min()) for image in pixels.split(1)]
    return (distance < nearest).astype(np.float64)


def _of_best(values: NDArray[Any], best: NDArray[np.int64]) -> NDArray[Any]:
    """Of values (m, n, s, …) those of the best starts, image by image (n, m, …)."""
    methods, images = np.indices(best.shape)
    return values[methods, images, best].swapaxes(0, 1)


def _metrics(
    measured: Mapping[str, NDArray[np.float64]],
    best: NDArray[np.int64],
    *,
    names: Sequence[str],
    methods: Sequence[str],
) -> pd.DataFrame:
    """All numbers (m, n, s) of each metric, image by image."""
    rows = [
        (name, method, np.int32(start), start == best[m, i], metric, values[m, i, start])
        for i, name in enumerate(names)
        for m, method in enumerate(methods)
        for metric, values in measured.items()
        for start in range(values.shape[2])
    ]
    return pd.DataFrame(rows, columns=["item", "method", "start", "best", "metric", "value"])
