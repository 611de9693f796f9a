"""Images and image distances in a configuration: inversion targets and perceptual distances.

An image is a file, a photograph of scikit-image or an image of the generator. A distance compares
features of one of the run's encoders, or is LPIPS (Zhang et al., 2018).
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rosetta_core.validation import BIT_DEPTH_DESCRIPTION, BitDepth, File, Name, Section, Seed

__all__ = ["DistanceSpec", "PerceptualSettings", "TargetImage", "exactly_one"]

Box = Annotated[list[int], Field(min_length=3, max_length=3)]
SAMPLES = {  # (width, height) in pixels
    "astronaut": (512, 512),
    "chelsea": (451, 300),
    "coffee": (600, 400),
    "rocket": (640, 427),
}


def exactly_one(section: Section, keys: tuple[str, ...], *, what: str) -> None:
    """Check that exactly one of the keys is set.

    Args:
        section: the section with these keys; None means "not set".
        keys: names of its fields.
        what: the setting that they express, for the message.

    Raises:
        ValueError: none or several of the keys are set.
    """
    present = [key for key in keys if getattr(section, key) is not None]
    if len(present) != 1:
        state = f"{' and '.join(present)} are given" if present else "none is given"
        raise ValueError(f"give one of {', '.join(keys)} as {what}; {state}")


class TargetImage(Section):
    """An image, cropped to a square and resized to the size of the generator's images."""

    file: File | None = Field(None, description="image file", min_length=1)
    sample: Literal["astronaut", "chelsea", "coffee", "rocket"] | None = Field(
        None, description="photograph of scikit-image: astronaut, chelsea, coffee or rocket"
    )
    seed: Seed | None = Field(None, description="seed of an image that the generator produces")
    box: Box | None = Field(
        None, description="left, top and side of a square crop; null: the largest central square"
    )
    bit_depth: BitDepth = Field(None, description=BIT_DEPTH_DESCRIPTION)
    sketch: bool = Field(False, description="convert the image to a pencil sketch (edge detection)")

    @model_validator(mode="after")
    def _one_source(self) -> "TargetImage":
        exactly_one(self, ("file", "sample", "seed"), what="the image")
        if self.bit_depth and not self.file:
            raise ValueError("bit_depth is for image files; remove it")
        return self

    @model_validator(mode="after")
    def _box_inside(self) -> "TargetImage":
        if self.box:
            left, top, side = self.box
            if side < 1 or left < 0 or top < 0:
                raise ValueError(
                    f"box: {self.box} is not a square inside an image; give left, top and side, "
                    "from 0, 0, 1"
                )
            width, height = SAMPLES.get(self.sample or "", (left + side, top + side))
            if left + side > width or top + side > height:
                raise ValueError(
                    f"box: {self.box} leaves {self.sample}, which is {width} wide and {height} high"
                )
        return self

    @property
    def title(self) -> str:
        """A short description of the image."""
        source = self.file or self.sample or f"seed {self.seed}"
        return f"{source}, a sketch" if self.sketch else source


class DistanceSpec(Section):
    """A perceptual distance between images."""

    encoder: Name | None = Field(None, description="encoder of the run whose features are compared")
    size: int | None = Field(
        None,
        description="side of the images that the encoder receives, in pixels; null: its own size",
        ge=16,
    )
    layers: list[str] | None = Field(
        None,
        description="layers whose features are compared; null: the last layer at each map size",
        min_length=1,
    )
    lpips: Literal["alex", "vgg", "squeeze"] | None = Field(
        None, description="backbone of LPIPS; torchvision downloads its weights once"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "DistanceSpec":
        exactly_one(self, ("encoder", "lpips"), what="the distance")
        if self.lpips and (self.size or self.layers):
            raise ValueError("lpips takes no size and no layers")
        return self


class PerceptualSettings(Section):
    """The two perceptual distances of steering jobs."""

    loss: DistanceSpec | None = Field(
        None, description="distance in the loss; null: features of the first encoder"
    )
    evaluation: DistanceSpec | None = Field(
        None,
        description="distance that measures results, preferably by another network; null: features "
        "of the last encoder",
    )
