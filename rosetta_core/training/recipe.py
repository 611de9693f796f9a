"""Recipes of self-supervised training: a vision transformer, its images, method and optimiser.

Methods are masked autoencoding (MAE: He et al., Masked Autoencoders Are Scalable Vision Learners,
CVPR 2022) and self-distillation (DINO: Caron et al., Emerging Properties in Self-Supervised Vision
Transformers, ICCV 2021). Defaults are the papers' except for sizes.
"""

import hashlib
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from rosetta_core.validation import (
    BIT_DEPTH_DESCRIPTION,
    MAX_PIXELS_DESCRIPTION,
    BitDepth,
    Device,
    Folder,
    MaxPixels,
    Name,
    Section,
    Seed,
    to_json,
)
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.registry import GENERATORS

__all__ = [
    "DinoSettings",
    "ImageSettings",
    "MaeSettings",
    "MaskSettings",
    "ProbeSettings",
    "Recipe",
    "fingerprint",
]

# keys that the recipes of published weights did not have; null changes nothing
LATER_KEYS = frozenset(
    (
        *("bit_depth", "float32_layers", "grid", "layout", "layouts", "max_pixels"),
        *("max_size", "output_range", "prefix_tokens"),
    )
)
# keys of a recipe that change neither weights nor losses
WITHOUT_EFFECT = {"name", "results", "resources", "device", "checkpoint_every", "probes"}

Share = Annotated[float, Field(ge=0, le=1)]


def _ascending(scale: list[float]) -> list[float]:
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"{scale} is not a range; give [low, high] with 0 < low ≤ high ≤ 1")
    return scale


Scale = Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_ascending)]


def _default_generator() -> ModelSpec:
    return ModelSpec.model_validate("dcgan")


class ImageSettings(Section):
    """Training images: samples of a generator, or the images of a folder."""

    generator: ModelSpec | None = Field(
        default_factory=_default_generator,
        description="generator whose samples are the training images, new ones at every step; "
        "null: images come from folder",
    )
    truncation: float = Field(
        1.0,
        description="truncation psi of the generator (above 0, up to 1); 1.0: no truncation",
        gt=0,
        le=1,
    )
    folder: Folder | None = Field(
        None, description="folder of training images; null: images come from generator"
    )
    bit_depth: BitDepth = Field(None, description=BIT_DEPTH_DESCRIPTION)
    max_pixels: MaxPixels = Field(None, description=MAX_PIXELS_DESCRIPTION)
    smallest_crop: float = Field(
        1.0,
        description="smallest area of a random crop (share of the image, above 0, up to 1), mae "
        "only; 1.0: no cropping",
        gt=0,
        le=1,
    )
    flip: bool = Field(True, description="mirror each image with probability 0.5")

    @model_validator(mode="after")
    def _one_source(self) -> "ImageSettings":
        if (self.generator is None) == (self.folder is None):
            raise ValueError("give a generator or a folder (and generator: null)")
        if self.generator and self.generator.family not in (*GENERATORS, "python"):
            raise ValueError(
                f"generator: {self.generator.name} is an encoder (family "
                f"{self.generator.family}); give a generator"
            )
        return self


