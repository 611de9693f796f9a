"""What a run will take, from the shapes of its models alone.

Rates          how fast a machine is
Stage          what a stage will take
Plan           what a run will take
plan           work it out
needs          the memory, disk and time that a job of a stage asks of a cluster
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rosetta_core.config import Config
from rosetta_core.mining.correlation.grids import common_grids
from rosetta_core.validation import parse_bytes
from rosetta_core.zoo.description import Description
from rosetta_core.zoo.layer import Layer

__all__ = ["Plan", "Rates", "Stage", "needs", "pair_operations", "plan"]

FLOAT16, FLOAT32, FLOAT64 = 2, 4, 8  # bytes
COMPRESSED = 1.5  # how many times smaller stored maps are (docs/performance.md: 1.4 to 1.9)
PROCESS = 2**30  # bytes of a job that has imported torch, before it reads maps
WRAPPER = 350 * 2**20  # bytes that Snakemake takes beside a job of a cluster, where it runs twice
START = 1.0  # seconds until a job that needs no torch gets to work
LOOKED = 3  # times as long as reducing an activation it takes to look for its unit's examples
SPARE = 2  # times as many examples are held as are kept
SIDE = 48  # of an example's map, at most
BINS = 128  # of a unit's histogram
PARTNER = 1e-7  # seconds per pair of units to find nearest neighbours
CONCEPTS = 50  # that the paper finds
CONCEPT = 0.3  # seconds that the page and the figure of one take
PICTURE = 0.05  # seconds that it takes to read an image of a folder and resize it
PAGE = 2e-4  # seconds that the page of a unit takes
BACK = 3  # times as long as a forward pass is one with its gradient
CAUTION = 4  # a cluster kills jobs that take longer than they asked for


@dataclass(frozen=True)
class Rates:
    """How fast one thread of a machine is; the defaults are a slow one's.

    Attributes:
        products: operations a second in large float32 products.
        networks: by model the seconds of a forward pass of one image.
        forward: operations a second of networks that weren't timed.
        hooked: seconds per activation from the network to float16, with its moments.
        written: seconds per activation into a store.
        read: seconds per activation out of a store.
        reduced: seconds per activation to centre, reduce and sum up.
    """

    products: float = 3e10
    networks: Mapping[str, float] = field(default_factory=dict)
    forward: float = 5e9
    hooked: float = 1e-8
    written: float = 2e-8
    read: float = 1e-8
    reduced: float = 1e-8

    def network(self, name: str, description: Description) -> float:
        """Seconds that a model takes for an image."""
        return self.networks.get(name, description.operations / self.forward)


@dataclass(frozen=True)
class Stage:
    """What a stage takes.

    Attributes:
        name: of the stage.
        jobs: how many.
        memory: bytes of one job, at most.
        seconds: of one thread, all jobs added up.
        operations: multiplications and additions of all jobs.
        reads: bytes that all jobs read.
        writes: bytes that all jobs write.
    """

    name: str
    jobs: int
    memory: float
    seconds: float
    operations: float = 0
    reads: float = 0
    writes: float = 0

    @property
    def each(self) -> float:
        """Seconds that one job takes on one thread."""
        return self.seconds / self.jobs


@dataclass(frozen=True)
class Plan:
    """What a run takes.

    Attributes:
        models: by name what is known of each, the pivot first.
        stages: in order.
        pairs: of units that are correlated.
        pivot_reads: how many times the pivot's stores are read.
        pivot_bytes: the maps of the pivot, before compression.
    """

    models: Mapping[str, Description]
    stages: Sequence[Stage]
    pairs: int
    pivot_reads: int
    pivot_bytes: float


def pair_operations(first: Sequence[Layer], second: Sequence[Layer]) -> tuple[int, int]:
    """Operations an image of all products of two models' units.

    Returns:
        (at the smaller grids, with both maps enlarged).
    """
    smaller = enlarged = 0
    for f in first:
        for g in second:
            small, large = common_grids(f.grid, g.grid)
            smaller += 2 * f.channels * g.channels * small[0] * small[1]
            enlarged += 2 * f.channels * g.channels * large[0] * large[1]
    return smaller, enlarged


def plan(config: Config, models: Mapping[str, Description], rates: Rates) -> Plan:
    """Work out what a run takes.

    Args:
        config: the run.
        models: by name what is known of each, the pivot first.
        rates: how fast the machine is.
    """
    images, live, budget = (
        config.sampling.images,
        config.mining.store == "none",
        parse_bytes(config.memory_budget),
    )
    pivot, folder = models[config.pivot.name], config.sampling.folder is not None
    units = [_units(description.layers) for description in models.values()]
    values = images * sum(_size(description.layers) for description in models.values())
    # a forward pass of every image by every model, with its maps on their way
    passed = images * sum(description.operations for description in models.values())
    passing = values * rates.hooked + images * sum(
        rates.network(name, description) for name, description in models.items()
    )
    # maps that show units and concepts, a byte a position
    examples = [
        config.dictionary.unit_examples * _shown(description.layers)
        for description in models.values()
    ]
    leading = CONCEPTS * images * sum(_shown(d.layers) / _units(d.layers) for d in models.values())
    network = PROCESS + 2 * FLOAT32 * max(d.parameters for d in models.values())
    looking = network if live else PROCESS
    held = min(budget, FLOAT16 * values)
    passes = 1 if live or config.correlation.together else len(models)
    jobs = passes * config.correlation.blocks
    # a job of the pivot alone reads its maps once, every other also as rows
    read = config.correlation.blocks * values
    read += (passes - 1) * config.correlation.blocks * images * _size(pivot.layers)
    products = images * sum(
        pair_operations(pivot.layers, description.layers)[0] for description in models.values()
    )
    pairs = _units(pivot.layers) * sum(units)
    matrix = FLOAT32 * pairs
    # by steering job how many images pass through the pivot, there and back
    steps = [job.steps * job.rows(len(config.encoders)) for job in config.steering.jobs.values()]
    best = 2 * FLOAT32 * config.partners * sum(_units(pivot.layers) + count for count in units)
    if not config.keeps_matrix:
        matrix = best
    matrix += 2 * config.splits * best  # of halves
    stages = [
        Stage(
            "sample",
            jobs=len(config.shards),
            operations=0 if folder else images * pivot.operations,
            writes=images * 3 * (config.sampling.size**2 if folder else pivot.pixels),
            memory=PROCESS if folder else network,
            seconds=images * (PICTURE if folder else rates.network(config.pivot.name, pivot)),
        ),
        Stage(
            "activations",
            jobs=len(models) * len(config.shards),
            operations=passed,
            writes=FLOAT16 * values / COMPRESSED,
            memory=network + held,
            seconds=passing + values * rates.written,
        ),
        Stage(
            "correlations",
            jobs=jobs,
            operations=products + live * passed,
            reads=0 if live else FLOAT16 * read / COMPRESSED,
            writes=matrix,
            memory=network + min(budget, FLOAT64 * pairs + FLOAT32 * values),
            seconds=products / rates.products
            + read * rates.reduced
            + (passing if live else read * rates.read),
        ),
        Stage(
            "neighbours",
            jobs=len(models),
            reads=matrix,
            memory=PROCESS + 4 * FLOAT32 * _units(pivot.layers) * max(units),
            seconds=START * len(models) + pairs * PARTNER,
        ),
        Stage("concepts", jobs=1, memory=PROCESS, seconds=START),
        *_evidence(config, models, rates),
        Stage(
            "unit_examples",
            jobs=len(models),
            operations=live * passed,
            reads=0 if live else FLOAT16 * values / COMPRESSED,
            writes=sum(examples) + FLOAT64 * BINS * sum(units),
            memory=looking + held + SPARE * max(examples) + FLOAT64 * BINS * max(units),
            seconds=START * len(models)
            + values * LOOKED * rates.reduced
            + (passing if live else values * rates.read),
        ),
        Stage(  # reads what lies beside the concepts' units too, at most everything
            "concept_examples",
            jobs=1,
            operations=live * passed,
            reads=0 if live else FLOAT16 * values / COMPRESSED,
            writes=leading,
            memory=looking + held,
            seconds=START + values * rates.reduced + (passing if live else values * rates.read),
        ),
        Stage("layers", jobs=1, memory=PROCESS, seconds=START),
        Stage(
            "steer",
            jobs=len(steps),
            operations=BACK * pivot.operations * sum(steps),
            memory=2 * PROCESS
            + FLOAT32 * sum(model.parameters for model in models.values())
            + held,
            seconds=START * len(steps)
            + BACK * sum(steps) * rates.network(config.pivot.name, pivot),
        ),
        Stage(
            "dictionary",
            jobs=1,
            reads=leading + sum(examples),
            memory=PROCESS + 2 * sum(examples),
            seconds=START + CONCEPTS * CONCEPT + sum(units) * PAGE,
        ),
    ]
    if not steps:
        stages = [stage for stage in stages if stage.name != "steer"]
    if live:
        stages = [stage for stage in stages if stage.name != "activations"]
    return Plan(models, stages, pairs, 0 if live else jobs, FLOAT16 * images * _size(pivot.layers))


def _evidence(config: Config, models: Mapping[str, Description], rates: Rates) -> list[Stage]:
    """What it takes to mine the encoders under each null, and to look at pairs image by image."""
    images, nulls = config.sampling.images, len(config.nulls)
    pivot, encoders = models[config.pivot.name], [models[e.name] for e in config.encoders]
    pairs = _units(pivot.layers) * max(_units(encoder.layers) for encoder in encoders)
    products = images * sum(pair_operations(pivot.layers, e.layers)[0] for e in encoders)
    read = images * sum(_size(pivot.layers) + _size(e.layers) for e in encoders)
    untrained = "untrained" in config.nulls
    # both draws of untrained encoders run them
    passed = 2 * untrained * images * sum(encoder.operations for encoder in encoders)
    budget, maps = parse_bytes(config.memory_budget), FLOAT32 * read / len(encoders)
    stages = []
    if nulls:
        stages.append(
            Stage(
                "null_models",
                jobs=nulls * len(encoders),
                operations=nulls * products + passed,
                reads=nulls * FLOAT16 * read / COMPRESSED,
                memory=PROCESS
                + 2 * FLOAT32 * max(e.parameters for e in encoders)
                + min(budget, FLOAT64 * pairs + maps),
                seconds=START * nulls * len(encoders)
                + nulls * (products / rates.products + read * (rates.reduced + rates.read))
                + nulls * pairs * PARTNER * len(encoders)
                + passed / rates.forward,
            )
        )
    if config.intervals:  # reads what lies beside the units of pairs too, at most everything
        together = images * sum(_size(model.layers) for model in (pivot, *encoders))
        stages.append(
            Stage(
                "pair_statistics",
                jobs=1,
                reads=FLOAT16 * together / COMPRESSED,
                memory=PROCESS + min(budget, FLOAT32 * together),
                seconds=START + together * (rates.reduced + rates.read),
            )
        )
    if config.has_significance:
        stages.append(Stage("significance", jobs=1, memory=PROCESS, seconds=START))
    return stages


def needs(stage: Stage) -> dict[str, int]:
    """Return mem_mb, disk_mb and runtime (minutes) of one job of a stage, for a cluster.

    The caution is in the time; memory is already the most that a job takes. Where Snakemake finds
    it too little all the same, it asks for more (workflow/rules/common.smk).
    """
    minutes = CAUTION * stage.each / 60
    return {
        "mem_mb": round((stage.memory + WRAPPER) / 2**20),
        "disk_mb": round(stage.writes / stage.jobs / 2**20) + 100,
        "runtime": round(minutes) + 5,
    }


def _units(layers: Sequence[Layer]) -> int:
    return sum(layer.channels for layer in layers)


def _shown(layers: Sequence[Layer]) -> int:
    """Bytes of one map of every unit, as pages show them."""
    return sum(
        layer.channels * min(layer.height, SIDE) * min(layer.width, SIDE) for layer in layers
    )


def _size(layers: Sequence[Layer]) -> int:
    return sum(layer.size for layer in layers)
