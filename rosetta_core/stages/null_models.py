"""The stage that mines an encoder under a null model."""

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.mining.significance.null_models import NullSources, null_model
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.sources import LIVE_SOURCE, activation_source, alive_units
from rosetta_core.stages.retry import retry_with_less_memory
from rosetta_core.stages.stage import Stage
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    from rosetta_core.mining.correlation.channel_blocks import CorrelationBlock
    from rosetta_core.mining.sources.base import ActivationSource
    from rosetta_core.runs.plan import Cost, RunShapes

__all__ = ["STAGE", "run"]


@retry_with_less_memory
def run(config: Config, *, null: str, model: str) -> tuple[Path, Path]:
    """Mine an encoder under a null model.

    Returns:
        The table of null best buddies, and that of the run's best buddies with their correlation
        under an independent draw of the null model.
    """
    import torch

    from rosetta_core.mining.correlation.pearson import correlate_blocks
    from rosetta_core.mining.significance.null_mining import Miner, mine_null_model
    from rosetta_core.runtime.devices import resolve_device

    paths, model = RunPaths(config), _check(config, null, model)

    def correlate(
        pivot: "ActivationSource", encoder: "ActivationSource"
    ) -> "Iterator[CorrelationBlock]":
        return correlate_blocks(
            pivot,
            [encoder],
            memory_budget=parse_bytes(config.memory_budget),
            device=resolve_device(config.device),
            threads=torch.get_num_threads(),
        )

    sources = NullSources(
        pivot=activation_source(config, config.pivot.name),
        encoder=partial(activation_source, config, model),
        untrained=partial(_untrained, config, model),
        seed=config.sampling.seed + crc32(model.encode()),
    )
    matches = mine_null_model(
        null_model(null),
        sources,
        pairs=read_table(paths.best_buddies(model)),
        miner=Miner(correlate, partial(alive_units, config), config.neighbours.k),
    )
    return (
        write_table(matches.matches, paths.null_matches(null, model)),
        write_table(matches.observed, paths.null_corr(null, model)),
    )


def _check(config: Config, null: str, model: str) -> str:
    """Return the name of an encoder of the run; RosettaError for another model or null model."""
    names = [encoder.name for encoder in config.encoders]
    if model not in names:
        raise RosettaError(
            f"no encoder {model!r} in run {config.run!r}; they are {', '.join(names)}"
            f"{did_you_mean(model, names)}"
        )
    if null not in config.nulls:
        known = ", ".join(config.nulls)
        cure = f"they are {known}" if known else "significance.nulls names none"
        raise RosettaError(f"--null: run {config.run!r} has no null model {null!r}; {cure}")
    return model


def _untrained(config: Config, model: str, seed: int) -> "ActivationSource":
    """Return the activations of an encoder with random weights."""
    from rosetta_core.zoo.weights.local import RandomWeights

    encoders = [
        encoder.model_copy(update={"weights": RandomWeights(random=seed)})
        if encoder.name == model
        else encoder
        for encoder in config.encoders
    ]
    random = config.model_copy(update={"encoders": encoders})
    return import_module(LIVE_SOURCE).live_activations(random, model)


def cost(run: "RunShapes") -> "Cost":
    """Estimate the cost of mining every encoder under every null model."""
    config, nulls, pivot = run.config, len(run.config.nulls), run.pivot
    encoders = [run.models[encoder.name] for encoder in config.encoders]
    pairs = run.units(pivot) * max(run.units(encoder) for encoder in encoders)
    products = run.images * sum(run.pair_operations(pivot, encoder) for encoder in encoders)
    read = run.images * sum(run.size(pivot.layers) + run.size(e.layers) for e in encoders)
    # both draws of a null model with untrained encoders run their networks
    draws = 2 * sum(null_model(null).runs_encoder for null in config.nulls) * run.images
    passed = draws * sum(encoder.flops for encoder in encoders)
    maps = run.FLOAT32 * read / len(encoders)
    return run.cost(
        operations=nulls * products + passed,
        reads=nulls * sum(run.stored_bytes(config.pivot.name, e.name) for e in config.encoders),
        memory=run.PROCESS
        + 2 * run.FLOAT32 * max(encoder.parameters for encoder in encoders)
        + min(run.budget, run.FLOAT64 * pairs + maps),
        seconds=run.START * nulls * len(encoders)
        + nulls * (products / run.rates.products + read * (run.rates.reduced + run.rates.read))
        + nulls * pairs * run.RANK_PAIR * len(encoders)
        + passed / run.rates.forward,
    )


def settings(config: Config, *, null: str, model: str) -> list[Any]:
    """Return the settings that null matches depend on, besides the activations."""
    network = [config.network_settings(model)] if null_model(null).runs_encoder else []
    return [
        *(config.activations.min_relative_std, config.neighbours.k, config.sampling.seed),
        *network,
    ]


STAGE = Stage(
    "null_models",
    "mine an encoder under a null model",
    run,
    jobs=lambda config: [
        {"null": null, "model": encoder.name}
        for null in config.nulls
        for encoder in config.encoders
    ],
    settings=settings,
    writes=lambda paths, job: [
        paths.null_matches(job["null"], job["model"]),
        paths.null_corr(job["null"], job["model"]),
    ],
    cost=cost,
    models=lambda config, *, null, model: (
        [config.model(model)] if null_model(null).runs_encoder else []
    ),
    modules=lambda config, *, null, **_: [LIVE_SOURCE] if null_model(null).runs_encoder else [],
)
