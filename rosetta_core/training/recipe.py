"""The recipe of a training: a vision transformer taught without labels.

Recipe                 a whole training; what `rosetta train` reads
TrainingImages         where its images come from
MaskedAutoencoding     MAE: He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022
SelfDistillation       DINO: Caron et al., Emerging Properties in Self-Supervised Vision
                       Transformers, ICCV 2021
Probes                 how its features are judged in the end
"""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from rosetta_core.config.faces import face_generator
from rosetta_core.validation import Device, Folder, Name, Section, Seed
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.registry import GENERATORS

__all__ = ["MaskedAutoencoding", "Probes", "Recipe", "SelfDistillation", "TrainingImages"]


Share = Annotated[float, Field(ge=0, le=1)]


def _rises(scale: list[float]) -> list[float]:
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"{scale} is no range of shares; give the smaller first, above 0, up to 1")
    return scale


Scale = Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_rises)]


class TrainingImages(Section):
    """What the encoder is trained on: images that a generator draws, or those of a folder."""

    generator: ModelSpec | None = Field(
        default_factory=face_generator,
        description="draws them, every step new ones; null where they come from a folder",
    )
    truncation: float = Field(1.0, description="nearness to the generator's mean", gt=0, le=1)
    folder: Folder | None = Field(None, description="take them from this folder")
    smallest_crop: float = Field(
        1.0, description="random crops keep at least this share of the area", gt=0, le=1
    )
    flip: bool = Field(True, description="mirror every second image")

    @model_validator(mode="after")
    def _one_source(self) -> "TrainingImages":
        if (self.generator is None) == (self.folder is None):
            raise ValueError("give a generator or a folder (and generator: null)")
        if self.generator and self.generator.family not in (*GENERATORS, "python"):
            raise ValueError(f"generator: {self.generator.name} draws no images")
        return self


