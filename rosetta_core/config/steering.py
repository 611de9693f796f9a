"""Steering jobs in a configuration: the kinds of jobs, by job name.

A job optimises latents of the generator (inversion, activation maximisation, edit, evaluation) or
fine-tunes its weights (pivotal tuning).
"""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from rosetta_core.config.edits import Edit
from rosetta_core.config.images import PerceptualSettings, TargetImage, exactly_one
from rosetta_core.config.optimisation import (
    NAME,
    PAIRS,
    PERCEPTUAL_WEIGHT,
    REGULARISER,
    REGULARISER_WEIGHT,
    RESTARTS,
    STEPS,
    Concept,
    GuidedOptimisation,
    LatentOptimisation,
    Regulariser,
    Weight,
    any_weight,
)
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.validation import Name, Section

__all__ = [
    "ActivationMaximisation",
    "Evaluation",
    "Inversion",
    "Job",
    "PivotalTuning",
    "Steering",
]


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
    concept: Concept | None = Field(
        None,
        description="concept whose Rosetta neurons are maximised together: number, or id, "
        "layer/channel",
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
        any_weight(self, ("pixel_weight", "perceptual_weight"))
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
