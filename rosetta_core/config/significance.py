"""What the matches of a run are held against.

Significance   nulls, halves, intervals
Null           a way to destroy what an encoder and the pivot share, and keep all else
MOST_SPLITS    of the images into halves
"""

from typing import Literal

from pydantic import Field

from rosetta_core.validation import Section

__all__ = ["MOST_SPLITS", "Null", "Significance"]

MOST_SPLITS = 35  # of eight groups of images into halves

Null = Literal["permute_images", "roll_positions", "untrained"]


class Significance(Section):
    """Which matches are more than chance."""

    nulls: list[Null] | None = Field(
        None,
        description="how chance is told (docs/evidence.md): permute_images (encoders see other images than "
        "the pivot), roll_positions (maps are moved round), untrained (encoders with random weights); "
        "null takes images where maps are stored, [] nothing",
    )
    splits: int | None = Field(
        None,
        description="so many ways the images are split into halves that are mined by themselves, "
        "to tell what is found again; null takes 1 where there are enough images",
        ge=0,
        le=MOST_SPLITS,
    )
    intervals: bool | None = Field(
        None,
        description="look at pairs image by image: intervals of their correlations, and whether "
        "maps peak at one place; null does where maps are stored",
    )
