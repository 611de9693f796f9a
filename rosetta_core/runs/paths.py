"""Paths of all files and folders of a run, shared by Snakemake rules and stages.

Paths are relative to the working directory, except those of files in this package.
"""

from functools import cached_property
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.config.steering import Job
from rosetta_core.errors import RosettaError
from rosetta_core.io.image_files import ImageFolder, list_images
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.local import FileWeights, ShippedWeights
from rosetta_core.zoo.weights.sources import RemoteWeights

__all__ = ["RunPaths", "weights_file"]

PACKAGE = Path(__file__).resolve().parents[1]


def weights_file(model: ModelSpec, resources: Path) -> Path | None:
    """Return the weights file of a model: the user's own, in this package, or in `resources`.

    Returns:
        The path; None if weights are random, or loaded by a function of the user's own.
    """
    match model.weights:
        case FileWeights(file=file):
            return Path(file)
        case ShippedWeights(place=place):
            return PACKAGE / place
    return resources / model.weights.place if isinstance(model.weights, RemoteWeights) else None


class RunPaths:
    """Paths of one run.

    Methods that take a model or a shard also accept a Snakemake wildcard, for example "{model}".

    Args:
        config: configuration of the run.

    Attributes:
        run: folder of the run.
        resources: folder of fetched weights and images, shared by runs.
        pivot: name of the pivot.
        stores_activations: whether the run stores activation maps.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.run = Path(config.results) / config.run
        self.resources = Path(config.resources)
        self.pivot = config.pivot.name
        self.stores_activations = config.stores_activations

    @property
    def config(self) -> Path:
        """Resolved configuration of the run."""
        return self.run / "config.yaml"

    def weights(self, model: ModelSpec) -> Path | None:
        """Weights file of a model; None if its weights are not in a file."""
        return weights_file(model, self.resources)

    def watched_weights(self, model: ModelSpec) -> Path | None:
        """Weights file of a model whose modification time triggers reruns; None if there is none.

        Files in this package are left out: their checksum is a setting, and their modification
        time is that of the installation.
        """
        return None if isinstance(model.weights, ShippedWeights) else self.weights(model)

    def folder_images(self, shard: str) -> list[Path]:
        """Image files of a shard, if images come from a folder.

        Raises:
            RosettaError: the folder does not exist, or has fewer images than the run.
        """
        images = self._config.shard_images(shard)
        return self.image_folder.images[images.start : images.stop] if self.image_folder else []

    @cached_property
    def image_folder(self) -> ImageFolder | None:
        """The folder that images come from, if they do.

        Raises:
            RosettaError: the folder does not exist, or has fewer images than the run.
        """
        sampling = self._config.sampling
        if sampling.folder is None:
            return None
        content = list_images(Path(sampling.folder))
        if len(content.images) < sampling.images:
            left_out = content.describe_left_out()
            raise RosettaError(
                f"sampling.images: {sampling.images} is more than the {len(content.images)} images "
                f"in {sampling.folder}{left_out and f' (left out: {left_out})'}; lower it or add "
                "images"
            )
        return content

    def samples(self, shard: str) -> Path:
        """Store of a shard's latents and images; its manifest has the suffix .json."""
        return self.run / "samples" / self.pivot / f"{shard}.zarr"

    @property
    def sample_stores(self) -> list[Path]:
        """Stores of all shards' latents and images, in order."""
        return [self.samples(shard) for shard in self._config.shards]

    def activations(self, model: str, shard: str) -> Path:
        """Store of a model's activation maps on a shard; its manifest has the suffix .json."""
        return self.run / "activations" / model / f"{shard}.zarr"

    def correlations(self, model: str, block: int | None = None) -> Path:
        """Store of the correlations of the pivot's units with a model's; one block of its rows."""
        pair = f"{self.pivot}--{model}"
        if block is None:
            return self.run / "correlations" / f"{pair}.zarr"
        return self.run / "correlations" / "blocks" / pair / f"{block:04d}.zarr"

    def units(self, model: str) -> Path:
        """Table of a model's units."""
        return self.run / "tables" / "units" / f"{model}.parquet"

    def neighbours(self, model: str) -> Path:
        """Table of nearest neighbours between the pivot and a model."""
        return self.run / "tables" / "neighbours" / f"{self.pivot}--{model}.parquet"

    def best_buddies(self, model: str) -> Path:
        """Table of best buddies between the pivot and a model."""
        return self.run / "tables" / "best_buddies" / f"{self.pivot}--{model}.parquet"

    @property
    def rosetta(self) -> Path:
        """Table of Rosetta neurons and their best buddies."""
        return self.run / "tables" / "rosetta.parquet"

    @property
    def concepts(self) -> Path:
        """Table of concepts."""
        return self.run / "tables" / "concepts.parquet"

    @property
    def _significance(self) -> Path:
        """Folder of all tables of significance."""
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
        """Store of the top-K neighbours of the pivot's and a model's units, on image subsets."""
        return self.run / "sweep" / f"{self.pivot}--{model}.zarr"

    @property
    def sweep_table(self) -> Path:
        """Table of the numbers of matches for subsets of images, values of K and encoders."""
        return self.run / "tables" / "sweep.parquet"

    @property
    def sweep_curves(self) -> list[Path]:
        """Figure of the sweep's curves, as PDF and PNG."""
        return [self.run / "figures" / f"sweep.{kind}" for kind in ("pdf", "png")]

    @property
    def significance(self) -> list[Path]:
        """Tables of the significance of pairs and concepts, and of counts; empty without tests."""
        if not self._config.has_significance:
            return []
        counts = [self.null_counts] if self._config.nulls else []
        counts += [self.split_half] if self._config.splits else []
        return [self.pair_significance, self.concept_significance, *counts]

    def unit_examples(self, model: str) -> Path:
        """Store of the top-activating images of a model's units."""
        return self.run / "examples" / "units" / f"{model}.zarr"

    @property
    def concept_examples(self) -> Path:
        """Store of concept scores and concept maps on all images."""
        return self.run / "examples" / "concepts.zarr"

    @property
    def selectivity(self) -> Path:
        """Table of the selectivity and sparsity of all units."""
        return self.run / "tables" / "selectivity.parquet"

    @property
    def layers(self) -> Path:
        """Table of layers: number of Rosetta units, selectivity and sparsity."""
        return self.run / "tables" / "layers.parquet"

    @property
    def vargha_delaney(self) -> Path:
        """Table of Vargha–Delaney A of Rosetta units and other units, by model."""
        return self.run / "tables" / "vargha_delaney.parquet"

    @property
    def costs(self) -> Path:
        """Table of the measured cost of jobs."""
        return self.run / "tables" / "costs.csv"

    @property
    def provenance(self) -> Path:
        """Provenance of the run: code, libraries, weights, seeds and machine, as JSON."""
        return self.run / "provenance.json"

    @property
    def dictionary(self) -> Path:
        """Folder of the dictionary's pages."""
        return self.run / "dictionary"

    def steering_job(self, name: str) -> Path:
        """Folder of the steering job with a name."""
        return self.job(self._config.steering.job(name))

    def job(self, job: Job) -> Path:
        """Folder of a steering job."""
        return self.run / job.folder / job.name

    @property
    def steering(self) -> Path:
        """Folder of the page of all steering jobs."""
        return self.run / "steering"

    @property
    def pages(self) -> list[Path]:
        """Start pages, to open in a browser."""
        steering = [self.steering] if self._config.steering.jobs else []
        return [folder / "index.html" for folder in (self.dictionary, *steering)]

    def log(self, stage: str, *parts: str) -> Path:
        """Log file of a job."""
        return self.run / "logs" / stage / f"{'.'.join(parts) or stage}.log"

    def benchmark(self, stage: str, *parts: str) -> Path:
        """Benchmark file of a job, written by Snakemake."""
        return self.run / "benchmarks" / stage / f"{'.'.join(parts) or stage}.tsv"
