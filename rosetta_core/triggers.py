"""What a stage's result depends on beside its input files: its settings and its code.

settings    the part of the configuration that a job reads, as one canonical line
code        the fingerprint of the code that a job runs

Snakemake reruns a job when one of the two changes. Device, threads, batch size and memory stay
out: they don't change results.
"""

from typing import Any

from rosetta_core.config import Config, to_json
from rosetta_core.fingerprint import fingerprint
from rosetta_core.zoo.catalogue import FAMILIES

__all__ = ["code", "settings"]

MODULES = {
    "fetch": ["rosetta_core.zoo.weights"],
    "sample": ["rosetta_core.mining.sampling", "rosetta_core.zoo.loading"],
    "activations": ["rosetta_core.mining.activations", "rosetta_core.zoo.loading"],
    "units": ["rosetta_core.mining.units"],
    "correlations": ["rosetta_core.mining.correlation", "rosetta_core.mining.correlation_store"],
    "neighbours": ["rosetta_core.mining.neighbours", "rosetta_core.mining.correlation_store"],
    "concepts": ["rosetta_core.mining.concepts"],
    "dictionary": ["rosetta_core.pages", "rosetta_core.pages.entries"],
}


def settings(
    stage: str, config: Config, *, model: str | None = None, shard: str | None = None
) -> str:
    """Return what a job of `stage` reads of the configuration, as canonical JSON."""
    return to_json({"stage": stage, **_settings(stage, config, model, shard)})


def _settings(
    stage: str, config: Config, model: str | None, shard: str | None
) -> dict[str, Any]:
    content = config.model_dump(mode="json")
    chosen = config.model(model or config.pivot.name).model_dump(mode="json")
    weights = {key: value for key, value in chosen["weights"].items() if key != "licence"}
    images = config.shard_images(shard) if shard else None
    match stage:
        case "fetch":
            return weights
        case "sample":
            sampling = {key: content["sampling"][key] for key in ("seed", "truncation")}
            return {**sampling, "family": chosen["family"], "weights": weights, "images": str(images)}
        case "activations":
            return {**chosen, "weights": weights, "images": str(images)}
        case "units":
            return {"near_constant": config.activations.near_constant}
        case "neighbours":
            return {"k": config.neighbours.k}
        case "concepts":
            return {"encoders": [encoder.name for encoder in config.encoders]}
        case "dictionary":
            return {key: content[key] for key in ("run", "dictionary", "neighbours", "sampling")}
        case _:
            return {}


def code(stage: str, config: Config, *, model: str | None = None) -> str:
    """Return the fingerprint of the code behind a job of `stage`."""
    modules = list(MODULES[stage])
    if stage in ("sample", "activations"):
        modules.append(FAMILIES[config.model(model or config.pivot.name).family])
    return fingerprint(*modules)
