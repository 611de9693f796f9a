"""What is minimised: -L_act + α L_reg (paper, Eq. 5), and + L_rec (Eq. 7).

Loss           the terms for a batch of latents, and their sum
Term           the names of the terms
loss_of        -L_act + α L_reg, as a job's settings describe it
guided_loss    the same and L_rec
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from rosetta_core.config import steering as config
from rosetta_core.steering.generator import Drawing, Pivot
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.optimise.activity import ActivityPenalty
from rosetta_core.steering.optimise.objective import MapTarget, Objective, Similarity

__all__ = ["Loss", "Term", "guided_loss", "loss_of"]

Term = Literal["similarity", "held", "regulariser", "pixels", "perceptual"]


@dataclass(frozen=True)
class Loss:
    """The loss of each latent of a batch.

    Attributes:
        weights: of the terms; those with weight 0 are left out.
        objective: the similarity of maps, L_act.
        enough: a similarity that need not be exceeded.
        held: units that are to stay as active as they were, if any.
        regulariser: L_reg: `l1` or `l2` of the latent, or the squared distance to its `start`.
        target: images (n, 3, h, w) in -1..1 to be reproduced, if any.
        pixels: `l1` or `l2`.
        perceptual: how alike images look.
        looked_at: what it compares images by: its `look_at` of the target.
    """

    weights: Mapping[Term, float]
    objective: Objective
    enough: float = math.inf
    held: ActivityPenalty | None = None
    regulariser: Literal["l1", "l2", "start"] = "l2"
    target: Tensor | None = None
    pixels: Literal["l1", "l2"] = "l1"
    perceptual: PerceptualDistance | None = None
    looked_at: Sequence[Tensor] = ()

    @property
    def layers(self) -> list[str]:
        """The generator's layers whose maps are needed."""
        looked_at = [
            *(self.objective.layers if self.weights.get("similarity") else []),
            *(self.held.layers if self.held and self.weights.get("held") else []),
        ]
        return list(dict.fromkeys(looked_at))

    def terms(self, latents: Tensor, drawing: Drawing, *, start: Tensor) -> dict[Term, Tensor]:
        """The terms (n,) of each latent, without their weights; the similarity is larger if better.

        All are means, so that no weight depends on the size of a latent or an image.
        """
        found: dict[Term, Tensor] = {}
        if self.weights.get("similarity"):
            found["similarity"] = self.objective(drawing.maps).clamp(max=self.enough)
        if self.held and self.weights.get("held"):
            found["held"] = self.held(drawing.maps)
        if self.weights.get("regulariser"):
            from_start = latents - start if self.regulariser == "start" else latents
            size = from_start.abs() if self.regulariser == "l1" else from_start.square()
            found["regulariser"] = size.flatten(1).mean(dim=1)
        if self.target is not None and self.weights.get("pixels"):
            off = drawing.images - self.target
            found["pixels"] = (off.abs() if self.pixels == "l1" else off.square()).mean((1, 2, 3))
        if self.perceptual is not None and self.weights.get("perceptual"):
            found["perceptual"] = self.perceptual(drawing.images, self.looked_at)
        return found

    def total(self, terms: Mapping[Term, Tensor]) -> Tensor:
        """Their weighted sum (n,), to be minimised."""
        signed = [
            (-1 if name == "similarity" else 1) * self.weights[name] * value
            for name, value in terms.items()
        ]
        return torch.stack(signed).sum(dim=0)


def loss_of(
    job: config.LatentOptimisation,
    pivot: Pivot,
    matches: Sequence[MapTarget],
    *,
    similarity: Similarity,
) -> Loss:
    """-L_act + α L_reg (Eq. 5), as a job's settings describe it.

    Args:
        job: the settings.
        pivot: the generator.
        matches: targets of its units, for each row of the batch.
        similarity: of maps.
    """
    objective = Objective(
        matches,
        grids=pivot.grids,
        moments=pivot.moments,
        similarity=similarity,
        device=pivot.device,
    )
    weights: dict[Term, float] = {"similarity": 1.0, "regulariser": job.regulariser_weight}
    return Loss(weights, objective, regulariser=job.regulariser)


def guided_loss(
    job: config.GuidedOptimisation,
    pivot: Pivot,
    matches: Sequence[MapTarget],
    *,
    target: Tensor,
    perceptual: PerceptualDistance,
) -> Loss:
    """The same, and L_rec (Eq. 7).

    Args:
        job: the settings.
        pivot: the generator.
        matches: targets of its units, for each row of the batch.
        target: images (n, 3, h, w) in -1..1 to be reproduced.
        perceptual: how alike images look.
    """
    weights: dict[Term, float] = {
        "similarity": job.activation_weight,
        "regulariser": job.regulariser_weight,
        "pixels": job.pixel_weight,
        "perceptual": job.perceptual_weight,
    }
    return replace(
        loss_of(job, pivot, matches, similarity=job.similarity),
        weights=weights,
        target=target,
        pixels=job.pixels,
        perceptual=perceptual,
        looked_at=perceptual.look_at(target),
    )
