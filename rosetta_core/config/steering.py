"""Steering in a configuration: the jobs that move the generator's latents, by name.

Steering      all jobs of a run
Descent       how a latent is found
Guided        the same where there is an image to be found again
Inversion, Show, Edit, Evaluation, Tuning    the kinds of jobs
Job           any of them
"""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from rosetta_core.config.images import Perceptual, Target, one_of
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.validation import File, Name, Section, Seed

__all__ = [
    "DescentSettings",
    "Edit",
    "Evaluation",
    "Guided",
    "Inversion",
    "Job",
    "Show",
    "Steering",
    "Tuning",
]

Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=-1, le=1)]


def _is_function(text: str) -> str:
    if not re.fullmatch(r".+\.py:[A-Za-z_]\w*", text):
        raise ValueError(f"{text!r} names no function; write FILE.py:NAME")
    return text


Function = Annotated[File, AfterValidator(_is_function)]


def _any_weight(section: Section, keys: tuple[str, ...]) -> None:
    """ValueError if all of the weights are 0."""
    if not any(getattr(section, key) for key in keys):
        raise ValueError(f"all weights are 0; raise one of {', '.join(keys)}")


class DescentSettings(Section):
    """How a latent is found: Adam, from several starts at once, of which the best is kept."""

    name: Name = Field(description="of the job; its results are in a folder of that name")
    steps: int = Field(500, description="of Adam", ge=1, le=100_000)
    learning_rate: float | None = Field(
        None,
        description="its highest, after the first 5% of the steps and before the last 25%; null "
        "takes the family's",
        gt=0,
    )
    starts: int = Field(4, description="how many latents it begins from", ge=1, le=256)
    seed: Seed = Field(0, description="the starts depend on it")
    space: str = Field("z", description="latent space: z, and w or w+ where the family has them")
    class_label: int | None = Field(
        None,
        description="class to draw, for generators that have them; null takes that of "
        "sampling.classes, if it is one",
        ge=0,
    )
    prior: Literal["l1", "l2", "start"] = Field(
        "l2", description="what keeps the latent near: L1 or L2 of it, or distance to its start"
    )
    prior_weight: Weight = Field(0.02, description="weight of that, the paper's alpha")

    def rows(self, encoders: int) -> int:
        """How many latents are moved at once."""
        return self.starts


class Guided(DescentSettings):
    """How a latent is found that draws a given image (paper, Eq. 7)."""

    similarity: Literal["image", "dataset", "distance"] = Field(
        "image",
        description="of maps: image, their correlation within the image; dataset, the paper's "
        "Eq. 6, which has no upper bound; distance, squared",
    )
    activations: Weight = Field(1.0, description="weight of that similarity")
    pixels: Literal["l1", "l2"] = Field("l1", description="difference of pixels")
    pixel_weight: Weight = Field(0.0, description="weight of that")
    perceptual_weight: Weight = Field(0.0, description="weight of the perceptual distance")

    @model_validator(mode="after")
    def _something_to_minimise(self) -> "Guided":
        _any_weight(self, ("activations", "pixel_weight", "perceptual_weight", "prior_weight"))
        return self


class Inversion(Guided):
    """Find the latent whose activation maps match those that encoders have of an image."""

    folder: ClassVar[str] = "inversions"

    image: Target = Field(description="what to invert")
    encoders: list[Name] | None = Field(
        None, description="whose matches guide it; null takes all", min_length=1
    )
    pairs: Literal["rosetta", "best_buddies"] = Field(
        "rosetta", description="matches of Rosetta neurons, or of all units with a best buddy"
    )

    @property
    def targets(self) -> list[Target]:
        """The images to invert."""
        return [self.image]


