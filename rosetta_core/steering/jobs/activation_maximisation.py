"""Activation maximisation: random images, optimised so that units become more active.

Activity is the mean of the units' standardised maps over the image, Eq. 6 with targets of ones. It
is reported in standard deviations over random images.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.metrics.random_baseline import random_similarities
from rosetta_core.steering.optimise.gradient_descent import Checkpoint, optimise
from rosetta_core.steering.optimise.latents import class_labels, initial_latents
from rosetta_core.steering.optimise.loss import Loss, activation_loss
from rosetta_core.steering.optimise.prepared_targets import MapTarget
from rosetta_core.steering.optimise.result import JobResult, MapPanel, MetricValue
from rosetta_core.steering.optimise.settings import OptimisationSettings
from rosetta_core.steering.optimise.stopping import Stopping
from rosetta_core.steering.result_reader import ACTIVITY_AFTER, ACTIVITY_BEFORE

__all__ = ["MAXIMISATION_SETTINGS", "maximise_activation"]

MAXIMISATION_SETTINGS = OptimisationSettings(
    steps=100, restarts=8, regulariser="start", regulariser_weight=1.0
)


def maximise_activation(
    generator: SteeredGenerator,
    units: NDArray[np.int64],
    *,
    target_std: float = 5.0,
    settings: OptimisationSettings = MAXIMISATION_SETTINGS,
    checkpoint: Checkpoint | None = None,
    stopping: Stopping | None = None,
    name: str = "activation maximisation",
    label: str = "the units",
) -> JobResult:
    """Raise the activity of units to a target, from several random images.

    Results are ordered by final activity, and by its increase where they are equally active.

    Args:
        generator: the generator.
        units: unit numbers (u,).
        target_std: target activity, in standard deviations above the mean over random images.
        settings: settings of the optimisation.
        checkpoint: file to resume from and to save to.
        stopping: callback and early stopping; None for neither.
        name: name of the job, for progress and errors.
        label: the units in a few words.

    Raises:
        RosettaError: the loss is not finite.
    """
    restarts, space = settings.restarts, settings.space
    single = _activity_loss(generator, units, settings, count=1)
    baseline = random_similarities(
        generator,
        single.objective,
        space=space,
        class_label=settings.class_label,
        seed=settings.seed,
    )
    mean, std = float(baseline.mean()), float(baseline.std())
    loss = replace(
        _activity_loss(generator, units, settings, count=restarts),
        weights={"similarity": 1 / std, "regulariser": settings.regulariser_weight},
        similarity_cap=mean + target_std * std,
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
    after, maps_after = generator.render(optimised.latents, space=space, classes=classes)
    # computed from the maps, because the term of the loss is capped
    activity = np.stack(
        [loss.objective(maps).cpu().numpy() for maps in (maps_before, maps_after)]
    )  # (2, s)
    activity = (activity - mean) / std
    distance = (optimised.latents - start.cpu()).square().flatten(1).mean(1).numpy()
    increase = activity[1] - activity[0]
    order = np.lexsort([-increase, -activity[1].round(3)]).tolist()
    ((layer, channels),) = generator.channels_by_layer(units[:1]).items()
    maps_of_unit = [
        generator.standardise(maps, layer, channels)[:, 0].float()
        for maps in (maps_before, maps_after)
    ]
    return JobResult(
        about=f"random images, optimised to raise {label} by {target_std:g} std",
        before=before[order],
        after=after[order],
        latents=optimised.latents.numpy(),
        best=order,
        metrics=[
            MetricValue(
                metric, float(values[row]), item=str(row), restart=row, best=row == order[0]
            )
            for metric, values in (
                (ACTIVITY_BEFORE, activity[0]),
                (ACTIVITY_AFTER, activity[1]),
                ("mean squared distance to the starting latent", distance),
            )
            for row in order
        ],
        summary=[
            ("mean activity after (std of random images)", f"{activity[1].mean():.1f}"),
            ("mean activity before", f"{activity[0].mean():.1f}"),
        ],
        panels={
            f"start {row}": [
                MapPanel(images[row], maps[row].numpy())
                for images, maps in zip((before, after), maps_of_unit, strict=True)
            ]
            for row in order
        },
        columns=[f"{layer}/{channels[0]}, before", "after"],
        optimisation=optimised,
    )


def _activity_loss(
    generator: SteeredGenerator,
    units: NDArray[np.int64],
    settings: OptimisationSettings,
    *,
    count: int,
) -> Loss:
    """Return a loss whose similarity is the mean standardised map of units, for `count` latents."""
    ones = [
        MapTarget(
            layer,
            channels,
            torch.ones(count, len(channels), *generator.grids[layer]),
            torch.ones(count, len(channels)),
        )
        for layer, channels in generator.channels_by_layer(units).items()
    ]
    return activation_loss(generator, ones, settings, similarity="dataset")
