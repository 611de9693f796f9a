"""Runs that were never mined, of any size, with any names: for the pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rosetta_core.mining.examples.layers import layer_table, selectivity_table, vargha_delaney_table
from rosetta_core.mining.examples.unit_store import LayerExamples
from rosetta_core.pages.dictionary.maximisation_data import Show
from rosetta_core.pages.dictionary.site import write_site
from rosetta_core.runs.run_tables import ModelFacts, RunTables

GRIDS = [(4, 4), (7, 7), (8, 8)]


@dataclass
class MadeUpExamples:
    """The concepts on all images, in memory."""

    models: list[str]
    representative: np.ndarray
    scores: np.ndarray
    grids: dict[str, list[tuple[int, int]]]  # by model the grid of every unit

    def maps(self, concept: int, model: str) -> np.ndarray:
        unit = self.representative[concept, self.models.index(model)]
        rng = np.random.default_rng([concept, self.models.index(model)])
        size = (self.scores.shape[1], *self.grids[model][unit])
        return rng.integers(20, 120, size, dtype=np.uint8)


@dataclass
class MadeUp:
    """A run: what `write_site` takes."""

    findings: RunTables
    unit_examples: dict[str, list[LayerExamples]]
    concept_examples: MadeUpExamples
    pictures: np.ndarray

    def images(self, numbers: range) -> np.ndarray:
        return self.pictures[numbers.start : numbers.stop]

    def write(
        self, folder: Path, *, examples: int, image_pages: int, shows: Sequence[Show] = ()
    ) -> None:
        """Write its pages into a folder; no two of its images are near-duplicates."""
        write_site(
            folder,
            self.findings,
            unit_examples=self.unit_examples,
            concept_examples=self.concept_examples,
            images=self.images,
            duplicates=np.arange(self.findings.images, dtype=np.int32),
            examples=examples,
            image_pages=image_pages,
            shows=shows,
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
        names: of the models, the pivot's first.
        concepts: how many; fewer than units.
        layers: names, the same for all models.
        channels: of every layer.
        images: how many.
        k: mutual K nearest neighbours.
    """
    rng = np.random.default_rng(0)
    units = {name: _units(layers, channels) for name in names}
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
    facts = [ModelFacts(name, f"net of {name}", f"file of {name}", "MIT") for name in names]
    measures = {name: {"sparsity": _spread(table, 0), "selectivity": _spread(table, 1)}
                for name, table in units.items()}  # fmt: skip
    known = units, selectivity_table(measures)
    found = {"buddies": {name: buddies[name] for name in names[1:]}, "rosetta": rosetta}
    findings = RunTables(
        run="made up", images=images, seed=3, truncation=1.0, k=k, models=facts, units=units,
        neighbours=neighbours, best_buddies=buddies, rosetta=rosetta, concepts=table,
        selectivity=known[1], layers=layer_table(*known, **found),
        vargha_delaney=vargha_delaney_table(*known, **found),
    )  # fmt: skip
    grids = [GRIDS[i // channels % len(GRIDS)] for i in range(count)]
    examples = MadeUpExamples(
        models=list(names),
        representative=np.repeat(np.arange(concepts, dtype=np.int32)[:, None], len(names), axis=1),
        scores=rng.normal(0, 1, (concepts, images)).astype(np.float32),
        grids=dict.fromkeys(names, grids),
    )
    return MadeUp(
        findings,
        {name: _unit_examples(layers, channels, images) for name in names},
        examples,
        rng.integers(0, 255, (images, 16, 16, 3), dtype=np.uint8),
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
    """Unit u's nearest is u (of the pivot itself u ^ 1), and then others far behind."""
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


def _unit_examples(layers: list[str], channels: int, images: int) -> list[LayerExamples]:
    rng = np.random.default_rng(1)
    found = []
    for number in range(len(layers)):
        grid = GRIDS[number % len(GRIDS)]
        one = LayerExamples(
            images=np.tile(np.array([1, 0], np.int32), (channels, 1)),
            peaks=np.tile(np.array([5.5, 4.25], np.float32), (channels, 1)),
            maps=rng.integers(20, 120, (channels, 2, *grid), dtype=np.uint8),
            histogram=rng.integers(0, 100, (channels, 128)),
            sparsity=rng.uniform(0, 1, channels),
            selectivity=rng.uniform(0, 1, channels),
        )
        if number == len(layers) - 1:
            one.images[-1] = -1
            one.peaks[-1] = one.sparsity[-1] = one.selectivity[-1] = np.nan
        found.append(one)
    return found
