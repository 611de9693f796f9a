"""Editing: the latent whose maps are the edited maps of an image (paper, section 4.2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs.map_edit import MapEdit
from rosetta_core.steering.jobs.transform_edits import TRANSFORM_EDITS
from rosetta_core.steering.jobs.unit_edits import UNIT_EDITS
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.reconstruction import reconstruction_metrics
from rosetta_core.steering.optimise.gradient_descent import Checkpoint, optimise
from rosetta_core.steering.optimise.latents import class_labels, initial_latents
from rosetta_core.steering.optimise.loss import activation_loss
from rosetta_core.steering.optimise.prepared_targets import MapTarget, Similarity
from rosetta_core.steering.optimise.result import (
    JobResult,
    MapPanel,
    MetricValue,
    best_restarts,
)
from rosetta_core.steering.optimise.settings import OptimisationSettings
from rosetta_core.steering.optimise.stopping import Stopping

__all__ = ["EDITS", "EDIT_SETTINGS", "EditSource", "edit"]

EDIT_SETTINGS = OptimisationSettings(
    steps=200, restarts=1, regulariser="start", regulariser_weight=0.01
)
EDITS: dict[str, Callable[..., MapEdit]] = {**TRANSFORM_EDITS, **UNIT_EDITS}  # kinds by name
MOST_PANELS = 6  # units whose maps are drawn
MOST_SUMMARY = 6  # metrics in the summary


@dataclass(frozen=True)
class EditSource:
    """The image to edit.

    Attributes:
        latent: its latent (1, …), in the latent space of the job.
        label: the image in a few words.
    """

    latent: Tensor
    label: str


def edit(
    generator: SteeredGenerator,
    source: EditSource,
    change: MapEdit,
    *,
    evaluation_distance: PerceptualDistance | None = None,
    settings: OptimisationSettings = EDIT_SETTINGS,
    similarity: Similarity | None = None,
    checkpoint: Checkpoint | None = None,
    stopping: Stopping | None = None,
    name: str = "edit",
) -> JobResult:
    """Find the latent whose maps are the edited maps of an image.

    The first restart begins at the image's own latent, unless the edit begins at random latents;
    further restarts begin at random latents.

    Args:
        generator: the generator.
        source: the image to edit.
        change: the edit.
        evaluation_distance: perceptual distance between the image before and after, if any.
        settings: settings of the optimisation.
        similarity: similarity to the edited maps; None for the default of the edit.
        checkpoint: file to resume from and to save to.
        stopping: callback and early stopping; None for neither.
        name: name of the job, for progress and errors.

    Raises:
        RosettaError: the edit has no effect, or the loss is not finite.
    """
    restarts, space = settings.restarts, settings.space
    classes = class_labels(generator, settings.class_label, count=restarts)
    first_class = None if classes is None else classes[:1]
    before, maps = generator.render(source.latent, space=space, classes=first_class)
    targets = change.targets(generator, maps)
    similarity = similarity or change.similarity
    single = activation_loss(generator, targets, settings, similarity=similarity)
    repeated = [target.select([0] * restarts) for target in targets]
    loss = activation_loss(generator, repeated, settings, similarity=similarity)
    loss = change.adjust_loss(loss, generator, maps, targets)
    start = initial_latents(
        generator, range(restarts), seed=settings.seed, space=space, classes=classes
    )
    if change.from_source:
        start[0] = source.latent[0]
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
    after, maps_after = generator.render(optimised.latents, space=space, classes=classes)
    (best,) = best_restarts(optimised.total, restarts=restarts)
    best_maps = {layer: layer_maps[best : best + 1] for layer, layer_maps in maps_after.items()}
    between = reconstruction_metrics(
        after[[best]], before, evaluation_distance, device=generator.device
    )
    metrics = {
        **change.image_metrics(before[0], after[best]),
        **change.map_metrics(generator, maps, best_maps),
        "similarity to the edited maps before": float(single.objective(maps)),
        "similarity to the edited maps after": float(optimised.terms["similarity"][-1, best]),
        **{f"{metric} between before and after": float(v[0]) for metric, v in between.items()},
    }
    return JobResult(
        about=f"{change.caption}, of {source.label}",
        before=before,
        after=after[[best]],
        latents=optimised.latents.numpy(),
        best=[best],
        metrics=[MetricValue(metric, value, restart=best) for metric, value in metrics.items()],
        summary=[(metric, f"{value:.3g}") for metric, value in metrics.items()][:MOST_SUMMARY],
        panels=_map_panels(
            generator, targets, (before[0], maps), (after[best], best_maps), units=change.units
        ),
        columns=["before", "edited map", "after"],
        optimisation=optimised,
    )


def _map_panels(
    generator: SteeredGenerator,
    targets: Sequence[MapTarget],
    before: tuple[NDArray[np.uint8], Mapping[str, Tensor]],
    after: tuple[NDArray[np.uint8], Mapping[str, Tensor]],
    *,
    units: NDArray[np.int64],
) -> dict[str, list[MapPanel]]:
    """Return maps of a few units before, as edited, and after.

    Selected units come first, then units with the largest variation in space.
    """
    selected = generator.channels_by_layer(units) if len(units) else {}
    rows: list[tuple[bool, str, int, int]] = []  # not selected, layer, target, pair
    for number, target in enumerate(targets):
        channels = selected.get(target.layer, np.zeros(0, np.int64))
        spread = target.targets[0].std(dim=(1, 2)).numpy()
        kept = ~np.isin(target.channels, channels)
        order = np.lexsort([-spread, kept])[: MOST_PANELS // len(targets) + 1]
        rows += [(bool(kept[i]), target.layer, number, int(i)) for i in order]
    panels: dict[str, list[MapPanel]] = {}
    for _, layer, number, pair in sorted(rows, key=lambda row: row[0])[:MOST_PANELS]:
        channel = targets[number].channels[pair : pair + 1]
        own = [generator.standardise(m, layer, channel)[0, 0] for m in (before[1], after[1])]
        edited = targets[number].targets[0, pair]
        panels[f"{layer}/{channel[0]}"] = [
            MapPanel(before[0], own[0].float().numpy()),
            MapPanel(before[0], edited.float().numpy()),
            MapPanel(after[0], own[1].float().numpy()),
        ]
    return panels
