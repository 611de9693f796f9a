"""Images in a configuration: what is to be inverted, and how alike two of them look.

Target        an image to invert
Perceptual    a distance between images
one_of        that exactly one of a section's keys is given
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rosetta_core.validation import File, Name, Section, Seed

__all__ = ["Perceptual", "Target", "one_of"]

Box = Annotated[list[int], Field(min_length=3, max_length=3)]
SAMPLES = {  # their width and height
    "astronaut": (512, 512),
    "chelsea": (451, 300),
    "coffee": (600, 400),
    "rocket": (640, 427),
}


def one_of(section: Section, keys: tuple[str, ...], *, what: str) -> None:
    """ValueError unless exactly one of the keys is given."""
    given = [key for key in keys if getattr(section, key) is not None]
    if len(given) != 1:
        state = f"{' and '.join(given)} are given" if given else "none is given"
        raise ValueError(f"give one of {', '.join(keys)} as {what}; {state}")


class Target(Section):
    """An image, cropped to a square and resized to what the generator draws."""

    file: File | None = Field(None, description="any image file", min_length=1)
    sample: Literal["astronaut", "chelsea", "coffee", "rocket"] | None = Field(
        None, description="a photograph of scikit-image: astronaut, chelsea, coffee or rocket"
    )
    seed: Seed | None = Field(None, description="an image that the generator draws")
    box: Box | None = Field(
        None, description="left, top and side of a square; null takes the largest in the middle"
    )
    sketch: bool = Field(False, description="drawn over by edge detection, as with a pencil")

    @model_validator(mode="after")
    def _one_source(self) -> "Target":
        one_of(self, ("file", "sample", "seed"), what="the image")
        return self

    @model_validator(mode="after")
    def _box_inside(self) -> "Target":
        if self.box:
            left, top, side = self.box
            if side < 1 or left < 0 or top < 0:
                raise ValueError(f"box: {self.box} is none; give left, top and side, from 0, 0, 1")
            width, height = SAMPLES.get(self.sample or "", (left + side, top + side))
            if left + side > width or top + side > height:
                raise ValueError(
                    f"box: {self.box} leaves {self.sample}, which is {width} wide and {height} high"
                )
        return self

    @property
    def title(self) -> str:
        """The image in a few words."""
        source = self.file or self.sample or f"seed {self.seed}"
        return f"{source}, a sketch" if self.sketch else source


class Perceptual(Section):
    """How alike two images look."""

    encoder: Name | None = Field(None, description="by the features of one of the run's encoders")
    size: int | None = Field(
        None, description="side of the images that it sees, in pixels; null takes its own", ge=16
    )
    layers: list[str] | None = Field(
        None,
        description="that are compared; null takes the last at each size of map",
        min_length=1,
    )
    lpips: Literal["alex", "vgg", "squeeze"] | None = Field(
        None, description="by LPIPS, with a backbone that torchvision downloads once"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "Perceptual":
        one_of(self, ("encoder", "lpips"), what="the distance")
        if self.lpips and (self.size or self.layers):
            raise ValueError("lpips takes no size and no layers")
        return self
