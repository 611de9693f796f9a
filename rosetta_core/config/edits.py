"""Edits in a configuration: images changed through the maps of the Rosetta neurons.

Edits follow section 4.2 of the paper.
"""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from rosetta_core.config.images import exactly_one
from rosetta_core.config.optimisation import (
    REGULARISER,
    REGULARISER_WEIGHT,
    RESTARTS,
    STEPS,
    Concept,
    LatentOptimisation,
    Regulariser,
    Similarity,
    Weight,
)
from rosetta_core.validation import File, Name, Seed

__all__ = ["EDIT_PARAMETERS", "Edit", "EditKind"]

Share = Annotated[float, Field(ge=-1, le=1)]
EditKind = Literal["zoom", "shift", "copy_paste", "remove", "add", "custom"]


def _is_function(text: str) -> str:
    if not re.fullmatch(r".+\.py:[A-Za-z_]\w*", text):
        raise ValueError(f"{text!r} names no function; write FILE.py:NAME")
    return text


Function = Annotated[File, AfterValidator(_is_function)]


# fields that a kind of edit reads, beside those that all edits share
EDIT_PARAMETERS: dict[EditKind, tuple[str, ...]] = {
    "zoom": (),
    "shift": ("dx", "dy"),
    "copy_paste": ("dx",),
    "remove": ("concept", "units", "map_penalty", "activity_penalty", "mask"),
    "add": ("concept", "units", "amount", "map_penalty", "activity_penalty", "mask"),
    "custom": ("function",),
}


class Edit(LatentOptimisation):
    """Change an image through the activation maps of the Rosetta neurons (paper, section 4.2)."""

    job_kind: ClassVar[str] = "edit"
    folder: ClassVar[str] = "edits"

    steps: int = Field(200, description=STEPS, ge=1, le=100_000)
    restarts: int = Field(1, description=RESTARTS, ge=1, le=256)
    regulariser: Regulariser = Field("start", description=REGULARISER)
    regulariser_weight: Weight = Field(0.01, description=REGULARISER_WEIGHT)
    source_seed: Seed | None = Field(None, description="seed of the image to edit")
    source_job: Name | None = Field(
        None, description="inversion or tuning whose result is the image to edit"
    )
    kind: EditKind = Field(
        description="type of edit: zoom (maps enlarged twice about their centre), shift, "
        "copy_paste (left half shifted left, right half right, from a random latent), remove or "
        "add (units lowered to their minimum, or raised), custom (a Python function)"
    )
    similarity: Similarity | None = Field(
        None,
        description="similarity to the edited maps; null: image, or distance for remove and add",
    )
    dx: Share = Field(
        0.25, description="shift, copy_paste: shift to the right, as a share of the image side"
    )
    dy: Share = Field(0.0, description="shift: downward shift, as a share of the image side")
    concept: Concept | None = Field(
        None,
        description="remove, add: concept whose Rosetta neurons change: number, or id, "
        "layer/channel",
    )
    units: list[str] | None = Field(
        None, description="remove, add: units of the generator, layer/channel", min_length=1
    )
    amount: float = Field(2.0, description="add: increase in standard deviations", gt=0)
    map_penalty: Weight = Field(
        1.0, description="remove, add: weight that keeps the maps of all other Rosetta neurons"
    )
    activity_penalty: Weight = Field(
        4.0,
        description="remove, add: weight that keeps the mean activity of all other Rosetta neurons",
    )
    mask: File | None = Field(
        None, description="remove, add: image file, white where units may change", min_length=1
    )
    function: Function | None = Field(
        None, description="custom: function that edits maps, FILE.py:NAME", min_length=1
    )

    @model_validator(mode="after")
    def _complete(self) -> "Edit":
        exactly_one(self, ("source_seed", "source_job"), what="the image to edit")
        parameters = EDIT_PARAMETERS[self.kind]
        if "units" in parameters:
            exactly_one(self, ("concept", "units"), what=f"what to {self.kind}")
        elif self.concept is not None or self.units is not None or self.mask is not None:
            raise ValueError(f"{self.kind} takes no concept, units or mask; remove and add do")
        if "function" in parameters and self.function is None:
            raise ValueError(f"{self.kind} needs a function, FILE.py:NAME")
        if "function" not in parameters and self.function is not None:
            raise ValueError(f"{self.kind} takes no function; custom does")
        return self

    @property
    def parameters(self) -> dict[str, object]:
        """The settings that this kind of edit reads, by field name."""
        return {name: getattr(self, name) for name in EDIT_PARAMETERS[self.kind]}

    @property
    def function_file(self) -> str | None:
        """The file of the function."""
        return self.function and self.function.rpartition(":")[0]
