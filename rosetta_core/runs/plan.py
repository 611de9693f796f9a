"""Plan of a run: estimated cost of its stages, from the shapes of its models.

Each stage estimates its own cost from `RunShapes`. Memory is an upper bound. Time is a rough
estimate, so a cluster job requests a multiple of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from rosetta_core.config import Config
from rosetta_core.validation import parse_bytes
from rosetta_core.zoo.layers import Layer, common_grids, map_bytes
from rosetta_core.zoo.model_info import ModelInfo

__all__ = ["Cost", "Plan", "Rates", "RunShapes", "StageCost", "job_resources", "pair_operations"]

COMPRESSION = 1.5  # compression ratio of stored maps (measured: 1.4 to 1.9)
WRAPPER = 350 * 2**20  # bytes of Snakemake's own processes in a cluster job
EXAMPLE_SIDE = 48  # largest side of an example's map
SAFETY = 4  # requested over estimated time of a cluster job, since clusters kill late jobs


@dataclass(frozen=True)
class Rates:
    """Speed of one thread of a machine; the defaults describe a slow machine.

    Attributes:
        products: operations per second in large float32 products.
        networks: seconds of a forward pass of one image, by model.
        forward: operations per second of networks that were not timed.
        hooked: seconds per activation from the network to float16, with its moments.
        written: seconds per activation to write into a store.
        read: seconds per activation to read from a store.
        reduced: seconds per activation to centre, reduce and sum.
    """

    products: float = 3e10
    networks: Mapping[str, float] = field(default_factory=dict)
    forward: float = 5e9
    hooked: float = 1e-8
    written: float = 2e-8
    read: float = 1e-8
    reduced: float = 1e-8

    def network(self, name: str, description: ModelInfo) -> float:
        """Return the seconds of a model's forward pass of one image."""
        return self.networks.get(name, description.flops / self.forward)


@dataclass(frozen=True)
class Cost:
    """Cost of all jobs of a stage.

    Attributes:
        memory: bytes of one job, at most.
        seconds: seconds of one thread, summed over jobs.
        operations: multiplications and additions.
        reads: bytes read.
        writes: bytes written.
    """

    memory: float
    seconds: float
    operations: float = 0
    reads: float = 0
    writes: float = 0


@dataclass(frozen=True)
class StageCost(Cost):
    """Cost of a stage of a run.

    Attributes:
        name: name of the stage.
        jobs: number of its jobs.
        single_core: whether a job uses one core only.
    """

    name: str = ""
    jobs: int = 1
    single_core: bool = False

    @property
    def seconds_per_job(self) -> float:
        """Seconds that one job takes on one thread."""
        return self.seconds / self.jobs

    def elapsed(self, cores: int) -> float:
        """Return the seconds of the stage on this number of cores."""
        return self.seconds / (min(cores, self.jobs) if self.single_core else cores)


@dataclass(frozen=True)
class Plan:
    """Estimated cost of a run.

    Attributes:
        models: descriptions by name, the pivot first.
        stages: costs in the order in which stages run.
        pairs: number of correlated pairs of units.
    """

    models: Mapping[str, ModelInfo]
    stages: Sequence[StageCost]
    pairs: int


def pair_operations(first: Sequence[Layer], second: Sequence[Layer]) -> tuple[int, int]:
    """Return the operations per image of all products of two models' units.

    Returns:
        Operations at the smaller grids, and with both maps resized to the larger one.
    """
    smaller = resized = 0
    for f in first:
        for g in second:
            small, large = common_grids(f.grid, g.grid)
            smaller += 2 * f.channels * g.channels * small[0] * small[1]
            resized += 2 * f.channels * g.channels * large[0] * large[1]
    return smaller, resized


