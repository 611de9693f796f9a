"""Configuration of the significance of matches: null models, split halves and intervals."""

from typing import Literal, NamedTuple

from pydantic import Field

from rosetta_core.validation import Section

__all__ = ["MAX_SPLITS", "NULL_MODELS", "NullModelName", "NullModelNeeds", "Significance"]

MAX_SPLITS = 35  # splits of eight groups of images into halves

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
        description="number of splits into two halves, each mined separately to estimate recovery "
        "rates; null: 1 if there are enough images",
        ge=0,
        le=MAX_SPLITS,
    )
    intervals: bool | None = Field(
        None,
        description="whether to compute confidence intervals of correlations and peak overlap of "
        "pairs; null: true if maps are stored",
    )
