"""Made-up runs of any size and with any names, for tests of the pages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from rosetta_core.mining.examples.layers import layer_table, selectivity_table, vargha_delaney_table
from rosetta_core.mining.examples.stores import LayerExamples
from rosetta_core.mining.matching.concepts import concept_table, rosetta_table
from rosetta_core.mining.run_tables import ModelFacts, RunTables, SignificanceTables
from rosetta_core.pages.dictionary.maximisation_data import Maximisation
from rosetta_core.pages.dictionary.site import write_site

GRIDS = [(4, 4), (7, 7), (8, 8)]


@dataclass
class MadeUpExamples:
    """Concepts on all images, in memory; the maps are random but always the same."""

    models: list[str]
    representative: np.ndarray
    scores: np.ndarray
    grids: dict[str, list[tuple[int, int]]]  # by model the map size of every unit

    def maps(self, concept: int, model: str) -> np.ndarray:
        unit = self.representative[concept, self.models.index(model)]
        rng = np.random.default_rng([concept, self.models.index(model)])
        size = (self.scores.shape[1], *self.grids[model][unit])
        return rng.integers(20, 120, size, dtype=np.uint8)


@dataclass
class MadeUp:
    """The arguments of `write_site`."""

    tables: RunTables
    unit_examples: dict[str, list[LayerExamples]]
    concept_examples: MadeUpExamples
    pictures: np.ndarray

    def images(self, numbers: range) -> np.ndarray:
        return self.pictures[numbers.start : numbers.stop]

    def write(
        self,
        folder: Path,
        *,
        examples: int,
        maximisations: Sequence[Maximisation] = (),
        origins: Sequence[str] = (),
        originals: Path | None = None,
    ) -> None:
        """Write the pages into a folder; no two images are near-duplicates."""
        write_site(
            folder,
            self.tables,
            unit_examples=self.unit_examples,
            concept_examples=self.concept_examples,
            images=self.images,
            duplicates=np.arange(self.tables.images, dtype=np.int32),
            examples=examples,
            origins=origins,
            originals=originals,
            maximisations=maximisations,
        )


def make_up(
    names: list[str],
    *,
    concepts: int,
    layers: list[str],
    channels: int,
    images: int = 12,
    k: int = 2,
) -> MadeUp:
    """Make up a run in which concept c is unit c of the pivot with unit c of every encoder.

    The pivot's unit after the last concept has a best buddy in every encoder but the last.

    Args:
        names: names of the models, the pivot's first.
        concepts: number of concepts, smaller than the number of units.
        layers: names of the layers, the same for all models.
        channels: number of channels of every layer.
        images: number of images.
        k: K of the mutual nearest neighbours.
    """
    rng = np.random.default_rng(0)
    count = len(layers) * channels
    corr = np.sort(rng.uniform(0.1, 0.9, concepts + 1).astype(np.float32))[::-1]
    neighbours, buddies = {}, {}
    for number, name in enumerate(names):
        matched = concepts + (number < len(names) - 1)
        neighbours[name] = _neighbours(corr, matched, count, k, same=number == 0)
        buddies[name] = _buddies(corr, matched, same=number == 0)
    pairs = pd.concat(
        [
            pd.DataFrame(
                {
                    "pivot_unit": np.arange(concepts, dtype=np.int32),
                    "model": name,
                    "unit": np.arange(concepts, dtype=np.int32),
                    "corr": corr[:concepts],
                    "concept": np.arange(concepts, dtype=np.int32),
                }
            )
            for name in names[1:]
        ],
        ignore_index=True,
    )
    rosetta = pairs.sort_values(["pivot_unit"], kind="stable", ignore_index=True)
    table = pd.DataFrame(
        {
            "concept": np.arange(concepts, dtype=np.int32),
            "size": np.ones(concepts, np.int32),
            "pivot_units": [[unit] for unit in range(concepts)],
            "mean_corr": corr[:concepts],
            "min_corr": corr[:concepts],
        }
    )
    representative = np.repeat(np.arange(concepts, dtype=np.int32)[:, None], len(names), axis=1)
    scores = rng.normal(0, 1, (concepts, images)).astype(np.float32)
    tables = _run_tables(
        names, layers, channels, images=images, k=k, neighbours=neighbours, buddies=buddies,
        rosetta=rosetta, concepts=table,
    )  # fmt: skip
    return _complete(tables, layers, channels, representative=representative, scores=scores)


def _run_tables(
    names: list[str],
    layers: list[str],
    channels: int,
    *,
    images: int,
    k: int,
    neighbours: dict[str, pd.DataFrame],
    buddies: dict[str, pd.DataFrame],
    rosetta: pd.DataFrame,
    concepts: pd.DataFrame,
) -> RunTables:
    units = {name: _units(layers, channels) for name in names}
    measures = {name: {"sparsity": _spread(table, 0), "selectivity": _spread(table, 1)}
                for name, table in units.items()}  # fmt: skip
    selectivity = selectivity_table(measures)
    matches = {"buddies": {name: buddies[name] for name in names[1:]}, "rosetta": rosetta}
    return RunTables(
        run="made up",
        images=images,
        seed=3,
        truncation=1.0,
        k=k,
        models=[ModelFacts(name, f"net of {name}", f"file of {name}", "MIT") for name in names],
        units=units,
        neighbours=neighbours,
        best_buddies=buddies,
        rosetta=rosetta,
        concepts=concepts,
        selectivity=selectivity,
        layers=layer_table(units, selectivity, **matches),
        vargha_delaney=vargha_delaney_table(units, selectivity, **matches),
    )


def _complete(
    tables: RunTables,
    layers: list[str],
    channels: int,
    *,
    representative: np.ndarray,
    scores: np.ndarray,
) -> MadeUp:
    """Add examples and images to the tables."""
    grids = [GRIDS[i // channels % len(GRIDS)] for i in range(len(layers) * channels)]
    return MadeUp(
        tables,
        {
            name: _unit_examples(layers, channels, tables.images, seed)
            for seed, name in enumerate(tables.names, start=1)
        },
        MadeUpExamples(
            models=list(tables.names),
            representative=representative,
            scores=scores,
            grids=dict.fromkeys(tables.names, grids),
        ),
        np.random.default_rng(0).integers(0, 255, (tables.images, 16, 16, 3), dtype=np.uint8),
    )


GROUPS = {  # units of the pivot and of each encoder that correlate with each other
    range(0, 4): range(0, 3),
    range(4, 8): range(4, 7),
    range(8, 11): range(8, 11),
}
PARTIAL = 12  # pivot unit with a best buddy in all encoders but the last


def make_up_groups(
    names: list[str], *, layers: list[str], channels: int, images: int = 17, k: int = 3
) -> MadeUp:
    """Make up a run whose concepts have two or three units per model, with significance.

    Correlations are random: high within a group of units, low elsewhere. Neighbours and best
    buddies are computed from them here, independently of the library. The significance tables
    have missing values.

    Args:
        names: names of the models, the pivot's first.
        layers: names of the layers, the same for all models.
        channels: number of channels of every layer; there are at least 12 units.
        images: number of images.
        k: K of the mutual nearest neighbours.
    """
    rng = np.random.default_rng(5)
    count = len(layers) * channels
    neighbours, buddies = {}, {}
    for name in names:
        corr = rng.uniform(-0.1, 0.1, (count, count))
        corr[:, 0], corr[0] = 0.15, 0.15  # nearest to all units outside the groups
        corr[:, 1:3], corr[1:3] = 0.14, 0.14
        for pivot_units, encoder_units in GROUPS.items():
            columns = pivot_units if name == names[0] else encoder_units
            if name == names[-1]:  # other units of each encoder are in a concept
                columns = range(columns.start + 1, columns.stop + 1)
            size = (len(pivot_units), len(columns))
            corr[np.ix_(pivot_units, columns)] = rng.uniform(0.3, 0.95, size)
        if name == names[0]:
            corr[4, 8:10], corr[10, PARTIAL] = 0.25, 0.6  # a related concept, and a best buddy
            corr = np.triu(corr, 1) + np.triu(corr, 1).T
            np.fill_diagonal(corr, np.nan)
        elif name != names[-1]:
            corr[PARTIAL, PARTIAL] = 0.5
        corr[-1], corr[:, -1] = np.nan, np.nan  # dead
        corr = corr.astype(np.float32)
        neighbours[name] = _nearest(corr, k, same=name == names[0])
        buddies[name] = _mutual(corr, k)
    rosetta = rosetta_table({name: buddies[name] for name in names[1:]}, buddies[names[0]])
    concepts = concept_table(rosetta)
    representative = np.zeros((len(concepts), len(names)), np.int32)
    for concept, rows in rosetta.groupby("concept"):
        representative[concept, 0] = rows["pivot_unit"].max()
        for number, name in enumerate(names[1:], start=1):
            representative[concept, number] = rows.loc[rows["model"] == name, "unit"].max()
    scores = rng.normal(0, 1, (len(concepts), images)).astype(np.float32)
    tables = _run_tables(
        names, layers, channels, images=images, k=k, neighbours=neighbours, buddies=buddies,
        rosetta=rosetta, concepts=concepts,
    )  # fmt: skip
    tables = replace(tables, significance=_significance(tables, rng))
    return _complete(tables, layers, channels, representative=representative, scores=scores)


def _significance(tables: RunTables, rng: np.random.Generator) -> SignificanceTables:
    def statistics(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
        values = rng.uniform(0, 1, (len(table), len(names))).astype(np.float32)
        values[rng.random(values.shape) < 0.2] = np.nan
        return pd.concat([table, pd.DataFrame(values, columns=list(names))], axis=1)

    shared = ["corr_excess", "p_value", "recovery_rate", "peak_overlap"]
    pairs = pd.concat(
        [tables.best_buddies[name].assign(model=name) for name in tables.encoders],
        ignore_index=True,
    )[["pivot_unit", "model", "unit", "corr"]]
    nulls = pd.DataFrame(
        [
            (null, level, model, observed, null_count, fdr)
            for null, fdr in (("permute_images", 0.1), ("untrained", np.nan))
            for level, model, observed, null_count in (
                *(("best buddies", name, 12, 7) for name in tables.encoders),
                ("Rosetta neurons", "", 10, 4),
                ("concepts", "", 4, 2),
            )
        ],
        columns=["null", "level", "model", "n_observed", "n_null", "fdr"],
    )
    halves = pd.DataFrame(
        [
            *(("best buddies", name, 12, 9.5, 0.75, 0.8) for name in tables.encoders),
            ("Rosetta neurons", "", 10, 8.0, 0.7, 0.6),
            ("concepts", "", 4, 3.5, np.nan, np.nan),
        ],
        columns=["level", "model", "n_observed", "n_half", "recovery_rate", "agreement"],
    )
    return SignificanceTables(
        pairs=statistics(pairs, [*shared, "corr_ci_low", "corr_ci_high"]),
        concepts=statistics(tables.concepts[["concept"]], shared),
        null_counts=nulls,
        split_half=halves,
    )


def _nearest(corr: np.ndarray, k: int, *, same: bool) -> pd.DataFrame:
    """Rows of the K highest correlations of every alive unit, from both sides."""
    rows = []
    for side, matrix in (("pivot", corr), ("encoder", corr.T))[: 1 if same else 2]:
        for unit, values in enumerate(matrix):
            order = [int(o) for o in np.argsort(-values, kind="stable") if not np.isnan(values[o])]
            rows += [
                (side, unit, rank, other, values[other])
                for rank, other in enumerate(order[:k], start=1)
            ]
    table = pd.DataFrame(rows, columns=["side", "unit", "rank", "neighbour", "corr"])
    return table.astype(dict.fromkeys(("unit", "rank", "neighbour"), np.int32))


def _mutual(corr: np.ndarray, k: int) -> pd.DataFrame:
    """Rows of the pairs that are each among the K highest of the other."""
    filled = np.where(np.isnan(corr), -2, corr)
    ranks = [np.argsort(np.argsort(-m, axis=1, kind="stable"), axis=1) for m in (filled, filled.T)]
    rows = [
        (u, v, corr[u, v], ranks[0][u, v] + 1, ranks[1][v, u] + 1)
        for u, v in np.argwhere((ranks[0] < k) & (k > ranks[1].T) & ~np.isnan(corr)).tolist()
    ]
    columns = ["pivot_unit", "unit", "corr", "pivot_rank", "unit_rank"]
    return pd.DataFrame(rows, columns=columns).astype(
        dict.fromkeys(("pivot_unit", "unit", "pivot_rank", "unit_rank"), np.int32)
    )


def _units(layers: list[str], channels: int) -> pd.DataFrame:
    count = len(layers) * channels
    grids = [GRIDS[i // channels % len(GRIDS)] for i in range(count)]
    alive = np.ones(count, bool)
    alive[-1] = False
    return pd.DataFrame(
        {
            "unit": np.arange(count, dtype=np.int32),
            "layer": np.repeat(layers, channels),
            "channel": np.tile(np.arange(channels, dtype=np.int32), len(layers)),
            "height": np.array([g[0] for g in grids], np.int32),
            "width": np.array([g[1] for g in grids], np.int32),
            "mean": np.linspace(0.1, 1, count),
            "std": np.linspace(1, 2, count),
            "alive": alive,
        }
    )


def _spread(units: pd.DataFrame, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(0, 1, len(units))
    return np.where(units["alive"], values, np.nan)


def _neighbours(corr: np.ndarray, matched: int, count: int, k: int, *, same: bool) -> pd.DataFrame:
    """Neighbours of unit u: u (within the pivot u ^ 1), then others with low correlations."""
    unit = np.arange(count - 1, dtype=np.int32)
    frames = []
    for side in ["pivot"] if same else ["pivot", "encoder"]:
        for rank in range(1, k + 1):
            first = np.minimum(unit ^ 1, count - 2) if same else unit
            value = np.full(count - 1, 0.05, np.float32)
            value[:matched] = corr[:matched] if len(corr) >= matched else 0.5
            frames.append(
                pd.DataFrame(
                    {
                        "side": side,
                        "unit": unit,
                        "rank": np.int32(rank),
                        "neighbour": (first + 2 * (rank - 1)) % (count - 1),
                        "corr": value / np.float32(rank),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True).astype({"neighbour": np.int32})


def _buddies(corr: np.ndarray, matched: int, *, same: bool) -> pd.DataFrame:
    unit = np.arange(matched, dtype=np.int32)
    other = unit ^ 1 if same else unit
    inside = other < matched
    return pd.DataFrame(
        {
            "pivot_unit": unit[inside],
            "unit": other[inside],
            "corr": corr[unit[inside]],
            "pivot_rank": np.int32(1),
            "unit_rank": np.int32(1),
        }
    )


def _unit_examples(layers: list[str], channels: int, images: int, seed: int) -> list[LayerExamples]:
    rng = np.random.default_rng(seed)
    examples = []
    for number in range(len(layers)):
        grid = GRIDS[number % len(GRIDS)]
        layer = LayerExamples(
            images=rng.integers(0, images, (channels, 2)).astype(np.int32),
            peaks=np.sort(rng.uniform(2, 9, (channels, 2)).astype(np.float32))[:, ::-1].copy(),
            maps=rng.integers(20, 120, (channels, 2, *grid), dtype=np.uint8),
            histogram=rng.integers(0, 100, (channels, 128)),
            sparsity=rng.uniform(0, 1, channels),
            selectivity=rng.uniform(0, 1, channels),
        )
        layer.images[0, 1], layer.peaks[0, 1] = -1, np.nan  # active on a single image
        if number == len(layers) - 1:
            layer.images[-1] = -1
            layer.peaks[-1] = layer.sparsity[-1] = layer.selectivity[-1] = np.nan
        examples.append(layer)
    return examples
