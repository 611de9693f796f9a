"""Loss of latent optimisation: -L_act + α L_reg (paper, Eq. 5), + L_rec (Eq. 7).

All terms are means over positions, channels or latent entries, so that weights do not depend on
the size of an image or a latent.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never

import torch
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import GeneratedImages, SteeredGenerator
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.optimise.activity import ActivityPenalty
from rosetta_core.steering.optimise.objective import Objective
from rosetta_core.steering.optimise.prepared_targets import MapTarget, Similarity
from rosetta_core.steering.optimise.settings import (
    GuidedSettings,
    OptimisationSettings,
    PixelLoss,
    Regulariser,
)

__all__ = ["Loss", "Term", "activation_loss", "check_distance", "guided_loss"]

Term = Literal["similarity", "activity", "regulariser", "pixels", "perceptual"]


@dataclass(frozen=True)
class Loss:
    """Loss of each latent of a batch.

    Attributes:
        weights: weights of the terms; terms of weight 0 are not computed.
        objective: L_act, the similarity of maps.
        similarity_cap: similarity above which L_act is constant.
        activity_penalty: penalty on the activity of units that are kept, if any.
        regulariser: L_reg.
        target: images to reproduce (n, 3, h, w) in -1..1, if any.
        pixels: pixel loss.
        distance: perceptual distance, if any.
        target_features: features of the target, as returned by `distance.features`.
    """

    weights: Mapping[Term, float]
    objective: Objective
    similarity_cap: float = math.inf
    activity_penalty: ActivityPenalty | None = None
    regulariser: Regulariser = "l2"
    target: Tensor | None = None
    pixels: PixelLoss = "l1"
    distance: PerceptualDistance | None = None
    target_features: Sequence[Tensor] = ()

    @property
    def layers(self) -> list[str]:
        """The generator's layers whose maps are needed."""
        penalty = self.activity_penalty if self.weights.get("activity") else None
        layers = [
            *(self.objective.layers if self.weights.get("similarity") else []),
            *(penalty.layers if penalty else []),
        ]
        return list(dict.fromkeys(layers))

    def terms(
        self, latents: Tensor, generated: GeneratedImages, *, start: Tensor
    ) -> dict[Term, Tensor]:
        """Return the unweighted terms (n,).

        Args:
            latents: latents (n, …).
            generated: their images and maps.
            start: starting latents (n, …).
        """
        terms: dict[Term, Tensor] = {}
        if self.weights.get("similarity"):
            terms["similarity"] = self.objective(generated.maps).clamp(max=self.similarity_cap)
        if self.activity_penalty and self.weights.get("activity"):
            terms["activity"] = self.activity_penalty(generated.maps)
        if self.weights.get("regulariser"):
            terms["regulariser"] = _regulariser(latents, start, self.regulariser)
        if self.target is not None and self.weights.get("pixels"):
            difference = generated.images - self.target
            terms["pixels"] = _pixel_loss(difference, self.pixels)
        if self.distance is not None and self.weights.get("perceptual"):
            terms["perceptual"] = self.distance(generated.images, self.target_features)
        return terms

    def total(self, terms: Mapping[Term, Tensor]) -> Tensor:
        """Return the weighted sum of terms (n,), which is minimised; the similarity is negated."""
        weighted = [
            (-1 if name == "similarity" else 1) * self.weights[name] * value
            for name, value in terms.items()
        ]
        return torch.stack(weighted).sum(dim=0)


def activation_loss(
    generator: SteeredGenerator,
    targets: Sequence[MapTarget],
    settings: OptimisationSettings,
    *,
    similarity: Similarity,
) -> Loss:
    """Return -L_act + α L_reg (paper, Eq. 5).

    Args:
        generator: the generator.
        targets: targets of its units, one item per latent of the batch.
        settings: regulariser and its weight.
        similarity: similarity of maps.
    """
    objective = Objective(
        targets,
        grids=generator.grids,
        moments=generator.moments,
        similarity=similarity,
        device=generator.device,
    )
    weights: dict[Term, float] = {"similarity": 1.0, "regulariser": settings.regulariser_weight}
    return Loss(weights, objective, regulariser=settings.regulariser)


def guided_loss(
    generator: SteeredGenerator,
    targets: Sequence[MapTarget],
    settings: GuidedSettings,
    *,
    images: Tensor,
    distance: PerceptualDistance | None,
) -> Loss:
    """Return -L_act + α L_reg + L_rec (paper, Eq. 7).

    Args:
        generator: the generator.
        targets: targets of its units, one item per latent of the batch.
        settings: weights of all terms.
        images: images to reproduce (n, 3, h, w) in -1..1.
        distance: perceptual distance; None if its weight is 0.

    Raises:
        RosettaError: the perceptual distance has a weight, but is missing.
    """
    check_distance(distance, weight=settings.perceptual_weight)
    weights: dict[Term, float] = {
        "similarity": settings.activation_weight,
        "regulariser": settings.regulariser_weight,
        "pixels": settings.pixel_weight,
        "perceptual": settings.perceptual_weight,
    }
    return replace(
        activation_loss(generator, targets, settings, similarity=settings.similarity),
        weights=weights,
        target=images,
        pixels=settings.pixels,
        distance=distance,
        target_features=() if distance is None else distance.features(images),
    )


def check_distance(distance: PerceptualDistance | None, *, weight: float) -> None:
    """Check that there is a perceptual distance if it has a weight; RosettaError otherwise."""
    if distance is None and weight:
        raise RosettaError(
            f"perceptual_weight: is {weight:g} without a perceptual distance; give one or set the "
            "weight to 0"
        )


def _regulariser(latents: Tensor, start: Tensor, kind: Regulariser) -> Tensor:
    """Return L_reg (n,) of latents (n, …)."""
    match kind:
        case "l1":
            size = latents.abs()
        case "l2":
            size = latents.square()
        case "start":
            size = (latents - start).square()
        case _:
            assert_never(kind)
    return size.flatten(1).mean(dim=1)


def _pixel_loss(difference: Tensor, kind: PixelLoss) -> Tensor:
    """Return the pixel loss (n,) of differences (n, 3, h, w)."""
    match kind:
        case "l1":
            size = difference.abs()
        case "l2":
            size = difference.square()
        case _:
            assert_never(kind)
    return size.mean((1, 2, 3))
