"""Where every artefact of a run lies: one place for the names, shared by rules and stages.

RunPaths        the files and folders of one run; a shard or a model may be a "{wildcard}"
weights_file    the file of a model's weights
list_images     the image files of a folder, in order of their paths
"""

from functools import cached_property
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.config.steering import Job
from rosetta_core.errors import RosettaError
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.sources import FileWeights, RemoteWeights, ShippedWeights

__all__ = ["RunPaths", "list_images", "weights_file"]

PACKAGE = Path(__file__).resolve().parents[1]
IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def weights_file(model: ModelSpec, resources: Path) -> Path | None:
    """Return the file of a model's weights: the user's own, in this package, or in the resources.

    None where weights are random, or loaded by a function of the user's.
    """
    match model.weights:
        case FileWeights(file=file):
            return Path(file)
        case ShippedWeights(place=place):
            return PACKAGE / place
    return resources / model.weights.place if isinstance(model.weights, RemoteWeights) else None


def list_images(folder: Path, *, key: str = "sampling.folder") -> list[Path]:
    """Return the image files in a folder and below, in order of their paths, hidden ones left out.

    RosettaError, about that key of the configuration, if there is no such folder, or no image in
    it.
    """
    if not folder.is_dir():
        raise RosettaError(f"{key}: there is no folder {folder}")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGES and path.is_file() and not _hidden(path, folder)
    )
    if not found:
        kinds = ", ".join(IMAGES)
        raise RosettaError(f"{key}: there is no image in {folder}, of {kinds}")
    return found


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


