"""Configuration of a run: models, images, and settings of all stages.

`Config()` is the default, config.yaml: the offline face zoo. All checks that need no file and no
network are made here; `rosetta check` makes the others.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from rosetta_core.config.faces import face_encoders, face_generator, face_steering
from rosetta_core.config.images import DistanceSpec
from rosetta_core.config.sections import (
    MIN_PARTNERS,
    Activations,
    Correlation,
    Dictionary,
    Neighbours,
    Sampling,
)
from rosetta_core.config.significance import MIN_SPLIT_IMAGES, NULL_MODELS, Significance
from rosetta_core.config.steering import Steering
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.validation import (
    MAX_PIXELS_DESCRIPTION,
    Device,
    Folder,
    MaxPixels,
    Memory,
    Name,
    Section,
)
from rosetta_core.zoo.model_spec import EncoderSpec, ModelSpec
from rosetta_core.zoo.registry import GENERATORS

__all__ = ["Config"]


class Config(Section):
    """Configuration of one run: a pivot, its encoders, and how they are mined."""

    run: Name = Field("faces", description="name of the run; output folder: {results}/{run}")
    results: Folder = Field("results", description="folder of all runs")
    resources: Folder = Field("resources", description="folder of downloaded weights")
    device: Device = Field(
        "auto",
        description="compute device: auto, cpu, cuda or cuda:N; auto: a GPU if available",
    )
    memory_budget: Memory = Field(
        "2 GiB",
        description="working memory per job, networks excluded; affects speed, not results",
    )
    max_pixels: MaxPixels = Field(None, description=MAX_PIXELS_DESCRIPTION)
    pivot: ModelSpec = Field(
        default_factory=face_generator,
        description="model that all encoders are compared with: a generator, or an encoder if "
        "images come from sampling.folder",
    )
    encoders: list[EncoderSpec] = Field(
        default_factory=face_encoders,
        description="models compared with the pivot; a Rosetta neuron has a best buddy in every "
        "one of them",
        min_length=1,
    )
    sampling: Sampling = Field(default_factory=Sampling, description="images of the run")
    activations: Activations = Field(
        default_factory=Activations, description="forward passes and activation maps of the models"
    )
    correlation: Correlation = Field(
        default_factory=Correlation,
        description="correlations of the pivot's units with those of each model",
    )
    neighbours: Neighbours = Field(
        default_factory=Neighbours, description="nearest neighbours and best buddies"
    )
    significance: Significance = Field(
        default_factory=Significance, description="statistical tests of the matches"
    )
    dictionary: Dictionary = Field(
        default_factory=Dictionary, description="pages of the dictionary"
    )
    steering: Steering = Field(
        default_factory=face_steering,
        description="jobs that invert, maximise, edit and tune; without this key, a run with other "
        "models has no jobs",
    )
    origin: Literal["workflow", "memory"] = Field(
        "workflow",
        description="what computed the run; memory: rosetta.mine, whose saved results are read but "
        "not run",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_jobs_need_default_models(cls, content: Any) -> Any:
        changed = isinstance(content, dict) and ("pivot" in content or "encoders" in content)
        if changed and "steering" not in content:
            return {**content, "steering": Steering()}
        return content

    @model_validator(mode="after")
    def _unique_names(self) -> "Config":
        names = [model.name for model in self.models]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two models are named {name!r}; use different names")
        return self

    @model_validator(mode="after")
    def _only_memory_is_not_loaded(self) -> "Config":
        given = [model.name for model in self.models if model.family == "in_memory"]
        if self.origin == "memory":
            if self.steering.jobs:
                raise ValueError("steering: a saved result of rosetta.mine has no jobs; remove it")
        elif given:
            raise ValueError(
                f"{given[0]}: family in_memory is a network that was given to rosetta.mine, which "
                "cannot be loaded; choose another family"
            )
        elif self.sampling.source is not None:
            raise ValueError("sampling.source: only saved results have it; use sampling.folder")
        return self

    @model_validator(mode="after")
    def _one_source_of_images(self) -> "Config":
        family, sampling = self.pivot.family, self.sampling
        if self.origin == "memory":
            if sampling.folder is not None:
                raise ValueError("sampling.folder: images were given in memory; use source")
            return self
        if sampling.folder is None:
            if family not in (*GENERATORS, "python"):
                raise ValueError(
                    f"pivot.family: {family} is an encoder; use a generator, or set sampling.folder"
                )
            return self
        if family in GENERATORS:
            raise ValueError(
                f"sampling.folder: the pivot is a generator ({family}); remove the folder, or use "
                "an encoder as the pivot"
            )
        if sampling.classes is not None:
            raise ValueError("sampling.classes: images of a folder have no classes; remove it")
        if self.steering.jobs:
            raise ValueError(
                "steering: the pivot is an encoder, since images come from sampling.folder; remove "
                "the jobs, or use a generator"
            )
        return self

    @model_validator(mode="after")
    def _blocks_need_stored_maps(self) -> "Config":
        if not self.stores_activations and self.correlation.blocks > 1:
            raise ValueError(
                f"correlation.blocks: {self.correlation.blocks} needs stored maps, since every "
                "block would run all networks; use correlation.blocks: 1 or activations.store: zarr"
            )
        return self

    @model_validator(mode="after")
    def _null_models_are_possible(self) -> "Config":
        for name in self.significance.nulls or []:
            needs = NULL_MODELS[name]
            if needs.stored_maps and not self.stores_activations:
                raise ValueError(
                    f"significance.nulls: {name} needs stored maps; remove it, or use "
                    "activations.store: zarr"
                )
            if self.sampling.images < needs.images:
                raise ValueError(
                    f"significance.nulls: {name} needs at least {needs.images} images "
                    f"(sampling.images is {self.sampling.images}); remove it, or raise "
                    "sampling.images"
                )
        return self

    @model_validator(mode="after")
    def _statistics_are_possible(self) -> "Config":
        significance, images = self.significance, self.sampling.images
        for key, value in (("splits", significance.splits), ("intervals", significance.intervals)):
            if value and images < MIN_SPLIT_IMAGES:
                raise ValueError(
                    f"significance.{key}: needs at least {MIN_SPLIT_IMAGES} images "
                    f"(sampling.images is {images}); set it to null, or raise sampling.images"
                )
        if significance.intervals and not self.stores_activations:
            raise ValueError(
                "significance.intervals: needs stored maps; set it to null, or use "
                "activations.store: zarr"
            )
        return self

    @model_validator(mode="after")
    def _jobs_name_known_encoders(self) -> "Config":
        known = [encoder.name for encoder in self.encoders]
        named = [
            (f"steering.perceptual.{key}.encoder", [distance.encoder])
            for key, distance in (
                ("loss", self.steering.perceptual.loss),
                ("evaluation", self.steering.perceptual.evaluation),
            )
            if distance and distance.encoder
        ]
        named += [(f"steering: {job.name}", job.encoders or []) for job in self.steering.invert]
        for where, names in named:
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"{where}: unknown encoder {name!r}; use one of {', '.join(known)}"
                        f"{did_you_mean(name, known)}"
                    )
        return self

    def check_runnable(self) -> None:
        """Refuse to run stages of a saved result, which they would overwrite.

        Raises:
            RosettaError: the run was computed in memory.
        """
        if self.origin == "memory":
            raise RosettaError(
                f"run {self.run!r}: was mined in memory and saved, so its stages cannot be run; "
                "mine and save it again, or write a configuration of another run"
            )

    @property
    def loss_distance(self) -> DistanceSpec:
        """The perceptual distance in the losses of steering jobs."""
        return self.steering.perceptual.loss or DistanceSpec(encoder=self.encoders[0].name)

    @property
    def evaluation_distance(self) -> DistanceSpec:
        """The perceptual distance that measures the results of steering jobs."""
        return self.steering.perceptual.evaluation or DistanceSpec(encoder=self.encoders[-1].name)

    @property
    def stores_activations(self) -> bool:
        """Whether activation maps are stored; if not, networks feed the correlations directly."""
        return self.activations.store == "zarr"

    def network_settings(self, name: str) -> dict[str, Any]:
        """Return the part of a model's definition that its activation maps depend on."""
        model = self.model(name)
        content = model.model_dump(mode="json")
        if content["weights"]:
            for key in ("licence", "max_size"):
                content["weights"].pop(key, None)
        if model.family in (*GENERATORS, "python"):
            content["truncation"] = self.sampling.truncation
        return content

    def live_settings(self, *names: str) -> list[Any]:
        """Return the definitions of models that a stage runs if maps are not stored.

        Without names, return those of all models.
        """
        if self.stores_activations:
            return []
        return [self.network_settings(name) for name in names or (m.name for m in self.models)]

    @property
    def keeps_matrix(self) -> bool:
        """Whether all correlations are stored, rather than the nearest neighbours of each unit."""
        return self.correlation.keep_matrix

    @property
    def partners(self) -> int:
        """Number of stored neighbours per unit, without the matrix and for halves of the images."""
        return max(MIN_PARTNERS, self.neighbours.k)

    @property
    def nulls(self) -> list[str]:
        """Names of the null models, each once."""
        if self.significance.nulls is not None:
            return list(dict.fromkeys(self.significance.nulls))
        enough = self.sampling.images >= NULL_MODELS["permute_images"].images
        return ["permute_images"] if self.stores_activations and enough else []

    @property
    def splits(self) -> int:
        """Number of splits of the images into two halves."""
        if self.significance.splits is not None:
            return self.significance.splits
        return 1 if self.sampling.images >= MIN_SPLIT_IMAGES else 0

    @property
    def intervals(self) -> bool:
        """Whether confidence intervals and peak overlap of pairs are computed."""
        if self.significance.intervals is not None:
            return self.significance.intervals
        return self.stores_activations and self.sampling.images >= MIN_SPLIT_IMAGES

    @property
    def has_significance(self) -> bool:
        """Whether the run has null models, splits or confidence intervals."""
        return bool(self.nulls or self.splits or self.intervals)

    @property
    def models(self) -> list[ModelSpec]:
        """The pivot, followed by the encoders."""
        return [self.pivot, *self.encoders]

    def model(self, name: str) -> ModelSpec:
        """Return the model of a name; RosettaError if there is none."""
        for model in self.models:
            if model.name == name:
                return model
        names = [model.name for model in self.models]
        raise RosettaError(
            f"unknown model {name!r} in run {self.run!r}; use one of {', '.join(names)}"
            f"{did_you_mean(name, names)}"
        )

    @property
    def shards(self) -> list[str]:
        """Names of the shards, in order of their images."""
        count = -(-self.sampling.images // self.sampling.shard_size)
        return [f"{shard:05d}" for shard in range(count)]

    def shard_images(self, shard: str) -> range:
        """Return the numbers of the images in a shard; RosettaError if there is no such shard."""
        if shard not in self.shards:
            raise RosettaError(
                f"unknown shard {shard!r} in run {self.run!r}; use {self.shards[0]} to "
                f"{self.shards[-1]}"
            )
        start = int(shard) * self.sampling.shard_size
        return range(start, min(start + self.sampling.shard_size, self.sampling.images))
