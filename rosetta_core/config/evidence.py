"""What the matches of a run are held against.

Evidence    which nulls are mined beside the run
Null        a way to destroy what an encoder and the pivot share, and keep all else
"""

from typing import Literal

from pydantic import Field

from rosetta_core.config.kinds import Section

__all__ = ["Evidence", "Null"]

Null = Literal["images", "positions", "untrained"]


class Evidence(Section):
    """Which matches are more than chance."""

    nulls: list[Null] | None = Field(
        None,
        description="how chance is told (docs/evidence.md): images (encoders see other images than "
        "the pivot), positions (maps are moved round), untrained (encoders with random weights); "
        "null takes images where maps are stored, [] nothing",
    )
