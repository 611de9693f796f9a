"""A run: the models, the images, and how they are mined; the default is the offline face zoo.

Config       a whole run; `Config()` is the default `config.yaml`
GPU_BATCH    images per forward pass on a GPU, unless given
"""

from typing import Any, Literal

from pydantic import Field, NonNegativeInt, model_validator

from rosetta_core.config.faces import face_encoders, face_generator, face_steering
from rosetta_core.config.images import DistanceSpec
from rosetta_core.config.significance import NULL_MODELS, Significance
from rosetta_core.config.steering import Steering
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.validation import Device, Folder, Memory, Name, Section, Seed
from rosetta_core.zoo.model_spec import EncoderSpec, ModelSpec
from rosetta_core.zoo.registry import GENERATORS

__all__ = ["GPU_BATCH", "Config"]

GPU_BATCH = 16  # images per forward pass there
FEW_TO_SPLIT = 16  # images, of which halves and intervals still tell something
KEPT = 32  # partners of a unit where the matrix isn't kept, so that K may grow that far


class Sampling(Section):
    """Which images the pivot draws, or those that it looks at."""

    images: int = Field(512, description="how many; the paper takes 1600", ge=1, le=10_000_000)
    seed: Seed = Field(0, description="image i depends on this seed and on i alone")
    truncation: float = Field(
        1.0,
        description="nearness to the mean: the scale of the latents or, where the generator has "
        "them, of the distances of w from its mean; 1 = as trained",
        gt=0,
        le=1,
    )
    classes: list[NonNegativeInt] | None = Field(
        None,
        description="classes to draw, for generators that have them; null takes all",
        min_length=1,
    )
    folder: Folder | None = Field(
        None,
        description="take images from this folder, in order of their names, for a pivot that "
        "draws none",
    )
    size: int = Field(256, description="side of those images, in pixels", ge=8, le=4096)
    shard_size: int = Field(256, description="images per job and store", ge=1, le=65_536)


class Activations(Section):
    """How the networks are run."""

    batch_size: int | None = Field(
        None,
        description="images per forward pass; null is 1 on a CPU, where more is hardly faster, "
        f"and {GPU_BATCH} on a GPU",
        ge=1,
    )
    near_constant: float = Field(
        0.01,
        description="a unit whose std is below this share of its |mean| counts as dead",
        ge=0,
        lt=1,
    )
    keepbits: int | None = Field(
        None,
        description="round activations to this many bits of mantissa, for smaller stores; null "
        "keeps all 10 of float16",
        ge=1,
        le=9,
    )


class Mining(Section):
    """Where activation maps go."""

    store: Literal["zarr", "none"] = Field(
        "zarr",
        description="zarr writes every map to disk, once; none writes no maps: networks feed the "
        "correlations directly, and run twice more for the dictionary's examples, and units whose "
        "correlations are closer than 1e-6 may change places",
    )


class Correlation(Section):
    """How units are correlated."""

    keep_matrix: bool = Field(
        True,
        description="keep every correlation; false keeps each unit's best partners only "
        f"({KEPT} of them, or K if that is more)",
    )
    blocks: int = Field(
        1, description="jobs that share the pivot's units between them, for clusters", ge=1, le=4096
    )


class Neighbours(Section):
    """Which units are best buddies."""

    k: int = Field(5, description="mutual K nearest neighbours; the paper's K", ge=1)


class Dictionary(Section):
    """What the pages show."""

    examples: int = Field(
        8, description="images per concept and group: best, random, quarters, apart", ge=1, le=64
    )
    unit_examples: int = Field(3, description="images per unit of any model", ge=1, le=64)