class MaskSettings(Section):
    """Masked patches, and the decoder that predicts them."""

    masked: float = Field(
        0.75,
        description="share of the patches that are masked (between 0 and 1, both excluded)",
        gt=0,
        lt=1,
    )
    decoder_width: int = Field(
        96, description="width of the decoder's tokens; a multiple of 4 and of decoder_heads", ge=8
    )
    decoder_depth: int = Field(2, description="number of transformer blocks in the decoder", ge=1)
    decoder_heads: int = Field(3, description="number of attention heads in the decoder", ge=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.decoder_width % self.decoder_heads or self.decoder_width % 4:
            raise ValueError("decoder_width must be a multiple of 4 and of decoder_heads")
        return self


class MaeSettings(MaskSettings):
    """Masked autoencoder (MAE): a small decoder reconstructs masked patches."""


class DinoSettings(MaskSettings):
    """Self-distillation (DINO): a student predicts its moving average on other crops."""

    local_crops: int = Field(
        4, description="number of local crops per image, in addition to two global crops", ge=0
    )
    global_size: int | None = Field(
        None,
        description="side of the global crops (pixels); null: the encoder's input size",
        ge=8,
    )
    local_size: int = Field(32, description="side of the local crops (pixels)", ge=8)
    global_scale: Scale = Field(
        [0.4, 1.0], description="area of the global crops, [low, high] (share of the image)"
    )
    local_scale: Scale = Field(
        [0.05, 0.4], description="area of the local crops, [low, high] (share of the image)"
    )
    jitter: list[Share] = Field(
        [0.4, 0.4, 0.2, 0.1],
        description="strength of the jitter of brightness, contrast, saturation and hue (0 to 1, "
        "hue at most 0.5), applied with probability 0.8",
        min_length=4,
        max_length=4,
    )
    grey: float = Field(
        0.2, description="probability that a crop is converted to greyscale", ge=0, le=1
    )
    blur: list[Share] = Field(
        [1.0, 0.1, 0.5],
        description="probability of a Gaussian blur: first global, second global, local crops",
        min_length=3,
        max_length=3,
    )
    solarised: float = Field(
        0.2, description="probability that the second global crop is solarised", ge=0, le=1
    )
    masked: float = Field(
        0.0,
        description="share of the global crops' patches that are masked for the student, which "
        "then also predicts the teacher's output for each (from 0 to below 1); 0: DINO's own loss "
        "alone",
        ge=0,
        lt=1,
    )
    patches: float = Field(
        1.0, description="weight of the loss of masked patches relative to that of crops", gt=0
    )
    groups: int = Field(
        1,
        description="number of groups into which the outputs for a patch are split, with a softmax "
        "each; more groups carry more information per patch",
        ge=1,
    )
    outputs: int = Field(
        4096, description="number of outputs of the projection heads (the paper's K)", ge=2
    )
    hidden: int = Field(512, description="width of the projection heads' hidden layers", ge=8)
    bottleneck: int = Field(
        128, description="width of the projection heads before their last layer", ge=8
    )
    batch_norm: bool = Field(
        False,
        description="use batch normalisation in the projection heads; false: as in the paper for "
        "transformers; true: short trainings converge faster",
    )
    momentum: float = Field(
        0.996,
        description="initial momentum of the teacher's moving average (0 to 1); it rises to 1 "
        "along a cosine",
        ge=0,
        le=1,
    )
    centre_momentum: float = Field(
        0.9,
        description="momentum of the centre of the teacher's outputs (0 to below 1)",
        ge=0,
        lt=1,
    )
    student_temperature: float = Field(
        0.1, description="temperature of the student's softmax", gt=0
    )
    teacher_temperature: float = Field(
        0.04, description="temperature of the teacher's softmax; lower is sharper", gt=0
    )
    frozen_head: float = Field(
        0.02,
        description="share of the steps, from the first, in which the heads' last layer is frozen "
        "(0 to 1)",
        ge=0,
        le=1,
    )

    @field_validator("jitter")
    @classmethod
    def _hue_in_range(cls, jitter: list[float]) -> list[float]:
        if jitter[3] > 0.5:
            raise ValueError(f"hue, the last value, is {jitter[3]}; give at most 0.5")
        return jitter

    @model_validator(mode="after")
    def _groups_fit(self) -> "DinoSettings":
        if self.outputs % self.groups or self.outputs == self.groups:
            raise ValueError("outputs must be a multiple of groups, and larger")
        if self.masked and self.global_size:
            raise ValueError("global_size must be null where patches are masked")
        return self


class ProbeSettings(Section):
    """Probes of the trained encoder's features."""

    images: int = Field(
        2048,
        description="number of images; three quarters fit the probes, the last test them",
        ge=16,
    )
    faces: bool = Field(
        False,
        description="images are faces: adds the labels pose, tilt and mouth, from the landmarks of "
        "the mtcnn_onet face detector",
    )


class Recipe(Section):
    """Self-supervised training of one encoder, as `rosetta train` reads it."""

    name: Name = Field(description="name of the encoder; output folder: {results}/{name}")
    results: Folder = Field("results/train", description="folder of all trained encoders")
    resources: Folder = Field("resources", description="folder of downloaded weights")
    device: Device = Field(
        "auto",
        description="compute device: auto, cpu, cuda or cuda:N; auto: a GPU if available",
    )
    images: ImageSettings = Field(default_factory=ImageSettings, description="training images")
    architecture: str = Field(description="timm name of a plain vision transformer")
    arguments: dict[str, Any] = Field(
        {}, description="constructor arguments of the architecture, for example img_size"
    )
    mae: MaeSettings | None = Field(
        None, description="masked autoencoder (MAE); null: train with dino"
    )
    dino: DinoSettings | None = Field(
        None, description="self-distillation (DINO); null: train with mae"
    )
    seed: Seed = Field(1, description="random seed of weights, images, crops and masks")
    steps: int = Field(description="number of AdamW steps", ge=1)
    batch_size: int = Field(128, description="images per step", ge=2)
    learning_rate: float = Field(1e-3, description="highest learning rate of AdamW", gt=0)
    warmup: float = Field(
        0.05,
        description="share of the steps in which the learning rate rises (0 to below 1); then it "
        "falls along a cosine",
        ge=0,
        lt=1,
    )
    weight_decay: float = Field(0.05, description="weight decay of AdamW, for matrices only", ge=0)
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        [0.9, 0.999], description="betas of AdamW (0 to below 1)", min_length=2, max_length=2
    )
    clip: float | None = Field(None, description="largest gradient norm; null: no clipping", gt=0)
    checkpoint_every: int = Field(100, description="steps between checkpoints", ge=1)
    probes: ProbeSettings = Field(
        default_factory=ProbeSettings, description="probes of the trained features"
    )

    @model_validator(mode="after")
    def _one_method(self) -> "Recipe":
        if (self.mae is None) == (self.dino is None):
            raise ValueError("give one of mae and dino, the training method")
        return self

    @property
    def method(self) -> MaeSettings | DinoSettings:
        """Settings of the training method."""
        method = self.mae or self.dino
        assert method, "a recipe has one of the two"
        return method


def fingerprint(recipe: Recipe) -> str:
    """Return the SHA-256 of all settings of a recipe that affect weights or losses."""
    content = recipe.model_dump(mode="json", exclude=WITHOUT_EFFECT)
    generator = content["images"]["generator"] or {}
    for section in (content["images"], generator, generator.get("weights") or {}):
        for key in LATER_KEYS & section.keys():
            if section[key] is None:
                del section[key]
    return hashlib.sha256(to_json(content).encode()).hexdigest()
