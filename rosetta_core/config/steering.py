"""Steering jobs in a configuration: settings of every job, by job name.

A job optimises latents of the generator (inversion, activation maximisation, edit, evaluation) or
fine-tunes its weights (pivotal tuning). Weights, steps and regularisers follow Eq. 5 to 7 of the
paper.
"""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from rosetta_core.config.images import PerceptualSettings, TargetImage, exactly_one
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.validation import File, Name, Section, Seed

__all__ = [
    "EDIT_PARAMETERS",
    "ActivationMaximisation",
    "Edit",
    "EditKind",
    "Evaluation",
    "GuidedOptimisation",
    "Inversion",
    "Job",
    "LatentOptimisation",
    "PivotalTuning",
    "Steering",
]

Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=-1, le=1)]
Regulariser = Literal["l1", "l2", "start"]
Similarity = Literal["image", "dataset", "distance"]
EditKind = Literal["zoom", "shift", "copy_paste", "remove", "add", "custom"]

NAME = "job name; results are written to a folder of this name"
STEPS = "number of Adam steps"
RESTARTS = "number of independent starting latents; the lowest final loss wins"
REGULARISER = (
    "latent regulariser: mean absolute value (l1), mean square (l2), or mean squared distance to "
    "the starting latent (start)"
)
REGULARISER_WEIGHT = "weight of the latent regulariser, alpha in the paper"
PERCEPTUAL_WEIGHT = "weight of the perceptual distance"
PAIRS = (
    "units that guide it: pairs of Rosetta neurons (rosetta), or all best buddies (best_buddies)"
)


def _is_function(text: str) -> str:
    if not re.fullmatch(r".+\.py:[A-Za-z_]\w*", text):
        raise ValueError(f"{text!r} names no function; write FILE.py:NAME")
    return text


Function = Annotated[File, AfterValidator(_is_function)]


def _any_weight(section: Section, keys: tuple[str, ...]) -> None:
    """Check that at least one of the weights is above 0."""
    if not any(getattr(section, key) for key in keys):
        raise ValueError(f"all weights are 0; raise one of {', '.join(keys)}")


class LatentOptimisation(Section):
    """Settings of Adam on a batch of latents, of which the one with the lowest loss is kept."""

    name: Name = Field(description=NAME)
    steps: int = Field(500, description=STEPS, ge=1, le=100_000)
    learning_rate: float | None = Field(
        None,
        description="peak learning rate, reached after 5% of the steps and decayed over the last "
        "25%; null: the default of the generator's family",
        gt=0,
    )
    restarts: int = Field(4, description=RESTARTS, ge=1, le=256)
    seed: Seed = Field(0, description="random seed of the starting latents")
    space: str = Field("z", description="latent space: z; also w and w+ if the family has them")
    class_label: int | None = Field(
        None,
        description="class of the images, for class-conditional generators; null: the class of "
        "sampling.classes, if it lists exactly one",
        ge=0,
    )
    regulariser: Regulariser = Field("l2", description=REGULARISER)
    regulariser_weight: Weight = Field(0.02, description=REGULARISER_WEIGHT)

    def rows(self, encoders: int) -> int:
        """Return the number of latents that are optimised at once."""
        return self.restarts


class GuidedOptimisation(LatentOptimisation):
    """Settings of an optimisation that reproduces a target image (paper, Eq. 7)."""

    similarity: Similarity = Field(
        "image",
        description="similarity of activation maps: correlation within the image (image), Eq. 6 of "
        "the paper, which is unbounded (dataset), or negative squared distance (distance)",
    )
    activation_weight: Weight = Field(1.0, description="weight of the similarity of maps")
    pixels: Literal["l1", "l2"] = Field(
        "l1", description="pixel loss: mean absolute (l1) or mean squared (l2) difference"
    )
    pixel_weight: Weight = Field(0.0, description="weight of the pixel loss")
    perceptual_weight: Weight = Field(0.0, description=PERCEPTUAL_WEIGHT)

    @model_validator(mode="after")
    def _something_to_minimise(self) -> "GuidedOptimisation":
        _any_weight(
            self, ("activation_weight", "pixel_weight", "perceptual_weight", "regulariser_weight")
        )
        return self


class Inversion(GuidedOptimisation):
    """Find a latent whose activation maps match those of the encoders on an image."""

    job_kind: ClassVar[str] = "inversion"
    folder: ClassVar[str] = "inversions"

    image: TargetImage = Field(description="image to invert")
    encoders: list[Name] | None = Field(
        None, description="encoders that guide the inversion; null: all", min_length=1
    )
    pairs: Literal["rosetta", "best_buddies"] = Field("rosetta", description=PAIRS)

    @property
    def targets(self) -> list[TargetImage]:
        """The images to invert."""
        return [self.image]


