"""Two runs are held to what is promised: the same, up to swaps among near-ties.

NEAR                  two correlations of a unit that are closer may change places
NEAR_IN_HALVES        the same in a half of the images
unlike                where two tables of neighbours differ by more than that
assert_same_mining    units, neighbours, best buddies, Rosetta neurons and concepts of two runs
assert_same_run       these and selectivity, layers, superiority and halves

The tables of neighbours are compared, over all images and over halves. All other tables must be
exactly what the stages make of the neighbours of their own run, so nothing else can differ.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rosetta_core.config import Config
from rosetta_core.io.tables import read_table
from rosetta_core.mining.examples.layers import layer_table, vargha_delaney_table
from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
from rosetta_core.mining.matching.concepts import concept_table, rosetta_table
from rosetta_core.mining.matching.topk_store import read_topk
from rosetta_core.mining.significance.split_half import MatchSet, split_half_counts
from rosetta_core.runs.paths import RunPaths

__all__ = ["NEAR", "NEAR_IN_HALVES", "assert_same_mining", "assert_same_run", "unlike"]

NEAR = 1e-6
NEAR_IN_HALVES = 1e-5  # maps are centred by all images, so a half may lie far from zero
MEASURES: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}  # of units by themselves
UNIT = ["side", "unit"]


def unlike(one: pd.DataFrame, other: pd.DataFrame, *, bound: float = NEAR) -> list[str]:
    """Return how two tables of neighbours differ by more than swaps among near-ties.

    Each unit must have as many neighbours in both. The correlation at each rank, and that of each
    pair, may differ by at most `bound`. A neighbour may have another rank only if, in both tables,
    its correlation is within `bound` of the one at the other rank; and it may be in one table only
    if, in both, its correlation is within `bound` of the last neighbour's.
    """
    ranks = [table.set_index([*UNIT, "rank"])["corr"].sort_index() for table in (one, other)]
    if not ranks[0].index.equals(ranks[1].index):
        return ["units or numbers of neighbours differ"]
    last = [table.groupby(UNIT)["rank"].max() for table in (one, other)]
    pairs = one.merge(other, on=[*UNIT, "neighbour"], how="outer", suffixes=("_0", "_1"))
    unit = pd.MultiIndex.from_frame(pairs[UNIT])
    found: list[tuple[str, np.ndarray]] = [
        ("pair", np.abs((pairs["corr_0"] - pairs["corr_1"]).to_numpy(np.float64)))
    ]
    for mine in (0, 1):
        corr = pairs[f"corr_{mine}"].to_numpy(np.float64)
        for table in (0, 1):  # where the pair stands in the other, in this table
            rank = pairs[f"rank_{1 - mine}"].fillna(
                pd.Series(last[1 - mine].reindex(unit).to_numpy(), index=pairs.index)
            )
            places = pd.MultiIndex.from_arrays([pairs["side"], pairs["unit"], rank.astype(int)])
            there = ranks[table].reindex(places).to_numpy(np.float64)
            found.append((f"rank in table {1 - mine}, by table {table},", np.abs(corr - there)))
    said = []
    for what, apart in found:
        for place in np.flatnonzero(apart > bound):
            side, number, neighbour = pairs.loc[place, [*UNIT, "neighbour"]]
            said.append(f"{side} {number}, neighbour {neighbour}: {what} {apart[place]:.1e} apart")
    return said


def assert_same_mining(mine: Config, theirs: Config, *, bound: float = NEAR) -> None:
    """Fail unless two runs hold the same, up to swaps among near-ties."""
    paths = [RunPaths(config) for config in (mine, theirs)]
    for model in (model.name for model in mine.models):
        pd.testing.assert_frame_equal(*(read_table(p.units(model)) for p in paths), **MEASURES)
        tables = [read_table(p.neighbours(model)) for p in paths]
        assert unlike(*tables, bound=bound) == [], f"neighbours of {model}"
    for config in (mine, theirs):
        _assert_follows_from_neighbours(config)


def assert_same_run(mine: Config, theirs: Config) -> None:
    """The same of whole runs; evidence is compared as far as it comes with the correlations."""
    assert_same_mining(mine, theirs)
    selectivity = [read_table(RunPaths(config).selectivity) for config in (mine, theirs)]
    pd.testing.assert_frame_equal(*selectivity, **MEASURES)
    for model in (model.name for model in mine.models):
        for halves in zip(_halves(mine, model), _halves(theirs, model), strict=True):
            assert unlike(*halves, bound=NEAR_IN_HALVES) == [], f"neighbours of {model} in a half"
    for config in (mine, theirs):
        _assert_follows_from_halves_and_units(config)


def _halves(config: Config, model: str) -> Iterator[pd.DataFrame]:
    """By half the table of neighbours of a model."""
    store = RunPaths(config).correlations(model)
    for subset in range(2 * config.splits):
        yield neighbour_table(*read_topk(store, config.neighbours.k, subset=subset))


def _mined(config: Config) -> MatchSet:
    """The best buddies that a run's tables hold."""
    paths = RunPaths(config)
    buddies = {encoder.name: read_table(paths.best_buddies(encoder.name)) for encoder in
               config.encoders}  # fmt: skip
    return MatchSet(buddies, read_table(paths.best_buddies(config.pivot.name)))


def _assert_follows_from_neighbours(config: Config) -> None:
    paths = RunPaths(config)
    for model in (model.name for model in config.models):
        _assert_is(paths.best_buddies(model), best_buddies(read_table(paths.neighbours(model))))
    run = _mined(config)
    rosetta = rosetta_table(run.buddies, run.within_pivot)
    _assert_is(paths.rosetta, rosetta)
    _assert_is(paths.concepts, concept_table(rosetta))


def _assert_follows_from_halves_and_units(config: Config) -> None:
    paths, run = RunPaths(config), _mined(config)
    names = [model.name for model in config.models]
    of_halves = [
        {name: best_buddies(table) for name, table in zip(names, tables, strict=True)}
        for tables in zip(*(_halves(config, name) for name in names), strict=True)
    ]
    halves = [MatchSet(buddies, buddies.pop(config.pivot.name)) for buddies in of_halves]
    _assert_is(paths.split_half, split_half_counts(run, halves))
    units = {name: read_table(paths.units(name)) for name in names}
    selectivity, rosetta = read_table(paths.selectivity), read_table(paths.rosetta)
    for path, make in ((paths.layers, layer_table), (paths.vargha_delaney, vargha_delaney_table)):
        _assert_is(path, make(units, selectivity, buddies=run.buddies, rosetta=rosetta))


def _assert_is(path: Path, expected: pd.DataFrame) -> None:
    """Fail unless a table on disk is exactly this one."""
    with BytesIO() as file:
        expected.to_parquet(file, index=False)
        pd.testing.assert_frame_equal(read_table(path), pd.read_parquet(file), check_exact=True)
