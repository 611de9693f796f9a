"""A finished run, opened for reading: its tables, images, maps and correlations.

open_run      the run in a folder, from any working directory
run_config    the configuration of the run in a folder
Run           what it holds; arrays are read when they are asked for
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.config import Config, load_config
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.runs.named_tables import (
    best_buddies_table,
    concepts_table,
    layers_table,
    neighbours_table,
    rosetta_table,
    units_table,
    vargha_delaney_table,
)
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.run_tables import read_run_tables
from rosetta_core.validation import parse_bytes
from rosetta_core.zoo.weights.sources import FileWeights

if TYPE_CHECKING:
    from rosetta_core.mining.sampling.samples import Samples
    from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["Images", "Run", "Unit", "open_run", "run_config"]

Images = int | Sequence[int] | NDArray[np.integer] | None  # some images' numbers; None for all
Unit = str | tuple[str, int]  # "model/layer/channel", or a model and the unit's number in it
MOST_IMAGES = 128  # that a network runs on at once


def open_run(path: str | Path) -> "Run":
    """Open the run in a folder, wherever it was moved or copied to since.

    Weights and files of code of your own, which only a run without stored maps needs, are looked
    for as configured: from the working directory, then from where the folder of results lies.

    Args:
        path: the run's folder, as results/faces.

    Raises:
        RosettaError: there is no run, or one of its tables is missing.
    """
    folder = _folder_of_run(path)
    config = _moved(load_config(folder / "config.yaml"), folder)
    return Run(config, read_run_tables(config))


def run_config(path: str | Path) -> Config:
    """Return the configuration of the run in a folder; RosettaError if there is no run.

    Its paths are those that the workflow knows, or where the run was moved or copied to since.
    """
    folder = _folder_of_run(path)
    config = load_config(folder / "config.yaml")
    return config if RunPaths(config).run.resolve() == folder else _moved(config, folder)


def _folder_of_run(path: str | Path) -> Path:
    folder = Path(path).expanduser().resolve()
    missing = [part for part in ("config.yaml", "tables") if not (folder / part).exists()]
    if missing:
        beside = [found.parent.name for found in folder.parent.glob("*/tables")]
        state = f"it has no {missing[0]}" if folder.is_dir() else "there is no such folder"
        raise RosettaError(
            f"{path}: is no run, {state}; give a finished run's folder, as results/faces"
            f"{did_you_mean(folder.name, beside)}"
        )
    return folder


class Run:
    """A finished run. Tables are pandas DataFrames that name every unit by its id.

    An id is "model/layer/channel"; docs/reference/tables-and-stores.md describes all columns. Where images can be
    chosen, give a number, several, or None for all of them, in the order wanted.

    Attributes:
        config: the run's configuration, with the folders where they lie now.
    """

    def __init__(self, config: Config, findings: RunTables) -> None:
        """Take what was read of a run; `open_run` does."""
        self.config = config
        self._findings = findings
        self._paths = RunPaths(config)
        self._maps_by_model: dict[str, ActivationSource] = {}

    def __repr__(self) -> str:
        found = self._findings
        seen = self.models if found.folder else self.encoders
        return (
            f"<Run {self.name!r}: {found.images} images of {found.folder or self.pivot}, seen by "
            f"{', '.join(seen)}; {found.rosetta['pivot_unit'].nunique()} Rosetta neurons "
            f"in {len(found.concepts)} concepts>"
        )

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self._findings.run

    @property
    def pivot(self) -> str:
        """The name of the generator, or of the encoder in its place."""
        return self._findings.pivot

    @property
    def encoders(self) -> list[str]:
        """The names of the encoders."""
        return self._findings.encoders

    @property
    def models(self) -> list[str]:
        """The names of all models, the pivot's first."""
        return self._findings.names

    def units(self, model: str | None = None) -> pd.DataFrame:
        """The units of a model, or of all models: one row per unit."""
        return units_table(self._findings, self._chosen(model))

    def best_buddies(self, model: str | None = None) -> pd.DataFrame:
        """The best buddies between the pivot and a model, or all models: one row per pair."""
        return best_buddies_table(self._findings, self._chosen(model))

    def neighbours(self, model: str | None = None) -> pd.DataFrame:
        """The nearest neighbours between the pivot and a model, or all models, both ways."""
        return neighbours_table(self._findings, self._chosen(model))

    @property
    def rosetta(self) -> pd.DataFrame:
        """The Rosetta neurons: one row per pivot unit and buddy."""
        return rosetta_table(self._findings)

    @property
    def concepts(self) -> pd.DataFrame:
        """The concepts: one row each, from the highest mean correlation down."""
        return concepts_table(self._findings)

    @property
    def layers(self) -> pd.DataFrame:
        """The layers of all models: how many Rosetta units, and how selective beside the rest."""
        return layers_table(self._findings)

    @property
    def vargha_delaney(self) -> pd.DataFrame:
        """How often Rosetta units are sparser or more selective than others of their layer."""
        return vargha_delaney_table(self._findings)

    def concept(self, number: int) -> pd.DataFrame:
        """The rows of `rosetta` of one concept; RosettaError if there is no such concept."""
        last = len(self._findings.concepts) - 1
        if not 0 <= number <= last:
            known = f"they are 0 to {last}" if last >= 0 else "there are none"
            raise RosettaError(f"no concept {number} in run {self.name!r}; {known}")
        table = self.rosetta
        return table[table["concept"] == number].reset_index(drop=True)

    def images(self, images: Images = None) -> NDArray[np.uint8]:
        """Images as the pivot drew them, or as they were taken from a folder (n, h, w, 3)."""
        return _gather(self._samples.images, self._numbers(images))

    def maps(
        self, unit: Unit, images: Images = None, *, standardised: bool = False
    ) -> NDArray[np.float32]:
        """The activation maps of a unit (n, h, w), from the stores or, without, from the network.

        Args:
            unit: its id "model/layer/channel", or its model and number.
            images: which ones, all unless given.
            standardised: in standard deviations from the unit's mean over all images, in place
                of the activations themselves; zero for a unit that never varies.
        """
        model, number = self._place(unit)
        numbers, row = self._numbers(images), self._findings.units[model].iloc[number]
        maps = self._maps(model)
        layer = [layer.name for layer in maps.layers].index(row["layer"])
        channel = slice(int(row["channel"]), int(row["channel"]) + 1)
        found = _gather(lambda some: _read(maps, layer, some, channel), numbers, self._most(maps))
        if standardised:
            found = (found - row["mean"]) / row["std"] if row["std"] > 0 else np.zeros_like(found)
        return found.astype(np.float32)

    def correlations(self, model: str) -> NDArray[np.float32]:
        """The correlations (units of the pivot, units of the model); NaN where a unit is dead."""
        from rosetta_core.mining.correlation.store import read_correlations

        store = self._paths.correlations(self.config.model(model).name)
        if not self.config.keeps_matrix:
            raise RosettaError(
                f"the correlations of run {self.name!r} were not kept, only the "
                f"{self.config.partners} best of each unit; run it again with "
                "correlation.keep_matrix: true"
            )
        return read_correlations(store)

    @property
    def concept_scores(self) -> NDArray[np.float32]:
        """How strongly each concept shows on each image (concepts, images)."""
        from rosetta_core.mining.examples.concept_store import StoredConceptExamples

        return StoredConceptExamples(self._paths.concept_examples, self._findings.units).scores

    @cached_property
    def _samples(self) -> "Samples":
        from rosetta_core.mining.sampling.samples import Samples

        return Samples([self._paths.samples(shard) for shard in self.config.shards])

    def _maps(self, model: str) -> "ActivationSource":
        """A model's maps; a network is loaded once, and holds what it ran on last."""
        from rosetta_core.runs.sources import activation_source

        if model not in self._maps_by_model:
            self._maps_by_model[model] = activation_source(self.config, model)
        return self._maps_by_model[model]

    def _most(self, maps: "ActivationSource") -> int:
        """How many images a network may run on at once: half the memory's budget, for its maps."""
        budget = parse_bytes(self.config.memory_budget) // 2
        return min(MOST_IMAGES, max(1, budget // max(1, maps.held())))

    def _chosen(self, model: str | None) -> list[str] | None:
        return None if model is None else [self.config.model(model).name]

    def _numbers(self, images: Images) -> NDArray[np.int64]:
        """Images as their numbers; RosettaError for what is none of the run's."""
        count = self._findings.images
        if images is None:
            return np.arange(count)
        found = np.atleast_1d(np.asarray(images))
        if found.size and found.dtype.kind not in "iu":
            raise RosettaError(f"images are chosen by their numbers, not by {found.dtype}")
        for image in found[(found < 0) | (found >= count)].tolist():
            raise RosettaError(f"no image {image} in run {self.name!r}; they are 0 to {count - 1}")
        return found.astype(np.int64)

    def _place(self, unit: Unit) -> tuple[str, int]:
        """A unit's model and number; RosettaError says what of its name is unknown."""
        if not isinstance(unit, str):
            model, number = unit
            last = len(self._findings.units[self.config.model(model).name]) - 1
            if not 0 <= number <= last:
                raise RosettaError(f"no unit {number} in {model}; they are 0 to {last}")
            return model, int(number)
        model, _, place = unit.partition("/")
        layer, _, channel = place.rpartition("/")
        table = self._findings.units[self.config.model(model).name]
        rows = table[table["layer"] == layer]
        if rows.empty:
            layers = table["layer"].unique().tolist()
            raise RosettaError(
                f"{unit}: no layer {layer!r} of {model} was mined{did_you_mean(layer, layers)}; "
                "a unit is named model/layer/channel"
            )
        found = rows.loc[rows["channel"].astype(str) == channel, "unit"]
        if found.empty:
            raise RosettaError(
                f"{unit}: no channel {channel!r} in {layer} of {model}; they are 0 to "
                f"{len(rows) - 1}"
            )
        return model, int(found.iloc[0])


def _moved(config: Config, folder: Path) -> Config:
    """The configuration of a run that lies in `folder` now."""
    models = {model.name: model for model in config.models}
    for name, model in models.items():
        changed: dict[str, Any] = {}
        if isinstance(model.weights, FileWeights):
            file = {"file": _found(model.weights.file, folder)}
            changed["weights"] = model.weights.model_copy(update=file)
        own, _, function = (model.target or "").rpartition(":")
        if own.endswith(".py"):
            changed["target"] = f"{_found(own, folder)}:{function}"
        models[name] = model.model_copy(update=changed)
    return config.model_copy(
        update={
            "results": str(folder.parent),
            "run": folder.name,
            "resources": _found(config.resources, folder),
            "pivot": models[config.pivot.name],
            "encoders": [models[encoder.name] for encoder in config.encoders],
        }
    )


def _found(path: str, folder: Path) -> str:
    """Where a configured path lies: from here or, if not, from where a run's results lie."""
    here, there = Path(path).absolute(), folder.parent.parent / path
    return str(there if there.exists() and not here.exists() else here)


def _read(
    maps: "ActivationSource", layer: int, images: range, channel: slice
) -> NDArray[np.float16]:
    """The maps (n, h, w) of one channel on consecutive images."""
    import torch

    from rosetta_core.runtime.workers import Workers

    with Workers(torch.get_num_threads()) as workers:
        maps.load(images, workers)
    return maps.read(layer, images, channel)[:, 0].cpu().numpy()


def _gather(
    read: Callable[[range], NDArray], numbers: NDArray[np.int64], most: int | None = None
) -> NDArray:
    """Read images in any order, each once, consecutive ones together.

    Args:
        read: returns what belongs to consecutive images (n, …).
        numbers: of the images.
        most: how many may be read together; any number unless given.
    """
    wanted = np.unique(numbers) if len(numbers) else np.zeros(1, np.int64)  # for the shape
    cuts = [0, *(np.flatnonzero(np.diff(wanted) > 1) + 1).tolist(), len(wanted)]
    parts = []
    for first, last in pairwise(cuts):
        start, stop = int(wanted[first]), int(wanted[last - 1]) + 1
        step = most or stop - start
        parts += [read(range(at, min(at + step, stop))) for at in range(start, stop, step)]
    return np.concatenate(parts)[np.searchsorted(wanted, numbers)]
