"""Inversion: the latent whose activation maps match those that encoders have of an image.

invert     one image, from several starts at once (paper, section 4.1)
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.config import steering as config
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.map_targets import EncoderView, matches_of
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.random_baseline import similarity_of_random_images
from rosetta_core.steering.metrics.recovery import recovery
from rosetta_core.steering.optimise.descent import Checkpoint, descend_for
from rosetta_core.steering.optimise.latents import class_labels, starting_latents
from rosetta_core.steering.optimise.loss import guided_loss, loss_of
from rosetta_core.steering.optimise.result import Measure, Outcome, Panel, best_starts
from rosetta_core.zoo.encoders.preprocessing import to_pixels

__all__ = ["invert"]

SHOWN = 6  # units whose maps are shown


def invert(
    pivot: Pivot,
    job: config.Inversion,
    image: NDArray[np.uint8],
    *,
    seen: Sequence[EncoderView],
    perceptual: PerceptualDistance,
    judge: PerceptualDistance,
    checkpoint: Checkpoint | None = None,
) -> Outcome:
    """Find the latent whose maps match those that encoders have of an image.

    Args:
        pivot: the generator.
        job: the settings.
        image: (h, w, 3), of the size that the generator draws.
        seen: the encoders, by whose matches.
        perceptual: how alike images look, as a term of the loss.
        judge: the distance that results are measured by.
        checkpoint: to go on from, and to save to.
    """
    target = np.repeat(image[None], job.restarts, axis=0)  # (s, h, w, 3)
    matches = [match for one in seen for match in matches_of(one, image[None], pivot=pivot)]
    loss = guided_loss(
        job,
        pivot,
        [match.of_items([0] * job.restarts) for match in matches],
        target=to_pixels(target, device=pivot.device),
        perceptual=perceptual,
    )
    classes = class_labels(pivot, job.class_label, count=job.restarts)
    start = starting_latents(
        pivot, range(job.restarts), seed=job.seed, space=job.space, classes=classes
    )
    found = descend_for(job, pivot, loss, start, classes=classes, checkpoint=checkpoint)
    before, maps_before = pivot.look(start, space=job.space, classes=classes)
    after, maps = pivot.look(found.latents, space=job.space, classes=classes)
    (best,) = best_starts(found.total, starts=job.restarts)
    alone = loss_of(job, pivot, matches, similarity=job.similarity).objective
    random = similarity_of_random_images(pivot, job, alone).mean()
    similar = {
        "similarity before": loss.objective(maps_before).cpu().numpy(),
        "similarity after": loss.objective(maps).cpu().numpy(),
        "similarity of random images": np.full(job.restarts, random),
    }
    measured = {**similar, **recovery(after, target, judge, device=pivot.device)}
    summary = [
        ("similarity of maps", f"{similar['similarity after'][best]:.3f}"),
        ("of random images", f"{random:.3f}"),
        *(
            (name, f"{values[best]:.3g}")
            for name, values in measured.items()
            if name not in similar
        ),
    ]
    guides = ", ".join(one.name for one in seen)
    return Outcome(
        about=f"{job.image.title}, matched through {guides}",
        before=before[[best]],
        after=after[[best]],
        target=image[None],
        latents=found.latents.numpy(),
        best=[best],
        measures=[
            Measure(name, float(value), start=start, best=start == best)
            for name, values in measured.items()
            for start, value in enumerate(values)
        ],
        summary=summary,
        panels=_panels(pivot, seen, image=image, result=after[best], maps=maps, best=best),
        columns=["what the encoder sees", "what the result has"],
        descended=found,
    )


def _panels(
    pivot: Pivot,
    seen: Sequence[EncoderView],
    *,
    image: NDArray[np.uint8],
    result: NDArray[np.uint8],
    maps: Mapping[str, Tensor],
    best: int,
) -> dict[str, list[Panel]]:
    """The maps of the pairs that match best, of each encoder in turn."""
    panels: dict[str, list[Panel]] = {}
    chosen: set[int] = set()
    for turn in range(SHOWN):
        one = seen[turn % len(seen)]
        fresh = [row for row in one.pairs.tolist() if row[0] not in chosen]
        if not fresh:
            continue
        pair = np.array(fresh[:1])
        chosen.add(fresh[0][0])
        (match,) = matches_of(one, image[None], pivot=pivot, pairs=pair)
        ((layer, channels),) = pivot.by_layer(pair[:, 0]).items()
        own = pivot.standardised(maps, layer, channels)[best, 0]
        its = one.units.set_index("unit").loc[pair[0, 1]]
        label = f"{layer}/{channels[0]} and {one.name}/{its['layer']}/{its['channel']}"
        panels[label] = [
            Panel(image, match.targets[0, 0].float().numpy()),
            Panel(result, own.float().numpy()),
        ]
    return panels
