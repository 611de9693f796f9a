"""A finished run, opened for reading: tables, images, activation maps and correlations.

Tables are read when the run is opened, arrays when they are requested.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.mining.results import MiningResult
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.runs.finished.location import relocated_config
from rosetta_core.runs.finished.run_tables import read_run_tables
from rosetta_core.runs.paths import RunPaths
from rosetta_core.validation import parse_bytes

if TYPE_CHECKING:
    from rosetta_core.mining.examples.stores import ConceptExamples
    from rosetta_core.mining.sampling.samples import Samples
    from rosetta_core.mining.sources.base import ActivationSource

__all__ = ["Run", "open_run"]


def open_run(path: str | Path) -> "Run":
    """Open the run in a folder, which may have been moved or copied.

    Weights and the user's own code files are needed only if the run stores no activation maps.
    Relative paths are resolved from the working directory or, if a file does not exist there, from
    the folder that contains the folder of results.

    Args:
        path: folder of the run, for example results/faces.

    Raises:
        RosettaError: the folder is not a finished run, or a table is missing or damaged.
    """
    config = relocated_config(path)
    return Run(config, read_run_tables(config))


class Run(MiningResult):
    """A finished run, as `open_run` returns it.

    Args:
        config: configuration of the run, with the current paths of its folders.
        tables: tables of the run.

    Attributes:
        config: configuration of the run, with the current paths of its folders.
    """

    def __init__(self, config: Config, tables: RunTables) -> None:
        super().__init__(tables, memory_budget=parse_bytes(config.memory_budget))
        self.config = config
        self._paths = RunPaths(config)
        self._sources: dict[str, ActivationSource] = {}

    def correlations(self, model: str) -> NDArray[np.float32]:
        """Return the correlations of the pivot's units with a model's.

        Returns:
            Pearson's r (units of the pivot, units of the model); NaN where a unit is dead.

        Raises:
            RosettaError: the run did not keep the correlations, or their store is damaged.
        """
        from rosetta_core.mining.correlation.store import read_correlations

        store = self._paths.correlations(self.config.model(model).name)
        if not self.config.keeps_matrix:
            raise RosettaError(
                f"run {self.name!r}: only the {self.config.partners} highest correlations of each "
                "unit were stored; run it again with correlation.keep_matrix: true"
            )
        return read_correlations(store)

    @cached_property
    def _samples(self) -> "Samples":
        from rosetta_core.mining.sampling.samples import Samples

        return Samples(self._paths.sample_stores)

    def _read_images(self, images: range) -> NDArray[np.uint8]:
        return self._samples.images(images)

    @cached_property
    def _concept_examples(self) -> "ConceptExamples":
        from rosetta_core.mining.examples.stores import StoredConceptExamples

        return StoredConceptExamples(self._paths.concept_examples, self._tables.units)

    def _source(self, model: str) -> "ActivationSource":
        """Return a model's activation source; a network is loaded once."""
        from rosetta_core.runs.sources import activation_source

        if model not in self._sources:
            self._sources[model] = activation_source(self.config, model)
        return self._sources[model]