class RunPaths:
    """The contract of files; paths are relative to the working folder, but in this package."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.run = Path(config.results) / config.run
        self.resources = Path(config.resources)
        self.pivot = config.pivot.name
        self.stores_activations = config.stores_activations

    @property
    def config(self) -> Path:
        """The resolved configuration of the run."""
        return self.run / "config.yaml"

    def weights(self, model: ModelSpec) -> Path | None:
        """The file of a model's weights, if they are in one."""
        return weights_file(model, self.resources)

    def watched_weights(self, model: ModelSpec) -> Path | None:
        """The same as an input of the workflow's jobs, which run again when it is newer.

        None for a file in this package: its checksum is a setting, and its time stamp is that of
        an installation.
        """
        return None if isinstance(model.weights, ShippedWeights) else self.weights(model)

    def folder_images(self, shard: str) -> list[Path]:
        """The image files of a shard, where images come from a folder; RosettaError if too few."""
        images = self._config.shard_images(shard)
        return self._listed[images.start : images.stop]

    @cached_property
    def _listed(self) -> list[Path]:
        sampling = self._config.sampling
        if sampling.folder is None:
            return []
        found = list_images(Path(sampling.folder))
        if len(found) < sampling.images:
            raise RosettaError(
                f"sampling.images: {sampling.images} is more than the {len(found)} images in "
                f"{sampling.folder}"
            )
        return found

    def samples(self, shard: str) -> Path:
        """The store of a shard's latents and images; its manifest has the suffix .json."""
        return self.run / "samples" / self.pivot / f"{shard}.zarr"

    def activations(self, model: str, shard: str) -> Path:
        """The store of a model's activation maps; its manifest has the suffix .json."""
        return self.run / "activations" / model / f"{shard}.zarr"

    def correlations(self, model: str, block: int | None = None) -> Path:
        """The store of the correlations of the pivot's units with a model's; a block of rows."""
        pair = f"{self.pivot}--{model}"
        if block is None:
            return self.run / "correlations" / f"{pair}.zarr"
        return self.run / "correlations" / "blocks" / pair / f"{block:04d}.zarr"

    def units(self, model: str) -> Path:
        """The table of a model's units."""
        return self.run / "tables" / "units" / f"{model}.parquet"

    def neighbours(self, model: str) -> Path:
        """The table of nearest neighbours between the pivot and a model."""
        return self.run / "tables" / "neighbours" / f"{self.pivot}--{model}.parquet"

    def best_buddies(self, model: str) -> Path:
        """The table of mutual nearest neighbours between the pivot and a model."""
        return self.run / "tables" / "best_buddies" / f"{self.pivot}--{model}.parquet"

    @property
    def rosetta(self) -> Path:
        """The table of Rosetta neurons and their buddies."""
        return self.run / "tables" / "rosetta.parquet"

    @property
    def concepts(self) -> Path:
        """The table of concepts."""
        return self.run / "tables" / "concepts.parquet"

    @property
    def _significance(self) -> Path:
        return self.run / "tables" / "significance"

    def null_matches(self, null: str, model: str) -> Path:
        """Table of the best buddies of the pivot and an encoder under a null model."""
        return self._significance / "null_matches" / null / f"{self.pivot}--{model}.parquet"

    def null_corr(self, null: str, model: str) -> Path:
        """Table of the run's best buddies with their correlation under a null model."""
        return self._significance / "null_corr" / null / f"{self.pivot}--{model}.parquet"

    @property
    def pair_statistics(self) -> Path:
        """Table of confidence intervals and peak overlap of best-buddy pairs."""
        return self._significance / "pair_statistics.parquet"

    @property
    def pair_significance(self) -> Path:
        """Table of the significance of best-buddy pairs."""
        return self._significance / "pairs.parquet"

    @property
    def concept_significance(self) -> Path:
        """Table of the significance of concepts."""
        return self._significance / "concepts.parquet"

    @property
    def null_counts(self) -> Path:
        """Table of observed and null counts, with the FDR."""
        return self._significance / "null_counts.parquet"

    @property
    def split_half(self) -> Path:
        """Table of recovery rates and split-half agreement."""
        return self._significance / "split_half.parquet"

    def sweep(self, model: str) -> Path:
        """The store of the best partners of the pivot's and a model's units, of few images on."""
        return self.run / "sweep" / f"{self.pivot}--{model}.zarr"

    @property
    def sweep_table(self) -> Path:
        """The table of how findings depend on images, neighbours and encoders."""
        return self.run / "tables" / "sweep.parquet"

    @property
    def sweep_curves(self) -> list[Path]:
        """Its curves, as PDF and PNG."""
        return [self.run / "figures" / f"sweep.{kind}" for kind in ("pdf", "png")]

    @property
    def significance(self) -> list[Path]:
        """Tables of the significance of pairs and concepts, and their counts."""
        if not self._config.has_significance:
            return []
        counts = [self.null_counts] if self._config.nulls else []
        counts += [self.split_half] if self._config.splits else []
        return [self.pair_significance, self.concept_significance, *counts]

    def unit_examples(self, model: str) -> Path:
        """The store of what a model's units fire at."""
        return self.run / "examples" / "units" / f"{model}.zarr"

    @property
    def concept_examples(self) -> Path:
        """The store of how the concepts show on every image."""
        return self.run / "examples" / "concepts.zarr"

    @property
    def selectivity(self) -> Path:
        """The table of how few activations and images every unit responds to."""
        return self.run / "tables" / "selectivity.parquet"

    @property
    def layers(self) -> Path:
        """The table of layers: how many Rosetta units, and how selective."""
        return self.run / "tables" / "layers.parquet"

    @property
    def vargha_delaney(self) -> Path:
        """The table of how often Rosetta units are more selective than others."""
        return self.run / "tables" / "vargha_delaney.parquet"

    @property
    def costs(self) -> Path:
        """The table of what the jobs took."""
        return self.run / "tables" / "costs.csv"

    @property
    def provenance(self) -> Path:
        """What made the run: code, libraries, weights, seeds, machine."""
        return self.run / "provenance.json"

    @property
    def dictionary(self) -> Path:
        """The folder of the pages."""
        return self.run / "dictionary"

    def steering_job(self, name: str) -> Path:
        """Folder of the steering job of that name."""
        return self.job(self._config.steering.job(name))

    def job(self, job: Job) -> Path:
        """The folder of a steering job."""
        return self.run / job.folder / job.name

    @property
    def steering(self) -> Path:
        """The folder of the page of all steering jobs."""
        return self.run / "steering"

    @property
    def pages(self) -> list[Path]:
        """What to open in a browser."""
        steering = [self.steering] if self._config.steering.jobs else []
        return [folder / "index.html" for folder in (self.dictionary, *steering)]

    def log(self, stage: str, *parts: str) -> Path:
        """The log of one job."""
        return self.run / "logs" / stage / f"{'.'.join(parts) or stage}.log"

    def benchmark(self, stage: str, *parts: str) -> Path:
        """What Snakemake measured of one job."""
        return self.run / "benchmarks" / stage / f"{'.'.join(parts) or stage}.tsv"
