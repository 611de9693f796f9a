"""Showing what a unit means: what random images become when it is made active.

show     a unit, or the Rosetta neurons of a concept together, from several starts at once
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core.config import steering as config
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.metrics.random_baseline import similarity_of_random_images
from rosetta_core.steering.optimise.descent import Checkpoint, descend_for
from rosetta_core.steering.optimise.latents import class_labels, starting_latents
from rosetta_core.steering.optimise.loss import Loss, loss_of
from rosetta_core.steering.optimise.objective import MapTarget
from rosetta_core.steering.optimise.result import Measure, Outcome, Panel

__all__ = ["show"]


def show(
    pivot: Pivot,
    job: config.ActivationMaximisation,
    units: NDArray[np.int64],
    *,
    what: str,
    checkpoint: Checkpoint | None = None,
) -> Outcome:
    """Make units as active as the job says, all over the image, from several random images.

    Their activity is the mean of their standardised maps: Eq. 6 with maps of ones. It is given in
    standard deviations from the mean of random images.

    Args:
        pivot: the generator.
        job: the settings.
        units: numbers of units of the generator.
        what: they are, in words.
        checkpoint: to go on from, and to save to.
    """
    alone = _activity(pivot, job, units, count=1).objective
    random = similarity_of_random_images(pivot, job, alone)
    mean, std = float(random.mean()), float(random.std())
    loss = replace(
        _activity(pivot, job, units, count=job.restarts),
        weights={"similarity": 1 / std, "regulariser": job.regulariser_weight},
        enough=mean + job.target_std * std,
    )
    classes = class_labels(pivot, job.class_label, count=job.restarts)
    start = starting_latents(
        pivot, range(job.restarts), seed=job.seed, space=job.space, classes=classes
    )
    found = descend_for(job, pivot, loss, start, classes=classes, checkpoint=checkpoint)
    before, maps_before = pivot.look(start, space=job.space, classes=classes)
    after, maps_after = pivot.look(found.latents, space=job.space, classes=classes)
    # not the loss's term, which has an end
    reached = [loss.objective(maps).cpu().numpy() for maps in (maps_before, maps_after)]
    activity = (np.stack(reached) - mean) / std  # (2, s)
    moved = (found.latents - start.cpu()).square().flatten(1).mean(1).numpy()
    rise = activity[1] - activity[0]
    order = np.lexsort([-rise, -activity[1].round(3)]).tolist()  # of equals those that rose most
    ((layer, channels),) = pivot.by_layer(units[:1]).items()
    own = [pivot.standardised(m, layer, channels)[:, 0].float() for m in (maps_before, maps_after)]
    return Outcome(
        about=f"random images, made {job.target_std:g} std more active in {what}",
        before=before[order],
        after=after[order],
        latents=found.latents.numpy(),
        best=order,
        measures=[
            Measure(name, float(values[row]), item=str(row), start=row, best=row == order[0])
            for name, values in (
                ("activity before (std of random images)", activity[0]),
                ("activity after (std of random images)", activity[1]),
                ("squared distance to the start", moved),
            )
            for row in order
        ],
        summary=[
            ("activity, in std of random images", f"{activity[1].mean():.1f}"),
            ("before", f"{activity[0].mean():.1f}"),
        ],
        panels={
            f"start {row}": [
                Panel(image[row], maps[row].numpy())
                for image, maps in zip((before, after), own, strict=True)
            ]
            for row in order
        },
        columns=[f"{layer}/{channels[0]}, before", "after"],
        descended=found,
    )


def _activity(
    pivot: Pivot, job: config.ActivationMaximisation, units: NDArray[np.int64], *, count: int
) -> Loss:
    """The mean of units' standardised maps as a loss, for a batch of `count` latents."""
    ones = [
        MapTarget(
            layer,
            channels,
            torch.ones(count, len(channels), *pivot.grids[layer]),
            torch.ones(count, len(channels)),
        )
        for layer, channels in pivot.by_layer(units).items()
    ]
    return loss_of(job, pivot, ones, similarity="dataset")
