"""The stages that tell matches from chance.

chance       what a null gives in place of an encoder's best buddies
agreement    how pairs of the pivot and an encoder agree from image to image
evidence     which pairs and concepts exceed chance, and are found again

Imports stand inside the functions: a job imports what its stage needs, and torch takes seconds.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.config import Config, parse_bytes
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.exhausted import with_less_memory
from rosetta_core.paths import RunPaths
from rosetta_core.stages.mining import living, mined
from rosetta_core.tables import read_table, write_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from rosetta_core.mining.block import Block
    from rosetta_core.mining.maps import Maps
    from rosetta_core.mining.nearest import Nearest

__all__ = ["agreement", "chance", "evidence"]


@with_less_memory
def chance(config: Config, *, model: str, null: str) -> tuple[Path, Path]:
    """Mine an encoder under a null, and tell what another draw of it leaves.

    Returns:
        The tables of the best buddies that it gives, and of the run's, both with what is left.
    """
    from rosetta_core.mining.neighbours import best_buddies, neighbours

    paths, k = RunPaths(config), config.neighbours.k
    model = _encoder(config, model)
    if null not in config.nulls:
        raise RosettaError(
            f"--null: run {config.run!r} has no null {null!r}{_listed(config.nulls)}"
        )
    pairs = read_table(paths.best_buddies(model))
    given = best_buddies(neighbours(*_nearest(config, _maps_under(config, model, null, 0), k)))
    again = _maps_under(config, model, null, 1)
    if null == "untrained":  # its units are others, so the nearest stands for the buddy
        best, _ = _nearest(config, again, 1)
        rests = [best.corr[of["pivot_unit"].to_numpy(), 0] for of in (given, pairs)]
    else:
        rests = _correlations(config, again, [given, pairs])
    found = pairs[["pivot_unit", "unit", "corr"]]
    return (
        write_table(given.assign(left=rests[0]), paths.chance(null, model)),
        write_table(found.assign(left=rests[1]), paths.held(null, model)),
    )


def _nearest(config: Config, encoder: "Maps", k: int) -> "tuple[Nearest, Nearest | None]":
    """The k best partners of the pivot's living units and of an encoder's."""
    from rosetta_core.mining.nearest_store import Gathering
    from rosetta_core.mining.sources import maps_of

    pivot = maps_of(config, config.pivot.name)

    def alive(model: int | None) -> "NDArray[np.bool_]":
        return living(config, pivot if model is None else encoder)

    rows = range(sum(layer.channels for layer in pivot.layers))
    gathering = Gathering(models=1, rows=rows, alive=alive, itself=None, kept=k)
    for block in _blocks(config, pivot, encoder):
        gathering.add(block)
    return gathering.found(0)


def _correlations(
    config: Config, encoder: "Maps", tables: "Sequence[pd.DataFrame]"
) -> "list[NDArray[np.float32]]":
    """The correlations of the pairs of some tables; only their units are correlated."""
    import numpy as np
    import pandas as pd

    from rosetta_core.mining.some_units import SomeUnits
    from rosetta_core.mining.sources import maps_of

    pairs = pd.concat(tables)
    if not len(pairs):
        return [np.zeros(0, np.float32) for _ in tables]
    pivot = SomeUnits(maps_of(config, config.pivot.name), pairs["pivot_unit"])
    others = SomeUnits(encoder, pairs["unit"])
    row = np.searchsorted(pivot.units, pairs["pivot_unit"].to_numpy())
    column = np.searchsorted(others.units, pairs["unit"].to_numpy())
    corr = np.empty(len(pairs), np.float32)
    for block in _blocks(config, pivot, others):
        inside = (column >= block.columns.start) & (column < block.columns.stop)
        corr[inside] = block.corr[row[inside], column[inside] - block.columns.start]
    return np.split(corr, np.cumsum([len(table) for table in tables])[:-1])


def _blocks(config: Config, pivot: "Maps", encoder: "Maps") -> "Iterator[Block]":
    import torch

    from rosetta_core.mining.correlation import correlate_blocks
    from rosetta_core.zoo.loading import resolve_device

    return correlate_blocks(
        pivot,
        [encoder],
        memory_budget=parse_bytes(config.memory_budget),
        device=resolve_device(config.device),
        threads=torch.get_num_threads(),
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
    return f"; they are {names}" if names else "; evidence.nulls names none"


def _maps_under(config: Config, model: str, null: str, draw: int) -> "Maps":
    """An encoder's maps as one of two draws of a null has them.

    Its name is a seed beside the run's: encoders don't agree by seeing the same wrong image, and
    what one sees doesn't depend on which others there are.
    """
    from zlib import crc32

    from rosetta_core.config import RandomWeights
    from rosetta_core.mining.nulls import ImagesShuffled, PositionsShuffled, shifts
    from rosetta_core.mining.sources import live_maps, maps_of

    seed = config.sampling.seed + crc32(model.encode())
    if null == "untrained":
        encoders = [
            encoder.model_copy(update={"weights": RandomWeights(random=seed + draw)})
            if encoder.name == model
            else encoder
            for encoder in config.encoders
        ]
        return live_maps(config.model_copy(update={"encoders": encoders}), model)
    maps = maps_of(config, model)
    if null == "positions":
        return PositionsShuffled(maps, seed=seed + draw)
    return ImagesShuffled(maps, shift=shifts(maps.images, seed=seed)[draw])


@with_less_memory
def agreement(config: Config, *, model: str) -> Path:
    """Look at the best buddies of the pivot and an encoder image by image; return the table."""
    import numpy as np
    import torch

    from rosetta_core.mining.agreement import agreement as of_pairs
    from rosetta_core.mining.sources import maps_of

    paths, model = RunPaths(config), _encoder(config, model)
    if not config.intervals:
        raise RosettaError(f"run {config.run!r} has no intervals; see evidence.intervals")
    pairs = read_table(paths.best_buddies(model))[["pivot_unit", "unit"]]
    told = of_pairs(
        maps_of(config, config.pivot.name),
        maps_of(config, model),
        pairs=pairs.to_numpy(dtype=np.int64),
        memory_budget=parse_bytes(config.memory_budget),
        threads=torch.get_num_threads(),
    )
    return write_table(pairs.assign(**told), paths.agreement(model))


def evidence(config: Config) -> list[Path]:
    """Write the tables of the evidence of pairs and concepts, of chance, and of halves."""
    from rosetta_core.mining import chance as by_chance
    from rosetta_core.mining import replication
    from rosetta_core.mining.told import concepts_told, pairs_told

    paths = RunPaths(config)
    names = [encoder.name for encoder in config.encoders]
    run = replication.Mined(
        {name: read_table(paths.best_buddies(name)) for name in names},
        read_table(paths.best_buddies(config.pivot.name)),
    )
    rosetta, of_pairs, of_concepts = read_table(paths.rosetta), [], []
    if config.nulls:
        given = {n: {e: read_table(paths.chance(n, e)) for e in names} for n in config.nulls}
        held = {n: {e: read_table(paths.held(n, e)) for e in names} for n in config.nulls}
        exceeding = by_chance.pair_evidence(held, given)
        of_pairs.append(exceeding)
        of_concepts.append(by_chance.concept_evidence(rosetta, exceeding, given, run.own))
        write_table(by_chance.chance_counts(held, given, run.own), paths.chance_counts)
    if config.splits:
        halves = [
            mined(config, paths.correlations, k=config.neighbours.k, subset=subset)
            for subset in range(2 * config.splits)
        ]
        of_pairs.append(replication.pairs_again(run, halves))
        of_concepts.append(replication.concepts_again(run, halves))
        write_table(replication.replication_counts(run, halves), paths.replication_counts)
    if config.intervals:
        of_pairs += [read_table(paths.agreement(name)).assign(model=name) for name in names]
    pairs = pairs_told(run.buddies, of_pairs)
    write_table(pairs, paths.pair_evidence)
    write_table(concepts_told(rosetta, pairs, of_concepts), paths.concept_evidence)
    return paths.evidence