class Config(Section):
    """One run: a pivot, its encoders, and how they are mined."""

    run: Name = Field("faces", description="results are written to {results}/{run}")
    results: Folder = Field("results", description="folder of the runs")
    resources: Folder = Field("resources", description="folder of fetched weights")
    device: Device = Field("auto", description="auto, cpu, cuda or cuda:N; auto takes a GPU if any")
    memory_budget: Memory = Field(
        "2 GiB", description="working memory of one job, networks not counted"
    )
    pivot: ModelSpec = Field(
        default_factory=face_generator,
        description="the generator that draws the images; an encoder where they come from a folder",
    )
    encoders: list[EncoderSpec] = Field(
        default_factory=face_encoders,
        description="the networks that look at them; a Rosetta neuron has a buddy in each",
        min_length=1,
    )
    sampling: Sampling = Field(default_factory=Sampling, description="the images")
    activations: Activations = Field(default_factory=Activations, description="the forward passes")
    mining: Mining = Field(default_factory=Mining, description="where activation maps go")
    correlation: Correlation = Field(default_factory=Correlation, description="the correlations")
    neighbours: Neighbours = Field(default_factory=Neighbours, description="the best buddies")
    significance: Significance = Field(
        default_factory=Significance, description="significance of matches"
    )
    dictionary: Dictionary = Field(default_factory=Dictionary, description="the pages")
    steering: Steering = Field(
        default_factory=face_steering,
        description="jobs that invert, show and edit images; none if it is left out where the "
        "models are others",
    )

    @model_validator(mode="before")
    @classmethod
    def _other_models_have_no_jobs(cls, content: Any) -> Any:
        others = isinstance(content, dict) and ("pivot" in content or "encoders" in content)
        if others and "steering" not in content:
            return {**content, "steering": Steering()}
        return content

    @model_validator(mode="after")
    def _names_once(self) -> "Config":
        names = [model.name for model in self.models]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two models are named {name!r}; give each a name of its own")
        return self

    @model_validator(mode="after")
    def _images_from_somewhere(self) -> "Config":
        family, sampling = self.pivot.family, self.sampling
        if sampling.folder is None:
            if family not in (*GENERATORS, "python"):
                raise ValueError(
                    f"pivot.family: {family} draws no images; take a generator as the pivot, or "
                    "images from sampling.folder"
                )
            return self
        if family in GENERATORS:
            raise ValueError(
                f"sampling.folder: {family} draws images itself; leave the folder out, or take an "
                "encoder as the pivot"
            )
        if sampling.classes is not None:
            raise ValueError("sampling.classes: images of a folder have none")
        if self.steering.jobs:
            raise ValueError(
                "steering: needs a generator as the pivot; images come from sampling.folder"
            )
        return self

    @model_validator(mode="after")
    def _blocks_read_stores(self) -> "Config":
        if not self.stores_activations and self.correlation.blocks > 1:
            raise ValueError(
                f"correlation.blocks: {self.correlation.blocks} needs stored maps, since every "
                "block would run all networks; use blocks: 1 or mining.store: zarr"
            )
        return self

    @model_validator(mode="after")
    def _null_models_have_what_they_need(self) -> "Config":
        for null in self.significance.nulls or []:
            needs = NULL_MODELS[null]
            if needs.stored_maps and not self.stores_activations:
                raise ValueError(
                    f"significance.nulls: {null} needs stored maps; leave it out, or use "
                    "mining.store: zarr"
                )
            if self.sampling.images < needs.images:
                raise ValueError(f"significance.nulls: {null} needs {needs.images} images or more")
        return self

    @model_validator(mode="after")
    def _enough_images_for_evidence(self) -> "Config":
        significance, images = self.significance, self.sampling.images
        for key, wanted in (("splits", significance.splits), ("intervals", significance.intervals)):
            if wanted and images < FEW_TO_SPLIT:
                raise ValueError(
                    f"significance.{key}: needs {FEW_TO_SPLIT} images or more, not {images}"
                )
        if significance.intervals and not self.stores_activations:
            raise ValueError(
                "significance.intervals: needs stored maps; leave it out, or use mining.store: zarr"
            )
        return self

    @model_validator(mode="after")
    def _steered_by_known_encoders(self) -> "Config":
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
                        f"{where}: no encoder {name!r}; they are {', '.join(known)}"
                        f"{did_you_mean(name, known)}"
                    )
        return self

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
        return self.mining.store == "zarr"

    def network_settings(self, name: str) -> dict[str, Any]:
        """Return the part of a model's definition that its activation maps depend on."""
        model = self.model(name)
        content = model.model_dump(mode="json")
        if content["weights"]:
            content["weights"].pop("licence", None)
        if model.family in (*GENERATORS, "python"):
            content["truncation"] = self.sampling.truncation
        return content

    def live_settings(self, *names: str) -> list[Any]:
        """Return the definitions of models that a stage runs where maps are not stored.

        Without names, those of all models.
        """
        if self.stores_activations:
            return []
        return [self.network_settings(name) for name in names or (m.name for m in self.models)]

    @property
    def keeps_matrix(self) -> bool:
        """Whether every correlation is kept, and not each unit's best partners only."""
        return self.correlation.keep_matrix

    @property
    def partners(self) -> int:
        """How many partners of a unit are kept, where the matrix isn't and of halves."""
        return max(KEPT, self.neighbours.k)

    @property
    def nulls(self) -> list[str]:
        """What is mined beside the run to tell what chance gives."""
        if self.significance.nulls is not None:
            return list(dict.fromkeys(self.significance.nulls))
        enough = self.sampling.images >= NULL_MODELS["permute_images"].images
        return ["permute_images"] if self.stores_activations and enough else []

    @property
    def splits(self) -> int:
        """How many ways the images are split into halves that are mined by themselves."""
        if self.significance.splits is not None:
            return self.significance.splits
        return 1 if self.sampling.images >= FEW_TO_SPLIT else 0

    @property
    def intervals(self) -> bool:
        """Whether pairs are looked at image by image."""
        if self.significance.intervals is not None:
            return self.significance.intervals
        return self.stores_activations and self.sampling.images >= FEW_TO_SPLIT

    @property
    def has_significance(self) -> bool:
        """Whether anything is told of pairs and concepts beside their correlation."""
        return bool(self.nulls or self.splits or self.intervals)

    @property
    def models(self) -> list[ModelSpec]:
        """The pivot, then the encoders."""
        return [self.pivot, *self.encoders]

    def model(self, name: str) -> ModelSpec:
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
