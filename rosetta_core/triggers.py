"""What a stage's result depends on beside its input files: its settings and its code.

settings    the part of the configuration that a job reads, as one canonical line
code        the fingerprint of the code that a job runs

Snakemake reruns a job when one of the two changes. Device, threads, batch size and memory stay
out: they change results by rounding at most.
"""

from typing import Any

from rosetta_core.config import Config, to_json
from rosetta_core.fingerprint import fingerprint
from rosetta_core.zoo.families import FAMILIES

__all__ = ["code", "settings"]

MODULES = {
    "fetch": ["rosetta_core.zoo.weights"],
    "sample": ["rosetta_core.mining.sampling", "rosetta_core.zoo.loading"],
    "activations": ["rosetta_core.mining.activations", "rosetta_core.zoo.loading"],
    "units": ["rosetta_core.mining.units"],
    "correlations": [
        "rosetta_core.mining.correlation",
        "rosetta_core.mining.correlation_store",
        "rosetta_core.mining.stored_maps",
    ],
    "join": ["rosetta_core.mining.correlation_store"],
    "neighbours": ["rosetta_core.mining.neighbours", "rosetta_core.mining.correlation_store"],
    "concepts": ["rosetta_core.mining.concepts"],
    "dictionary": ["rosetta_core.pages", "rosetta_core.pages.entries"],
}


def settings(
    stage: str, config: Config, *, model: str | None = None, shard: str | None = None
) -> str:
    """Return what a job of `stage` reads of the configuration, as canonical JSON."""
    content = config.model_dump(mode="json")
    chosen = _network(config, model)
    sampling = content["sampling"]
    images = str(config.shard_images(shard)) if shard else None
    live = config.mining.store == "none"
    kept = [] if config.kept is None else [config.kept]
    read: dict[str, list[Any]] = {
        "sample": [
            *(chosen[key] for key in ("weights", "family")),
            *(sampling[key] for key in ("seed", "truncation")),
            images,
        ],
        "activations": [_network(config, model), content["activations"]["keepbits"], images],
        "units": [config.activations.near_constant],
        "correlations": [
            *kept,
            config.activations.near_constant,
            *([_network(config, m.name) for m in config.models] if live else []),
            *([content["activations"]["keepbits"]] if live else []),
        ],
        "join": [config.kept],
        "neighbours": [config.neighbours.k],
        "concepts": [[encoder.name for encoder in config.encoders]],
        "dictionary": [
            *(content[key] for key in ("run", "dictionary", "neighbours", "sampling")),
            [model["weights"]["licence"] for model in [content["pivot"], *content["encoders"]]],
        ],
    }
    return to_json({stage: read[stage]})


def _network(config: Config, model: str | None) -> dict[str, Any]:
    """What maps depend on of a model's definition."""
    content = config.model(model or config.pivot.name).model_dump(mode="json")
    content["weights"].pop("licence")
    return content


def code(stage: str, config: Config, *, model: str | None = None) -> str:
    """Return the fingerprint of the code behind a job of `stage`."""
    modules = list(MODULES[stage])
    if stage in ("sample", "activations"):
        modules.append(FAMILIES[config.model(model or config.pivot.name).family])
    if stage in ("correlations", "join", "neighbours") and config.kept is not None:
        modules.append("rosetta_core.mining.nearest_store")
    if stage == "correlations" and config.mining.store == "none":
        modules += ["rosetta_core.mining.live_maps", "rosetta_core.zoo.loading"]
        modules += sorted({FAMILIES[model.family] for model in config.models})
    return fingerprint(*modules)
