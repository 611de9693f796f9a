"""What the matches of a run are held against.

Evidence       nulls, halves, intervals
Sweep          how many images, neighbours and encoders are tried
Null           a way to destroy what an encoder and the pivot share, and keep all else
MOST_SPLITS    of the images into halves
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from rosetta_core.validation import Section

__all__ = ["MOST_SPLITS", "Evidence", "Null", "Sweep"]

MOST_SPLITS = 35  # of eight groups of images into halves

Null = Literal["permute_images", "roll_positions", "untrained"]


class Sweep(Section):
    """What `snakemake sweep_curves` tries; no other target reads it."""

    images: list[Annotated[int, Field(ge=4)]] | None = Field(
        None,
        description="how many, ascending, up to those of the run; null takes 64, 128, and so on, "
        "and all",
        min_length=1,
    )
    k: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        [1, 2, 3, 5, 7, 10, 15, 20], description="mutual nearest neighbours", min_length=1
    )

    @field_validator("images", "k")
    @classmethod
    def _ascending(cls, numbers: list[int] | None) -> list[int] | None:
        if numbers is not None and numbers != sorted(set(numbers)):
            raise ValueError(f"{numbers} must ascend")
        return numbers


class Evidence(Section):
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
    sweep: Sweep = Field(
        default_factory=Sweep,
        description="how what is found depends on images, neighbours and encoders",
    )
