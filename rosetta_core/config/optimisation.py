"""Settings that optimisations of latents share: steps, starts, regulariser and losses.

Weights, steps and regularisers follow Eq. 5 to 7 of the paper.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from rosetta_core.validation import Name, Section, Seed

__all__ = [
    "NAME",
    "PAIRS",
    "PERCEPTUAL_WEIGHT",
    "REGULARISER",
    "REGULARISER_WEIGHT",
    "RESTARTS",
    "STEPS",
    "Concept",
    "GuidedOptimisation",
    "LatentOptimisation",
    "Regulariser",
    "Similarity",
    "Weight",
    "any_weight",
]


def _is_concept(value: object) -> object:
    """Check the number or the id of a concept."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"input should be greater than or equal to 0, not {value}")
        return value
    if isinstance(value, str) and "/" in value:
        return value
    raise ValueError(f"{value!r} is not a concept; give its number, or its id, layer/channel")


Concept = Annotated[
    int | str,
    BeforeValidator(_is_concept),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "/"}]}
    ),
]
Weight = Annotated[float, Field(ge=0)]
Regulariser = Literal["l1", "l2", "start"]
Similarity = Literal["image", "dataset", "distance"]

NAME = "job name; results are written to a folder of this name"
STEPS = "number of Adam steps"
RESTARTS = "number of independent starting latents; the lowest final loss wins"
REGULARISER = (
    "latent regulariser: mean absolute value (l1), mean square (l2), or mean squared distance to "
    "the starting latent (start)"
)
REGULARISER_WEIGHT = "weight of the latent regulariser, alpha in the paper"
PERCEPTUAL_WEIGHT = "weight of the perceptual distance"
PAIRS = (
    "units that guide it: pairs of Rosetta neurons (rosetta), or all best buddies (best_buddies)"
)


def any_weight(section: Section, keys: tuple[str, ...]) -> None:
    """Check that at least one of the weights is above 0.

    Args:
        section: the section with these weights.
        keys: names of its weights.

    Raises:
        ValueError: all weights are 0.
    """
    if not any(getattr(section, key) for key in keys):
        raise ValueError(f"all weights are 0; raise one of {', '.join(keys)}")


class LatentOptimisation(Section):
    """Settings of Adam on a batch of latents, of which the one with the lowest loss is kept."""

    name: Name = Field(description=NAME)
    steps: int = Field(500, description=STEPS, ge=1, le=100_000)
    learning_rate: float | None = Field(
        None,
        description="peak learning rate, reached after 5% of the steps and decayed over the last "
        "25%; null: the default of the generator's family",
        gt=0,
    )
    restarts: int = Field(4, description=RESTARTS, ge=1, le=256)
    seed: Seed = Field(0, description="random seed of the starting latents")
    space: str = Field("z", description="latent space: z; also w and w+ if the family has them")
    class_label: int | None = Field(
        None,
        description="class of the images, for class-conditional generators; null: the class of "
        "sampling.classes, if it lists exactly one",
        ge=0,
    )
    regulariser: Regulariser = Field("l2", description=REGULARISER)
    regulariser_weight: Weight = Field(0.02, description=REGULARISER_WEIGHT)

    def rows(self, encoders: int) -> int:
        """Return the number of latents that are optimised at once."""
        return self.restarts


class GuidedOptimisation(LatentOptimisation):
    """Settings of an optimisation that reproduces a target image (paper, Eq. 7)."""

    similarity: Similarity = Field(
        "image",
        description="similarity of activation maps: correlation within the image (image), Eq. 6 of "
        "the paper, which is unbounded (dataset), or negative squared distance (distance)",
    )
    activation_weight: Weight = Field(1.0, description="weight of the similarity of maps")
    pixels: Literal["l1", "l2"] = Field(
        "l1", description="pixel loss: mean absolute (l1) or mean squared (l2) difference"
    )
    pixel_weight: Weight = Field(0.0, description="weight of the pixel loss")
    perceptual_weight: Weight = Field(0.0, description=PERCEPTUAL_WEIGHT)

    @model_validator(mode="after")
    def _something_to_minimise(self) -> "GuidedOptimisation":
        any_weight(
            self, ("activation_weight", "pixel_weight", "perceptual_weight", "regulariser_weight")
        )
        return self
