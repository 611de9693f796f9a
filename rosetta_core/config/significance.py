"""Configuration of the significance of matches: null models, split halves and intervals."""

from typing import Literal, NamedTuple

from pydantic import Field

from rosetta_core.validation import Section

__all__ = [
    "MAX_SPLITS",
    "MIN_SPLIT_IMAGES",
    "NULL_MODELS",
    "NullModelName",
    "NullModelNeeds",
    "Significance",
]

MAX_SPLITS = 35  # splits of eight groups of images into halves
MIN_SPLIT_IMAGES = 16  # fewest images that are split into halves or groups

NullModelName = Literal["permute_images", "roll_positions", "untrained"]


class NullModelNeeds(NamedTuple):
    """Requirements of a null model."""

    stored_maps: bool
    images: int


# the registry's, which is not imported: its code is no part of most stages; a test compares both
NULL_MODELS: dict[NullModelName, NullModelNeeds] = {
    "permute_images": NullModelNeeds(stored_maps=True, images=3),
    "roll_positions": NullModelNeeds(stored_maps=True, images=1),
    "untrained": NullModelNeeds(stored_maps=False, images=1),
}


class Significance(Section):
    """Significance of matches."""

    nulls: list[NullModelName] | None = Field(
        None,
        description="null models for significance (docs/explanation/significance.md): "
        "permute_images, roll_positions, untrained; null: permute_images if maps are stored; []: "
        "no tests",
    )
    splits: int | None = Field(
        None,
        description="number of splits of the images into two halves, each mined separately to "
        f"estimate recovery rates (0 to {MAX_SPLITS}); null: 1 if there are at least "
        f"{MIN_SPLIT_IMAGES} images",
        ge=0,
        le=MAX_SPLITS,
    )
    intervals: bool | None = Field(
        None,
        description="compute 95% confidence intervals and peak overlap of best-buddy pairs; null: "
        f"true if maps are stored and there are at least {MIN_SPLIT_IMAGES} images",
    )
