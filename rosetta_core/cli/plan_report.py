"""Text of a plan: tables of models and stages, and totals of disk and time."""

from rosetta_core.config import Config
from rosetta_core.runs.plan import Plan, Rates
from rosetta_core.zoo.layers import map_bytes

__all__ = ["format_plan"]

SCALES = [(1e12, "T"), (1e9, "G"), (1e6, "M")]
SIZES = [(2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")]


def format_plan(config: Config, plan: Plan, rates: Rates, *, cores: int) -> str:
    """Return a plan as text.

    Args:
        config: configuration of the run.
        plan: estimated costs of its stages.
        rates: measured speed of this machine, on which the times are based.
        cores: number of CPU cores.
    """
    images = config.sampling.images
    models: list[tuple[str, ...]] = [
        ("model", "layers", "units", "maps per image", "all maps", "FLOPs per image")
    ]
    for name, model in plan.models.items():
        size = map_bytes(model.layers, config.model(name).float32_layers)
        units = sum(layer.channels for layer in model.layers)
        models.append(
            (
                name,
                str(len(model.layers)),
                f"{units:,}",
                _bytes(size),
                _bytes(size * images),
                _count(model.flops),
            )
        )
    stages: list[tuple[str, ...]] = [
        ("stage", "jobs", "FLOPs", "reads", "writes", "memory per job", "time")
    ]
    stages += [
        (
            stage.name,
            str(stage.jobs),
            _count(stage.operations),
            _bytes(stage.reads),
            _bytes(stage.writes),
            _bytes(stage.memory),
            _time(stage.elapsed(cores)),
        )
        for stage in plan.stages
    ]
    disk = sum(stage.writes for stage in plan.stages)
    total = sum(stage.elapsed(cores) for stage in plan.stages)
    lines = [
        f"run {config.run}: {images:,} images in {len(config.shards)} shards, "
        f"{plan.pairs:,} pairs of units",
        *("", *_table(models), "", *_table(stages), ""),
        f"about {_bytes(disk)} on disk and {_time(total)} with {cores} "
        f"core{'s' if cores > 1 else ''}, without downloads",
        f"measured speed: matrix products {_count(rates.products)}/s per thread; per activation "
        f"{1e9 * rates.hooked:.1f} ns to record, {1e9 * rates.written:.1f} ns to write, "
        f"{1e9 * rates.read:.1f} ns to read, {1e9 * rates.reduced:.1f} ns to reduce",
    ]
    return "\n".join(lines)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return rows as lines with aligned columns, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]


def _count(number: float) -> str:
    for scale, letter in SCALES:
        if number >= scale:
            return f"{number / scale:,.1f} {letter}FLOP"
    return "–"


def _bytes(number: float) -> str:
    for scale, name in SIZES:
        if number >= scale:
            return f"{number / scale:,.1f} {name}"
    return "–"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