class RunShapes:
    """Sizes and speeds of a run, from which stages estimate their costs.

    Attributes:
        config: configuration of the run.
        models: descriptions by name, the pivot first.
        rates: speed of the machine.
        images: number of images.
        live: whether networks run in place of reading stored maps.
        budget: bytes of working memory of a job.
    """

    FLOAT32, FLOAT64 = 4, 8  # bytes
    PROCESS = 2**30  # bytes of a job that has imported torch, before it reads maps
    START = 1.0  # seconds until a job that needs no torch starts to work
    RANK_PAIR = 1e-7  # seconds per pair of units to find nearest neighbours
    CONCEPTS = 50  # concepts that the paper finds

    def __init__(self, config: Config, models: Mapping[str, ModelInfo], rates: Rates) -> None:
        self.config, self.models, self.rates = config, models, rates
        self.images = config.sampling.images
        self.live = not config.stores_activations
        self.budget = parse_bytes(config.memory_budget)

    cost: ClassVar[type[Cost]] = Cost

    @property
    def pivot(self) -> ModelInfo:
        """Description of the pivot."""
        return self.models[self.config.pivot.name]

    @staticmethod
    def units(model: ModelInfo) -> int:
        """Return the number of a model's units."""
        return sum(layer.channels for layer in model.layers)

    @staticmethod
    def size(layers: Sequence[Layer]) -> int:
        """Return the number of activations of one image."""
        return sum(layer.size for layer in layers)

    @staticmethod
    def pair_operations(first: ModelInfo, second: ModelInfo) -> int:
        """Return the operations per image of all products of two models' units."""
        return pair_operations(first.layers, second.layers)[0]

    @cached_property
    def values(self) -> int:
        """Number of activations of all models on all images."""
        return self.images * sum(self.size(model.layers) for model in self.models.values())

    @cached_property
    def pairs(self) -> int:
        """Number of correlated pairs of units."""
        return self.units(self.pivot) * sum(map(self.units, self.models.values()))

    @property
    def forward_operations(self) -> int:
        """Operations of the forward passes of all models on all images."""
        return self.images * sum(model.flops for model in self.models.values())

    @property
    def forward_seconds(self) -> float:
        """Seconds of these forward passes, with the maps converted to float16."""
        passes = sum(self.rates.network(name, model) for name, model in self.models.items())
        return self.values * self.rates.hooked + self.images * passes

    @property
    def network_memory(self) -> float:
        """Bytes of a job that runs the largest network, without maps."""
        largest = max(model.parameters for model in self.models.values())
        return self.PROCESS + 2 * self.FLOAT32 * largest

    @property
    def map_memory(self) -> float:
        """Bytes of maps that a job keeps in memory."""
        return min(self.budget, self.map_bytes(*self.models))

    def map_bytes(self, *models: str) -> int:
        """Return the bytes of the maps of models on all images, before compression."""
        return self.images * sum(
            map_bytes(self.models[name].layers, self.config.model(name).float32_layers)
            for name in models
        )

    def stored_bytes(self, *models: str) -> float:
        """Return the bytes of the maps of models on all images in stores."""
        return self.map_bytes(*models) / COMPRESSION

    @property
    def matrix_bytes(self) -> float:
        """Bytes of all correlations or, where they are not kept, of the top partners."""
        best = 2 * self.FLOAT32 * self.config.partners
        best *= sum(self.units(self.pivot) + self.units(model) for model in self.models.values())
        matrix = self.FLOAT32 * self.pairs if self.config.keeps_matrix else best
        return matrix + 2 * self.config.splits * best  # per half of the images

    @property
    def example_bytes(self) -> list[int]:
        """Bytes of the units' example maps, by model."""
        count = self.config.dictionary.unit_examples
        return [count * self._shown(model) for model in self.models.values()]

    @property
    def concept_bytes(self) -> float:
        """Bytes of the concepts' maps on all images."""
        means = (self._shown(model) / self.units(model) for model in self.models.values())
        return self.CONCEPTS * self.images * sum(means)

    @staticmethod
    def _shown(model: ModelInfo) -> int:
        """Bytes of one map of every unit, as pages show them."""
        return sum(
            layer.channels * min(layer.height, EXAMPLE_SIDE) * min(layer.width, EXAMPLE_SIDE)
            for layer in model.layers
        )


def job_resources(stage: StageCost) -> dict[str, int]:
    """Return the resources that one job of a stage requests of a cluster.

    A retry requests twice the memory and time (workflow/rules/common.smk).

    Returns:
        mem_mb, disk_mb, and runtime in minutes.
    """
    minutes = SAFETY * stage.seconds_per_job / 60
    return {
        "mem_mb": round((stage.memory + WRAPPER) / 2**20),
        "disk_mb": round(stage.writes / stage.jobs / 2**20) + 100,
        "runtime": round(minutes) + 5,
    }