class ActivationMaximisation(LatentOptimisation):
    """Optimise random latents so that a unit or a concept becomes more active."""

    job_kind: ClassVar[str] = "show"
    folder: ClassVar[str] = "shows"

    steps: int = Field(100, description=STEPS, ge=1, le=100_000)
    restarts: int = Field(8, description=RESTARTS, ge=1, le=256)
    regulariser: Regulariser = Field("start", description=REGULARISER)
    regulariser_weight: Weight = Field(1.0, description=REGULARISER_WEIGHT)
    concept: int | None = Field(
        None, description="concept whose Rosetta neurons are maximised together", ge=0
    )
    unit: str | None = Field(
        None, description="single unit of the generator, layer/channel", min_length=1
    )
    target_std: float = Field(
        5.0,
        description="target activation, in standard deviations above the mean over random images "
        "(unbounded maximisation burns images out)",
        gt=0,
    )

    @model_validator(mode="after")
    def _one_subject(self) -> "ActivationMaximisation":
        exactly_one(self, ("concept", "unit"), what="what to show")
        return self


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
    concept: int | None = Field(
        None, description="remove, add: concept whose Rosetta neurons change", ge=0
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


class Evaluation(GuidedOptimisation):
    """Invert many images without pairs, with each encoder's, and with all (paper, Table 1)."""

    job_kind: ClassVar[str] = "evaluation"
    folder: ClassVar[str] = "evaluations"

    restarts: int = Field(1, description=RESTARTS, ge=1, le=256)
    perceptual_weight: Weight = Field(1.0, description=PERCEPTUAL_WEIGHT)
    seeds: int = Field(64, description="number of held-out images of the generator", ge=0)
    images: list[TargetImage] = Field([], description="additional images")
    pairs: Literal["rosetta", "best_buddies"] = Field("rosetta", description=PAIRS)

    @model_validator(mode="after")
    def _any_image(self) -> "Evaluation":
        if not self.seeds and not self.images:
            raise ValueError("give seeds, images, or both")
        return self

    def rows(self, encoders: int) -> int:
        """Return the number of latents: every image by every method and restart."""
        return self.restarts * len(self.targets) * (encoders + 1 + (encoders > 1))

    @property
    def targets(self) -> list[TargetImage]:
        """The images to invert."""
        return [*(TargetImage(seed=seed) for seed in range(self.seeds)), *self.images]


class PivotalTuning(Section):
    """Fine-tune the generator around an inverted latent (pivotal tuning, Roich et al., 2022)."""

    job_kind: ClassVar[str] = "tuning"
    folder: ClassVar[str] = "tunings"

    name: Name = Field(description=NAME)
    source_job: Name = Field(description="inversion whose image the tuned generator reproduces")
    steps: int = Field(200, description=STEPS, ge=1, le=100_000)
    learning_rate: float = Field(
        0.0003, description="learning rate of the generator's weights", gt=0
    )
    pixel_weight: Weight = Field(1.0, description="weight of the mean squared pixel difference")
    perceptual_weight: Weight = Field(1.0, description=PERCEPTUAL_WEIGHT)

    @model_validator(mode="after")
    def _something_to_minimise(self) -> "PivotalTuning":
        _any_weight(self, ("pixel_weight", "perceptual_weight"))
        return self

    def rows(self, encoders: int) -> int:
        """Return 1: a single image is generated per step."""
        return 1


Job = Inversion | ActivationMaximisation | Edit | PivotalTuning | Evaluation


class Steering(Section):
    """The steering jobs of a run."""

    perceptual: PerceptualSettings = Field(
        default_factory=PerceptualSettings, description="perceptual distances between images"
    )
    invert: list[Inversion] = Field([], description="inversions: images matched by activation maps")
    show: list[ActivationMaximisation] = Field(
        [], description="activation maximisation of units and concepts"
    )
    edit: list[Edit] = Field([], description="edits of images through activation maps")
    tune: list[PivotalTuning] = Field([], description="generators fine-tuned around an inversion")
    evaluate: list[Evaluation] = Field([], description="evaluations, Table 1 of the paper")

    @property
    def jobs(self) -> dict[str, Job]:
        """All jobs by name."""
        return {job.name: job for job in self._all_jobs}

    @property
    def _all_jobs(self) -> list[Job]:
        return [*self.invert, *self.show, *self.tune, *self.edit, *self.evaluate]

    def job(self, name: str) -> Job:
        """Return the job of that name.

        Raises:
            RosettaError: there is no such job.
        """
        if name not in self.jobs:
            known = f"they are {', '.join(self.jobs)}" if self.jobs else "there are none"
            raise RosettaError(
                f"no job {name!r} in steering; {known}{did_you_mean(name, self.jobs)}"
            )
        return self.jobs[name]

    @model_validator(mode="after")
    def _names(self) -> "Steering":
        names = [job.name for job in self._all_jobs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two jobs are named {name!r}; give each a name of its own")
        inverted = [job.name for job in self.invert]
        for tuning in self.tune:
            _check_source(tuning.name, tuning.source_job, "inversion", inverted)
        sources = [*inverted, *(tuning.name for tuning in self.tune)]
        for edit in self.edit:
            if edit.source_job is not None:
                _check_source(edit.name, edit.source_job, "inversion or tuning", sources)
        return self


def _check_source(name: str, source: str, kind: str, known: list[str]) -> None:
    if source not in known:
        raise ValueError(
            f"{name}: there is no {kind} named {source!r}{did_you_mean(source, known)}"
        )
