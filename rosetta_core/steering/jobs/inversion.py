"""Inversion: the latent whose maps match those of the encoders on an image (section 4.1)."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.map_targets import EncoderView, encoder_targets
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.random_baseline import random_similarities
from rosetta_core.steering.metrics.reconstruction import reconstruction_metrics
from rosetta_core.steering.optimise.gradient_descent import Checkpoint, optimise
from rosetta_core.steering.optimise.latents import class_labels, initial_latents
from rosetta_core.steering.optimise.loss import activation_loss, guided_loss
from rosetta_core.steering.optimise.result import (
    JobResult,
    MapPanel,
    MetricValue,
    best_restarts,
)
from rosetta_core.steering.optimise.settings import GuidedSettings
from rosetta_core.steering.optimise.stopping import Stopping
from rosetta_core.zoo.encoders.preprocessing import to_pixels

__all__ = ["INVERSION_SETTINGS", "invert"]

INVERSION_SETTINGS = GuidedSettings()
MOST_PANELS = 6  # pairs whose maps are drawn


def invert(
    generator: SteeredGenerator,
    image: NDArray[np.uint8],
    encoders: Sequence[EncoderView],
    *,
    evaluation_distance: PerceptualDistance | None = None,
    loss_distance: PerceptualDistance | None = None,
    settings: GuidedSettings = INVERSION_SETTINGS,
    checkpoint: Checkpoint | None = None,
    stopping: Stopping | None = None,
    name: str = "inversion",
    title: str = "an image",
) -> JobResult:
    """Find the latent whose maps match those of the encoders on an image.

    Args:
        generator: the generator.
        image: image (h, w, 3), of the size of the generator's images.
        encoders: the encoders, with the pairs that guide the inversion.
        evaluation_distance: perceptual distance that measures the results, if any.
        loss_distance: perceptual distance in the loss; None if its weight is 0.
        settings: settings of the optimisation.
        checkpoint: file to resume from and to save to.
        stopping: callback and early stopping; None for neither.
        name: name of the job, for progress and errors.
        title: the image in a few words.

    Raises:
        RosettaError: the loss is not finite.
    """
    restarts, space = settings.restarts, settings.space
    target = np.repeat(image[None], restarts, axis=0)  # (s, h, w, 3)
    targets = [
        map_target
        for view in encoders
        for map_target in encoder_targets(view, image[None], generator=generator)
    ]
    loss = guided_loss(
        generator,
        [map_target.select([0] * restarts) for map_target in targets],
        settings,
        images=to_pixels(target, device=generator.device),
        distance=loss_distance,
    )
    classes = class_labels(generator, settings.class_label, count=restarts)
    start = initial_latents(
        generator, range(restarts), seed=settings.seed, space=space, classes=classes
    )
    optimised = optimise(
        generator,
        loss,
        start,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        space=space,
        classes=classes,
        checkpoint=checkpoint,
        stopping=stopping,
        name=name,
    )
    before, maps_before = generator.render(start, space=space, classes=classes)
    after, maps = generator.render(optimised.latents, space=space, classes=classes)
    (best,) = best_restarts(optimised.total, restarts=restarts)
    single = activation_loss(generator, targets, settings, similarity=settings.similarity)
    baseline = random_similarities(
        generator,
        single.objective,
        space=space,
        class_label=settings.class_label,
        seed=settings.seed,
    ).mean()
    similarity = {
        "similarity before": loss.objective(maps_before).cpu().numpy(),
        "similarity after": loss.objective(maps).cpu().numpy(),
        "similarity of random images": np.full(restarts, baseline),
    }
    reconstruction = reconstruction_metrics(
        after, target, evaluation_distance, device=generator.device
    )
    return JobResult(
        about=f"{title}, matched through {', '.join(view.name for view in encoders)}",
        before=before[[best]],
        after=after[[best]],
        target=image[None],
        latents=optimised.latents.numpy(),
        best=[best],
        metrics=[
            MetricValue(metric, float(value), restart=restart, best=restart == best)
            for metric, values in {**similarity, **reconstruction}.items()
            for restart, value in enumerate(values)
        ],
        summary=[
            ("similarity of maps", f"{similarity['similarity after'][best]:.3f}"),
            ("similarity of random images", f"{baseline:.3f}"),
            *((metric, f"{values[best]:.3g}") for metric, values in reconstruction.items()),
        ],
        panels=_map_panels(
            generator, encoders, image=image, result=after[best], maps=maps, row=best
        ),
        columns=["map of the encoder", "map of the result"],
        optimisation=optimised,
    )


def _map_panels(
    generator: SteeredGenerator,
    encoders: Sequence[EncoderView],
    *,
    image: NDArray[np.uint8],
    result: NDArray[np.uint8],
    maps: Mapping[str, Tensor],
    row: int,
) -> dict[str, list[MapPanel]]:
    """Return the maps of the best pairs of each encoder in turn, with distinct generator units."""
    panels: dict[str, list[MapPanel]] = {}
    drawn: set[int] = set()
    for turn in range(MOST_PANELS):
        view = encoders[turn % len(encoders)]
        remaining = [pair for pair in view.pairs.tolist() if pair[0] not in drawn]
        if not remaining:
            continue
        pair = np.array(remaining[:1])
        drawn.add(remaining[0][0])
        (target,) = encoder_targets(view, image[None], generator=generator, pairs=pair)
        ((layer, channels),) = generator.channels_by_layer(pair[:, 0]).items()
        own = generator.standardise(maps, layer, channels)[row, 0]
        unit = view.units.set_index("unit").loc[pair[0, 1]]
        label = f"{layer}/{channels[0]} and {view.name}/{unit['layer']}/{unit['channel']}"
        panels[label] = [
            MapPanel(image, target.targets[0, 0].float().numpy()),
            MapPanel(result, own.float().numpy()),
        ]
    return panels
