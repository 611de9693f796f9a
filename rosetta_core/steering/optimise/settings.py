"""Settings of latent optimisation, shared by all jobs that optimise latents.

Defaults are those of an inversion; other jobs have defaults of their own.
"""

from dataclasses import dataclass
from typing import Literal

from rosetta_core.steering.optimise.prepared_targets import Similarity

__all__ = ["GuidedSettings", "OptimisationSettings", "PixelLoss", "Regulariser"]

Regulariser = Literal["l1", "l2", "start"]
PixelLoss = Literal["l1", "l2"]


@dataclass(frozen=True, kw_only=True)
class OptimisationSettings:
    """How latents are optimised: -L_act + α L_reg, by Adam (paper, Eq. 5).

    Attributes:
        steps: number of Adam steps.
        learning_rate: peak learning rate; None for the default of the generator's family.
        restarts: number of independent starting latents.
        seed: random seed of the starting latents.
        space: name of the latent space.
        class_label: class to generate; None for the generator's default class.
        regulariser: L_reg, a mean over the latent: `l1` of its absolute values, `l2` of its
            squares, `start` of its squared distance to the starting latent.
        regulariser_weight: α.
    """

    steps: int = 500
    learning_rate: float | None = None
    restarts: int = 4
    seed: int = 0
    space: str = "z"
    class_label: int | None = None
    regulariser: Regulariser = "l2"
    regulariser_weight: float = 0.02


@dataclass(frozen=True, kw_only=True)
class GuidedSettings(OptimisationSettings):
    """How latents that reproduce an image are optimised: L_rec is added (paper, Eq. 7).

    Attributes:
        similarity: similarity of activation maps in L_act.
        activation_weight: weight of L_act.
        pixels: pixel loss, the mean absolute (`l1`) or mean squared (`l2`) difference.
        pixel_weight: weight of the pixel loss.
        perceptual_weight: weight of the perceptual distance.
    """

    similarity: Similarity = "image"
    activation_weight: float = 1.0
    pixels: PixelLoss = "l1"
    pixel_weight: float = 0.0
    perceptual_weight: float = 0.0