class Show(DescentSettings):
    """Show what a unit means: what a random image becomes when the unit is made active."""

    folder: ClassVar[str] = "shows"

    steps: int = Field(100, description="of Adam", ge=1, le=100_000)
    starts: int = Field(8, description="how many latents it begins from", ge=1, le=256)
    prior: Literal["l1", "l2", "start"] = Field(
        "start", description="what keeps the latent near: L1 or L2 of it, or distance to its start"
    )
    prior_weight: Weight = Field(1.0, description="weight of that, the paper's alpha")
    concept: int | None = Field(None, description="its Rosetta neurons, together", ge=0)
    unit: str | None = Field(
        None, description="one unit of the generator, layer/channel", min_length=1
    )
    reach: float = Field(
        5.0,
        description="how active it is to become: that many standard deviations above the mean of "
        "random images (without end, images burn out)",
        gt=0,
    )

    @model_validator(mode="after")
    def _one_thing(self) -> "Show":
        one_of(self, ("concept", "unit"), what="what to show")
        return self


class Edit(DescentSettings):
    """Change an image through the maps of the Rosetta neurons."""

    folder: ClassVar[str] = "edits"

    steps: int = Field(200, description="of Adam", ge=1, le=100_000)
    starts: int = Field(1, description="how many latents it begins from", ge=1, le=256)
    prior: Literal["l1", "l2", "start"] = Field(
        "start", description="what keeps the latent near: L1 or L2 of it, or distance to its start"
    )
    prior_weight: Weight = Field(0.01, description="weight of that, the paper's alpha")
    of_seed: Seed | None = Field(None, description="edit the image of a seed")
    of_job: Name | None = Field(None, description="edit the result of an inversion or a tuning")
    do: Literal["zoom", "shift", "copy_paste", "remove", "add", "custom"] = Field(
        description="zoom: maps doubled, their centre kept; shift; copy_paste: the left half "
        "shifted left and the right half right, from a random latent; remove, add: units lowered "
        "to their minimum or raised; custom: a function of your own"
    )
    similarity: Literal["image", "dataset", "distance"] | None = Field(
        None,
        description="to the edited maps; null takes image, and for remove and add distance",
    )
    right: Share = Field(0.25, description="shift and copy_paste: by this share of the side")
    down: Share = Field(0.0, description="shift: by this share of the side")
    concept: int | None = Field(None, description="remove and add: its Rosetta neurons", ge=0)
    units: list[str] | None = Field(
        None, description="remove and add: units of the generator, layer/channel", min_length=1
    )
    amount: float = Field(2.0, description="add: by this many standard deviations", gt=0)
    hold_maps: Weight = Field(
        1.0, description="remove and add: weight of the maps of all other Rosetta neurons"
    )
    hold_activity: Weight = Field(
        4.0, description="remove and add: weight of how active these are, wherever in the image"
    )
    mask: File | None = Field(
        None, description="remove and add: an image, white where units are to change", min_length=1
    )
    function: Function | None = Field(None, description="custom: FILE.py:NAME", min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> "Edit":
        one_of(self, ("of_seed", "of_job"), what="the image to edit")
        if self.do in ("remove", "add"):
            one_of(self, ("concept", "units"), what=f"what to {self.do}")
        elif self.concept is not None or self.units is not None or self.mask is not None:
            raise ValueError(f"{self.do} takes no concept, units or mask; remove and add do")
        if (self.do == "custom") != (self.function is not None):
            raise ValueError(
                "custom needs a function, FILE.py:NAME"
                if self.do == "custom"
                else f"{self.do} takes no function; custom does"
            )
        return self

    @property
    def function_file(self) -> str | None:
        """The file of the function."""
        return self.function and self.function.rpartition(":")[0]


class Evaluation(Guided):
    """Invert many images without matches, with those of each encoder, and with all (Table 1)."""

    folder: ClassVar[str] = "evaluations"

    starts: int = Field(1, description="how many latents it begins from", ge=1, le=256)
    prior_weight: Weight = Field(0.02, description="weight of that, the paper's alpha")
    perceptual_weight: Weight = Field(1.0, description="weight of the perceptual distance")
    seeds: int = Field(64, description="how many held-out images of the generator", ge=0)
    images: list[Target] = Field([], description="more images")
    pairs: Literal["rosetta", "best_buddies"] = Field(
        "rosetta", description="matches of Rosetta neurons, or of all units with a best buddy"
    )

    @model_validator(mode="after")
    def _any_image(self) -> "Evaluation":
        if not self.seeds and not self.images:
            raise ValueError("give seeds, images, or both")
        return self

    def rows(self, encoders: int) -> int:
        """Every image by every method: without matches, with each encoder's, with all."""
        return self.starts * len(self.targets) * (encoders + 1 + (encoders > 1))

    @property
    def targets(self) -> list[Target]:
        """The images to invert."""
        return [*(Target(seed=seed) for seed in range(self.seeds)), *self.images]


class Tuning(Section):
    """Fine-tune the generator around an inverted latent (pivotal tuning, Roich et al., 2022)."""

    folder: ClassVar[str] = "tunings"

    name: Name = Field(description="of the job; its results are in a folder of that name")
    of_job: Name = Field(description="the inversion whose image is to be reproduced")
    steps: int = Field(200, description="of Adam", ge=1, le=100_000)
    learning_rate: float = Field(0.0003, description="of the generator's weights", gt=0)
    pixel_weight: Weight = Field(1.0, description="weight of the squared difference of pixels")
    perceptual_weight: Weight = Field(1.0, description="weight of the perceptual distance")

    @model_validator(mode="after")
    def _something_to_minimise(self) -> "Tuning":
        _any_weight(self, ("pixel_weight", "perceptual_weight"))
        return self

    def rows(self, encoders: int) -> int:
        """One image is drawn."""
        return 1


Job = Inversion | Show | Edit | Tuning | Evaluation


class Steering(Section):
    """The jobs that move the generator's latents."""

    threads: int = Field(
        1,
        description="of the CPU for each job, however many are free: with others, sums are added "
        "up in another order, and every step magnifies that",
        ge=1,
    )
    perceptual: Perceptual | None = Field(
        None,
        description="how alike images look, as a term of the loss; null takes the first encoder",
    )
    judge: Perceptual | None = Field(
        None,
        description="the same as a measure, best by another network; null takes the last encoder",
    )
    invert: list[Inversion] = Field([], description="images matched by activation maps")
    show: list[Show] = Field([], description="units and concepts shown by what maximises them")
    edit: list[Edit] = Field([], description="images changed through their maps")
    tune: list[Tuning] = Field([], description="generators tuned around an inversion")
    evaluate: list[Evaluation] = Field([], description="the paper's Table 1")

    @property
    def jobs(self) -> dict[str, Job]:
        """All jobs by name."""
        return {job.name: job for job in self._every}

    @property
    def _every(self) -> list[Job]:
        return [*self.invert, *self.show, *self.tune, *self.edit, *self.evaluate]

    def job(self, name: str) -> Job:
        """The job of that name; RosettaError if there is none."""
        if name not in self.jobs:
            known = f"they are {', '.join(self.jobs)}" if self.jobs else "there are none"
            raise RosettaError(
                f"no job {name!r} in steering; {known}{did_you_mean(name, self.jobs)}"
            )
        return self.jobs[name]

    @model_validator(mode="after")
    def _names(self) -> "Steering":
        names = [job.name for job in self._every]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two jobs are named {name!r}; give each a name of its own")
        inverted = [job.name for job in self.invert]
        for tuning in self.tune:
            self._of(tuning.name, tuning.of_job, "inversion", inverted)
        sources = [*inverted, *(tuning.name for tuning in self.tune)]
        for edit in self.edit:
            if edit.of_job is not None:
                self._of(edit.name, edit.of_job, "inversion or tuning", sources)
        return self

    def _of(self, name: str, of: str, kind: str, known: list[str]) -> None:
        if of not in known:
            raise ValueError(f"{name}: there is no {kind} named {of!r}{did_you_mean(of, known)}")
