"""Editing an image through the maps of the Rosetta neurons (paper, section 4.2).

edit       move, zoom, paste, remove, add, or change maps by a function of one's own
Source     the image to edit
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.config import steering as config
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.jobs.edit_targets import Change, edited_matches
from rosetta_core.steering.jobs.edits import Function
from rosetta_core.steering.metrics.edits import changed, moved
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.recovery import recovery
from rosetta_core.steering.optimise.activity import ActivityPenalty
from rosetta_core.steering.optimise.descent import Checkpoint, descend_for
from rosetta_core.steering.optimise.latents import class_labels, starting_latents
from rosetta_core.steering.optimise.loss import loss_of
from rosetta_core.steering.optimise.objective import MapTarget
from rosetta_core.steering.optimise.result import Measure, Outcome, Panel, best_starts

__all__ = ["Source", "edit"]

SHOWN = 6  # units whose maps are shown


@dataclass(frozen=True)
class Source:
    """The image to edit.

    Attributes:
        latent: (1, …) in the space of the job.
        what: it is, in words.
    """

    latent: Tensor
    what: str


def edit(
    pivot: Pivot,
    job: config.Edit,
    source: Source,
    *,
    change: Change | None = None,
    function: Function | None = None,
    judge: PerceptualDistance,
    checkpoint: Checkpoint | None = None,
) -> Outcome:
    """Find the latent whose maps are the source's, edited.

    It begins at the source's latent, except for copy_paste and further starts, which begin at
    random ones.

    Args:
        pivot: the generator.
        job: the settings.
        source: the image.
        change: for remove and add.
        function: for custom.
        judge: the distance by which the image changed.
        checkpoint: to go on from, and to save to.
    """
    classes = class_labels(pivot, job.class_label, count=job.restarts)
    one = None if classes is None else classes[:1]
    before, maps = pivot.look(source.latent, space=job.space, classes=one)
    matches = edited_matches(pivot, job, maps, change=change, function=function)
    similarity = job.similarity or ("distance" if change else "image")
    alone = loss_of(job, pivot, matches, similarity=similarity)
    loss = loss_of(
        job, pivot, [match.of_items([0] * job.restarts) for match in matches], similarity=similarity
    )
    if change:
        # weights have a size of their own, which the mean over pairs has taken out
        strength = float(sum(match.weights.sum() for match in matches))
        loss = replace(loss, weights={**loss.weights, "similarity": strength})
        if len(others := pivot.others(change.units)):
            held = ActivityPenalty(pivot, maps, units=others)
            loss = replace(loss, held=held, weights={**loss.weights, "held": job.activity_penalty})
    start = starting_latents(
        pivot, range(job.restarts), seed=job.seed, space=job.space, classes=classes
    )
    if job.kind != "copy_paste":
        start[0] = source.latent[0]
    found = descend_for(job, pivot, loss, start, classes=classes, checkpoint=checkpoint)
    after, maps_after = pivot.look(found.latents, space=job.space, classes=classes)
    (best,) = best_starts(found.total, starts=job.restarts)
    result = {layer: its[best : best + 1] for layer, its in maps_after.items()}
    measured = {
        **moved(job, before[0], after[best]),
        **(changed(pivot, change, maps, result) if change else {}),
        "similarity to the edited maps before": float(alone.objective(maps)),
        "similarity to the edited maps after": float(found.terms["similarity"][-1, best]),
        **{
            f"{name} of before and after": float(values[0])
            for name, values in recovery(after[[best]], before, judge, device=pivot.device).items()
        },
    }
    return Outcome(
        about=f"{_words(job, change)}, of {source.what}",
        before=before,
        after=after[[best]],
        latents=found.latents.numpy(),
        best=[best],
        measures=[Measure(name, value, start=best) for name, value in measured.items()],
        summary=[(name, f"{value:.3g}") for name, value in measured.items()][:6],
        panels=_panels(pivot, matches, (before[0], maps), (after[best], result), change=change),
        columns=["before", "the edited map", "after"],
        descended=found,
    )


def _words(job: config.Edit, change: Change | None) -> str:
    """What was done, in words."""
    if change:
        inside = " inside a mask" if change.mask is not None else ""
        return f"{'added' if job.kind == 'add' else 'removed'} {change.what}{inside}"
    if job.kind == "zoom":
        return "zoomed in twice"
    if job.kind == "custom":
        return f"changed by {job.function}"
    if job.kind == "copy_paste":
        return f"halves pasted {job.dx:.0%} of the side apart"
    ways = (("right", "left", job.dx), ("down", "up", job.dy))
    moves = [
        f"{more if share > 0 else less} by {abs(share):.0%} of the side"
        for more, less, share in ways
        if share
    ]
    return f"shifted {' and '.join(moves) or 'by nothing'}"


def _panels(
    pivot: Pivot,
    matches: list[MapTarget],
    before: tuple[NDArray[np.uint8], Mapping[str, Tensor]],
    after: tuple[NDArray[np.uint8], Mapping[str, Tensor]],
    *,
    change: Change | None,
) -> dict[str, list[Panel]]:
    """Maps of a few units: before, as they were to be, and after; the chosen ones first."""
    chosen = pivot.by_layer(change.units) if change else {}
    rows: list[tuple[bool, str, int, int]] = []
    for number, match in enumerate(matches):
        its = chosen.get(match.layer, np.zeros(0, np.int64))
        spread = match.targets[0].std(dim=(1, 2)).numpy()
        held = ~np.isin(match.channels, its)
        order = np.lexsort([-spread, held])[: SHOWN // len(matches) + 1]
        rows += [(bool(held[i]), match.layer, number, int(i)) for i in order]
    panels: dict[str, list[Panel]] = {}
    for _, layer, number, place in sorted(rows, key=lambda row: row[0])[:SHOWN]:
        channel = matches[number].channels[place : place + 1]
        own = [pivot.standardised(m, layer, channel)[0, 0] for m in (before[1], after[1])]
        wanted = matches[number].targets[0, place]
        panels[f"{layer}/{channel[0]}"] = [
            Panel(before[0], own[0].float().numpy()),
            Panel(before[0], wanted.float().numpy()),
            Panel(after[0], own[1].float().numpy()),
        ]
    return panels
