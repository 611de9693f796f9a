"""Where every artefact of a run lies: one place for the names, shared by rules and stages.

RunPaths    the files and folders of one run; a shard or a model may be a "{wildcard}"
"""

from pathlib import Path

from rosetta_core.config import Config, FileWeights, Model
from rosetta_core.config.steering import Job

__all__ = ["RunPaths"]


class RunPaths:
    """The contract of files; every method returns a path relative to the working folder."""

    def __init__(self, config: Config) -> None:
        self.run = Path(config.results) / config.run
        self.resources = Path(config.resources)
        self.pivot = config.pivot.name

    @property
    def config(self) -> Path:
        """The resolved configuration of the run."""
        return self.run / "config.yaml"

    def weights(self, model: Model) -> Path:
        """The file of a model's weights: the user's own, or fetched into the resources."""
        if isinstance(model.weights, FileWeights):
            return Path(model.weights.file)
        package, _, version = model.weights.package.partition("==")
        return self.resources / f"{package}-{version}" / model.weights.member

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

    def unit_examples(self, model: str) -> Path:
        """The store of what a model's units fire at."""
        return self.run / "examples" / "units" / f"{model}.zarr"

    @property
    def concept_examples(self) -> Path:
        """The store of how the concepts show on every image."""
        return self.run / "examples" / "concepts.zarr"

    @property
    def costs(self) -> Path:
        """The table of what the jobs took."""
        return self.run / "tables" / "costs.csv"

    @property
    def dictionary(self) -> Path:
        """The folder of the pages."""
        return self.run / "dictionary"

    def job(self, job: Job) -> Path:
        """The folder of a steering job."""
        return self.run / job.folder / job.name

    @property
    def steering(self) -> Path:
        """The folder of the page of all steering jobs."""
        return self.run / "steering"

    def log(self, stage: str, *parts: str) -> Path:
        """The log of one job."""
        return self.run / "logs" / stage / f"{'.'.join(parts) or stage}.log"

    def benchmark(self, stage: str, *parts: str) -> Path:
        """What Snakemake measured of one job."""
        return self.run / "benchmarks" / stage / f"{'.'.join(parts) or stage}.tsv"