class HidingPatches(Section):
    """What hides patches from an encoder, and the decoder that answers for all of them."""

    masked: float = Field(0.75, description="share of patches that are hidden", gt=0, lt=1)
    decoder_width: int = Field(96, description="of the decoder's tokens", ge=8)
    decoder_depth: int = Field(2, description="blocks of the decoder", ge=1)
    decoder_heads: int = Field(3, description="heads of its attention", ge=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.decoder_width % self.decoder_heads or self.decoder_width % 4:
            raise ValueError("decoder_width must be a multiple of 4 and of decoder_heads")
        return self


class MaskedAutoencoding(HidingPatches):
    """MAE: patches are hidden, and a small decoder tells what they looked like."""


class SelfDistillation(HidingPatches):
    """DINO: a student sees crops and predicts what its own moving average says of other crops."""

    local_crops: int = Field(
        4, description="small crops of an image; there are two large ones", ge=0
    )
    global_size: int | None = Field(
        None, description="side of the large crops, in pixels; null takes the encoder's input", ge=8
    )
    local_size: int = Field(32, description="side of the small crops, in pixels", ge=8)
    global_scale: Scale = Field([0.4, 1.0], description="large crops: share of the area")
    local_scale: Scale = Field([0.05, 0.4], description="small crops: share of the area")
    jitter: list[Share] = Field(
        [0.4, 0.4, 0.2, 0.1],
        description="of brightness, contrast, saturation and hue, in four of five crops",
        min_length=4,
        max_length=4,
    )
    grey: float = Field(0.2, description="share of crops without colour", ge=0, le=1)
    blur: list[Share] = Field(
        [1.0, 0.1, 0.5],
        description="share of blurred crops: of the first large, the second, the small ones",
        min_length=3,
        max_length=3,
    )
    solarised: float = Field(0.2, description="share of the second large crops", ge=0, le=1)
    masked: float = Field(
        0.0,
        description="share of the large crops' patches that are hidden from the student, which is "
        "to say what the teacher says of them, too; 0 for DINO's own loss alone",
        ge=0,
        lt=1,
    )
    patches: float = Field(
        1.0, description="weight of the loss of hidden patches beside that of crops", gt=0
    )
    groups: int = Field(
        1,
        description="the teacher's answer about a patch is so many answers, of a part of the "
        "outputs each: one of 1,024 outputs tells too little of a patch",
        ge=1,
    )
    outputs: int = Field(4096, description="of the projection heads, the paper's K", ge=2)
    hidden: int = Field(512, description="width of the heads", ge=8)
    bottleneck: int = Field(128, description="width of the heads before their last layer", ge=8)
    batch_norm: bool = Field(
        False,
        description="batch normalisation in the head; the paper's has none with transformers, but "
        "short trainings need it to tell images apart from the start",
    )
    momentum: float = Field(
        0.996, description="of the teacher at first; rises to 1 as a cosine", ge=0, le=1
    )
    centre_momentum: float = Field(0.9, description="of the teacher's centre", ge=0, lt=1)
    student_temperature: float = Field(0.1, description="of its softmax", gt=0)
    teacher_temperature: float = Field(0.04, description="of its softmax; lower is sharper", gt=0)
    frozen_head: float = Field(
        0.02, description="share of the steps in which the head's last layer is frozen", ge=0, le=1
    )

    @field_validator("jitter")
    @classmethod
    def _hue_turns_half_the_circle(cls, jitter: list[float]) -> list[float]:
        if jitter[3] > 0.5:
            raise ValueError(f"the last is of hue, and at most 0.5, not {jitter[3]}")
        return jitter

    @model_validator(mode="after")
    def _groups_fit(self) -> "SelfDistillation":
        if self.outputs % self.groups or self.outputs == self.groups:
            raise ValueError("outputs must be a multiple of groups, and more")
        if self.masked and self.global_size:
            raise ValueError("global_size must be null where patches are hidden")
        return self


class Probes(Section):
    """How the features of the trained encoder are judged: by what can be read out of them."""

    images: int = Field(2048, description="that are looked at", ge=16)
    faces: bool = Field(
        False,
        description="the images are faces: pose, tilt and mouth are labelled by the offline zoo's "
        "face detector",
    )


class Recipe(Section):
    """A training of an encoder: its network, its images, its method, its steps."""

    name: Name = Field(description="of the encoder; results are written to {results}/{name}")
    results: Folder = Field("results/train", description="folder of the trainings")
    resources: Folder = Field("resources", description="folder of fetched weights")
    device: Device = Field("auto", description="auto, cpu, cuda or cuda:N; auto takes a GPU if any")
    images: TrainingImages = Field(default_factory=TrainingImages, description="the images")
    architecture: str = Field(description="a vision transformer of timm's")
    arguments: dict[str, Any] = Field(
        {}, description="arguments of its constructor, as img_size and patch_size"
    )
    mae: MaskedAutoencoding | None = Field(None, description="train it as a masked autoencoder")
    dino: SelfDistillation | None = Field(None, description="train it by self-distillation")
    seed: Seed = Field(1, description="of the weights, the images and all else")
    steps: int = Field(description="of the optimiser", ge=1)
    batch_size: int = Field(128, description="images per step", ge=2)
    learning_rate: float = Field(1e-3, description="of AdamW, at its highest", gt=0)
    warmup: float = Field(
        0.05, description="share of the steps in which the learning rate rises", ge=0, lt=1
    )
    weight_decay: float = Field(0.05, description="of AdamW, for matrices", ge=0)
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        [0.9, 0.999], description="of AdamW", min_length=2, max_length=2
    )
    clip: float | None = Field(None, description="largest norm of the gradient; null for any", gt=0)
    checkpoint_every: int = Field(100, description="steps", ge=1)
    probes: Probes = Field(default_factory=Probes, description="how its features are judged")

    @model_validator(mode="after")
    def _one_method(self) -> "Recipe":
        if (self.mae is None) == (self.dino is None):
            raise ValueError("give one of mae and dino: how it is trained")
        return self
