"""The stages that tell matches from chance.

chance       what a null gives in place of an encoder's best buddies
agreement    how pairs of the pivot and the encoders agree from image to image
evidence     which pairs and concepts exceed chance, and are found again

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import retry_with_less_memory
from rosetta_core.stages.mining import living, mined
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    from rosetta_core.mining.correlation.block import Block
    from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["null_models", "pair_statistics", "significance"]


@retry_with_less_memory
def null_models(config: Config, *, model: str, null: str) -> tuple[Path, Path]:
    """Mine an encoder under a null, and tell what another draw of it leaves.

    Returns:
        The tables of the best buddies that it gives, and of the run's, both with what is left.
    """
    import torch

    from rosetta_core.mining.correlation.pearson import correlate_blocks
    from rosetta_core.mining.significance.null_models import Mining, of_shuffled, of_untrained
    from rosetta_core.runs.sources import activation_source
    from rosetta_core.runtime.devices import resolve_device

    paths, model = RunPaths(config), _encoder(config, model)
    if null not in config.nulls:
        raise RosettaError(
            f"--null: run {config.run!r} has no null {null!r}{_listed(config.nulls)}"
        )
    pairs = read_table(paths.best_buddies(model))

    def correlate(pivot: "ActivationSource", encoder: "ActivationSource") -> "Iterator[Block]":
        return correlate_blocks(
            pivot,
            [encoder],
            memory_budget=parse_bytes(config.memory_budget),
            device=resolve_device(config.device),
            threads=torch.get_num_threads(),
        )

    mining = Mining(correlate, partial(living, config), config.neighbours.k)
    pivot = activation_source(config, config.pivot.name)
    if null == "untrained":
        found = of_untrained(pivot, _untrained(config, model), pairs=pairs, mining=mining)
    else:
        pivots, encoder = _shuffled(config, pivot, null, by=model), activation_source(config, model)
        found = of_shuffled(pivots, encoder, pairs=pairs, mining=mining)
    mine = pairs[["pivot_unit", "unit", "corr"]]
    return (
        write_table(found.given, paths.null_matches(null, model)),
        write_table(mine.assign(null_corr=found.left), paths.null_corr(null, model)),
    )


def _encoder(config: Config, model: str) -> str:
    """The name of an encoder; RosettaError if there is none of that name."""
    names = [encoder.name for encoder in config.encoders]
    if model not in names:
        raise RosettaError(
            f"no encoder {model!r} in run {config.run!r}; they are {', '.join(names)}"
            f"{did_you_mean(model, names)}"
        )
    return model


def _listed(nulls: Iterable[str]) -> str:
    names = ", ".join(nulls)
    return f"; they are {names}" if names else "; significance.nulls names none"


def _shuffled(
    config: Config, pivot: "ActivationSource", null: str, *, by: str
) -> "tuple[ActivationSource, ActivationSource]":
    """The pivot's maps as the two draws of a null have them, for an encoder.

    Its name is a seed beside the run's: encoders don't agree by the same wrong image, and what one
    is held against doesn't depend on which others there are.
    """
    from rosetta_core.mining.sources.permuted import PermutedImages, RolledPositions, shifts

    seed = _seed(config, by)
    if null == "roll_positions":
        first, second = (RolledPositions(pivot, seed=seed + draw) for draw in range(2))
        return first, second
    one, other = shifts(pivot.images, seed=seed)
    return PermutedImages(pivot, shift=one), PermutedImages(pivot, shift=other)


def _untrained(config: Config, model: str) -> "tuple[ActivationSource, ActivationSource]":
    """An encoder's maps with two sets of random weights."""
    from rosetta_core.runs.sources import live_activations
    from rosetta_core.zoo.weights.sources import RandomWeights

    def maps(seed: int) -> "ActivationSource":
        encoders = [
            encoder.model_copy(update={"weights": RandomWeights(random=seed)})
            if encoder.name == model
            else encoder
            for encoder in config.encoders
        ]
        return live_activations(config.model_copy(update={"encoders": encoders}), model)

    seed = _seed(config, model)
    return maps(seed), maps(seed + 1)


def _seed(config: Config, model: str) -> int:
    from zlib import crc32

    return config.sampling.seed + crc32(model.encode())


@retry_with_less_memory
def pair_statistics(config: Config) -> Path:
    """Look at the best buddies of the pivot and all encoders image by image; return the table."""
    import numpy as np
    import pandas as pd
    import torch

    from rosetta_core.mining.significance.pair_statistics import (
        pair_statistics as statistics_of_pairs,
    )
    from rosetta_core.mining.sources.concat import ConcatSource
    from rosetta_core.runs.sources import activation_source

    if not config.intervals:
        raise RosettaError(f"run {config.run!r} has no intervals; see significance.intervals")
    paths, names = RunPaths(config), [encoder.name for encoder in config.encoders]
    encoders = ConcatSource(
        [activation_source(config, name) for name in names], name="all encoders"
    )
    tables = [
        read_table(paths.best_buddies(name))[["pivot_unit", "unit"]].assign(model=name)
        for name in names
    ]
    pairs = pd.concat(tables, ignore_index=True)
    first = pairs["model"].map(dict(zip(names, encoders.firsts, strict=False)))
    units = np.stack([pairs["pivot_unit"], pairs["unit"] + first], axis=1).astype(np.int64)
    statistics = statistics_of_pairs(
        activation_source(config, config.pivot.name),
        encoders,
        pairs=units,
        memory_budget=parse_bytes(config.memory_budget),
        threads=torch.get_num_threads(),
    )
    return write_table(
        pairs.assign(**statistics)[["pivot_unit", "model", "unit", *statistics]],
        paths.pair_statistics,
    )


def significance(config: Config) -> list[Path]:
    """Write the tables of the evidence of pairs and concepts, of chance, and of halves."""
    from rosetta_core.mining.significance import null_tests as by_chance
    from rosetta_core.mining.significance import split_half as replication
    from rosetta_core.mining.significance.tables import join_concept_columns, join_pair_columns

    paths = RunPaths(config)
    names = [encoder.name for encoder in config.encoders]
    run = replication.MatchSet(
        {name: read_table(paths.best_buddies(name)) for name in names},
        read_table(paths.best_buddies(config.pivot.name)),
    )
    rosetta, of_pairs, of_concepts = read_table(paths.rosetta), [], []
    if config.nulls:
        given = {n: {e: read_table(paths.null_matches(n, e)) for e in names} for n in config.nulls}
        held = {n: {e: read_table(paths.null_corr(n, e)) for e in names} for n in config.nulls}
        exceeding = by_chance.pair_significance(held, given)
        of_pairs.append(exceeding)
        of_concepts.append(by_chance.concept_significance(rosetta, exceeding, given, run.own))
        write_table(by_chance.null_counts(held, given, run.own), paths.null_counts)
    if config.splits:
        halves = [
            mined(config, paths.correlations, k=config.neighbours.k, subset=subset)
            for subset in range(2 * config.splits)
        ]
        of_pairs.append(replication.pair_recovery(run, halves))
        of_concepts.append(replication.concept_recovery(run, halves))
        write_table(replication.split_half_counts(run, halves), paths.split_half)
    if config.intervals:
        of_pairs.append(read_table(paths.pair_statistics))
    pairs = join_pair_columns(run.buddies, of_pairs)
    write_table(pairs, paths.pair_significance)
    write_table(join_concept_columns(rosetta, pairs, of_concepts), paths.concept_significance)
    return paths.significance
